package database

import (
	"context"
	"database/sql/driver"
	"errors"
	"io"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/go-sql-driver/mysql"

	"gatehouse/module"
)

// mysqlServer is one database of a MariaDB or MySQL server.
//
// A call has a connection of its own. A query runs in a read-only transaction and is prepared by the server, which takes
// one statement; since some statements would end that transaction, only reading ones are sent at all. Bytes are counted
// where they arrive, because nothing in the driver bounds what it reads, and a deadline ends the statement by KILL QUERY
// from a second connection, because the driver only hangs up. A login that may reach files or other logins is not served.
type mysqlServer struct {
	*remote[*mysqlConfig]
}

// mysqlConfig is what a DSN says.
type mysqlConfig struct {
	*mysql.Config
	places places
}

func newMySQL(kit module.Kit, name string, cfg Connection) (*mysqlServer, error) {
	r, err := newRemote(kit, name, cfg, func(dsn string) (*mysqlConfig, error) { return readMySQL(kit, cfg, dsn) })
	if err != nil {
		return nil, err
	}
	return &mysqlServer{r}, nil
}

// close implements engine. A connection ends with its call.
func (*mysqlServer) close() error { return nil }

var errMySQLDSN = errors.New("the DSN cannot be read: write USER:PASSWORD@tcp(HOST:3306)/DATABASE?tls=true or USER@unix(/path/of/the.sock)/DATABASE")

// readMySQL reads a DSN. The driver's errors are not handed on: they may repeat it. What a DSN must not switch on is off.
func readMySQL(kit module.Kit, cfg Connection, dsn string) (*mysqlConfig, error) {
	c, err := mysql.ParseDSN(dsn)
	switch {
	case err != nil || c.Net != "tcp" && c.Net != "unix":
		return nil, errMySQLDSN
	case cfg.DSN != "" && c.Passwd != "":
		return nil, errPassword
	case c.User == "" || c.DBName == "" || !strings.Contains(dsn, "("):
		return nil, errors.New("the DSN must name host, user and database")
	}
	c.AllowAllFiles, c.MultiStatements, c.InterpolateParams, c.ParseTime = false, false, false, false
	c.AllowOldPasswords, c.ColumnsWithAlias, c.RejectReadOnly, c.CheckConnLiveness = false, false, false, false
	c.ClientFoundRows = true // what an UPDATE found counts, as on the other engines
	c.Logger = &mysql.NopLogger{}
	c.Timeout, c.ReadTimeout, c.WriteTimeout, c.Loc = connectTime, 0, 0, time.UTC // the call's own time is set on the line
	// Compressed, a few bytes could be many. In another character set a text could be cut elsewhere than here.
	if err := c.Apply(mysql.EnableCompression(false), mysql.Charset("utf8mb4", "utf8mb4_general_ci")); err != nil {
		return nil, errMySQLDSN
	}
	p := places{}
	host, port := "", uint64(0)
	if c.Net == "tcp" {
		var text string
		if host, text, err = net.SplitHostPort(c.Addr); err == nil {
			port, err = strconv.ParseUint(text, 10, 16)
		}
		if err != nil {
			return nil, errMySQLDSN
		}
	}
	return &mysqlConfig{c, p}, p.add(kit, c.Net, c.Addr, host, uint16(port), cfg.Private)
}

// mysqlSession is a connection of one call.
type mysqlSession struct {
	conn driver.Conn
	wire *wire
	id   string // the server's number for it

	committed bool // whatever the call's context says by now, it happened
}

