package app

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"gatehouse/backup"
	"gatehouse/canon"
	"gatehouse/config"
	"gatehouse/gate"
	"gatehouse/module/audit"
	"gatehouse/module/house"
	"gatehouse/outcome"
	"gatehouse/secret"
	"gatehouse/store"
)

// Restoring says what is restored and how.
type Restoring struct {
	Archive        string
	IdentityFile   string // a secret key of age that opens it
	PassphraseFile string // instead
	Keys           string // a folder with master.json, and audit.json, for a backup without keys
	KeepTokens     bool   // tokens that were good in the backup stay good
}

// Restored says what a restore did.
type Restored struct {
	Data    string          `json:"data"`
	Engine  string          `json:"engine"` // on which it is now
	Backup  backup.Manifest `json:"backup"`
	Row     string          `json:"row"` // of the log, that names the backup
	Revoked int64           `json:"revoked_tokens"`
	Rows    int64           `json:"rows"` // of the log, verified
}

// Restore puts a backup into an empty data folder, and with PostgreSQL into empty schemas besides. Everything is unpacked,
// checked and brought up to date in a folder apart before anything is put in place; what fails leaves nothing behind, and
// what was cut off can be begun again.
func Restore(ctx context.Context, c Config, o Restoring) (r Restored, err error) {
	data, err := filepath.Abs(c.File.Data)
	if err != nil {
		return r, fmt.Errorf("finding the data folder: %w", err)
	}
	c.File.Data, c.Offline = data, true
	opener, err := o.opener()
	if err != nil {
		return r, err
	}
	isNew, wasLocked := !there(data, "."), there(data, "lock")
	release, err := store.LockFolder(ctx, data, lockWait)
	if err != nil {
		return r, fmt.Errorf("opening the data folder %s: %w", data, err)
	}
	s := restore{Config: c, Restoring: o, data: data, stage: filepath.Join(data, restoringDir, "new")}
	begun, err := s.begin()
	if err == nil {
		r, err = s.run(ctx, opener)
	}
	if err != nil && begun {
		err = errors.Join(err, s.undo())
		switch {
		case isNew:
			err = errors.Join(err, release(), os.RemoveAll(data))
		case !wasLocked:
			err = errors.Join(err, release(), os.Remove(filepath.Join(data, "lock")))
		}
	}
	return r, errors.Join(err, release())
}

// opener reads the key of the archive.
func (o Restoring) opener() (backup.Opener, error) {
	read := func(file string) (t secret.Text, err error) {
		if file != "" {
			t, err = config.Secret{File: file}.Read()
		}
		return t, err
	}
	identity, err := read(o.IdentityFile)
	if err != nil {
		return backup.Opener{}, err
	}
	passphrase, err := read(o.PassphraseFile)
	if err != nil {
		return backup.Opener{}, err
	}
	return backup.NewOpener(identity, passphrase)
}

// restore is one restore under way.
type restore struct {
	Config
	Restoring
	data  string
	stage string // a data folder in the making
}

// begin makes the folder apart. Only an empty folder is taken, or one in which a restore did not end: that one's remains
// go. begun: there is something to undo.
func (s restore) begin() (begun bool, err error) {
	if there(s.data, restoringDir) {
		if err := s.undo(); err != nil {
			return false, fmt.Errorf("removing what an earlier restore left: %w", err)
		}
	}
	entries, err := os.ReadDir(s.data)
	if err != nil {
		return false, fmt.Errorf("reading the data folder: %w", err)
	}
	for _, e := range entries {
		if e.Name() != "lock" && e.Name() != "serve" { // what a command leaves that found nothing
			return false, hinted{
				outcome.Conflict.Because("the data folder %s is not empty: it holds %s", s.data, e.Name()),
				"restore into a new folder with --data, and move it into the place of the old one when all is well",
			}
		}
	}
	if err := os.MkdirAll(s.stage, 0o700); err != nil {
		return true, fmt.Errorf("making a folder for the backup's files: %w", err)
	}
	return true, backup.SyncFolder(s.data)
}

// placedFile lists what is being put in place, so that a restore that was cut off there can be undone.
const placedFile = "placed"

