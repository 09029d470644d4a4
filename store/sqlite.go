package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"

	"modernc.org/sqlite"
)

// sqliteBackend is one SQLite file: one connection that writes, some that only read.
type sqliteBackend struct {
	base   string // as the file is called, but for a moment in a rotation
	file   string
	config Config
	guard  sqlite.AuthorizerFn
	writer *sqliteWriter
	closed atomic.Bool

	readersGate turnstile // passed by whoever reads; held while the fields below are changed
	readers     *sql.DB
	prepped     *sync.Map // SQL text → *sql.Stmt of readers, which database/sql prepares once on each connection
	kept        atomic.Int32

	turning sync.RWMutex // held to rotate; read-held while a cut opens the file
	pinned  atomic.Int32 // cuts that keep a moment of the file
}

// maxReaders bounds the reading connections; each may hold up to 2 MB of pages.
const maxReaders = 8

// maxKept bounds the prepared statements that are kept, in case a module makes its SQL as it goes. Texts beyond it work,
// and are prepared each time.
const maxKept = 400

func openSQLite(ctx context.Context, c Config) (*sqliteBackend, error) {
	file := filepath.Join(c.Source.Dir, c.Name+".db")
	if err := bringUpSQLite(ctx, file, c); err != nil {
		return nil, err
	}
	b := &sqliteBackend{base: file, file: file, config: c, guard: newAuthorizer(c.AppendOnly)}
	if !c.Migrate {
		b.file = liveFile(file)
	}
	var err error
	if b.writer, err = openWriter(ctx, dsnWriter(b.file), b.guard); err != nil {
		return nil, err
	}
	b.openReaders()
	if err := b.ping(ctx); err != nil {
		return nil, errors.Join(err, b.close())
	}
	return b, nil
}

// openReaders makes the pool that reads the file as it is called now.
func (b *sqliteBackend) openReaders() {
	b.readers, b.prepped = sql.OpenDB(newConnector(dsnReader(b.file), b.guard)), &sync.Map{}
	b.kept.Store(0)
	b.readers.SetMaxOpenConns(maxReaders)
	b.readers.SetMaxIdleConns(maxReaders)
}

// makeFile makes an empty database file that only we can read; SQLite gives -wal and -shm the same mode.
func makeFile(file string) error {
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		return err
	}
	f, err := os.OpenFile(file, os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return os.Chmod(file, 0o600)
	} else if err != nil {
		return err
	}
	return f.Close()
}

func (b *sqliteBackend) query(ctx context.Context, text string, args []any, read func(*sql.Rows) error) error {
	if err := b.readersGate.enter(ctx); err != nil {
		return err
	}
	defer b.readersGate.leave()
	if b.closed.Load() {
		return errClosed
	}
	rows, err := b.rows(ctx, text, args)
	if err != nil {
		return translate(ctx, err)
	}
	return translate(ctx, drain(rows, read))
}

func (b *sqliteBackend) rows(ctx context.Context, text string, args []any) (*sql.Rows, error) {
	if stmt, ok := b.prepped.Load(text); ok {
		return stmt.(*sql.Stmt).QueryContext(ctx, args...)
	}
	if b.kept.Load() >= maxKept {
		return b.readers.QueryContext(ctx, text, args...)
	}
	stmt, err := b.readers.PrepareContext(ctx, text)
	if err != nil {
		return nil, err
	}
	if other, loaded := b.prepped.LoadOrStore(text, stmt); loaded {
		_ = stmt.Close()
		stmt = other.(*sql.Stmt)
	} else {
		b.kept.Add(1)
	}
	return stmt.QueryContext(ctx, args...)
}

func (b *sqliteBackend) exec(ctx context.Context, text string, args []any) (int64, error) {
	if err := b.writer.take(ctx); err != nil {
		return 0, err
	}
	defer b.writer.leave()
	n, err := b.writer.exec(ctx, text, args)
	return n, translate(ctx, err)
}

func (b *sqliteBackend) begin(ctx context.Context) (course, error) {
	if err := b.writer.take(ctx); err != nil {
		return nil, err
	}
	if _, err := b.writer.exec(ctx, "BEGIN IMMEDIATE", nil); err != nil {
		b.writer.leave()
		return nil, translate(ctx, err)
	}
	return sqliteCourse{b.writer}, nil
}

func (b *sqliteBackend) prepare(ctx context.Context, text string) error {
	if err := b.writer.take(ctx); err != nil {
		return err
	}
	defer b.writer.leave()
	return translate(ctx, b.writer.check(ctx, text))
}

func (b *sqliteBackend) ping(ctx context.Context) error {
	var n int
	return b.query(ctx, "SELECT count(*) FROM sqlite_schema", nil, func(rows *sql.Rows) error {
		if !rows.Next() {
			return rows.Err()
		}
		return rows.Scan(&n)
	})
}

// close ends the readers first, so that the writer is the last and folds the write-ahead log into the file.
func (b *sqliteBackend) close() error {
	if b.closed.Swap(true) {
		return nil
	}
	<-b.writer.turn // a rotation changes both
	err := errors.Join(b.readers.Close(), b.writer.drop())
	b.writer.gone = true
	b.writer.leave()
	return err
}

// sqliteCourse is a transaction on the writing connection, whose turn it holds until its end.
type sqliteCourse struct{ *sqliteWriter }

func (c sqliteCourse) commit(ctx context.Context) error {
	defer c.leave()
	_, err := c.exec(ctx, "COMMIT", nil)
	if err != nil {
		c.undo(ctx)
	}
	return err
}

func (c sqliteCourse) rollback() {
	defer c.leave()
	c.undo(context.Background())
}

// newConnector opens connections to dsn that carry the authorizer from their first moment. A nil one is for migrations.
func newConnector(dsn string, guard sqlite.AuthorizerFn) connector {
	driver := &sqlite.Driver{}
	if guard != nil {
		driver.RegisterConnectionHook(func(conn sqlite.ExecQuerierContext, _ string) error {
			registerer, ok := conn.(sqlite.AuthorizerRegisterer)
			if !ok {
				return fmt.Errorf("the SQLite driver takes no authorizer")
			}
			return registerer.RegisterAuthorizer(guard)
		})
	}
	return connector{driver, dsn}
}
