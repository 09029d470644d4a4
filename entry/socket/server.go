package socket

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"sync"
	"time"

	"gatehouse/gate"
	"gatehouse/outcome"
)

const (
	maxConns     = 32              // that proved to be the operator's
	maxStrangers = 32              // that proved nothing yet
	proofTime    = 2 * time.Second // from the greeting to the proof
)

// Config says where the socket is.
type Config struct {
	Data string       // the data folder, absolute
	Log  *slog.Logger // nil: slog.Default
}

// Server serves the operator's socket.
type Server struct {
	gate     *gate.Gate
	log      *slog.Logger
	listener net.Listener
	ctx      context.Context // ends calls when the server is closed
	cancel   context.CancelFunc
	running  sync.WaitGroup
	places   places
	nuisance nuisance
}

// Listen opens the socket, in the place of one that an earlier process left. The caller holds the data folder's lock.
func Listen(ctx context.Context, g *gate.Gate, c Config) (*Server, error) {
	path := filepath.Join(c.Data, socketFile)
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("removing an old socket: %w", err)
	}
	short, done, err := shorten(c.Data)
	if err != nil {
		return nil, err
	}
	defer done()
	l, err := (&net.ListenConfig{}).Listen(ctx, "unix", filepath.Join(short, socketFile))
	if err != nil {
		return nil, fmt.Errorf("opening the operator's socket: %w", err)
	}
	if u, ok := l.(*net.UnixListener); ok {
		u.SetUnlinkOnClose(false) // by the short path, which is gone then; Close removes it
	}
	if err := os.Chmod(path, 0o600); err != nil {
		return nil, errors.Join(fmt.Errorf("closing the operator's socket to others: %w", err), l.Close())
	}
	s := &Server{gate: g, log: c.Log, listener: l, places: places{proven: map[net.Conn]struct{}{}}}
	if s.log == nil {
		s.log = slog.Default()
	}
	s.nuisance.log = s.log
	s.ctx, s.cancel = context.WithCancel(context.WithoutCancel(ctx))
	s.running.Add(1) // Close waits for what only it can free
	go func() {
		defer s.running.Done()
		<-s.ctx.Done()
		if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
			s.log.Error("removing the operator's socket", "error", err)
		}
	}()
	return s, nil
}

// Serve takes connections until Close, and then gives nil.
func (s *Server) Serve() error {
	for {
		c, err := s.listener.Accept()
		if err != nil {
			if s.ctx.Err() != nil {
				return nil
			}
			return fmt.Errorf("taking a connection of the operator: %w", err)
		}
		if !s.places.enter(c) {
			_ = c.Close()
			return nil
		}
		go func() {
			defer s.places.leave(c)
			s.serve(newConn(c))
		}()
	}
}

// serve speaks with one client: proof first, then one call after the other.
func (s *Server) serve(c *conn) {
	shown, origin, err := s.meet(c)
	if err != nil {
		if !errors.Is(err, io.EOF) && s.ctx.Err() == nil {
			s.nuisance.add(err)
		}
		return
	}
	if err := s.calls(c, shown, origin); err != nil && !errors.Is(err, io.EOF) && s.ctx.Err() == nil {
		s.log.Warn("a connection of the operator ended", "error", err)
	}
}

// meet greets a stranger and takes the proof.
func (s *Server) meet(c *conn) (shown gate.Credential, origin gate.Origin, err error) {
	if err := c.SetDeadline(time.Now().Add(proofTime)); err != nil {
		return shown, origin, err
	}
	nonce := make([]byte, 32)
	if _, err := rand.Read(nonce); err != nil {
		return shown, origin, err
	}
	if err := c.send(hello{"socket", Version, hex.EncodeToString(nonce)}); err != nil {
		return shown, origin, err
	}
	var p proof
	if err := c.greet(&p); err != nil {
		if errors.Is(err, ErrVersion) {
			err = errors.Join(err, c.send(welcome{Error: ErrVersion.Error()}))
		}
		return shown, origin, err
	}
	shown = gate.Credential{Operator: &gate.OperatorProof{Nonce: nonce, MAC: unhex(p.MAC)}}
	origin = gate.Origin{Entry: "socket", Peer: peerOf(c.Conn)}
	if _, err := s.gate.Authenticate(s.ctx, shown, origin); err != nil {
		return shown, origin, errors.Join(err, c.send(welcome{Error: "the proof is not good: operator.key changes at each start of serve"}))
	}
	if err := s.places.prove(c.Conn); err != nil {
		return shown, origin, errors.Join(err, c.send(welcome{Error: outcome.Explain(err).Reason}))
	}
	return shown, origin, errors.Join(c.send(welcome{OK: true}), c.trust())
}

// calls answers until the client leaves. Lines are read while a call runs, so that a client who leaves is noticed.
func (s *Server) calls(c *conn, shown gate.Credential, origin gate.Origin) error {
	ctx, leave := context.WithCancel(s.ctx)
	requests := make(chan request)
	var ended error // the reader's, until requests is closed
	go func() {
		defer close(requests)
		defer leave()
		for {
			var r request
			if ended = c.take(&r); ended != nil {
				return
			}
			select {
			case requests <- r:
			case <-ctx.Done():
				return
			}
		}
	}()
	for r := range requests {
		if err := s.call(ctx, c, r, shown, origin); err != nil {
			if ctx.Err() != nil {
				err = io.EOF // there is nobody to tell
			}
			leave()
			_ = c.Close() // ends the reader
			for range requests {
				continue
			}
			return err
		}
	}
	if errors.Is(ended, outcome.Invalid) {
		refusal := gate.Outcome{Code: outcome.Invalid, Reason: outcome.Explain(ended).Reason}
		return errors.Join(ended, c.send(answer{Outcome: translate(refusal)}))
	}
	return ended
}

// call makes one call. Who calls is found out anew for each, here as on every entry.
func (s *Server) call(ctx context.Context, c *conn, r request, shown gate.Credential, origin gate.Origin) error {
	caller, err := s.gate.Authenticate(ctx, shown, origin)
	if err != nil {
		return err
	}
	o := s.gate.Call(ctx, caller, gate.Request{Tool: gate.ToolName(r.Tool), Canonical: r.Arguments})
	err = c.send(answer{r.ID, translate(o)})
	if errors.Is(err, outcome.Invalid) {
		err = c.send(answer{r.ID, translate(shortened(o))})
	}
	return err
}

// shortened is an outcome that no line holds, without what makes it long. What became of the call stays as its row says.
func shortened(o gate.Outcome) gate.Outcome {
	reason := fmt.Sprintf("the call ended with %s, but what it gave is left out: it is longer than the operator's socket carries (%d MiB); ask for less at a time",
		o.Code, MaxLine>>20)
	return gate.Outcome{Code: o.Code, Reason: reason, RetryAfter: o.RetryAfter, ID: o.ID}
}

// translate writes an outcome as the protocol has it. Every code stands by its name.
func translate(o gate.Outcome) reply {
	return reply{
		Code: o.Code.String(), Reason: o.Reason, Faults: o.Faults, RetryAfter: o.RetryAfter.Milliseconds(),
		ID: o.ID.String(), Result: o.Result,
	}
}

// Close ends all connections and calls, and removes the socket.
func (s *Server) Close() error {
	s.cancel() // first: what ends because of it is nothing to write about
	if !s.places.close() {
		return nil
	}
	err := s.listener.Close()
	s.places.inside.Wait()
	s.running.Wait()
	s.nuisance.close()
	return err
}
