package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"modernc.org/sqlite"

	"gatehouse/outcome"
)

// Cut is one moment of all modules' databases: whatever was committed before it is in every copy, and nothing that came
// later is in any. It keeps that moment readable, while others go on writing, until Close. It is for one goroutine.
type Cut struct {
	moment
	held time.Duration
}

// moment is what differs between the engines.
type moment interface {
	names() []string
	copy(ctx context.Context, name, to string) error
	close() error
}

// TakeCut fixes the moment. known are the modules whose databases are looked for; open are the handles of this process.
//
// On SQLite it holds the writers of all handles for as long as it takes to begin a reading transaction on each file, a
// few milliseconds, in which writes wait; databases that are not open here must have no writer elsewhere, so the
// caller holds the folder's lock. On PostgreSQL it is a snapshot of the whole database, and nobody waits.
func TakeCut(ctx context.Context, source Source, known []Schema, open []*DB) (*Cut, error) {
	var c *Cut
	var err error
	if source.engine() == Postgres {
		c, err = cutPostgres(ctx, source, known)
	} else {
		c, err = cutSQLite(ctx, source.Dir, known, open)
	}
	if err != nil {
		return nil, fmt.Errorf("taking a cut of the databases: %w", err)
	}
	return c, nil
}

// Names lists the databases, sorted: those of the modules, and on SQLite the closed months of the log, as audit-2026-11.
func (c *Cut) Names() []string { return c.names() }

// Held is how long writers waited.
func (c *Cut) Held() time.Duration { return c.held }

// Copy writes one database as it was at the moment, as a compact SQLite file (mode 0600, synced), whatever the engine. to
// must not be there; it lies in a folder of the caller's own, where a second file is made for a while.
func (c *Cut) Copy(ctx context.Context, name, to string) error {
	if !slices.Contains(c.names(), name) {
		return fmt.Errorf("copying the database %q: the cut has none of that name", name)
	}
	if err := c.copy(ctx, name, to); err != nil {
		return fmt.Errorf("copying the database %s: %w", name, err)
	}
	return nil
}

// Close lets go of the moment.
func (c *Cut) Close() error { return c.close() }

// sqliteMoment holds one connection for each file, with a reading transaction begun.
type sqliteMoment struct {
	dbs    map[string]*sql.DB
	conns  map[string]*sql.Conn
	pinned []*sqliteBackend // which must not rotate while the moment is kept
}

const (
	holdTry   = 250 * time.Millisecond // for getting all writers at once
	holdTries = 40
)

func cutSQLite(ctx context.Context, dir string, known []Schema, open []*DB) (_ *Cut, err error) {
	m := &sqliteMoment{dbs: map[string]*sql.DB{}, conns: map[string]*sql.Conn{}}
	defer func() {
		if err != nil {
			err = errors.Join(err, m.close())
		}
	}()
	for _, db := range open { // a file that is renamed between being opened and being read would be read wrong
		if b, ok := db.backend.(*sqliteBackend); ok {
			b.turning.RLock()
			b.pinned.Add(1)
			m.pinned = append(m.pinned, b)
			defer b.turning.RUnlock()
		}
	}
	files := fileNames(known, open)
	if err := m.connect(ctx, dir, files); err != nil { // opening takes longest, so it comes before
		return nil, err
	}
	release, err := holdWriters(ctx, open)
	if err != nil {
		return nil, err
	}
	began := time.Now()
	for name, conn := range m.conns {
		if err != nil {
			break
		}
		if err = beginReading(ctx, conn); err != nil {
			err = fmt.Errorf("beginning to read %s: %w", name, translate(ctx, err))
		}
	}
	held := time.Since(began)
	release()
	if err != nil {
		return nil, err
	}
	return &Cut{moment: m, held: held}, nil
}

// beginReading fixes what a connection sees: BEGIN alone does not, the first SELECT does.
func beginReading(ctx context.Context, conn *sql.Conn) error {
	if _, err := conn.ExecContext(ctx, "BEGIN"); err != nil {
		return err
	}
	var n int
	return conn.QueryRowContext(ctx, "SELECT count(*) FROM sqlite_schema").Scan(&n)
}

// fileNames matches the names of the modules' files: NAME, and NAME-2026-11 for a month that was closed.
func fileNames(known []Schema, open []*DB) *regexp.Regexp {
	var names []string
	for _, s := range known {
		names = append(names, s.Name)
	}
	for _, db := range open {
		names = append(names, db.name)
	}
	return regexp.MustCompile(`^(` + strings.Join(names, "|") + `)(-\d{4}-\d{2})?$`) // a name has nothing that needs quoting
}

