// Package store opens one module's database and runs its SQL: on SQLite, one file for each module, or on PostgreSQL, one
// schema and one role for each. It must never know a table, and never let one module's handle read another's.
//
// One SQL text serves both engines: parameters are $1, $2, …; ids are made in Go, times are BIGINT milliseconds, JSON is
// TEXT or JSONB, bytes are BLOB or BYTEA; no STRICT, ILIKE, FOR UPDATE, json_each. DDL stands in the folders sqlite and
// postgres of [Config].Migrations, in goose's format (NNNN_name.sql, "-- +goose Up").
//
// # Reading and writing
//
// [DB] and [Tx] have the same five methods, see [Queries]. On SQLite a DB reads on a pool of read-only connections and
// writes on one connection of its own; what was written is seen by the next read. Every handle may be used from many
// goroutines; a Tx belongs to the one function that it was given to. A write is carried to its end once it has begun,
// whatever becomes of its context, so that an error always says what happened.
//
// # Errors
//
// No row is [outcome.NotFound]. A row that someone else changed, a value that must be unique and is taken, and a
// transaction that lost against another are [outcome.Conflict]. A database that cannot be read or written now is
// [outcome.Unavailable], and a write of which it is not known whether it happened (the connection broke in COMMIT) is
// [outcome.Unknown]. A context's error stays one. Whatever else is the caller's bug, and carries no code.
//
// # Ids and versions
//
// A table that people change has the millisecond of creation as its primary key (see [Clock]) and a column version. A
// trigger refuses an UPDATE that does not raise the version by exactly one; [DB.CheckVersions] finds a table without it:
//
//	-- sqlite/0001_note.sql
//	-- +goose StatementBegin
//	CREATE TRIGGER note_version BEFORE UPDATE ON note WHEN NEW.version IS NOT OLD.version + 1
//	BEGIN SELECT RAISE(ABORT, 'version must rise by one'); END;
//	-- +goose StatementEnd
//
//	-- postgres/0001_note.sql
//	-- +goose StatementBegin
//	CREATE FUNCTION version_rises() RETURNS trigger LANGUAGE plpgsql AS $$
//	BEGIN
//	  IF NEW.version IS DISTINCT FROM OLD.version + 1 THEN RAISE EXCEPTION 'version must rise by one'; END IF;
//	  RETURN NEW;
//	END $$;
//	-- +goose StatementEnd
//	CREATE TRIGGER note_version BEFORE UPDATE ON note FOR EACH ROW EXECUTE FUNCTION version_rises();
//
// # Files
//
// DIR/NAME.db with its -wal and -shm, mode 0600; DIR/NAME.before-NNNN.db is the copy that was made before migration NNNN.
// DIR/NAME-YYYY-MM.db is a file that was closed, see [DB.Rotate], and DIR/NAME.next.db one in the making.
package store

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"regexp"
	"time"

	"gatehouse/outcome"
	"gatehouse/secret"
)

// Source says where a process keeps its databases.
type Source struct {
	Dir   string      // the data folder, made with mode 0700 if it is not there; one SQLite file for each module
	Run   secret.Text // PostgreSQL DSN of the run login; empty: SQLite
	Owner secret.Text // PostgreSQL DSN of the owner, which only migrations use; empty: Run
}

// Config is what [Open] needs to know of one module.
type Config struct {
	Source     Source
	Name       string       // the module's: names the file, the schema and the role; ^[a-z][a-z0-9_-]*$, at most 40 bytes
	Migrations fs.FS        // holds sqlite/0001_….sql and postgres/0001_….sql
	Migrate    bool         // bring the database to the newest migration; false: refuse one that is not there, write nothing
	AppendOnly []string     // tables that only grow: their UPDATE and DELETE are refused by the database, see [DB.CheckAppendOnly]
	Reads      []string     // views of other modules, as schema.view, that this one may read as well; PostgreSQL only, and they must be there
	Calls      []string     // functions of its own schema, without arguments, that its role may call; all others it may not; PostgreSQL only
	Closing    string       // SQL (DDL) that a closed file gets, see [DB.Rotate]; it may be run twice; SQLite only
	Log        *slog.Logger // for steps of the clock; nil: slog.Default()

	now func() time.Time // nil: time.Now. Tests have machines whose clocks are wrong
}

// DB is the open database of one module.
type DB struct {
	statements
	name    string
	engine  Engine
	backend backend
	only    []string // the append-only tables
}

// backend is what differs between the engines. Its errors are already translated.
type backend interface {
	runner
	begin(ctx context.Context) (course, error)
	prepare(ctx context.Context, sql string) error
	ping(ctx context.Context) error
	close() error
}

var goodMonth = regexp.MustCompile(`^\d{4}-\d{2}$`)

var goodView = regexp.MustCompile(`^[a-z][a-z0-9_-]{0,39}\.[a-z][a-z0-9_]{0,39}$`)

var goodName = regexp.MustCompile(`^[a-z][a-z0-9_-]{0,39}$`)

// Open opens the database of one module, and migrates it if asked to. It refuses a database that a newer Gatehouse made
// ([ErrNewer]), one whose applied migrations are not ours ([ErrChanged]), and, unless Migrate is set, one that is behind
// ([ErrBehind]); and it refuses append-only tables that could be changed.
func Open(ctx context.Context, c Config) (*DB, error) {
	if !goodName.MatchString(c.Name) {
		return nil, fmt.Errorf("opening the database %q: not a module's name", c.Name)
	}
	for _, view := range c.Reads {
		if !goodView.MatchString(view) {
			return nil, fmt.Errorf("opening the database %s: %q is not a view of another module", c.Name, view)
		}
	}
	if c.now == nil {
		c.now = time.Now
	}
	db := &DB{name: c.Name, engine: c.Source.engine(), only: c.AppendOnly}
	var err error
	if db.engine == Postgres {
		db.backend, err = openPostgres(ctx, c)
	} else {
		db.backend, err = openSQLite(ctx, c)
	}
	if err != nil {
		return nil, fmt.Errorf("opening the database %s: %w", c.Name, err)
	}
	clock := newClock(c.now)
	clock.Log = c.Log
	if p, ok := db.backend.(*postgresBackend); ok {
		clock.ahead = &p.ahead
	}
	db.statements = statements{run: db.backend, clock: clock}
	if err := db.CheckAppendOnly(ctx); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return db, nil
}

// Close waits for the write that runs and closes all connections. Calls that come later are outcome.Unavailable.
func (db *DB) Close() error {
	if err := db.backend.close(); err != nil {
		return fmt.Errorf("closing the database %s: %w", db.name, err)
	}
	return nil
}

// Engine says what the database runs on.
func (db *DB) Engine() Engine { return db.engine }

// Clock is where Insert takes its ids from. One for each handle.
func (db *DB) Clock() *Clock { return db.clock }

// Prepare checks one statement against the schema and the rights of this handle, and runs nothing. It is for the test that
// prepares all SQL of a module on both engines.
func (db *DB) Prepare(ctx context.Context, sql string) error {
	if err := db.backend.prepare(ctx, sql); err != nil {
		return fmt.Errorf("preparing %q: %w", sql, err)
	}
	return nil
}

// Ping reports whether the database can be read now.
func (db *DB) Ping(ctx context.Context) error { return db.backend.ping(ctx) }

var errClosed = outcome.Unavailable.Because("the database is closed")
