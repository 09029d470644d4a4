// Package backup writes and reads the archive of a backup: a tar file inside an age file. It must never write a byte that
// is not encrypted, put a file in place before everything was checked, or know what is in a database.
//
// Inside the age file (https://age-encryption.org/v1) stands a tar file: first manifest.json, then the files that the
// manifest names, in its order, and nothing else. So an archive can be opened without Gatehouse: age --decrypt, then tar.
//
//	manifest.json    what the archive is: [Manifest]
//	NAME.db          the database of a module, a SQLite file, whatever the engine it came from
//	keys/audit.pub   the public key of the log
//	keys/audit.json  the key that signs heads of the log, where keys were asked for
//	keys/master.json the master key of the vault, likewise
//
// age finds every changed, missing or added byte, and the manifest has the SHA-256 of each file besides. Neither says who
// made an archive: whoever knows a recipient can write one.
package backup

import (
	"errors"
	"fmt"
	"regexp"
	"time"

	"gatehouse/canon"
	"gatehouse/outcome"
)

// Format is the number of this form of the archive. Another one is refused.
const Format = 1

// The names in an archive, besides those of databases.
const (
	manifestName = "manifest.json"
	PublicKey    = "keys/audit.pub"
	SigningKey   = "keys/audit.json"
	MasterKey    = "keys/master.json"
)

// Manifest says what an archive holds.
type Manifest struct {
	Format    int       `json:"format"`
	Gatehouse string    `json:"gatehouse"` // the version that made it
	Made      time.Time `json:"made"`      // the moment of the cut
	Engine    string    `json:"engine"`    // from which it was made: sqlite or postgres
	Head      Head      `json:"head"`
	Files     []File    `json:"files"`
}

// Head is where the log ended at the cut.
type Head struct {
	Rows int64  `json:"rows"`
	Last string `json:"last"` // the id of the last row; empty: there is none
	Hash string `json:"hash"` // of the last row, in hex
}

// File is one file of an archive.
type File struct {
	Name   string `json:"name"`
	Size   int64  `json:"size"`   // bytes
	SHA256 string `json:"sha256"` // in hex
}

// Bounds of what is read, so that a hostile archive fills neither memory nor disk past what it says of itself.
const (
	maxManifest = 1 << 20
	maxFiles    = 2000
)

var (
	database = regexp.MustCompile(`^[a-z][a-z0-9_-]{0,47}\.db$`)
	sum      = regexp.MustCompile(`^[0-9a-f]{64}$`)
)

// damaged is what every archive is that cannot be taken.
func damaged(format string, args ...any) error {
	return outcome.Invalid.Because("this is not a whole backup: "+format, args...)
}

// parseManifest reads a manifest strictly. Its names are those that an archive may hold: none leads out of a folder.
func parseManifest(text []byte) (m Manifest, err error) {
	v, err := canon.ParseObject(text)
	if err != nil {
		return m, damaged("its manifest is not JSON")
	}
	number, _ := v.Member("format")
	if number.String() != fmt.Sprint(Format) {
		return m, outcome.Invalid.Because("the backup has format %s, and this Gatehouse knows format %d: use the version that made it, or a newer one",
			cut(number.String()), Format)
	}
	if err := v.Decode(&m); err != nil {
		return m, damaged("its manifest has members that do not belong there")
	}
	if m.Made.IsZero() || m.Head.Rows < 0 || !sum.MatchString(m.Head.Hash) || len(m.Files) == 0 || len(m.Files) > maxFiles {
		return m, damaged("its manifest is not complete")
	}
	seen := map[string]bool{}
	for _, f := range m.Files {
		if !isName(f.Name) || seen[f.Name] || f.Size < 0 || !sum.MatchString(f.SHA256) {
			return m, damaged("its manifest names a file that does not belong there, or names one twice")
		}
		seen[f.Name] = true
	}
	return m, nil
}

func isName(name string) bool {
	return name == PublicKey || name == SigningKey || name == MasterKey || database.MatchString(name)
}

// Has reports whether the archive holds a file.
func (m Manifest) Has(name string) bool {
	for _, f := range m.Files {
		if f.Name == name {
			return true
		}
	}
	return false
}

// cut keeps a strange text short enough to be shown.
func cut(text string) string {
	if len(text) > 20 {
		return text[:20] + "…"
	}
	if text == "" {
		return "no number"
	}
	return text
}

var errNoRecipient = errors.New("a backup is only written encrypted")
