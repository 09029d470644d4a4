package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"gatehouse/outcome"
)

// ErrInUse is why a database cannot go on in a new file now: something reads the one that is to be closed, and stays.
var ErrInUse = errors.New("the database file is being read")

// holdReaders is how long a rotation waits for those who read.
const holdReaders = 2 * time.Second

// Rotate closes the file of a SQLite database, which becomes NAME-MONTH.db, and goes on in a new NAME.db under the same
// handle. carry moves what the new file must begin with; its Tx into is on the new file, at the newest migration and empty.
// Writers and readers wait meanwhile. The closed file is whole: it has no write-ahead log beside it, and its SQL is refused
// what [Config].Closing refuses.
//
// The new file is complete before the old one loses its name, and a crash in between is made good by the next [Open] that
// migrates: it finishes what was begun or undoes it. After an error everything is as it was; [ErrInUse] says that it would
// have taken too long.
func (db *DB) Rotate(ctx context.Context, month string, carry func(from, into *Tx) error) error {
	b, ok := db.backend.(*sqliteBackend)
	if !ok {
		return fmt.Errorf("rotating the database %s: it is not a file", db.name)
	}
	if !goodMonth.MatchString(month) {
		return fmt.Errorf("rotating the database %s: %q is not a month", db.name, month)
	}
	if err := b.rotate(ctx, db.clock, month, carry); err != nil {
		return fmt.Errorf("rotating the database %s: %w", db.name, err)
	}
	if err := seal(ctx, closedFile(b.base, month), b.config.Closing); err != nil {
		// It is whole, and refuses UPDATE and DELETE as before; whoever opens it to write seals it first.
		db.clock.logger().Warn("a closed database is not sealed yet", "database", db.name+"-"+month, "error", err)
	}
	return nil
}

func closedFile(file, month string) string {
	return strings.TrimSuffix(file, ".db") + "-" + month + ".db"
}

// nextFile is where a new file is made.
func nextFile(file string) string { return strings.TrimSuffix(file, ".db") + ".next.db" }

func (b *sqliteBackend) rotate(ctx context.Context, clock *Clock, month string, carry func(from, into *Tx) error) (err error) {
	b.turning.Lock()
	defer b.turning.Unlock()
	closed, next := closedFile(b.base, month), nextFile(b.base)
	if _, err := os.Lstat(closed); !errors.Is(err, fs.ErrNotExist) {
		return errors.Join(fmt.Errorf("%s: %w", closed, fs.ErrExist), err)
	}
	if b.pinned.Load() > 0 {
		return outcome.Unavailable.From(ErrInUse, reasonUnavailable)
	}
	all, err := readMigrations(b.config.Migrations, SQLite)
	if err != nil {
		return err
	}
	if err := removeFile(next); err != nil { // what was given up
		return translate(ctx, err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, removeFile(next))
		}
	}()
	if err := makeNewFile(next); err != nil {
		return translate(ctx, err)
	}
	if err := migrateSQLite(ctx, next, all); err != nil {
		return err
	}
	if err := b.writer.take(ctx); err != nil {
		return err
	}
	defer b.writer.leave()
	if err := b.fill(ctx, clock, next, carry); err != nil {
		return err
	}
	return b.swap(ctx, closed, next)
}

// fill lets carry write the new file, and brings it to the disk. The caller has the turn.
func (b *sqliteBackend) fill(ctx context.Context, clock *Clock, next string, carry func(from, into *Tx) error) error {
	w, err := openWriter(ctx, dsnWriter(next), b.guard)
	if err != nil {
		return err
	}
	err = b.writer.within(ctx, clock, func(from *Tx) error {
		return w.within(ctx, clock, func(into *Tx) error { return carry(from, into) })
	})
	if err = errors.Join(err, w.close()); err != nil {
		return err
	}
	return translate(ctx, errors.Join(syncFile(next), syncFolder(filepath.Dir(next))))
}

// within runs do in a transaction. The caller has the turn, and keeps it.
func (w *sqliteWriter) within(ctx context.Context, clock *Clock, do func(*Tx) error) error {
	if _, err := w.exec(ctx, "BEGIN IMMEDIATE", nil); err != nil {
		return translate(ctx, err)
	}
	t := &transaction{on: sqliteCourse{w}}
	err := do(&Tx{statements{run: t, clock: clock}})
	if err = errors.Join(err, t.first); err == nil {
		_, err = w.exec(ctx, "COMMIT", nil)
	}
	if err != nil {
		w.undo(ctx)
	}
	return translate(ctx, err)
}

