package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/go-json-experiment/json"

	"gatehouse/module/audit"
	"gatehouse/outcome"
	"gatehouse/store"
)

// Migrated says what became of one module's database.
type Migrated struct {
	Database string `json:"database"`
	From     int64  `json:"from"`            // migrations that had been applied
	To       int64  `json:"to"`              // that are, or with check would be
	Copy     string `json:"copy,omitempty"`  // of the file as it was before
	Fresh    bool   `json:"fresh,omitempty"` // it was not there before
}

// Behind reports whether something was, or is, to be done.
func (m Migrated) Behind() bool { return m.From < m.To }

// Migrate brings the databases of a data folder, or of PostgreSQL, to this version; with check it only looks. One that a
// newer Gatehouse made is refused before any is touched. No server may run on the folder, unless check is set.
func Migrate(ctx context.Context, c Config, check bool) (all []Migrated, err error) {
	a, source, release, err := openStopped(ctx, c, !check)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, release()) }()
	if err := a.usable(); err != nil {
		return nil, err
	}
	found := false
	for _, schema := range schemas() {
		st, err := schema.Status(ctx, source)
		if err != nil {
			return nil, hinted{err, "use the version of Gatehouse that made it, or a newer one"}
		}
		found = found || st.There
		if st.There || !a.file.Store.PostgresDSN.IsZero() {
			all = append(all, Migrated{Database: schema.Name, From: st.Applied, To: st.Newest, Fresh: !st.There})
		}
	}
	if !found && a.file.Store.PostgresDSN.IsZero() {
		return nil, outcome.NotFound.Because("the data folder %s holds no database", a.file.Data)
	}
	if check {
		return all, nil
	}
	all = nil
	for _, schema := range schemas() {
		one, err := migrateOne(ctx, source, schema, a.log)
		if err != nil {
			return all, err
		}
		if one.Database != "" {
			all = append(all, one)
		}
	}
	return all, nil
}

// openStopped takes the folder from which no server runs.
func openStopped(ctx context.Context, c Config, lock bool) (a *App, source store.Source, release func() error, err error) {
	data, err := filepath.Abs(c.File.Data)
	if err != nil {
		return nil, source, nil, fmt.Errorf("finding the data folder: %w", err)
	}
	c.File.Data = data
	a = &App{file: c.File, version: c.Version, log: c.Log}
	if a.log == nil {
		a.log = slog.Default()
	}
	if source, err = a.source(); err != nil {
		return nil, source, nil, err
	}
	if _, err := os.Stat(data); err != nil {
		return nil, source, nil, outcome.NotFound.From(err, "there is no data folder %s", data)
	}
	release = func() error { return nil }
	if lock {
		if release, err = store.LockFolder(ctx, data, lockWait); err != nil {
			return nil, source, nil, hinted{fmt.Errorf("opening the data folder %s: %w", data, err), "stop gatehouse serve first"}
		}
		if err := store.Settle(data, schemas()); err != nil {
			return nil, source, nil, errors.Join(err, release())
		}
	}
	return a, source, release, nil
}

// migrateOne brings one database up to date. On SQLite one that is not there is not made.
func migrateOne(ctx context.Context, source store.Source, schema store.Schema, log *slog.Logger) (m Migrated, err error) {
	st, err := schema.Status(ctx, source)
	if err != nil || !st.There && source.Run.IsZero() {
		return m, err
	}
	db, err := store.Open(ctx, store.Config{
		Source: source, Name: schema.Name, Migrations: schema.Migrations, Migrate: true, AppendOnly: schema.AppendOnly,
		Reads: schema.Reads, Calls: schema.Calls, Log: log,
	})
	if err != nil {
		return m, err
	}
	m = Migrated{Database: schema.Name, From: st.Applied, To: st.Newest, Fresh: !st.There}
	if copied := fmt.Sprintf("%s.before-%04d.db", schema.Name, st.Applied+1); m.Behind() && st.There && there(source.Dir, copied) && source.Run.IsZero() {
		m.Copy = filepath.Join(source.Dir, copied)
	}
	return m, db.Close()
}