// undo removes all that the restore brought into the folder, the mark last.
func (s restore) undo() error {
	list, err := os.ReadFile(filepath.Join(s.data, restoringDir, placedFile))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	var errs []error
	for name := range strings.FieldsSeq(string(list)) {
		if filepath.Base(name) == name && filepath.IsLocal(name) && name != "." {
			errs = append(errs, os.RemoveAll(filepath.Join(s.data, name)))
		}
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	return errors.Join(os.RemoveAll(s.stage), os.RemoveAll(filepath.Join(s.data, restoringDir)), backup.SyncFolder(s.data))
}

// run does everything, in the order in which it fails best.
func (s restore) run(ctx context.Context, opener backup.Opener) (r Restored, err error) {
	r.Data, r.Engine = s.data, store.SQLite.String()
	if r.Backup, err = backup.Unpack(ctx, s.Archive, opener, s.stage); err != nil {
		return r, err
	}
	if err := s.checkFiles(ctx, r.Backup); err != nil {
		return r, err
	}
	staged, err := s.keys(r.Backup)
	if err != nil {
		return r, err
	}
	if r.Row, r.Revoked, err = s.wake(ctx, staged, r.Backup); err != nil {
		return r, err
	}
	report, err := VerifyLog(ctx, staged.File, Kept{}, s.Log)
	if err != nil {
		return r, fmt.Errorf("verifying the log of the backup: %w", err)
	}
	if !report.OK {
		return r, outcome.Invalid.Because("the log in the backup does not hold: %s", report.Fault)
	}
	r.Rows = report.Rows
	if !s.File.Store.PostgresDSN.IsZero() {
		r.Engine = store.Postgres.String()
	}
	return r, s.place(ctx)
}

// checkFiles holds the databases against the manifest and against what this Gatehouse knows, before anything writes.
func (s restore) checkFiles(ctx context.Context, m backup.Manifest) error {
	known := map[string]store.Schema{}
	for _, schema := range schemas() {
		known[schema.Name] = schema
	}
	for _, f := range m.Files {
		name, isDB := strings.CutSuffix(f.Name, ".db")
		if !isDB {
			continue
		}
		schema, ok := known[name]
		if !ok && !isClosedMonth(name) {
			return outcome.Invalid.Because("the backup was made by Gatehouse %s and holds the database %s, which this one does not know: use that version, or a newer one",
				m.Gatehouse, name)
		} else if !ok {
			continue
		}
		if _, err := schema.Status(ctx, store.Source{Dir: s.stage}); err != nil {
			return hinted{err, "use the version of Gatehouse that made the backup, or a newer one"}
		}
	}
	if !m.Has("audit.db") || !m.Has("people.db") || !m.Has("tokens.db") || !m.Has("vault.db") {
		return outcome.Invalid.Because("this is not a whole backup: it lacks a database without which no gateway runs")
	}
	return nil
}

// isClosedMonth reports whether a database is a closed month of the log: audit-2026-11.
func isClosedMonth(name string) bool {
	month, ok := strings.CutPrefix(name, "audit-")
	return ok && len(month) == len("2026-11") && strings.Trim(month, "0123456789-") == ""
}

// keys puts the keys where the restored house looks for them, and gives its configuration while it lies apart.
func (s restore) keys(m backup.Manifest) (Config, error) {
	staged := s.Config
	staged.File.Data = s.stage
	staged.File.Store = config.Store{}
	staged.File.Audit.HeadFile = "" // the head that was kept elsewhere may be of a later day, and is evidence
	if s.Keys != "" {
		if err := s.takeKeys(); err != nil {
			return staged, err
		}
	}
	staged.File.Keys.MasterFile = filepath.Join(s.stage, filepath.FromSlash(backup.MasterKey))
	given := there(s.stage, filepath.FromSlash(backup.MasterKey))
	configured := s.File.Keys.MasterFile
	switch {
	case configured != "" && there(filepath.Dir(configured), filepath.Base(configured)):
		staged.File.Keys.MasterFile = configured
	case configured != "":
		return staged, outcome.Conflict.Because("the configuration says that the master key is %s, and it is not there: put it there, or restore without that line", configured)
	case !given && m.Has(backup.MasterKey):
		return staged, outcome.Invalid.Because("the backup's master key cannot be read")
	case !given:
		return staged, hinted{
			outcome.NotFound.Because("the backup holds no keys, and without the master key nothing that was sealed can be read"),
			"give the folder with master.json and audit.json of the old house with --keys",
		}
	}
	return staged, nil
}

// takeKeys copies the keys that were kept apart. They win over those in the backup.
func (s restore) takeKeys() error {
	dir := filepath.Join(s.stage, "keys")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("making the folder of keys: %w", err)
	}
	found := false
	for _, name := range []string{"master.json", "audit.json", "audit.pub"} {
		text, err := os.ReadFile(filepath.Join(s.Keys, name))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err == nil {
			err = writeDurable(filepath.Join(dir, name), text)
		}
		clear(text)
		if err != nil {
			return fmt.Errorf("taking the keys: %w", err)
		}
		found = true
	}
	if !found {
		return outcome.NotFound.Because("the folder %s holds no keys: master.json and audit.json are looked for", s.Keys)
	}
	return nil
}