// swap changes the files under the handle. Whatever comes of it, the handle has a file again when it returns, or is closed.
func (b *sqliteBackend) swap(ctx context.Context, closed, next string) (err error) {
	if !b.readersGate.hold(holdReaders) {
		return outcome.Unavailable.From(ErrInUse, reasonUnavailable)
	}
	defer b.readersGate.open()
	if b.closed.Load() {
		return errClosed
	}
	ctx = context.WithoutCancel(ctx) // from here on it is carried to its end
	err = errors.Join(b.readers.Close(), b.writer.drop())
	if err == nil {
		err = fold(ctx, b.file)
	}
	if err == nil {
		err = exchange(b.file, closed, next)
	}
	if opening := b.reopen(ctx); opening != nil {
		b.writer.gone = true
		b.closed.Store(true)
		err = errors.Join(err, opening)
	}
	return translate(ctx, err)
}

func (b *sqliteBackend) reopen(ctx context.Context) error {
	w, err := openWriter(ctx, dsnWriter(b.file), b.guard)
	if err != nil {
		return err
	}
	b.writer.db, b.writer.conn, b.writer.kept = w.db, w.conn, w.kept
	b.openReaders()
	return nil
}

// fold takes the write-ahead log into the file and does without one from then on, so that the file is whole by itself.
// Somebody who has it open elsewhere makes it fail.
func fold(ctx context.Context, file string) error {
	db := sql.OpenDB(newConnector(dsn(file, "rw", url.Values{}), nil))
	db.SetMaxOpenConns(1)
	var busy, pages, folded int
	var mode string
	_, err := db.ExecContext(ctx, fmt.Sprintf("PRAGMA busy_timeout = %d", holdReaders.Milliseconds()))
	if err == nil {
		err = db.QueryRowContext(ctx, "PRAGMA wal_checkpoint(TRUNCATE)").Scan(&busy, &pages, &folded)
	}
	if err == nil && busy == 0 {
		err = db.QueryRowContext(ctx, "PRAGMA journal_mode = DELETE").Scan(&mode)
	}
	if err = errors.Join(err, db.Close()); err == nil && mode == "delete" {
		return syncFile(file)
	}
	return outcome.Unavailable.From(errors.Join(ErrInUse, err), reasonUnavailable)
}

// exchange gives the files their new names, each step durable before the next.
func exchange(live, closed, next string) error {
	dir := filepath.Dir(live)
	if err := os.Rename(live, closed); err != nil {
		return err
	}
	err := syncFolder(dir)
	if err == nil {
		err = os.Rename(next, live)
	}
	if err != nil {
		return errors.Join(err, os.Rename(closed, live), syncFolder(dir))
	}
	return syncFolder(dir)
}

// settleRotation finishes or undoes a rotation that a crash cut off: a new file is complete before the live one loses its
// name, and counts for nothing while that has it. Nobody may have the files open.
func settleRotation(file string) error {
	next := nextFile(file)
	if _, err := os.Lstat(next); errors.Is(err, fs.ErrNotExist) {
		return nil
	} else if err != nil {
		return err
	}
	if _, err := os.Lstat(file); err == nil {
		return removeFile(next)
	} else if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := os.Rename(next, file); err != nil {
		return err
	}
	return syncFolder(filepath.Dir(file))
}

// Settle finishes or undoes what a crash left half done in a folder, before anything there is looked at without [Open]. The
// caller holds the folder's lock.
func Settle(dir string, known []Schema) error {
	for _, s := range known {
		if err := settleRotation(filepath.Join(dir, s.Name+".db")); err != nil {
			return fmt.Errorf("settling the database %s: %w", s.Name, err)
		}
	}
	return nil
}

// liveFile is the file that is written. Between two steps of a rotation, or after a crash there, it has its old name yet.
func liveFile(file string) string {
	for range 10 {
		if _, err := os.Lstat(file); !errors.Is(err, fs.ErrNotExist) {
			return file
		}
		if _, err := os.Lstat(nextFile(file)); err != nil {
			return file
		}
		time.Sleep(10 * time.Millisecond) // it is being given its name
	}
	return nextFile(file)
}

