package bridge_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"gatehouse/bridge"
)

// odd is a gateway that does one thing of its own with every request but the handshake.
func odd(t *testing.T, answer http.HandlerFunc) *line {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		switch {
		case strings.Contains(string(body), `"initialize"`):
			w.Header().Set("Content-Type", "application/json")
			_, _ = io.WriteString(w, `{"jsonrpc":"2.0","id":1,"result":{"protocolVersion":"2025-11-25","capabilities":{},"serverInfo":{"name":"odd","version":"1"}}}`)
		case strings.Contains(string(body), `"notifications/initialized"`):
			w.WriteHeader(http.StatusAccepted)
		case r.Method != http.MethodPost:
			w.WriteHeader(http.StatusMethodNotAllowed)
		default:
			answer(w, r)
		}
	}))
	t.Cleanup(s.Close)
	l := start(t, s.URL+"/mcp", tokenFile(t, "st_x"))
	l.shake()
	return l
}

func stream(events ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		for _, e := range events {
			_, _ = io.WriteString(w, e)
		}
	}
}

func status(code int, kind, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", kind)
		w.WriteHeader(code)
		_, _ = io.WriteString(w, body)
	}
}

// Whatever a gateway, or a proxy in its place, answers: the request gets one answer, in order, and standard output holds
// nothing but frames.
func TestOddAnswers(t *testing.T) {
	t.Parallel()
	const result = `{"jsonrpc":"2.0","id":7,"result":{"n":12345678901234567890,"x":1.50}}`
	const note = `{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":1,"progress":%d}}`
	for _, tt := range []struct {
		name   string
		answer http.HandlerFunc
		want   []string // each frame, or a part of it
	}{
		{"json", status(200, "application/json", result), []string{result}},
		{"json in several lines", status(200, "application/json; charset=utf-8", "{\"jsonrpc\":\"2.0\",\n\"id\":7,\r\n\"result\":{}}\n"), []string{`{"jsonrpc":"2.0", "id":7,  "result":{}}`}},
		{
			"events in order", stream("data: "+fmt.Sprintf(note, 1)+"\n\n", ":\n\n", "data: "+fmt.Sprintf(note, 2)+"\r\n\r\n", "data: "+result+"\n\n"),
			[]string{fmt.Sprintf(note, 1), fmt.Sprintf(note, 2), result},
		},
		{"a request of the gateway", stream("data: {\"jsonrpc\":\"2.0\",\"id\":7,\"method\":\"roots/list\"}\n\n", "data: "+result+"\n\n"), []string{`"roots/list"`, result}},
		{"an event that is no frame", stream("data: hello\n\n", "data: "+result+"\n\n"), []string{result}},
		{"an answer to something else", stream(`data: {"jsonrpc":"2.0","id":8,"result":{}}`+"\n\n", "data: "+result+"\n\n"), []string{result}},
		{"a stream that ends", stream("data: " + fmt.Sprintf(note, 1) + "\n\n"), []string{"progress", `"error"`}},
		{"nothing", status(200, "application/json", ""), []string{`without a result`}},
		{"accepted", status(202, "", ""), []string{`HTTP 202`}},
		{"html", status(200, "text/html", "<html>sign in</html>"), []string{`without a result`}},
		{"an error in html", status(502, "text/html", "<html>bad</html>"), []string{`"gatehouse":`, `HTTP 502`}[1:]},
		{"an error in words", status(503, "text/plain", "the log cannot be written\nmore"), []string{`HTTP 503: the log cannot be written"`}},
		{"an error that is a frame", status(400, "application/json", `{"jsonrpc":"2.0","id":7,"error":{"code":-32020,"message":"x"}}`), []string{`{"jsonrpc":"2.0","id":7,"error":{"code":-32020,"message":"x"}}`}},
		{"an error without an id", status(400, "application/json", `{"jsonrpc":"2.0","id":null,"error":{"code":-32700,"message":"x"}}`), []string{`"id":7,"error":{"code":-32700`}},
		{"a redirect", status(307, "", ""), []string{`HTTP 307`}},
		{"not found without a session", status(404, "text/plain", "404 page not found"), []string{`HTTP 404: 404 page not found`}},
		{"a cut answer", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "100")
			_, _ = io.WriteString(w, `{"jsonrpc"`)
		}, []string{`look before you repeat it`}},
		{"a connection that ends", func(w http.ResponseWriter, _ *http.Request) { panic(http.ErrAbortHandler) }, []string{`look before you repeat it`}},
		{"too large", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			for range 17 {
				_, _ = w.Write(make([]byte, 1<<20))
			}
		}, []string{`longer than`}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var calls atomic.Int32 // the handler's own: that an answer was read says nothing to the race detector
			l := odd(t, func(w http.ResponseWriter, r *http.Request) { calls.Add(1); tt.answer(w, r) })
			l.say(`{"jsonrpc":"2.0","id":7,"method":"tools/list"}`)
			for i, want := range tt.want {
				got := l.want(want)
				if i == len(tt.want)-1 && !strings.Contains(got, `"id":7`) {
					t.Errorf("the last frame is %s", got)
				}
			}
			if err := l.end(); err != nil || calls.Load() != 1 {
				t.Errorf("%v, %d requests", err, calls.Load())
			}
		})
	}
}

