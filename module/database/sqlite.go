package database

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"gatehouse/module"
	"gatehouse/outcome"
)

// sqliteFile is one configured SQLite file. It opens nothing until it is asked.
type sqliteFile struct {
	name     string
	file     string
	writable bool
	reads    *sql.DB
	writes   *sql.DB // nil unless writable
	rows     *collectors
	overlaps func(string) bool
}

// maxOpen bounds the statements that run at a time on one connection; more wait their turn.
const maxOpen = 4

func newSQLite(kit module.Kit, name string, cfg Connection) (*sqliteFile, error) {
	if err := cfg.checkFile(kit); err != nil {
		return nil, err
	}
	file, err := filepath.Abs(cfg.DSN)
	if err != nil {
		return nil, err
	}
	c := &sqliteFile{name: name, file: file, writable: cfg.Writable, rows: newCollectors(), overlaps: kit.Overlaps}
	driver := &sqlite.Driver{}
	if err := driver.RegisterFunction(collect, c.rows.function()); err != nil {
		return nil, err
	}
	c.reads = c.pool(driver, "ro", url.Values{"_query_only": {"1"}})
	if c.writable {
		c.writes = c.pool(&sqlite.Driver{}, "rw", url.Values{"_foreign_keys": {"1"}})
		c.writes.SetMaxOpenConns(1)
	}
	return c, nil
}

func (c *sqliteFile) pool(d *sqlite.Driver, mode string, more url.Values) *sql.DB {
	// Refuse everything until a call says what it may do.
	d.RegisterConnectionHook(func(conn sqlite.ExecQuerierContext, _ string) error {
		return register(conn, func(sqlite.AuthorizerActionCode, string, string, string, string) sqlite.AuthorizerReturnCode {
			return sqlite.AuthorizerDeny
		})
	})
	db := sql.OpenDB(connector{driver: d, dsn: dsn(c.file, mode, more), check: c.present})
	db.SetMaxOpenConns(maxOpen)
	db.SetMaxIdleConns(maxOpen)
	return db
}

func (c *sqliteFile) close() error {
	errs := []error{c.reads.Close()}
	if c.writes != nil {
		errs = append(errs, c.writes.Close())
	}
	return errors.Join(errs...)
}

// present says what is wrong with the file before SQLite is asked, whose error would name it. A link that was made after
// the start may lead into the data folder, so that is asked again.
func (c *sqliteFile) present() error {
	if c.overlaps(c.file) {
		return outcome.Upstream.Because("the database %s cannot be opened; whoever runs the gateway can say why", c.name)
	}
	info, err := os.Stat(c.file)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return outcome.Upstream.Because("the database %s is not there yet; whoever runs the gateway can say when", c.name)
	case err != nil || !info.Mode().IsRegular():
		return outcome.Upstream.From(err, "the database %s cannot be opened; whoever runs the gateway can say why", c.name)
	}
	return nil
}

// dsn makes a URI of SQLite; the path is escaped, so nothing in it is a parameter.
func dsn(file, mode string, more url.Values) string {
	q := url.Values{
		"mode":          {mode},
		"_busy_timeout": {"5000"}, // milliseconds; ends with the call's deadline
		"_defensive":    {"1"},
		"_dqs":          {"0"}, // "name" is never a string: a misspelt column is an error
		"_pragma":       {"trusted_schema(0)", "cell_size_check(1)"},
	}
	for key, values := range more {
		q[key] = append(q[key], values...)
	}
	path := filepath.ToSlash(file)
	if !strings.HasPrefix(path, "/") { // C:/shop.db becomes /C:/shop.db
		path = "/" + path
	}
	u := url.URL{Scheme: "file", Path: path, RawQuery: q.Encode()}
	return u.String()
}

// connector opens connections by a driver value of our own, so that nothing is registered for the whole process.
type connector struct {
	driver *sqlite.Driver
	dsn    string
	check  func() error
}

// Connect implements driver.Connector.
func (c connector) Connect(context.Context) (driver.Conn, error) {
	if err := c.check(); err != nil {
		return nil, err
	}
	return c.driver.Open(c.dsn)
}

// Driver implements driver.Connector.
func (c connector) Driver() driver.Driver { return c.driver }

// raw is what we use of the driver's connection.
type raw interface {
	driver.ExecerContext
	driver.QueryerContext
	sqlite.AuthorizerRegisterer
	// ColumnInfo compiles the first statement of a text and describes its columns; it runs nothing.
	ColumnInfo(query string) ([]sqlite.ColumnInfo, error)
}

// limits bound what one statement can use: https://www.sqlite.org/c3ref/c_limit_attached.html.
var limits = [...][2]int{
	{sqlite3.SQLITE_LIMIT_LENGTH, 1 << 20}, // bytes of a string, a blob or a row
	{sqlite3.SQLITE_LIMIT_SQL_LENGTH, maxSQL + 32<<10},
	{sqlite3.SQLITE_LIMIT_COLUMN, 500},
	{sqlite3.SQLITE_LIMIT_EXPR_DEPTH, 200},
	{sqlite3.SQLITE_LIMIT_COMPOUND_SELECT, 100},
	{sqlite3.SQLITE_LIMIT_VDBE_OP, 100_000},
	{sqlite3.SQLITE_LIMIT_ATTACHED, 0},
	{sqlite3.SQLITE_LIMIT_LIKE_PATTERN_LENGTH, 500},
	{sqlite3.SQLITE_LIMIT_VARIABLE_NUMBER, maxParams},
	{sqlite3.SQLITE_LIMIT_TRIGGER_DEPTH, 20},
	{sqlite3.SQLITE_LIMIT_WORKER_THREADS, 0},
}

// with lends one connection of a pool, with its limits set, and explains what went wrong.
func (c *sqliteFile) with(ctx context.Context, pool *sql.DB, do func(raw) error) error {
	conn, err := pool.Conn(ctx)
	if err != nil {
		return c.explain(ctx, err)
	}
	defer conn.Close() //nolint:errcheck // it goes back to the pool
	for _, l := range limits {
		if _, err := sqlite.Limit(conn, l[0], l[1]); err != nil {
			return fmt.Errorf("limiting connection %s: %w", c.name, err)
		}
	}
	return c.explain(ctx, conn.Raw(func(inner any) error {
		r, ok := inner.(raw)
		if !ok {
			return errors.New("the SQLite driver takes no authorizer")
		}
		return do(r)
	}))
}
