package cli

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"gatehouse/gate"
)

// auditExportCommand prints rows of the log for other programs.
type auditExportCommand struct {
	Person   string `placeholder:"EMAIL" help:"Only rows of this person."`
	From     string `placeholder:"TIME" help:"Only rows since then, as 2026-11-23T18:00:00Z."`
	To       string `placeholder:"TIME" help:"Only rows before then."`
	Database string `placeholder:"FILE" help:"Copy the whole log into this new file instead, as a SQLite database that audit verify --database reads, and verify it."`
	Format   string `default:"jsonl" enum:"jsonl,csv" help:"jsonl, one row a line as it was hashed, or csv."`
}

// Run implements the command. The file that the gateway makes is on this machine: whoever reads operator.key reads it too.
func (c *auditExportCommand) Run(r *run) error {
	file, err := r.file()
	if err != nil {
		return err
	}
	if c.Database != "" {
		return c.exportCopy(r, file.Data)
	}
	return r.operate(func(o *operator) error {
		var person gate.PersonID
		if c.Person != "" {
			p, err := o.person(c.Person)
			if err != nil {
				return err
			}
			person = p.ID
		}
		made, _, err := ask[struct {
			File string `json:"file"`
			Rows int64  `json:"rows"`
		}](o, "audit.export", struct {
			Person gate.PersonID `json:"person,omitzero"`
			From   string        `json:"from,omitzero"`
			To     string        `json:"to,omitzero"`
			Format string        `json:"format"`
		}{person, c.From, c.To, c.Format})
		if err != nil {
			return err
		}
		if !filepath.IsLocal(filepath.FromSlash(made.File)) {
			return fmt.Errorf("the gateway names a file that is not in the data folder: %q", made.File)
		}
		path := filepath.Join(file.Data, filepath.FromSlash(made.File))
		f, err := os.Open(path)
		if err != nil {
			return fmt.Errorf("fetching the export: %w", err)
		}
		_, err = io.Copy(r.out, f)
		if err = errors.Join(err, f.Close(), os.Remove(path)); err != nil {
			return fmt.Errorf("printing the export: %w", err)
		}
		r.note("%d rows", made.Rows)
		return nil
	})
}