// connect opens every file of the folder that is one of the modules' and not open yet.
func (m *sqliteMoment) connect(ctx context.Context, dir string, files *regexp.Regexp) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return translate(ctx, err)
	}
	for _, e := range entries {
		name, isDB := strings.CutSuffix(e.Name(), ".db")
		if !isDB || !e.Type().IsRegular() || !files.MatchString(name) || m.conns[name] != nil {
			continue
		}
		db := sql.OpenDB(newConnector(dsn(filepath.Join(dir, e.Name()), "ro", url.Values{}), nil))
		m.dbs[name] = db
		conn, err := db.Conn(ctx)
		if err != nil {
			return fmt.Errorf("opening %s: %w", e.Name(), translate(ctx, err))
		}
		m.conns[name] = conn
	}
	return nil
}

// holdWriters takes the turn of all writers. A writer may wait for another module's database while it has its own turn,
// so nobody is waited for for long: after holdTry everything is given back and tried again.
func holdWriters(ctx context.Context, open []*DB) (release func(), err error) {
	var held []*sqliteWriter
	release = func() {
		for _, w := range held {
			w.leave()
		}
		held = nil
	}
	for range holdTries {
		try, cancel := context.WithTimeout(ctx, holdTry)
		err = nil
		for _, db := range open {
			b, ok := db.backend.(*sqliteBackend)
			if !ok {
				continue
			}
			if err = b.writer.take(try); err != nil {
				break
			}
			held = append(held, b.writer)
		}
		cancel()
		if err == nil {
			return release, nil
		}
		release()
		if ctx.Err() != nil || !errors.Is(err, context.DeadlineExceeded) {
			return nil, err
		}
		select {
		case <-time.After(20 * time.Millisecond):
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	return nil, outcome.Unavailable.From(err, "the databases are too busy to be held for a moment; try again later")
}

func (m *sqliteMoment) names() []string {
	names := make([]string, 0, len(m.conns))
	for name := range m.conns {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// copy reads the pages as they were at the moment into a draft, and then rebuilds the draft: free pages still hold what was
// deleted, the wrapped keys of people who were forgotten among it.
func (m *sqliteMoment) copy(ctx context.Context, name, to string) (err error) {
	draft := to + ".pages"
	if err := makeNewFile(draft); err != nil {
		return translate(ctx, err)
	}
	defer func() { err = errors.Join(err, os.Remove(draft)) }()
	if err := m.conns[name].Raw(func(c any) error { return copyPages(ctx, c, draft) }); err != nil {
		return translate(ctx, err)
	}
	return copyFrom(ctx, dsn(draft, "ro", url.Values{"immutable": {"1"}}), to)
}

// pagesAtOnce is how many pages are copied between two looks at the context.
const pagesAtOnce = 1024

// copyPages copies by SQLite's backup interface, which reads inside the transaction that the connection has begun:
// https://www.sqlite.org/c3ref/backup_finish.html.
func copyPages(ctx context.Context, from any, to string) error {
	source, ok := from.(interface {
		NewBackup(uri string) (*sqlite.Backup, error)
	})
	if !ok {
		return errors.New("the SQLite driver copies no pages")
	}
	b, err := source.NewBackup(dsn(to, "rw", url.Values{"_pragma": {"synchronous(0)"}}))
	if err != nil {
		return err
	}
	for {
		more, err := b.Step(pagesAtOnce)
		if err == nil {
			err = ctx.Err()
		}
		if err != nil || !more {
			return errors.Join(err, b.Finish())
		}
	}
}

// makeNewFile makes an empty file that only we can read, where there is none.
func makeNewFile(path string) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	return f.Close()
}

func (m *sqliteMoment) close() error {
	var errs []error
	for _, b := range m.pinned {
		b.pinned.Add(-1)
	}
	m.pinned = nil
	for _, conn := range m.conns {
		_, err := conn.ExecContext(context.Background(), "ROLLBACK")
		if err != nil && strings.Contains(err.Error(), "no transaction is active") {
			err = nil // it had not begun
		}
		errs = append(errs, err, conn.Close())
	}
	for _, db := range m.dbs {
		errs = append(errs, db.Close())
	}
	m.conns, m.dbs = nil, nil
	return errors.Join(errs...)
}
