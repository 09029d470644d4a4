package audit_test

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"gatehouse/gate"
	"gatehouse/outcome"
	"gatehouse/secret"
	"gatehouse/store"
	"gatehouse/store/storetest"
)

// wire stands between the log and PostgreSQL and cuts the connection at a COMMIT.
type wire struct {
	listener net.Listener
	to       string
	cut      atomic.Int32 // what happens at the next COMMIT
	running  sync.WaitGroup
}

// What happens at a COMMIT.
const (
	pass   int32 = iota
	before       // the server never sees it
	after        // the server does it, and nobody hears of it
)

// newWire gives a source whose connections go through the wire.
func newWire(t *testing.T, source store.Source) (*wire, store.Source) {
	t.Helper()
	host := regexp.MustCompile(`host=(\S+)`).FindStringSubmatch(source.Run.Reveal())[1]
	dir, err := os.MkdirTemp("/tmp", "wire") // short: a socket's path has at most 107 bytes
	if err != nil {
		t.Fatal(err)
	}
	w := &wire{to: filepath.Join(host, ".s.PGSQL.5432")}
	if w.listener, err = net.Listen("unix", filepath.Join(dir, ".s.PGSQL.5432")); err != nil {
		t.Fatal(err)
	}
	w.running.Go(w.serve)
	t.Cleanup(func() {
		if err := errors.Join(w.listener.Close(), os.RemoveAll(dir)); err != nil {
			t.Error(err)
		}
		w.running.Wait()
	})
	source.Run = secret.New(strings.Replace(source.Run.Reveal(), "host="+host, "host="+dir, 1))
	return w, source
}

func (w *wire) serve() {
	for {
		client, err := w.listener.Accept()
		if err != nil {
			return
		}
		server, err := net.Dial("unix", w.to)
		if err != nil {
			_ = client.Close()
			continue
		}
		silent := &atomic.Bool{}
		w.running.Go(func() { w.forth(client, server, silent) })
		w.running.Go(func() { back(client, server, silent) })
	}
}

// forth carries what the client says.
func (w *wire) forth(client, server net.Conn, silent *atomic.Bool) {
	defer func() { _ = server.Close() }()
	buffer := make([]byte, 1<<16)
	for {
		n, err := client.Read(buffer)
		if err != nil {
			return
		}
		if bytes.Contains(buffer[:n], []byte("Q\x00\x00\x00\x0bcommit\x00")) {
			switch w.cut.Swap(pass) {
			case before:
				_ = client.Close()
				return
			case after:
				silent.Store(true)
			}
		}
		if _, err := server.Write(buffer[:n]); err != nil {
			return
		}
	}
}

// back carries what the server says, unless the client shall not hear it.
func back(client, server net.Conn, silent *atomic.Bool) {
	defer func() { _ = client.Close() }()
	buffer := make([]byte, 1<<16)
	for {
		n, err := server.Read(buffer)
		if err != nil || silent.Load() {
			return
		}
		if _, err := client.Write(buffer[:n]); err != nil && !errors.Is(err, io.EOF) {
			return
		}
	}
}

// TestBrokenCommitIsLookedUp: after a COMMIT of which nothing was heard, the log finds out whether it happened before it
// answers, and goes on rightly either way.
func TestBrokenCommitIsLookedUp(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name    string
		cut     int32
		happens bool
	}{{"before it", before, false}, {"after it", after, true}} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w, source := newWire(t, storetest.Postgres(t))
			l := newLog(t, source)
			ctx := t.Context()
			rows, uses := int64(0), int64(0)
			for range 3 {
				w.cut.Store(tt.cut)
				_, err := l.Record(ctx, gate.Ticket{}, row(t, gate.Reads, outcome.OK))
				if (err == nil) != tt.happens || err != nil && !errors.Is(err, outcome.Unavailable) {
					t.Errorf("Record: %v", err)
				}
				w.cut.Store(tt.cut)
				ticket, err := l.Admit(ctx, row(t, gate.Writes, outcome.Unknown), chain(0))
				if (err == nil) != tt.happens || ticket.Admitted != tt.happens {
					t.Errorf("Admit: %+v, %v", ticket, err)
				}
				w.cut.Store(pass)
				if tt.happens {
					rows, uses = rows+1, uses+1
					if _, err := l.Record(ctx, ticket, row(t, gate.Writes, outcome.OK)); err != nil {
						t.Error(err)
					}
					rows++
				}
				if _, err := l.Record(ctx, gate.Ticket{}, row(t, gate.Reads, outcome.OK)); err != nil {
					t.Errorf("the next row: %v", err)
				}
				rows++
			}
			if got := l.Counts(child); got.Calls != rows || got.Uses != uses {
				t.Errorf("counted %+v, want %d calls and %d uses", got, rows, uses)
			}
			l.close()
			if r := l.mustHold(); r.Rows != rows || r.Intents != 0 {
				t.Errorf("%+v, want %d rows", r, rows)
			}
		})
	}
}

// TestAnotherWritersRowsAreFollowed: two logs on one database make one chain.
func TestAnotherWritersRowsAreFollowed(t *testing.T) {
	t.Parallel()
	storetest.Engines(t, func(t *testing.T, source store.Source) {
		one, two := newLog(t, source), newLog(t, source)
		for range 3 { // each finds that the other one wrote since
			one.record(row(t, gate.Reads, outcome.OK))
			two.record(row(t, gate.Reads, outcome.OK))
		}
		var wg sync.WaitGroup
		for _, l := range []*testLog{one, two} {
			for range 4 {
				wg.Go(func() {
					for range 10 {
						_, err := l.Record(t.Context(), gate.Ticket{}, row(t, gate.Reads, outcome.OK))
						if err != nil && !errors.Is(err, outcome.Unavailable) {
							t.Error(err)
						}
					}
				})
			}
		}
		wg.Wait()
		one.close()
		two.close()
		if r := one.mustHold(); r.Rows == 0 {
			t.Errorf("%+v", r)
		}
	})
}
