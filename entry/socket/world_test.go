package socket_test

import (
	"bufio"
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"gatehouse/canon"
	"gatehouse/entry/socket"
	"gatehouse/gate"
	"gatehouse/gatetest"
	"gatehouse/outcome"
	"gatehouse/secret"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// world is a real gate with parts in memory, served on a socket.
type world struct {
	t      *testing.T
	data   string
	key    secret.Text
	server *socket.Server
	served chan error
	log    *lines

	inside  chan string   // handlers say that they run
	release chan struct{} // lets a waiting handler go

	mu   sync.Mutex
	rows []gate.Row
}

// lines is a log that tests read while others write.
type lines struct {
	mu sync.Mutex
	b  strings.Builder
}

func (l *lines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(b)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func newWorld(t *testing.T, data string) *world {
	t.Helper()
	w := &world{
		t: t, data: data, key: secret.New(strings.Repeat("0123456789abcdef", 4)), served: make(chan error, 1), log: &lines{},
		inside: make(chan string, 8), release: make(chan struct{}),
	}
	logger := slog.New(slog.NewTextHandler(w.log, nil))
	g, err := gate.New(gate.Config{
		Modules: []gate.Module{house{w}}, OperatorKey: w.key, Log: logger,
		Parts: gate.Parts{Permissions: nobody{}, Tokens: noTokens{}, Log: rows{w}, Vault: noVault{}, Results: noResults{}, Policy: gatetest.NoRules{}},
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := socket.WriteKey(data, w.key); err != nil {
		t.Fatal(err)
	}
	if w.server, err = socket.Listen(t.Context(), g, socket.Config{Data: data, Log: logger}); err != nil {
		t.Fatal(err)
	}
	go func() { w.served <- w.server.Serve() }()
	t.Cleanup(func() {
		w.close()
		_ = g.Close()
	})
	return w
}

// close stops the server and sees that Serve ends well. It may be called twice.
func (w *world) close() {
	w.t.Helper()
	if err := w.server.Close(); err != nil {
		w.t.Errorf("Close: %v", err)
	}
	select {
	case err := <-w.served:
		if err != nil {
			w.t.Errorf("Serve: %v", err)
		}
		w.served <- nil
	case <-time.After(10 * time.Second):
		w.t.Error("Serve does not return after Close")
	}
}

func dial(ctx context.Context, path string) (net.Conn, error) {
	return (&net.Dialer{}).DialContext(ctx, "unix", path)
}

func (w *world) dial() *socket.Client {
	w.t.Helper()
	c, err := socket.Dial(w.t.Context(), w.data, dial)
	if err != nil {
		w.t.Fatalf("Dial: %v", err)
	}
	w.t.Cleanup(func() { _ = c.Close() })
	return c
}

// raw is a client that says what the test wants.
type raw struct {
	t *testing.T
	net.Conn
	r     *bufio.Reader
	hello struct {
		Gatehouse string `json:"gatehouse"`
		Version   int    `json:"version"`
		Nonce     string `json:"nonce"`
	}
}

// greeted connects and reads the server's greeting.
func (w *world) greeted() *raw {
	w.t.Helper()
	short, done, err := socket.Shorten(w.data)
	if err != nil {
		w.t.Fatal(err)
	}
	defer done()
	c, err := dial(w.t.Context(), filepath.Join(short, socket.SocketFile))
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { _ = c.Close() })
	if err := c.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		w.t.Fatal(err)
	}
	r := &raw{t: w.t, Conn: c, r: bufio.NewReader(c)}
	if err := json.Unmarshal([]byte(r.take()), &r.hello); err != nil {
		w.t.Fatal(err)
	}
	return r
}

// proved is greeted, and proves to be the operator.
func (w *world) proved() *raw {
	w.t.Helper()
	r := w.greeted()
	r.say(`{"version":1,"mac":"` + w.mac(r.hello.Nonce) + `"}` + "\n")
	if got := r.take(); got != `{"ok":true}` {
		w.t.Fatalf("the server answers %s", got)
	}
	return r
}

func (w *world) mac(nonce string) string {
	b, err := hex.DecodeString(nonce)
	if err != nil {
		w.t.Fatal(err)
	}
	return hex.EncodeToString(gate.OperatorMAC(w.key, b))
}

func (r *raw) say(s string) {
	r.t.Helper()
	if _, err := r.Write([]byte(s)); err != nil {
		r.t.Fatalf("writing: %v", err)
	}
}

// take reads a line; the end of the connection is the text "EOF".
func (r *raw) take() string {
	r.t.Helper()
	line, err := r.r.ReadString('\n')
	if ne, ok := err.(net.Error); ok && ne.Timeout() { //nolint:errorlint // as it came
		r.t.Fatal("the server neither answers nor closes")
	}
	if err != nil {
		return "EOF"
	}
	return strings.TrimSuffix(line, "\n")
}

// seen gives the rows, and forgets them.
func (w *world) seen() []gate.Row {
	w.mu.Lock()
	defer w.mu.Unlock()
	seen := w.rows
	w.rows = nil
	return seen
}

// rowsOf gives the row of an outcome: ids count up from one.
func (w *world) rowsOf(id gate.RowID) []gate.Row {
	w.mu.Lock()
	defer w.mu.Unlock()
	if id.Seq < 1 || int(id.Seq) > len(w.rows) {
		return nil
	}
	return w.rows[id.Seq-1 : id.Seq]
}

// eventually waits for what another goroutine does.
func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); !is(); {
		if time.Now().After(end) {
			t.Fatalf("it does not come to be that %s", what)
		}
		<-time.After(time.Millisecond)
	}
}

