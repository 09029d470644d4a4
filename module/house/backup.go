package house

import (
	"context"
	"path/filepath"
	"regexp"

	"gatehouse/gate"
	"gatehouse/outcome"
)

// Order is a backup that is asked for.
type Order struct {
	File           string   `json:"file" kind:"opaque" carries:"destination" jsonschema:"where the new file goes: for the operator an absolute path, for others a name in the configured folder"`
	Recipients     []string `json:"recipients,omitzero" carries:"destination" jsonschema:"public keys of age that can open it; left out: those of the configuration; for the operator alone"`
	PassphraseFile string   `json:"passphrase_file,omitzero" kind:"opaque" jsonschema:"instead of recipients: a file of the server with a passphrase, absolute; for the operator alone"`
	WithKeys       bool     `json:"with_keys,omitzero" jsonschema:"put the master key and the signing key in too; for the operator alone"`
}

// Report says what a backup holds.
type Report struct {
	File      string   `json:"file"`
	Bytes     int64    `json:"bytes"`
	SHA256    string   `json:"sha256"`         // of the file
	Made      string   `json:"made"`           // the moment that it shows
	Databases []string `json:"databases"`      // what was copied
	Keys      bool     `json:"keys"`           // the keys are in it
	Rows      int64    `json:"rows"`           // of the log
	Last      string   `json:"last,omitzero"`  // the last of them
	HeldMicro int64    `json:"held_us"`        // how long writers waited
	TookMilli int64    `json:"took_ms"`        // in all
	Head      string   `json:"head,omitempty"` // the hash of the last row
}

// plainName is a file's name that leads nowhere else.
var plainName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$`)

func (m *Module) backup(ctx context.Context, p gate.Permit, o Order) (Report, error) {
	if p.Operator() {
		if !filepath.IsAbs(o.File) || o.PassphraseFile != "" && !filepath.IsAbs(o.PassphraseFile) {
			return Report{}, outcome.Invalid.Because("files are named by absolute paths: the server may stand in another folder")
		}
	} else if err := m.bound(&o); err != nil {
		return Report{}, err
	}
	if len(o.Recipients) == 0 && o.PassphraseFile == "" {
		o.Recipients = m.config.Recipients
	}
	return m.config.Backup(ctx, o)
}

// bound keeps a person's backup to what the configuration says.
func (m *Module) bound(o *Order) error {
	switch {
	case m.config.Folder == "" || len(m.config.Recipients) == 0:
		return outcome.NotAllowed.Because("only the operator makes backups here: for others backup.folder and backup.recipients must stand in the configuration")
	case len(o.Recipients) > 0 || o.PassphraseFile != "" || o.WithKeys:
		return outcome.NotAllowed.Because("who can open a backup, and whether it holds keys, is for the operator to say: leave it out")
	case !plainName.MatchString(o.File):
		return outcome.Invalid.Because("name a file without a folder: letters, digits, dots, dashes and underscores, at most 100")
	}
	o.File = filepath.Join(m.config.Folder, o.File)
	return nil
}