// writeDurable writes a file that only we can read, in the place of another if there is one.
func writeDurable(file string, text []byte) error {
	if err := os.Remove(file); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	f, err := os.OpenFile(file, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	return errors.Join(err, f.Sync(), f.Close(), backup.SyncFolder(filepath.Dir(file)))
}

// wake opens the house where it lies apart, which migrates it and turns what was under way into rows, and writes the row
// that says where it came from. Tokens that were good in the backup may have been revoked since: that row ends them.
func (s restore) wake(ctx context.Context, staged Config, m backup.Manifest) (row string, revoked int64, err error) {
	head, err := audit.HeadOf(ctx, store.Source{Dir: s.stage}, s.Log)
	if err != nil {
		return "", 0, err
	}
	if headOf(head) != m.Head {
		return "", 0, outcome.Invalid.Because("this is not a whole backup: its log does not end where its manifest says")
	}
	a, err := New(ctx, staged)
	if err != nil {
		return "", 0, err
	}
	defer func() { err = errors.Join(err, a.Close()) }()
	args, err := canon.From(house.Restored{
		Made: m.Made.Format("2006-01-02T15:04:05.000Z07:00"), Gatehouse: m.Gatehouse, Engine: m.Engine,
		Rows: m.Head.Rows, Last: m.Head.Last, Head: hex.EncodeToString(head.Hash[:]), PublicKey: a.Log.PublicKey(), KeepTokens: s.KeepTokens,
	})
	if err != nil {
		return "", 0, err
	}
	got := a.Gate.Call(ctx, a.Gate.Job("restore"), gate.Request{Tool: "house.restored", Canonical: args})
	if got.Code != outcome.OK {
		return "", 0, fmt.Errorf("beginning the log after the restore: %w", got.Code.Because("%s", got.Reason))
	}
	var ended house.Ended
	if err := got.Result.Decode(&ended); err != nil {
		return "", 0, err
	}
	return got.ID.String(), ended.Tokens, nil
}

// place moves everything to where it belongs. With PostgreSQL the rows go there, in one transaction, and the keys here.
func (s restore) place(ctx context.Context) error {
	for _, name := range []string{"lock", "operator.key", "operator.sock", "serve", "work", "audit.reserve"} { // of the house while it lay apart
		if err := os.RemoveAll(filepath.Join(s.stage, name)); err != nil {
			return fmt.Errorf("putting the restored files in place: %w", err)
		}
	}
	toPostgres := !s.File.Store.PostgresDSN.IsZero()
	entries, err := os.ReadDir(s.stage)
	if err != nil {
		return fmt.Errorf("putting the restored files in place: %w", err)
	}
	var names []string
	for _, e := range entries {
		if !toPostgres || !strings.Contains(e.Name(), ".db") {
			names = append(names, e.Name())
		}
	}
	if err := writeDurable(filepath.Join(s.data, restoringDir, placedFile), []byte(strings.Join(names, "\n"))); err != nil {
		return fmt.Errorf("putting the restored files in place: %w", err)
	}
	for _, name := range names {
		if err := os.Rename(filepath.Join(s.stage, name), filepath.Join(s.data, name)); err != nil {
			return fmt.Errorf("putting the restored files in place: %w", err)
		}
	}
	if toPostgres {
		a := &App{file: s.File, log: s.Log}
		source, err := a.source()
		if err != nil {
			return err
		}
		if err := s.bringUp(ctx); err != nil {
			return err
		}
		if _, err := store.Move(ctx, s.stage, source, schemas()); err != nil {
			return err
		}
	}
	if err := backup.SyncFolder(s.data); err != nil {
		return fmt.Errorf("putting the restored files in place: %w", err)
	}
	// What is left is the mark, which goes in one step, and what it holds.
	done := filepath.Join(s.data, "restored")
	if err := os.Rename(filepath.Join(s.data, restoringDir), done); err != nil {
		return fmt.Errorf("ending the restore: %w", err)
	}
	return errors.Join(os.RemoveAll(done), backup.SyncFolder(s.data))
}

// bringUp migrates the databases that no built-in module opened.
func (s restore) bringUp(ctx context.Context) error {
	for _, schema := range schemas() {
		if _, err := migrateOne(ctx, store.Source{Dir: s.stage}, schema, s.Log); err != nil {
			return err
		}
	}
	return nil
}
