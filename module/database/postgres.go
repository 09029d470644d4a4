package database

import (
	"context"
	"errors"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgconn/ctxwatch"

	"gatehouse/module"
)

// postgres is one database of a PostgreSQL server.
//
// A call has a connection of its own. A query runs as a cursor in a read-only transaction that is always rolled back: the
// server itself then takes nothing but one SELECT, VALUES or TABLE. Everything goes by the extended protocol, which takes
// one statement; the simple one would run many. A message of the server is refused by its length before it is read, and a
// deadline cancels the statement on the server. Functions that reach files are stopped by nothing but rights, so a login
// that may do such things is not served.
type postgres struct {
	*remote[*postgresConfig]
}

// postgresConfig is what a DSN says.
type postgresConfig struct {
	*pgconn.Config
	places places
}

// maxMessage bounds one message of the server in bytes: a row, with all its values as text.
const maxMessage = 1 << 20

func newPostgres(kit module.Kit, name string, cfg Connection) (*postgres, error) {
	r, err := newRemote(kit, name, cfg, func(dsn string) (*postgresConfig, error) { return readPostgres(kit, cfg, dsn) })
	if err != nil {
		return nil, err
	}
	return &postgres{r}, nil
}

// close implements engine. A connection ends with its call.
func (*postgres) close() error { return nil }

// postgresKeys are what a DSN may hold: https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-PARAMKEYWORDS.
// Files with services and passwords are left out, as are the ways in which they would come in.
var postgresKeys = []string{
	"host", "port", "user", "password", "dbname", "database", "connect_timeout", "application_name", "search_path", "options", "timezone",
	"ssl", "sslmode", "sslrootcert", "sslcert", "sslkey", "sslpassword", "sslsni", "sslnegotiation", "sslcertmode",
	"target_session_attrs", "channel_binding", "require_auth",
}

var errPostgresDSN = errors.New("the DSN cannot be read: write postgres://USER:PASSWORD@HOST:5432/DATABASE?sslmode=verify-full, or host=… port=… user=… password=… dbname=… sslmode=…")

// readPostgres reads a DSN. The driver's errors are not handed on: they repeat it.
func readPostgres(kit module.Kit, cfg Connection, dsn string) (*postgresConfig, error) {
	if err := postgresWhole(dsn, cfg.DSN != ""); err != nil {
		return nil, err
	}
	c, err := pgconn.ParseConfigWithOptions(dsn, pgconn.ParseConfigOptions{ConnStringAllowedKeys: postgresKeys})
	if err != nil {
		return nil, errPostgresDSN
	}
	if c.ConnectTimeout == 0 || c.ConnectTimeout > connectTime {
		c.ConnectTimeout = connectTime
	}
	p := places{}
	for _, at := range append([]*pgconn.FallbackConfig{{Host: c.Host, Port: c.Port}}, c.Fallbacks...) {
		network, address := pgconn.NetworkAddress(at.Host, at.Port)
		if err := p.add(kit, network, address, at.Host, at.Port, cfg.Private); err != nil {
			return nil, err
		}
	}
	// The driver would look names up by itself: the dialler does.
	c.LookupFunc = func(_ context.Context, host string) ([]string, error) { return []string{host}, nil }
	c.MaxProtocolMessageBodyLen = maxMessage
	c.BuildContextWatcherHandler = func(conn *pgconn.PgConn) ctxwatch.Handler {
		return &pgconn.CancelRequestContextWatcherHandler{Conn: conn, DeadlineDelay: cancelTime}
	}
	c.RuntimeParams["application_name"] = "gatehouse"
	c.RuntimeParams["client_encoding"] = "UTF8"
	return &postgresConfig{c, p}, nil
}

var passwordKey = regexp.MustCompile(`(?i)(^|\s|[?&])(ssl)?password\s*=`)

// postgresWhole asks for what the driver would else take from its environment, and refuses a password in the open.
func postgresWhole(dsn string, open bool) error {
	var host, user, database, password bool
	if strings.HasPrefix(dsn, "postgres://") || strings.HasPrefix(dsn, "postgresql://") {
		u, err := url.Parse(dsn)
		if err != nil {
			return errPostgresDSN
		}
		q := u.Query()
		host, user = u.Host != "" || q.Has("host"), u.User.Username() != "" || q.Has("user")
		database = strings.Trim(u.Path, "/") != "" || q.Has("dbname") || q.Has("database")
		_, password = u.User.Password()
		password = password || q.Has("password") || q.Has("sslpassword")
	} else {
		has := func(key string) bool { return regexp.MustCompile(`(^|\s)` + key + `\s*=`).MatchString(dsn) }
		host, user, database, password = has("host"), has("user"), has("dbname") || has("database"), passwordKey.MatchString(dsn)
	}
	switch {
	case open && password:
		return errPassword
	case !host || !user || !database:
		return errors.New("the DSN must name host, user and database")
	}
	return nil
}