// house offers tools that the operator may call.
type house struct{ w *world }

func (house) Name() string { return "people" }

var listKey, addKey, enableKey, downKey = gate.NewKey("test/list"), gate.NewKey("test/add"), gate.NewKey("test/enable"), gate.NewKey("test/down")

type echo struct {
	Text string `json:"text,omitzero"`
}

type long struct {
	Bytes int `json:"bytes"`
}

func (h house) Tools() []gate.Tool {
	return []gate.Tool{
		gate.AccessControlled("list", listKey, gate.Spec{Effect: gate.Reads}, func(_ context.Context, _ gate.Permit, a echo) (echo, error) {
			if a.Text == "missing" {
				return echo{}, outcome.NotFound.Because("there is nothing of that name")
			}
			return a, nil
		}),
		gate.AccessControlled("add", addKey, gate.Spec{Effect: gate.Reads}, func(ctx context.Context, _ gate.Permit, a echo) (echo, error) {
			h.w.inside <- a.Text
			select {
			case <-ctx.Done():
				return echo{}, ctx.Err()
			case <-h.w.release:
				return a, nil
			}
		}),
		gate.AccessControlled("enable", enableKey, gate.Spec{Effect: gate.Reads}, func(_ context.Context, _ gate.Permit, a long) (echo, error) {
			return echo{strings.Repeat("x", a.Bytes)}, nil
		}),
		gate.AccessControlled("downstream", downKey, gate.Spec{Effect: gate.Reads}, func(context.Context, gate.Permit, echo) (echo, error) {
			return echo{"done"}, nil
		}),
	}
}

// rows is a log in memory.
type rows struct{ w *world }

func (rows) Left(context.Context, []gate.Link) error                               { return nil }
func (rows) Affords(context.Context, gate.PersonID, gate.Money, []gate.Link) error { return nil }

func (rows) Admit(context.Context, *gate.Row, []gate.Link) (gate.Ticket, error) {
	return gate.Ticket{Admitted: true}, nil
}

func (r rows) Record(_ context.Context, _ gate.Ticket, row *gate.Row) (gate.RowID, error) {
	r.w.mu.Lock()
	defer r.w.mu.Unlock()
	r.w.rows = append(r.w.rows, *row)
	return gate.RowID{ID: 1763871234567, Seq: int32(len(r.w.rows))}, nil
}

type nobody struct{}

func (nobody) Rights(context.Context, gate.PersonID) (*gate.Rights, error) {
	return nil, outcome.NotFound
}

type noTokens struct{}

func (noTokens) Find(context.Context, secret.Text, netip.Addr) (*gate.Bearer, error) {
	return nil, outcome.Unauthenticated
}

func (noTokens) Current(context.Context, gate.TokenID, netip.Addr) (*gate.Bearer, error) {
	return nil, outcome.Unauthenticated
}

type noVault struct{}

var errUnused = fmt.Errorf("no test uses this")

func (noVault) Seal(context.Context, gate.PersonID, string, []byte) ([]byte, error) {
	return nil, errUnused
}

func (noVault) Open(context.Context, gate.PersonID, string, []byte) ([]byte, error) {
	return nil, errUnused
}

func (noVault) Credential(context.Context, gate.PersonID, string, string) (secret.Text, error) {
	return secret.Text{}, errUnused
}

type noResults struct{}

func (noResults) Claim(context.Context, gate.ResultKey, canon.Digest) (*gate.Outcome, error) {
	return nil, errUnused
}
func (noResults) Keep(context.Context, gate.ResultKey, gate.Outcome) error { return errUnused }
func (noResults) Drop(context.Context, gate.ResultKey) error               { return errUnused }

// folder is a data folder with a path of at least n bytes.
func folder(t *testing.T, n int) string {
	t.Helper()
	dir := t.TempDir()
	for len(dir) < n {
		dir = filepath.Join(dir, strings.Repeat("d", min(200, max(1, n-len(dir)-1))))
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	return dir
}