// removeFile removes a database file that nobody has open, if it is there, with what SQLite keeps beside it.
func removeFile(file string) error {
	var errs []error
	for _, end := range []string{"", "-wal", "-shm", "-journal"} {
		if err := os.Remove(file + end); !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

func syncFile(file string) error {
	f, err := os.OpenFile(file, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// Closed lists the months whose files are closed, the oldest first, as 2026-11. Whoever keeps the house may move one away at any time.
func (db *DB) Closed() ([]string, error) {
	b, ok := db.backend.(*sqliteBackend)
	if !ok {
		return nil, nil
	}
	months, err := closedMonths(b.base)
	if err != nil {
		return nil, fmt.Errorf("looking for closed files of the database %s: %w", db.name, err)
	}
	return months, nil
}

func closedMonths(file string) ([]string, error) {
	entries, err := os.ReadDir(filepath.Dir(file))
	if err != nil {
		return nil, err
	}
	var months []string
	for _, e := range entries {
		base, isDB := strings.CutSuffix(e.Name(), ".db")
		month, ours := strings.CutPrefix(base, strings.TrimSuffix(filepath.Base(file), ".db")+"-")
		if isDB && ours && goodMonth.MatchString(month) && e.Type().IsRegular() {
			months = append(months, month)
		}
	}
	slices.Sort(months)
	return months, nil
}

// OpenClosed opens a closed file of a month, for reading, or to write what [Config].Closing lets through. It is at the
// migration at which it was closed. outcome.NotFound: it is not there. The caller closes it soon.
func (db *DB) OpenClosed(ctx context.Context, month string, write bool) (*DB, error) {
	b, ok := db.backend.(*sqliteBackend)
	if !ok || !goodMonth.MatchString(month) {
		return nil, outcome.NotFound.Because("the database %s has no closed file %s", db.name, month)
	}
	closed, err := openClosed(ctx, closedFile(b.base, month), b.config, write)
	if err != nil {
		return nil, fmt.Errorf("opening the database %s-%s: %w", db.name, month, err)
	}
	closed.name = db.name + "-" + month
	if err := closed.CheckAppendOnly(ctx); err != nil {
		return nil, errors.Join(err, closed.Close())
	}
	return closed, nil
}

func openClosed(ctx context.Context, file string, c Config, write bool) (*DB, error) {
	if _, err := os.Lstat(file); errors.Is(err, fs.ErrNotExist) {
		return nil, outcome.NotFound.From(err, "%s is not there", filepath.Base(file))
	}
	all, err := readMigrations(c.Migrations, SQLite)
	if err != nil {
		return nil, err
	}
	if _, err := os.Lstat(file + "-journal"); err == nil { // a crash while it was written: whoever only reads cannot undo that
		write = true
	}
	if write {
		if err := seal(ctx, file, c.Closing); err != nil {
			return nil, err
		}
	}
	applied, err := appliedSQLite(ctx, file)
	if err != nil {
		return nil, err
	}
	if _, err := all.pending(applied); err != nil {
		return nil, err
	}
	if len(applied) == 0 {
		return nil, fmt.Errorf("%w: it holds nothing", ErrChanged)
	}
	b := &sqliteBackend{base: file, file: file, config: c, guard: newAuthorizer(c.AppendOnly)}
	if write {
		if b.writer, err = openWriter(ctx, dsnClosed(file), b.guard); err != nil {
			return nil, err
		}
	} else {
		b.writer = noWriter()
	}
	b.openReaders()
	return &DB{engine: SQLite, only: c.AppendOnly, backend: b, statements: statements{run: b, clock: NewClock()}}, nil
}

// noWriter is for a file that is only read.
func noWriter() *sqliteWriter {
	w := &sqliteWriter{turn: make(chan struct{}, 1), gone: true}
	w.leave()
	return w
}

// seal runs what a closed file gets, in one transaction. It may be run again.
func seal(ctx context.Context, file, closing string) error {
	if closing == "" {
		return nil
	}
	db := sql.OpenDB(newConnector(dsnClosed(file), nil))
	db.SetMaxOpenConns(1)
	tx, err := db.BeginTx(ctx, nil)
	if err == nil {
		if _, err = tx.ExecContext(ctx, closing); err == nil {
			err = tx.Commit()
		} else {
			err = errors.Join(err, tx.Rollback())
		}
	}
	return errors.Join(translate(ctx, err), db.Close())
}