var errPassword = errors.New("dsn holds a password, which must not stand in the file: put the DSN into an environment variable or a file and name it in dsn_env or dsn_from")

// with lends a connection in a transaction, and ends both. begin is the statement that opens the transaction.
func (p *postgres) with(ctx context.Context, begin string, do func(*pgconn.PgConn) error) error {
	leave, err := p.enter(ctx)
	if err != nil {
		return err
	}
	defer leave()
	c, err := p.parsed()
	if err != nil {
		return p.unreachable(err)
	}
	own, l := c.Copy(), line{egress: p.egress, places: c.places}
	own.DialFunc = l.dial
	conn, err := pgconn.ConnectConfig(ctx, own)
	if err != nil {
		return p.explain(ctx, err)
	}
	defer func() {
		end, cancel := context.WithTimeout(context.WithoutCancel(ctx), cancelTime)
		defer cancel()
		if !conn.IsClosed() {
			_, _ = run(end, conn, "ROLLBACK") // nothing is left to roll back after a COMMIT
		}
		_ = conn.Close(end)
	}()
	if _, err = run(ctx, conn, begin); err == nil {
		if err = p.prepare(ctx, conn); err == nil {
			err = do(conn)
		}
	}
	return p.explain(ctx, err)
}

// preparation bounds the transaction, sets how values are written, and asks what the login may do. A role that it belongs to
// counts: SELECT set_config('role', …) would become it in the midst of a query.
const preparation = `SELECT
	pg_catalog.set_config('statement_timeout', $1, true), pg_catalog.set_config('lock_timeout', $2, true),
	pg_catalog.set_config('idle_in_transaction_session_timeout', '60000', true), pg_catalog.set_config('datestyle', 'ISO, YMD', true),
	pg_catalog.set_config('bytea_output', 'hex', true), pg_catalog.set_config('extra_float_digits', '1', true),
	CASE
	WHEN EXISTS (SELECT FROM pg_catalog.pg_roles AS r WHERE r.rolsuper AND pg_catalog.pg_has_role(session_user, r.oid, 'MEMBER')) THEN 'it is a superuser'
	WHEN EXISTS (SELECT FROM pg_catalog.pg_roles AS r WHERE pg_catalog.pg_has_role(session_user, r.oid, 'MEMBER') AND (r.rolreplication OR r.rolname IN
		('pg_read_server_files', 'pg_write_server_files', 'pg_execute_server_program', 'pg_signal_backend', 'pg_create_subscription')))
		THEN 'it may reach files, run programs, replicate or end others'' sessions'
	WHEN pg_catalog.has_table_privilege('pg_catalog.pg_authid', 'SELECT') THEN 'it may read the passwords of all logins'
	WHEN EXISTS (SELECT FROM pg_catalog.pg_proc AS f WHERE f.proname IN ('pg_read_file', 'pg_read_binary_file', 'pg_ls_dir', 'pg_stat_file', 'pg_file_write', 'lo_import', 'lo_export')
		AND pg_catalog.has_function_privilege(f.oid, 'EXECUTE')) THEN 'it may call functions that reach files'
	ELSE '' END`

const postgresHint = "make a login of its own: CREATE ROLE … LOGIN NOSUPERUSER CONNECTION LIMIT 10; GRANT SELECT on the tables that it may read; no pg_* roles; REVOKE EXECUTE on SECURITY DEFINER functions"

func (p *postgres) prepare(ctx context.Context, conn *pgconn.PgConn) error {
	left := deadline
	if until, ok := ctx.Deadline(); ok {
		left = time.Until(until)
	}
	// The context's own end comes first and cancels; the server's is for when we are gone.
	left = max(left, 0) + cancelTime
	r, err := run(ctx, conn, preparation, []byte(strconv.FormatInt(left.Milliseconds(), 10)), []byte(strconv.FormatInt(lockTime.Milliseconds(), 10)))
	if err != nil {
		return err
	}
	if len(r.Rows) != 1 || len(r.Rows[0]) != 7 {
		return errors.New("the server did not say what its login may do")
	}
	if why := string(r.Rows[0][6]); why != "" {
		return p.refuseLogin(why, postgresHint)
	}
	p.warned.Store(false)
	return nil
}

// run executes a statement of ours by the extended protocol.
func run(ctx context.Context, conn *pgconn.PgConn, text string, params ...[]byte) (*pgconn.Result, error) {
	r := conn.ExecParams(ctx, text, params, nil, nil, nil).Read()
	return r, r.Err
}