// Nothing is dialled, and nothing sent, where the token could get to others.
func TestWhereTheTokenDoesNotGo(t *testing.T) {
	t.Parallel()
	file := tokenFile(t, "st_x")
	for _, tt := range []struct{ url, want string }{
		{"http://192.0.2.1/mcp", "in the clear"},
		{"http://gate.example.org/mcp", "in the clear"},
		{"http://localhost.example.org/mcp", "in the clear"},
		{"ftp://127.0.0.1/mcp", "scheme"},
		{"http://user:st_x@127.0.0.1/mcp", "user or password"},
		{"http://127.0.0.1/mcp?token=st_x", "no query"},
		{"http://127.1/mcp", "usual form"},
		{"127.0.0.1:8080", ""},
		{"", ""},
	} {
		l := &line{t: t, dials: map[string]bool{}}
		err := bridge.Run(t.Context(), l.config(tt.url, file, strings.NewReader(hello+"\n"), io.Discard))
		if err == nil || !strings.Contains(err.Error(), tt.want) || len(l.dials) > 0 || strings.Contains(err.Error(), "st_x") {
			t.Errorf("%s: %v, dialled %v", tt.url, err, l.dials)
		}
	}
}

// A gateway that is not there yet is waited for; one that does not come is an error that says where it was looked for.
func TestAGatewayThatStartsLate(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	_ = l.Close()
	b := start(t, "http://"+address+"/mcp", tokenFile(t, "st_x"))
	b.say(`{"jsonrpc":"2.0","id":1,"method":"ping"}`)
	time.Sleep(300 * time.Millisecond) // real time: the bridge waits for a real port
	if l, err = net.Listen("tcp", address); err != nil {
		t.Skipf("the port was taken meanwhile: %v", err)
	}
	s := &http.Server{Handler: status(200, "application/json", `{"jsonrpc":"2.0","id":1,"result":{}}`), ReadHeaderTimeout: time.Minute}
	defer s.Close()
	go func() { _ = s.Serve(l) }()
	b.want(`"id":1,"result":{}`)
	if err := b.end(); err != nil {
		t.Error(err)
	}
}

// A client that takes no more frames ends the bridge, and the session at the gateway.
func TestAClientThatWentAway(t *testing.T) {
	t.Parallel()
	w := newTown(t)
	ann := w.Person("ann", "echo.say")
	l := &line{t: t, dials: map[string]bool{}}
	in, more := io.Pipe()
	defer more.Close()
	go func() { _, _ = io.WriteString(more, hello+"\n"+call("2", "echo__say", `{"text":"a"}`, "")+"\n") }()
	err := bridge.Run(context.Background(), l.config(w.url, tokenFile(t, ann.Token.Text), in, &closes{after: 1}))
	if err == nil || !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("it ended with %v", err)
	}
	if w.count("DELETE 204") != 1 {
		t.Error("the session stayed")
	}
}

// closes takes some writes.
type closes struct{ after int }

func (c *closes) Write(p []byte) (int, error) {
	if c.after--; c.after < 0 {
		return 0, io.ErrClosedPipe
	}
	return len(p), nil
}

// Frames that the client must not send get an answer, and the next one is read.
func TestOddFramesOfTheClient(t *testing.T) {
	t.Parallel()
	l := odd(t, status(200, "application/json", `{"jsonrpc":"2.0","id":7,"result":{}}`))
	l.say(strings.Repeat(" ", 10)+"not JSON", "", "\r", strings.Repeat("x", 17<<20), `{"jsonrpc":"2.0","id":null,"method":"x"}`, `{"jsonrpc":"2.0","id":7,"method":"ping"}`)
	l.want(`"id":null`, "-32700")
	l.want(`"id":null`, "-32600", "longer than")
	l.want(`"id":null`, "-32600")
	l.want(`"id":7,"result":{}`)
	if err := l.end(); err != nil {
		t.Error(err)
	}
}
