package bridge_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"gatehouse/bridge"
	"gatehouse/canon"
	"gatehouse/config"
	"gatehouse/gate"
	"gatehouse/gatetest"
	"gatehouse/module"
)

var echoKey, shoutKey, slowKey, markedKey = gate.NewKey("echo/say"), gate.NewKey("echo/shout"), gate.NewKey("echo/slow"), gate.NewKey("echo/marked")

// echo is a module with a tool that answers, one that answers late, and one that wants a header.
type echo struct {
	begun chan struct{} // gets one for each call of slow
	ended chan error    // gets how each ended
}

type said struct {
	Text string `json:"text"`
}

func (e *echo) start(context.Context, module.Kit, struct{}) (*echo, error) { return e, nil }

func (*echo) Name() string { return "echo" }

func (e *echo) Tools() []gate.Tool {
	marked, err := gate.ParseSchema([]byte(`{"type":"object","properties":{"text":{"type":"string","x-mcp-header":"Text"}}}`))
	if err != nil {
		panic(err)
	}
	result, err := canon.Parse([]byte(`{"content":[{"type":"text","text":"x"}]}`))
	if err != nil {
		panic(err)
	}
	return []gate.Tool{
		gate.AccessControlled("say", echoKey, gate.Spec{Title: "Say", Effect: gate.Reads},
			func(_ context.Context, _ gate.Permit, s said) (said, error) { return s, nil }),
		gate.AccessControlled("shout", shoutKey, gate.Spec{Title: "Shout", Effect: gate.Writes},
			func(_ context.Context, _ gate.Permit, s said) (said, error) { return said{s.Text + "!"}, nil }),
		gate.AccessControlled("slow", slowKey, gate.Spec{Title: "Slow", Effect: gate.Reads},
			func(ctx context.Context, _ gate.Permit, s said) (said, error) {
				e.begun <- struct{}{}
				<-ctx.Done()
				e.ended <- ctx.Err()
				return s, ctx.Err()
			}),
		gate.AccessControlled("marked", markedKey, gate.Spec{Title: "Marked", Effect: gate.Reads, Input: marked},
			func(context.Context, gate.Permit, gate.Raw) (gate.Content, error) {
				return gate.Content{Result: result}, nil
			}),
	}
}

// town is a house behind a real port that outlives it, so that it can be started anew at the same address.
type town struct {
	*gatetest.House
	echo *echo
	url  string

	mu   sync.Mutex // guards what follows
	now  http.Handler
	done func() error
	seen []string // method and status of each request that came
}

func newTown(t *testing.T) *town {
	t.Helper()
	e := &echo{begun: make(chan struct{}, 8), ended: make(chan error, 8)}
	w := &town{House: gatetest.New(t, e.start), echo: e}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	w.url = "http://" + l.Addr().String() + "/mcp"
	w.open()
	server := &http.Server{Handler: http.HandlerFunc(w.serve), ReadHeaderTimeout: time.Minute}
	go func() { _ = server.Serve(l) }()
	t.Cleanup(func() {
		_ = w.done()
		_ = server.Close()
	})
	return w
}

func (w *town) open() {
	w.T.Helper()
	h, _, done, err := w.App.Handler(strings.TrimSuffix(strings.TrimPrefix(w.url, "http://"), "/mcp"))
	if err != nil {
		w.T.Fatal(err)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.now, w.done = h, done
}

// again starts the gateway anew, as after an upgrade: sessions are gone.
func (w *town) again() {
	w.T.Helper()
	if err := w.done(); err != nil {
		w.T.Fatal(err)
	}
	w.Restart()
	w.open()
}

func (w *town) serve(rw http.ResponseWriter, r *http.Request) {
	w.mu.Lock()
	h := w.now
	w.mu.Unlock()
	h.ServeHTTP(&noted{rw, func(status int) {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.seen = append(w.seen, fmt.Sprint(r.Method, " ", status))
	}}, r)
}

// count gives how many requests were answered so.
func (w *town) count(request string) (n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, s := range w.seen {
		if s == request {
			n++
		}
	}
	return n
}

type noted struct {
	http.ResponseWriter
	note func(status int)
}

func (n *noted) WriteHeader(status int) {
	n.note(status)
	n.ResponseWriter.WriteHeader(status)
}
func (n *noted) Unwrap() http.ResponseWriter { return n.ResponseWriter }

// tokenFile keeps a token as an operator would.
func tokenFile(t *testing.T, token string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "token")
	write(t, path, token)
	return path
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
}

