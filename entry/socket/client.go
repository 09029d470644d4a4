package socket

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"time"

	"gatehouse/canon"
	"gatehouse/gate"
	"gatehouse/outcome"
)

// handshakeTime is how long a client waits for a server that may have much to do.
const handshakeTime = 5 * time.Second

// Client makes calls on the socket of a server that runs. It is for one goroutine at a time.
type Client struct {
	c    *conn
	last int64
}

// Dialer opens a connection to a Unix socket; package egress has the only one.
type Dialer func(ctx context.Context, path string) (net.Conn, error)

// Dial connects and proves to be the operator. Where no server runs the error is outcome.Unavailable.
func Dial(ctx context.Context, data string, dial Dialer) (*Client, error) {
	key, err := readKey(data)
	if errors.Is(err, outcome.NotFound) {
		return nil, outcome.Unavailable.From(err, "no server runs on %s", data)
	}
	if err != nil {
		return nil, err
	}
	short, done, err := shorten(data)
	if err != nil {
		return nil, err
	}
	defer done()
	raw, err := dial(ctx, filepath.Join(short, socketFile))
	if err != nil {
		return nil, outcome.Unavailable.From(err, "no server runs on %s", data)
	}
	c := newConn(raw)
	mac := func(nonce string) string { return hex.EncodeToString(gate.OperatorMAC(key, unhex(nonce))) }
	if err := c.handshake(mac); err != nil {
		return nil, errors.Join(err, raw.Close())
	}
	return &Client{c: c}, nil
}

func (c *conn) handshake(mac func(nonce string) string) error {
	if err := c.SetDeadline(time.Now().Add(handshakeTime)); err != nil {
		return err
	}
	var h hello
	if err := c.greet(&h); err != nil {
		return fmt.Errorf("greeting the server: %w", gone(err))
	}
	if h.Gatehouse != "socket" {
		return fmt.Errorf("greeting the server: it is %q", h.Gatehouse)
	}
	if err := c.send(proof{Version, mac(h.Nonce)}); err != nil {
		return fmt.Errorf("proving to be the operator: %w", err)
	}
	var w welcome
	if err := c.take(&w); err != nil {
		return fmt.Errorf("proving to be the operator: %w", gone(err))
	}
	if !w.OK {
		return outcome.Unauthenticated.Because("the server refuses: %s", w.Error)
	}
	return c.trust()
}

// gone calls the end of a connection by its name: the server stopped.
func gone(err error) error {
	if errors.Is(err, io.EOF) {
		return outcome.Unavailable.From(err, "the server closed the connection")
	}
	return err
}

// Call makes one call. The error is about the connection, which is of no more use then; what became of the call stands in
// the outcome. When ctx ends the call is left, which cancels it.
func (c *Client) Call(ctx context.Context, tool string, arguments canon.Value) (gate.Outcome, error) {
	c.last++
	stop := context.AfterFunc(ctx, func() { _ = c.c.SetDeadline(time.Now()) })
	defer stop()
	if err := c.c.send(request{c.last, tool, arguments}); err != nil {
		return gate.Outcome{}, fmt.Errorf("sending the call: %w", err)
	}
	var a answer
	if err := c.c.take(&a); err != nil {
		if ctx.Err() != nil {
			err = ctx.Err()
		}
		return gate.Outcome{}, fmt.Errorf("waiting for the outcome: %w", gone(err))
	}
	if a.ID != c.last {
		return gate.Outcome{}, fmt.Errorf("waiting for the outcome: the server answered call %d instead of %d", a.ID, c.last)
	}
	code, ok := outcome.Parse(a.Outcome.Code)
	if !ok {
		return gate.Outcome{}, fmt.Errorf("the server answered with %q: %w", a.Outcome.Code, ErrVersion)
	}
	o := gate.Outcome{
		Code: code, Reason: a.Outcome.Reason, Faults: a.Outcome.Faults, Result: a.Outcome.Result,
		RetryAfter: time.Duration(a.Outcome.RetryAfter) * time.Millisecond,
	}
	if a.Outcome.ID != "" {
		var err error
		if o.ID, err = gate.ParseRowID(a.Outcome.ID); err != nil {
			return gate.Outcome{}, fmt.Errorf("the server answered with a row %q: %w", a.Outcome.ID, err)
		}
	}
	return o, nil
}

// Close ends the connection.
func (c *Client) Close() error { return c.c.Close() }
