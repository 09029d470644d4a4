package mcp_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coder/websocket"
	"go.uber.org/goleak"

	"gatehouse/entry/mcp"
	"gatehouse/gatetest"
)

// listening is a handler of its own behind a real listener, so that a test sees both ends of its sockets.
func listening(t testing.TB, h *gatetest.House, change func(*mcp.Handler)) (handler *mcp.Handler, open func(t testing.TB, token string, o *websocket.DialOptions) *websocket.Conn) {
	t.Helper()
	handler = mcp.New(h.Gate, mcp.Config{Log: slog.New(slog.DiscardHandler), Drain: time.Second})
	if change != nil {
		change(handler)
	}
	server := httptest.NewServer(handler.Socket())
	transport := &http.Transport{}
	t.Cleanup(func() {
		if err := handler.Close(); err != nil {
			t.Error(err)
		}
		server.Close()
		transport.CloseIdleConnections()
	})
	return handler, func(t testing.TB, token string, o *websocket.DialOptions) *websocket.Conn {
		t.Helper()
		if o == nil {
			o = &websocket.DialOptions{}
		}
		o.HTTPClient, o.Subprotocols = &http.Client{Transport: transport}, []string{"mcp"}
		o.HTTPHeader = http.Header{"Authorization": {"Bearer " + token}}
		c, _, err := websocket.Dial(t.Context(), "ws"+strings.TrimPrefix(server.URL, "http")+"/ws", o)
		if err != nil {
			t.Fatal(err)
		}
		c.SetReadLimit(-1)
		t.Cleanup(func() { _ = c.CloseNow() })
		return c
	}
}

// eventually waits for what goroutines of the handler do.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !ok(); <-time.After(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("it did not come to this: %s", what)
		}
	}
}

// TestNothingIsLeftOfSockets: neither of one that its client closed, nor of one that was cut off, nor of one that the server
// closed while a call ran. Not parallel: no other test's goroutines may come and go meanwhile.
func TestNothingIsLeftOfSockets(t *testing.T) { //nolint:paralleltest // see above
	w := newWorker()
	h := gatetest.New(t, w.start)
	token := h.Person("ann", "worker.work").Token.Text
	h.Rows() // opens what the house opens when it is first needed
	before := goleak.IgnoreCurrent()
	t.Run("sockets", func(t *testing.T) {
		handler, open := listening(t, h, nil)
		closes, cut, stays := open(t, token, nil), open(t, token, nil), open(t, token, nil)
		for _, c := range []*websocket.Conn{closes, cut, stays} {
			if err := c.Write(t.Context(), websocket.MessageText, []byte(work("1", "work", `"p"`, modernInside))); err != nil {
				t.Fatal(err)
			}
			<-w.begun
		}
		go func() { _ = closes.Close(websocket.StatusNormalClosure, "") }()
		_ = cut.CloseNow()
		eventually(t, "the socket that was closed and the one that was cut off are gone", func() bool { return handler.Sockets() == 1 })
	})
	if err := goleak.Find(before); err != nil {
		t.Error(err)
	}
}

// TestPings: a client that is quiet is asked for a sign of life, and one that gives none is told why it is closed.
func TestPings(t *testing.T) {
	t.Parallel()
	h := gatetest.New(t, newEcho)
	token := h.Person("ann", "echo.say").Token.Text
	handler, open := listening(t, h, func(h *mcp.Handler) { h.AnswerPingsWithin(time.Second) })
	var asked [2]atomic.Int64
	ping := func(i int, answers bool) *websocket.DialOptions {
		return &websocket.DialOptions{OnPingReceived: func(context.Context, []byte) bool {
			asked[i].Add(1)
			return answers
		}}
	}
	good, mute := wsClient{t, open(t, token, ping(0, true))}, wsClient{t, open(t, token, ping(1, false))}
	ended := make(chan websocket.CloseError, 1)
	go func() { ended <- mute.closed() }()
	answered := make(chan string, 1)
	go func() { answered <- good.next() }()
	handler.PingAt(time.Now().Add(mcp.PingAfter - 2*time.Second))
	<-time.After(50 * time.Millisecond)
	if n, m := asked[0].Load(), asked[1].Load(); n != 0 || m != 0 {
		t.Errorf("asked %d and %d times although they were heard of lately", n, m)
	}
	handler.PingAt(time.Now().Add(mcp.PingAfter + 2*time.Second))
	handler.PingAt(time.Now().Add(mcp.PingAfter + 2*time.Second)) // one is on its way
	got := <-ended
	if got.Code != websocket.StatusPolicyViolation || got.Reason != "you did not answer a ping" {
		t.Errorf("the mute one: %v", got)
	}
	if n, m := asked[0].Load(), asked[1].Load(); n < 1 || m != 1 {
		t.Errorf("asked %d and %d times", n, m)
	}
	good.send(sayModern)
	if got := <-answered; !strings.Contains(got, `"code":"ok"`) {
		t.Errorf("the one that answers: %s", got)
	}
}