// MovedTo says what a move to PostgreSQL did.
type MovedTo struct {
	Rows   store.Moved `json:"rows"` // by database
	Log    int64       `json:"log"`  // rows of the log, verified there
	Head   string      `json:"head"` // the hash of the last of them
	Before bool        `json:"before,omitempty"`
}

// moved is what stands in the mark.
type moved struct {
	Moved time.Time `json:"moved"`
	Rows  int64     `json:"rows"` // of the log
	Last  string    `json:"last"`
	Head  string    `json:"head"`
}

// MoveToPostgres moves a stopped SQLite data folder into the PostgreSQL that the configuration names: every row as it is,
// in one transaction, into empty schemas. The log is verified there. The folder's databases stay as they are, and the folder
// is marked, so that nobody goes on with them by mistake; its keys stay in use.
func MoveToPostgres(ctx context.Context, c Config) (r MovedTo, err error) {
	if c.File.Store.PostgresDSN.IsZero() {
		return r, hinted{
			outcome.Invalid.Because("the configuration names no PostgreSQL"),
			"write store: {postgres_dsn_env: NAME} and put the DSN into that variable",
		}
	}
	a, source, release, err := openStopped(ctx, c, true)
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, release()) }()
	if there(a.file.Data, restoringDir) {
		return r, a.usable()
	}
	if there(a.file.Data, movedFile) {
		return r, outcome.Conflict.Because("the databases of %s were moved already", a.file.Data)
	}
	work, clean, err := a.backupRoom()
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, clean()) }()
	// Copies are moved, so that the files themselves are not even migrated.
	if _, _, _, err = copyAll(ctx, store.Source{Dir: a.file.Data}, nil, work); err != nil {
		return r, err
	}
	for _, schema := range schemas() {
		if _, err := migrateOne(ctx, store.Source{Dir: work}, schema, a.log); err != nil {
			return r, err
		}
	}
	head, err := audit.HeadOf(ctx, store.Source{Dir: work}, a.log)
	if err != nil {
		return r, err
	}
	r.Rows, err = store.Move(ctx, work, source, schemas())
	if errors.Is(err, store.ErrNotEmpty) {
		r.Before, err = a.movedBefore(ctx, source, head, err)
	}
	if err != nil {
		return r, err
	}
	report, err := VerifyLog(ctx, a.file, Kept{}, a.log)
	if err != nil {
		return r, fmt.Errorf("verifying the log in PostgreSQL: %w", err)
	}
	if !report.OK {
		return r, outcome.Conflict.Because("the log in PostgreSQL does not hold: %s; the data folder is as it was", report.Fault)
	}
	r.Log, r.Head = report.Rows, headOf(head).Hash
	text, err := json.Marshal(moved{time.Now().UTC(), head.Rows, head.Last.String(), r.Head})
	if err != nil {
		return r, err
	}
	if err := writeDurable(filepath.Join(a.file.Data, movedFile), append(text, '\n')); err != nil {
		return r, fmt.Errorf("marking the data folder as moved: %w", err)
	}
	return r, nil
}

// movedBefore reports whether what stands in PostgreSQL is this folder's, moved by a run that was cut off before it could
// mark the folder: all of it was moved in one transaction, so the same end of a log that has rows says so.
func (a *App) movedBefore(ctx context.Context, source store.Source, head audit.Head, notEmpty error) (bool, error) {
	other, err := audit.HeadOf(ctx, source, a.log)
	if err != nil {
		return false, errors.Join(notEmpty, err)
	}
	if head.Rows > 0 && other == head {
		return true, nil
	}
	return false, hinted{notEmpty, "name an empty database, or drop the schemas that are in it"}
}
