package cli

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"

	"gatehouse/app"
)

// exportCopy writes the whole log as a SQLite file, and its public key beside it, and verifies both. What does not hold is
// removed again; what is there is never written over.
func (c *auditExportCommand) exportCopy(r *run, data string) (err error) {
	if c.Person != "" || c.From != "" || c.To != "" || c.Format != "jsonl" {
		return wrong("--database copies the log whole: it goes with no other flag")
	}
	public := app.CopyKey(c.Database)
	for _, path := range []string{c.Database, public} {
		if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
			return wrong("%s is there already: name a new file", path)
		}
	}
	var made []string
	defer func() {
		if err != nil {
			for _, path := range made {
				err = errors.Join(err, os.Remove(path))
			}
		}
	}()
	err = r.operate(func(o *operator) error {
		e, _, err := ask[struct {
			File   string `json:"file"`
			SHA256 string `json:"sha256"`
		}](o, "audit.export", map[string]string{"format": "sqlite"})
		if err != nil {
			return err
		}
		if !filepath.IsLocal(filepath.FromSlash(e.File)) {
			return fmt.Errorf("the gateway names a file that is not in the data folder: %q", e.File)
		}
		path := filepath.Join(data, filepath.FromSlash(e.File))
		sum, err := newCopy(path, c.Database, &made)
		if err = errors.Join(err, os.Remove(path)); err != nil {
			return fmt.Errorf("fetching the copy: %w", err)
		}
		if sum != e.SHA256 {
			return errors.New("fetching the copy: it is not what the gateway made")
		}
		return nil
	})
	if err != nil {
		return err
	}
	if _, err := newCopy(filepath.Join(data, "keys", "audit.pub"), public, &made); err != nil {
		return fmt.Errorf("copying the log's public key: %w", err)
	}
	report, err := app.VerifyLogCopy(r.ctx, c.Database, app.Kept{}, r.log(slog.LevelWarn))
	if err != nil {
		return err
	}
	if !report.OK {
		return fmt.Errorf("the copy does not hold, and was removed: %s", report.Fault)
	}
	return r.say("%s holds %d rows, the last %s; it was verified. Check it again with gatehouse audit verify --database %s",
		c.Database, report.Rows-max(report.Begins, 1)+1, report.Last, c.Database)
}

// newCopy copies a file to a new one (mode 0600, synced), and gives its SHA-256.
func newCopy(from, to string, made *[]string) (sum string, err error) {
	in, err := os.Open(from)
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, in.Close()) }()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return "", err
	}
	*made = append(*made, to)
	h := sha256.New()
	_, err = io.Copy(io.MultiWriter(out, h), in)
	err = errors.Join(err, out.Sync(), out.Close())
	return hex.EncodeToString(h.Sum(nil)), err
}
