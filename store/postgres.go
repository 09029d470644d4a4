package store

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"

	"gatehouse/secret"
)

// postgresBackend is one module's schema, reached under the module's role.
type postgresBackend struct {
	db     *sql.DB
	closed atomic.Bool
	ahead  atomic.Int64 // milliseconds by which the server's clock is ahead of ours, as each new connection finds
}

const (
	maxConns   = 4 // for each module and replica: PostgreSQL allows 100 in all unless told otherwise
	idleConns  = 2
	idleFor    = time.Minute
	commitTime = 30 * time.Second // a write that has begun may take so long, whatever becomes of its caller
)

func openPostgres(ctx context.Context, c Config) (*postgresBackend, error) {
	all, err := readMigrations(c.Migrations, Postgres)
	if err != nil {
		return nil, err
	}
	run, err := postgresConfig(c.Source.Run, c.Name)
	if err != nil {
		return nil, err
	}
	role, err := roleOf(run.User, c.Name)
	if err != nil {
		return nil, err
	}
	if c.Migrate {
		if err := bringUpPostgres(ctx, c, all, run.User, role); err != nil {
			return nil, err
		}
	}
	// Whatever the server's default, an answered commit is on its disk (P6).
	enter := "SET ROLE " + quoted(role) + `; SELECT set_config('synchronous_commit', 'on', false)
		WHERE current_setting('synchronous_commit') = 'off'; ` + timeOfServer
	b := &postgresBackend{}
	db := stdlib.OpenDB(*run, stdlib.OptionAfterConnect(func(ctx context.Context, conn *pgx.Conn) error {
		asked := c.now()
		results, err := conn.PgConn().Exec(ctx, enter).ReadAll()
		if err != nil {
			return err
		}
		return b.setClock(results[len(results)-1], asked, c.now())
	}))
	db.SetMaxOpenConns(maxConns)
	db.SetMaxIdleConns(idleConns)
	db.SetConnMaxIdleTime(idleFor)
	b.db = db
	if err := b.checkMigrations(ctx, all); err != nil {
		return nil, errors.Join(err, b.close())
	}
	return b, nil
}

// timeOfServer is what every server answers alike: milliseconds since 1970.
const timeOfServer = `SELECT CAST(extract(epoch FROM clock_timestamp()) * 1000 AS BIGINT)`

// setClock takes over what the server's clock said between two moments of ours.
func (b *postgresBackend) setClock(r *pgconn.Result, asked, answered time.Time) error {
	if len(r.Rows) != 1 || len(r.Rows[0]) != 1 {
		return errors.New("the server does not say what time it is")
	}
	now, err := strconv.ParseInt(string(r.Rows[0][0]), 10, 64)
	if err != nil {
		return fmt.Errorf("reading the server's clock: %w", err)
	}
	ours := asked.Add(answered.Sub(asked) / 2)
	ahead := now - ours.UnixMilli()
	if max(ahead, -ahead) <= answered.Sub(asked).Milliseconds()+1 {
		ahead = 0 // no more than the question took: it says nothing
	}
	b.ahead.Store(ahead)
	return nil
}

// postgresConfig reads a DSN and adds what holds for every connection of a module.
func postgresConfig(dsn secret.Text, schema string) (*pgx.ConnConfig, error) {
	c, err := pgx.ParseConfig(dsn.Reveal())
	if err != nil {
		return nil, fmt.Errorf("reading the PostgreSQL DSN: %w", err) // pgx leaves the password out
	}
	c.RuntimeParams["application_name"] = "gatehouse " + schema
	c.RuntimeParams["search_path"] = quoted(schema) + ", pg_temp" // last, or a temporary table could stand in for ours
	c.RuntimeParams["default_transaction_isolation"] = "read committed"
	c.RuntimeParams["lock_timeout"] = "10s"
	c.RuntimeParams["idle_in_transaction_session_timeout"] = "60s" // a replica that hangs must not hold the others for ever
	return c, nil
}

func quoted(name string) string { return pgx.Identifier{name}.Sanitize() }

// roleOf names the module's role. It begins with the run login, because roles belong to the whole server: two Gatehouses in
// two databases of one server must not share them.
func roleOf(login, module string) (string, error) {
	role := login + "_" + module
	if len(role) > 63 {
		return "", fmt.Errorf("the role %s is longer than the 63 bytes that PostgreSQL takes: use a shorter login", role)
	}
	return role, nil
}

// checkMigrations reads the record under the module's role, so a database whose role or grants are missing does not open.
func (b *postgresBackend) checkMigrations(ctx context.Context, all migrations) error {
	conn, err := b.db.Conn(ctx)
	var pg *pgconn.PgError
	if errors.As(err, &pg) && pg.Code == "22023" { // SET ROLE of one that is not there
		return fmt.Errorf("%w: %s", ErrBehind, pg.Message)
	} else if err != nil {
		return translate(ctx, err)
	}
	applied, err := ledger{engine: Postgres}.applied(ctx, conn)
	if err := errors.Join(translate(ctx, err), conn.Close()); err != nil {
		return err
	}
	pending, err := all.pending(applied)
	if err == nil && pending > 0 {
		err = fmt.Errorf("%w: %d migrations are missing", ErrBehind, pending)
	}
	return err
}