// with lends a connection in a transaction, and ends both. begin is the statement that opens the transaction.
func (m *mysqlServer) with(ctx context.Context, begin string, do func(context.Context, *mysqlSession) error) error {
	leave, err := m.enter(ctx)
	if err != nil {
		return err
	}
	defer leave()
	c, err := m.parsed()
	if err != nil {
		return m.unreachable(err)
	}
	l := &line{egress: m.egress, places: c.places}
	s := &mysqlSession{}
	s.conn, err = connectMySQL(ctx, c, func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := l.dial(ctx, network, address)
		if err != nil {
			return nil, err
		}
		s.wire = &wire{Conn: conn}
		s.wire.admit(maxSetup)
		return s.wire, nil
	})
	if err != nil {
		return m.explain(ctx, nil, m.unreachableUnless(ctx, err))
	}
	defer s.end()
	// The driver would only hang up when its context ends: it gets one that does not.
	inner, release := context.WithCancel(context.WithoutCancel(ctx))
	defer release()
	if err = m.prepare(ctx, inner, s, begin); err == nil {
		watched := m.watch(ctx, c, l, s)
		s.wire.admit(maxAnswer)
		err = do(inner, s)
		watched()
	}
	return m.explain(ctx, s, err)
}

func connectMySQL(ctx context.Context, c *mysqlConfig, dial func(context.Context, string, string) (net.Conn, error)) (driver.Conn, error) {
	own := c.Clone()
	own.DialFunc = dial
	connector, err := mysql.NewConnector(own)
	if err != nil {
		return nil, errMySQLDSN
	}
	ctx, cancel := context.WithTimeout(ctx, connectTime)
	defer cancel()
	return connector.Connect(ctx)
}

// unreachableUnless keeps a deadline of the call's own.
func (m *mysqlServer) unreachableUnless(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return err
	}
	return m.unreachable(err)
}

// end rolls back whatever is open, and hangs up. A server that does not answer is not waited for.
func (s *mysqlSession) end() {
	_ = s.wire.SetDeadline(time.Now().Add(cancelTime))
	if !s.wire.dead() {
		_ = s.run(context.Background(), "ROLLBACK")
	}
	_ = s.conn.Close()
	_ = s.wire.Close()
}

// watch ends the statement on the server when ctx ends. What it gives back stops the watch and waits for it.
func (m *mysqlServer) watch(ctx context.Context, c *mysqlConfig, l *line, s *mysqlSession) (stop func()) {
	done := make(chan struct{})
	stopped := context.AfterFunc(ctx, func() {
		defer close(done)
		// If the order does not help, the line is cut.
		_ = s.wire.SetDeadline(time.Now().Add(cancelTime))
		end, cancel := context.WithTimeout(context.WithoutCancel(ctx), cancelTime)
		defer cancel()
		second, err := connectMySQL(end, c, func(ctx context.Context, _, _ string) (net.Conn, error) { return l.again(ctx) })
		if err != nil {
			return
		}
		killer := mysqlSession{conn: second}
		_ = killer.run(end, "KILL QUERY "+s.id)
		_ = second.Close()
	})
	return func() {
		if !stopped() {
			<-done
		}
	}
}

// run executes a statement of ours, without parameters.
func (s *mysqlSession) run(ctx context.Context, text string) error {
	e, ok := s.conn.(driver.ExecerContext)
	if !ok {
		return errors.New("the driver executes nothing")
	}
	_, err := e.ExecContext(ctx, text, nil)
	return err
}

// rows gives what a statement of ours gives, as text.
func (s *mysqlSession) rows(ctx context.Context, text string, params ...string) (all [][]string, err error) {
	p, ok := s.conn.(driver.ConnPrepareContext)
	if !ok {
		return nil, errors.New("the driver prepares nothing")
	}
	st, err := p.PrepareContext(ctx, text)
	if err != nil {
		return nil, err
	}
	args := make([]driver.NamedValue, len(params))
	for i, v := range params {
		args[i] = driver.NamedValue{Ordinal: i + 1, Value: v}
	}
	r, err := st.(driver.StmtQueryContext).QueryContext(ctx, args)
	if err != nil {
		return nil, err
	}
	values := make([]driver.Value, len(r.Columns()))
	for {
		if err := r.Next(values); errors.Is(err, io.EOF) {
			return all, errors.Join(r.Close(), st.Close())
		} else if err != nil {
			return nil, err
		}
		row := make([]string, len(values))
		for i, v := range values {
			switch v := v.(type) {
			case []byte:
				row[i] = string(v)
			case string:
				row[i] = v
			case int64:
				row[i] = strconv.FormatInt(v, 10)
			}
		}
		all = append(all, row)
	}
}