// TestAClientThatReadsSlowly does not fill the memory: once too much waits for it, it is closed and told why, and nobody else
// is held up.
func TestAClientThatReadsSlowly(t *testing.T) {
	t.Parallel()
	h := gatetest.Start(t, gatetest.Config{YAML: "limits: {calls_per_minute: 100000, in_flight: 1000}\n", Modules: modules(newEcho)})
	token := h.Person("ann", "echo.say").Token.Text
	handler, open := listening(t, h, func(h *mcp.Handler) { h.KeepAtMost(1 << 20) }) // besides what the system keeps, some MiB
	slow, other := wsClient{t, open(t, token, nil)}, wsClient{t, open(t, token, nil)}
	// It asks until it is closed: a time for that would be too short on a slow machine, and a write whose time is up closes
	// the socket itself.
	var n atomic.Int64
	go func() {
		big := strings.Replace(sayModern, `"text":"x"`, `"text":"`+strings.Repeat("x", 100<<10)+`"`, 1)
		for slow.Write(t.Context(), websocket.MessageText, []byte(strings.Replace(big, `"id":8`, fmt.Sprintf(`"id":%d`, n.Load()), 1))) == nil && n.Add(1) < 400 { // 80 MB of answers, each text twice
		}
	}()
	for end := time.Now().Add(2 * time.Minute); handler.Closing() == 0; <-time.After(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("after %d requests nobody closes it", n.Load())
		}
	}
	if got := slow.closed(); got.Code != websocket.StatusPolicyViolation || !strings.HasPrefix(got.Reason, "you read too slowly") {
		t.Errorf("after %d requests: %v", n.Load(), got)
	}
	other.send(sayModern)
	if got := other.next(); !strings.Contains(got, `"code":"ok"`) {
		t.Errorf("another socket meanwhile: %s", got)
	}
}

// FuzzSocketFrames: no text that a client sends ends the socket, is answered twice, or is answered with anything but JSON-RPC.
func FuzzSocketFrames(f *testing.F) {
	for _, seed := range []string{
		sayLegacy, sayModern, `{"jsonrpc":"2.0","id":1,"method":"ping"}`, `{"jsonrpc":"2.0","id":"a","method":"tools/list"}`, `[]`, ``, `{}`, "\xff", `null`, `{"jsonrpc":"2.0","id":null,"method":"ping"}`,
		`{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":7}}`, `{"jsonrpc":"2.0","id":3,"result":{}}`, `{"jsonrpc":"2.0","id":4,"error":{"code":1,"message":"x"}}`,
		`{"jsonrpc":"2.0","id":1e3,"method":"tools/call","params":{"name":"echo__say"}}`, `{"jsonrpc":"2.0","id":5,"method":"initialize","params":{}}`,
	} {
		f.Add(seed)
	}
	h := gatetest.Start(f, gatetest.Config{YAML: "limits: {calls_per_minute: 100000000, in_flight: 1000}\n", Modules: modules(newEcho)})
	token := h.Person("ann", "echo.say").Token.Text
	_, open := listening(f, h, nil)
	f.Fuzz(func(t *testing.T, frame string) {
		c := wsClient{t, open(t, token, nil)}
		c.send(`{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"t","version":"1"}}}`)
		c.next()
		c.send(frame)
		const end = `"the last of them"`
		c.send(`{"jsonrpc":"2.0","id":` + end + `,"method":"ping"}`)
		answers, ended := 0, false
		for !ended || answers == 0 && wants(frame) {
			got := c.next()
			var m struct {
				JSONRPC       string          `json:"jsonrpc"`
				ID            json.RawMessage `json:"id"`
				Method        string          `json:"method"`
				Result, Error json.RawMessage
			}
			if err := json.Unmarshal([]byte(got), &m); err != nil || m.JSONRPC != "2.0" || (m.Result != nil) == (m.Error != nil) && m.Method == "" {
				t.Fatalf("%q was answered %q (%v)", frame, got, err)
			}
			if string(m.ID) == end {
				ended = true
			} else if m.Method == "" {
				answers++
			}
		}
		if answers > 1 {
			t.Errorf("%q was answered %d times", frame, answers)
		}
	})
}

// wants reports whether a frame is a request for certain, so that an answer comes.
func wants(frame string) bool { return frame == sayLegacy || frame == sayModern }