func (b *postgresBackend) query(ctx context.Context, text string, args []any, read func(*sql.Rows) error) error {
	if err := b.admits(text); err != nil {
		return err
	}
	rows, err := b.db.QueryContext(ctx, text, args...)
	if err != nil {
		return translate(ctx, err)
	}
	return translate(ctx, drain(rows, read))
}

// exec carries the statement to its end even if ctx ends, for at most commitTime: what was sent may be carried out.
func (b *postgresBackend) exec(ctx context.Context, text string, args []any) (int64, error) {
	if err := b.admits(text); err != nil {
		return 0, err
	}
	for range 3 { // a kept connection may have died unnoticed; ErrBadConn says that nothing was sent
		conn, err := b.db.Conn(ctx)
		if err != nil {
			return 0, translate(ctx, err)
		}
		n, err := execDetached(ctx, conn, text, args)
		_ = conn.Close() // gives it back; a broken one is dropped
		if !errors.Is(err, driver.ErrBadConn) {
			return n, err
		}
	}
	return 0, translate(ctx, driver.ErrBadConn)
}

func execDetached(ctx context.Context, conn *sql.Conn, text string, args []any) (int64, error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), commitTime)
	defer cancel()
	n, err := execPostgres(ctx, conn, text, args)
	if err == nil || errors.Is(err, driver.ErrBadConn) {
		return n, err
	}
	return 0, unclear(translate(ctx, err))
}

// admits says whether a text may be run at all. What it may touch is for the database to say; but the database cannot keep
// a session from becoming another role of its login (SET ROLE, set_config), so only statements on rows are sent.
func (b *postgresBackend) admits(text string) error {
	if b.closed.Load() {
		return errClosed
	}
	return admitsPostgres(text)
}

var onRows = []string{"SELECT", "INSERT", "UPDATE", "DELETE", "WITH", "VALUES"}

func admitsPostgres(text string) error {
	text = strings.ToUpper(strings.TrimSpace(text))
	verb, _, _ := strings.Cut(text, " ")
	if i := strings.IndexAny(verb, "\t\r\n(;"); i >= 0 {
		verb = verb[:i]
	}
	if !slices.Contains(onRows, verb) || strings.Contains(text, "SET_CONFIG") {
		return fmt.Errorf("only statements on rows are run (%s), not %q", strings.Join(onRows, ", "), verb)
	}
	return nil
}

// execPostgres runs one statement. Without arguments pgx would send the text by the simple protocol, which runs all the
// statements in it; a prepared one is always one.
func execPostgres(ctx context.Context, on interface {
	ExecContext(context.Context, string, ...any) (sql.Result, error)
	PrepareContext(context.Context, string) (*sql.Stmt, error)
}, text string, args []any,
) (_ int64, err error) {
	var result sql.Result
	if len(args) > 0 {
		result, err = on.ExecContext(ctx, text, args...)
	} else {
		var stmt *sql.Stmt
		if stmt, err = on.PrepareContext(ctx, text); err != nil {
			return 0, err
		}
		result, err = stmt.ExecContext(ctx)
		_ = stmt.Close() // an error of it says nothing of the statement
	}
	if err != nil {
		return 0, err
	}
	return result.RowsAffected()
}

// begin heeds ctx until the transaction has begun. From then on each statement heeds its own, and commit none.
func (b *postgresBackend) begin(ctx context.Context) (course, error) {
	if b.closed.Load() {
		return nil, errClosed
	}
	whole, cancel := context.WithCancel(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, cancel)
	tx, err := b.db.BeginTx(whole, nil)
	stop()
	if err != nil {
		cancel()
		return nil, translate(ctx, err)
	}
	return &postgresCourse{tx, cancel}, nil
}

func (b *postgresBackend) prepare(ctx context.Context, text string) error {
	if err := b.admits(text); err != nil {
		return err
	}
	stmt, err := b.db.PrepareContext(ctx, text)
	if err != nil {
		return translate(ctx, err)
	}
	return stmt.Close()
}

func (b *postgresBackend) ping(ctx context.Context) error {
	if b.closed.Load() {
		return errClosed
	}
	return translate(ctx, b.db.PingContext(ctx))
}

func (b *postgresBackend) close() error {
	if b.closed.Swap(true) {
		return nil
	}
	return b.db.Close()
}

// postgresCourse is a transaction and the way to give it up.
type postgresCourse struct {
	tx     *sql.Tx
	cancel context.CancelFunc
}

func (c *postgresCourse) query(ctx context.Context, text string, args []any) (*sql.Rows, error) {
	if err := admitsPostgres(text); err != nil {
		return nil, err
	}
	return c.tx.QueryContext(ctx, text, args...)
}

func (c *postgresCourse) exec(ctx context.Context, text string, args []any) (int64, error) {
	if err := admitsPostgres(text); err != nil {
		return 0, err
	}
	return execPostgres(ctx, c.tx, text, args)
}

func (c *postgresCourse) commit(context.Context) error {
	defer c.cancel()
	defer time.AfterFunc(commitTime, c.cancel).Stop()
	return c.tx.Commit()
}

func (c *postgresCourse) rollback() {
	defer c.cancel()
	defer time.AfterFunc(commitTime, c.cancel).Stop()
	_ = c.tx.Rollback() // a connection that cannot roll back is dropped, and the server rolls back
}