// line is a bridge in this process, spoken to line by line.
type line struct {
	t     *testing.T
	in    *io.PipeWriter
	out   chan string // the frames that came, closed at the end
	done  chan error
	mu    sync.Mutex // guards told
	told  []string
	dials map[string]bool // every address that was tried
}

func start(t *testing.T, url, file string) *line {
	t.Helper()
	inR, inW := io.Pipe()
	outR, outW := io.Pipe()
	l := &line{t: t, in: inW, out: make(chan string, 100), done: make(chan error, 1), dials: map[string]bool{}}
	go func() {
		defer close(l.out)
		lines := bufio.NewScanner(outR)
		for lines.Buffer(nil, 32<<20); lines.Scan(); {
			l.out <- lines.Text()
		}
	}()
	go func() {
		err := bridge.Run(t.Context(), l.config(url, file, inR, outW))
		_ = outW.Close()
		l.done <- err
	}()
	t.Cleanup(func() { _ = inW.Close(); _ = outR.Close() })
	return l
}

func (l *line) config(url, file string, in io.Reader, out io.Writer) bridge.Config {
	from := config.Secret{File: file}
	return bridge.Config{
		URL: url, Token: from.Read, TokenFrom: from.String(), In: in, Out: out, Version: "test",
		Tell: func(s string) {
			l.mu.Lock()
			defer l.mu.Unlock()
			l.told = append(l.told, s)
		},
		Observe: func(_, address string) {
			l.mu.Lock()
			defer l.mu.Unlock()
			l.dials[address] = true
		},
	}
}

func (l *line) say(frames ...string) {
	l.t.Helper()
	for _, f := range frames {
		if _, err := io.WriteString(l.in, f+"\n"); err != nil {
			l.t.Fatal(err)
		}
	}
}

func (l *line) hear() string {
	l.t.Helper()
	select {
	case frame, open := <-l.out:
		if !open {
			l.t.Fatal("the bridge ended")
		}
		return frame
	case <-time.After(20 * time.Second):
		l.t.Fatalf("no frame comes; it says %s", l.notes())
		return ""
	}
}

// want hears the next frame, which must hold all that.
func (l *line) want(parts ...string) string {
	l.t.Helper()
	got := l.hear()
	for _, p := range parts {
		if !strings.Contains(got, p) {
			l.t.Errorf("got %s\nwant %s in it", got, p)
		}
	}
	return got
}

func (l *line) notes() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Join(l.told, "\n")
}

// end closes the input and waits.
func (l *line) end() error {
	l.t.Helper()
	_ = l.in.Close()
	for frame := range l.out {
		l.t.Errorf("after the end: %s", frame)
	}
	return <-l.done
}

const (
	hello       = `{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"t","version":"1"}}}`
	initialized = `{"jsonrpc":"2.0","method":"notifications/initialized"}`
	newMeta     = `"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}`
)

func call(id, tool, args, meta string) string {
	if meta != "" {
		meta += ","
	}
	return `{"jsonrpc":"2.0","id":` + id + `,"method":"tools/call","params":{` + meta + `"name":"` + tool + `","arguments":` + args + `}}`
}

// shake does the handshake.
func (l *line) shake() {
	l.t.Helper()
	l.say(hello)
	l.want(`"id":1`, `"protocolVersion":"2025-11-25"`)
	l.say(initialized)
}

// eventually waits for what other goroutines bring about.
func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !is(); <-time.After(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%s does not come", what)
		}
	}
}
