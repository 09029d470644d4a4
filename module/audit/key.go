package audit

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"golang.org/x/mod/sumdb/note"
)

// keyName is the name in the signature lines of heads.
const keyName = "gatehouse-audit"

// signingKey signs heads: Ed25519, see https://c2sp.org/signed-note.
type signingKey struct {
	signer note.Signer
	public string // the verifier key
}

// keyFile is what stands in the key file.
type keyFile struct {
	Private string `json:"private"`
	Public  string `json:"public"`
}

// maxKey is how large a key file may be. A key is about 300 bytes.
const maxKey = 64 << 10

// openKey reads the key that signs heads, or makes it. A log whose key is gone gets a new one: heads that were signed with
// the old one can still be checked with the old public key, which is why a copy of it belongs beside heads kept elsewhere.
// rows says how many rows the log has already, and so whether a missing key is worth a warning.
func openKey(file string, rows int64, log *slog.Logger) (*signingKey, error) {
	text, err := readKey(file)
	if errors.Is(err, fs.ErrNotExist) {
		if text, err = makeKey(file); err == nil && rows == 0 {
			log.Info("made the key that signs the heads of the log", "file", file)
		} else if err == nil {
			log.Warn("the log has rows and there was no key here to sign its heads, so a new one was made: heads that were signed with another key "+
				"can be checked with its public key alone; if that key was taken away, do not trust what it signs from now on", "file", file, "rows", rows)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("opening the log's signing key: %w", err)
	}
	var k keyFile
	damaged := fmt.Errorf("the log's signing key %s is damaged: restore it from a backup", file) // it quotes nothing of the file
	if json.Unmarshal(text, &k, json.RejectUnknownMembers(true)) != nil {
		return nil, damaged
	}
	signer, err := note.NewSigner(k.Private)
	if err != nil {
		return nil, damaged
	}
	verifier, err := note.NewVerifier(k.Public)
	if err != nil || verifier.KeyHash() != signer.KeyHash() || verifier.Name() != signer.Name() {
		return nil, damaged
	}
	if err := replaceFile(PublicKeyFile(file), []byte(k.Public+"\n"), 0o644); err != nil {
		return nil, fmt.Errorf("writing the log's public key: %w", err)
	}
	return &signingKey{signer, k.Public}, nil
}

// readKey reads a key file that nobody else can read or write.
func readKey(file string) ([]byte, error) {
	f, err := openPrivate(file)
	if err != nil {
		return nil, err
	}
	text, err := io.ReadAll(io.LimitReader(f, maxKey+1))
	if err == nil && len(text) > maxKey {
		err = fmt.Errorf("%s is longer than a key: restore it from a backup", file)
	}
	return text, errors.Join(err, f.Close())
}

// PublicKeyFile is where the public key of a key file stands: a verifier key of a signed note, and a line end.
func PublicKeyFile(file string) string { return strings.TrimSuffix(file, ".json") + ".pub" }

// makeKey makes a key in a file that is not there yet. It is there whole, or not at all.
func makeKey(file string) ([]byte, error) {
	private, public, err := note.GenerateKey(rand.Reader, keyName)
	if err != nil {
		return nil, err
	}
	text, err := json.Marshal(keyFile{private, public}, jsontext.WithIndent("  "))
	if err != nil {
		return nil, err
	}
	text = append(text, '\n')
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		return nil, err
	}
	return text, replaceFile(file, text, 0o600)
}

// replaceFile puts a file in the place of another: a reader sees the old one or the new one, also after a power cut.
func replaceFile(file string, text []byte, mode fs.FileMode) (err error) {
	f, err := os.CreateTemp(filepath.Dir(file), "."+filepath.Base(file)+".*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = os.Remove(f.Name()) // the first error is the one that matters
		}
	}()
	_, err = f.Write(text)
	if err == nil {
		err = f.Chmod(mode)
	}
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	if err = os.Rename(f.Name(), file); err != nil {
		return err
	}
	return syncFolder(filepath.Dir(file))
}
