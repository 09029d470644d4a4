package cli

import (
	"gatehouse/app"
)

// restoreCommand restores a backup.
type restoreCommand struct {
	File           string `arg:"" help:"The backup."`
	Identity       string `help:"A file with the secret key of age that opens it." placeholder:"FILE"`
	PassphraseFile string `help:"Instead: a file with the passphrase, mode 0600." placeholder:"FILE"`
	Keys           string `help:"A folder with master.json and audit.json, for a backup without keys." placeholder:"DIR"`
	KeepTokens     bool   `help:"Leave tokens good that were good in the backup. One that was revoked since is good again."`
}

// Run implements the command. It works on the data folder itself: no server can run on an empty one.
func (c *restoreCommand) Run(r *run) error {
	if (c.Identity == "") == (c.PassphraseFile == "") {
		return wrong("a backup is opened with --identity FILE or with --passphrase-file FILE")
	}
	config, err := r.app()
	if err != nil {
		return err
	}
	done, err := app.Restore(r.ctx, config, app.Restoring{
		Archive: c.File, IdentityFile: c.Identity, PassphraseFile: c.PassphraseFile, Keys: c.Keys, KeepTokens: c.KeepTokens,
	})
	if err != nil {
		return withHint(err, "nothing was restored; correct what is named and try again")
	}
	if r.flags.JSON {
		return r.sayAsJSON(done)
	}
	if err := r.say("restored into %s: the log holds with %d rows, row %s says where it came from", done.Data, done.Rows, done.Row); err != nil {
		return err
	}
	if c.KeepTokens {
		return r.say("tokens are good as they were when the backup was made")
	}
	return r.say("%d tokens were revoked: issue new ones", done.Revoked)
}
