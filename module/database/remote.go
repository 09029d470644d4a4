package database

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/go-sql-driver/mysql"
	"github.com/jackc/pgx/v5/pgconn"

	"gatehouse/egress"
	"gatehouse/module"
	"gatehouse/outcome"
	"gatehouse/secret"
)

const (
	connectTime = 10 * time.Second // to connect and to sign in
	cancelTime  = 2 * time.Second  // to end a statement on the server, after the call's own time
	commitTime  = 10 * time.Second // a COMMIT that was sent may take so long, whatever becomes of its caller
	lockTime    = 5 * time.Second  // to wait for another's lock
)

// remote is what connections to servers have in common. C is the driver's configuration.
type remote[C any] struct {
	name   string
	config Connection
	egress *egress.Egress
	log    *slog.Logger
	read   func(dsn string) (C, error) // its errors must not repeat the DSN
	slots  chan struct{}               // one for each call that runs
	warned atomic.Bool                 // the login was refused, and the log says so

	mu   sync.Mutex  // guards what follows
	dsn  secret.Text // that ours was read from
	ours C

	plainUntil time.Time // so long the login need not be asked about, where asking is dear
}

// newRemote reads the DSN once, so that what cannot be read does not start.
func newRemote[C any](kit module.Kit, name string, cfg Connection, read func(string) (C, error)) (*remote[C], error) {
	r := &remote[C]{name: name, config: cfg, egress: kit.Egress, log: kit.Log.With("connection", name), read: read, slots: make(chan struct{}, maxOpen)}
	_, err := r.parsed()
	return r, err
}

// parsed gives the driver's configuration, which must not be changed. A secret that is another one now is read anew.
func (r *remote[C]) parsed() (C, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	dsn, err := r.config.text()
	if err != nil {
		return r.ours, err
	}
	if !r.dsn.IsZero() && r.dsn.Equal(dsn) {
		return r.ours, nil
	}
	ours, err := r.read(dsn.Reveal())
	if err == nil {
		r.dsn, r.ours, r.plainUntil = dsn, ours, time.Time{}
	}
	return ours, err
}

// enter waits for a turn: a server has few connections, and others need some too.
func (r *remote[C]) enter(ctx context.Context) (leave func(), err error) {
	select {
	case r.slots <- struct{}{}:
		return func() { <-r.slots }, nil
	case <-ctx.Done():
		return nil, outcome.Timeout.From(ctx.Err(), "too many statements run on the database %s at the moment; nothing was done. Try again later", r.name)
	}
}

// refuseLogin says that a login may do too much, to the caller in short and once to the operator with what to do.
func (r *remote[C]) refuseLogin(why, hint string) error {
	if !r.warned.Swap(true) {
		r.log.Error("the database is not served: its login may do more than it must: "+why, "hint", hint)
	}
	return outcome.Blocked.Because("the database %s is not served: its login may do more than read and change tables (%s); whoever runs the gateway has to configure another", r.name, why)
}

// unreachable is the error of a server that could not be reached, or was lost. What the driver says of it may hold host,
// login and password, so that only its kind is kept.
func (r *remote[C]) unreachable(err error) error {
	if outcome.Of(err) == outcome.Blocked { // by egress: the place may not be dialled
		return outcome.Blocked.From(kind(err), "the database %s has an address that may not be reached from here; whoever runs the gateway can allow it with private: true", r.name)
	}
	return outcome.Upstream.From(kind(err), "the database %s cannot be reached now; whoever runs the gateway can say why. Nothing was changed; try again later", r.name)
}

// errHidden is the kind of an error of which nothing can be said without saying too much.
var errHidden = errors.New("an error of the driver that may hold the DSN")

// kind gives an error that says what went wrong without where.
func kind(err error) error {
	var no syscall.Errno
	var dns *net.DNSError
	var timeout net.Error
	var pg *pgconn.PgError
	var my *mysql.MySQLError
	switch {
	case errors.As(err, &my):
		return fmt.Errorf("the server answered %d", my.Number)
	case errors.As(err, &pg):
		return errors.New("the server answered " + pg.Code) // see PostgreSQL's documentation, Appendix A
	case errors.As(err, &no):
		return no
	case errors.As(err, &dns):
		return errors.New("the host's name was not found")
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, net.ErrClosed):
		return errors.New("the connection was closed")
	case errors.As(err, &timeout) && timeout.Timeout():
		return errors.New("it did not answer in time")
	case strings.Contains(err.Error(), "tls:"), strings.Contains(err.Error(), "x509:"):
		return errors.New("the TLS handshake failed")
	}
	return errHidden
}

// places are what a driver may dial, by network and address as it asks for them.
type places map[string]egress.Allow

// add takes a place of a DSN: a socket's path, or host and port.
func (p places) add(kit module.Kit, network, address, host string, port uint16, private bool) error {
	if network == "unix" {
		if kit.Overlaps(address) {
			return errors.New("the socket must not lie in the data folder")
		}
		p[network+" "+address] = egress.Socket(address)
		return nil
	}
	allow, err := egress.Configured("tcp://"+net.JoinHostPort(host, fmt.Sprint(port)), private)
	if err != nil {
		return errors.New("the host in the DSN must be a name, or an address in its usual form, with a port")
	}
	p[network+" "+address] = allow
	return nil
}

// line dials for one connection, and again for the order to end its statement.
type line struct {
	egress *egress.Egress
	places places

	mu   sync.Mutex // guards what follows
	open net.Conn
	to   egress.Allow
}

// dial is for drivers: a place of the DSN, or what an order to cancel goes to, the address that was reached.
func (l *line) dial(ctx context.Context, network, address string) (net.Conn, error) {
	to, ok := l.places[network+" "+address]
	if !ok {
		l.mu.Lock()
		open, reached := l.open, l.to
		l.mu.Unlock()
		if open == nil || open.RemoteAddr().String() != address {
			return nil, outcome.Blocked.Because("the driver asked for an address that its DSN does not name")
		}
		return l.egress.Redial(ctx, reached, open)
	}
	conn, err := l.egress.Dial(ctx, to)
	if err != nil {
		return nil, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.open, l.to = conn, to
	return conn, nil
}

// again dials the very server that was reached.
func (l *line) again(ctx context.Context) (net.Conn, error) {
	l.mu.Lock()
	open, to := l.open, l.to
	l.mu.Unlock()
	return l.egress.Redial(ctx, to, open)
}
