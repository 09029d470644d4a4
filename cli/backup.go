package cli

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"gatehouse/app"
)

// backupCommand writes a backup.
type backupCommand struct {
	File           string   `arg:"" help:"The new file. Nothing is overwritten."`
	Recipient      []string `help:"A public key of age that can open it, may be repeated (else backup.recipients of the configuration)." placeholder:"AGE1…"`
	PassphraseFile string   `help:"Instead of recipients: a file with a passphrase, mode 0600." placeholder:"FILE"`
	WithKeys       bool     `help:"Put the master key and the signing key in too: whoever opens the backup then reads everything."`
}

// backedUp is what house.backup gives.
type backedUp struct {
	File      string   `json:"file"`
	Bytes     int64    `json:"bytes"`
	SHA256    string   `json:"sha256"`
	Databases []string `json:"databases"`
	Keys      bool     `json:"keys"`
	Rows      int64    `json:"rows"`
	HeldMicro int64    `json:"held_us"`
}

// Run implements the command. The file is written by the server if one runs, so its path must mean the same there.
func (c *backupCommand) Run(r *run) error {
	file, err := filepath.Abs(c.File)
	if err != nil {
		return fmt.Errorf("finding %s: %w", c.File, err)
	}
	passphrase := c.PassphraseFile
	if passphrase != "" {
		if passphrase, err = filepath.Abs(passphrase); err != nil {
			return fmt.Errorf("finding %s: %w", c.PassphraseFile, err)
		}
	}
	recipients := c.Recipient
	if len(recipients) == 0 && passphrase == "" {
		configured, err := r.file() // the server may run without a configuration file, or with another
		if err != nil {
			return err
		}
		recipients = configured.Backup.Recipients
	}
	return r.operate(func(o *operator) error {
		made, raw, err := ask[backedUp](o, "house.backup", struct {
			File           string   `json:"file"`
			Recipients     []string `json:"recipients,omitzero"`
			PassphraseFile string   `json:"passphrase_file,omitzero"`
			WithKeys       bool     `json:"with_keys,omitzero"`
		}{file, recipients, passphrase, c.WithKeys})
		if err != nil {
			if len(recipients) == 0 && passphrase == "" {
				err = withHint(err, "make a key pair with gatehouse backup-key FILE, keep the file elsewhere, and give what it prints with --recipient")
			}
			return err
		}
		if r.flags.JSON {
			return r.sayJSON(raw)
		}
		if err := r.say("%s holds %d databases up to row %d of the log (%d bytes, SHA-256 %s)", made.File, len(made.Databases), made.Rows, made.Bytes, made.SHA256); err != nil {
			return err
		}
		r.note("calls waited %.1f ms", float64(made.HeldMicro)/1000)
		if !made.Keys {
			r.note("the keys are not in it: keep a copy of the folder keys apart, without the master key a restore can read nothing that was sealed")
		}
		return nil
	})
}

// backupKeyCommand makes a key pair for backups, for machines without age-keygen.
type backupKeyCommand struct {
	File string `arg:"" help:"The new file for the secret key. Keep it on another machine than the gateway's."`
}

// Run implements the command. Only the public key is printed.
func (c *backupKeyCommand) Run(r *run) error {
	recipient, err := app.NewBackupKey(c.File)
	if errors.Is(err, os.ErrExist) {
		return withHint(err, "choose another name: the old key may be the only one that opens earlier backups")
	}
	if err != nil {
		return withHint(err, "name a file in a folder that is there and can be written")
	}
	if r.flags.JSON {
		return r.sayAsJSON(struct {
			Recipient string `json:"recipient"`
		}{recipient})
	}
	return r.say("%s", recipient)
}
