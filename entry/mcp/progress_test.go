package mcp_test

import (
	"bufio"
	"context"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"gatehouse/gate"
	"gatehouse/gatetest"
	"gatehouse/module"
)

// worker is a module whose tool tells how far it has come, and then waits for the test.
type worker struct {
	begun   chan struct{} // gets one for each call that has told its progress
	release chan struct{}
}

var workKey, labourKey = gate.NewKey("worker/work"), gate.NewKey("worker/labour")

func newWorker() *worker {
	return &worker{begun: make(chan struct{}, 100), release: make(chan struct{})}
}

func (w *worker) start(context.Context, module.Kit, struct{}) (*worker, error) { return w, nil }

func (*worker) Name() string { return "worker" }

func (w *worker) Tools() []gate.Tool {
	work := func(ctx context.Context, p gate.Permit, _ struct{}) (said, error) {
		p.Progress(1, 3, "begun")
		p.Progress(0.5, 3, "back") // does not rise
		w.begun <- struct{}{}
		select {
		case <-w.release:
			return said{"done"}, nil
		case <-ctx.Done():
			return said{}, ctx.Err()
		}
	}
	return []gate.Tool{
		gate.AccessControlled("work", workKey, gate.Spec{Effect: gate.Reads}, work),
		gate.AccessControlled("labour", labourKey, gate.Spec{Effect: gate.Writes}, work),
	}
}

// work is a call of a tool of the worker's; token is its progressToken, as JSON, empty for none.
func work(id, tool, token, meta string) string {
	if token != "" {
		token = `"progressToken":` + token
	}
	if token != "" && meta != "" {
		token += ","
	}
	return `{"jsonrpc":"2.0","id":` + id + `,"method":"tools/call","params":{"_meta":{` + token + meta + `},"name":"worker__` + tool + `","arguments":{}}}`
}

const modernInside = `"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}`

const begunNotice = `{"jsonrpc":"2.0","method":"notifications/progress","params":{"message":"begun","progress":1,"progressToken":"p","total":3}}`

func workHeaders(session, tool string) map[string]string {
	if session == "" {
		return map[string]string{"Mcp-Protocol-Version": modern, "Mcp-Method": "tools/call", "Mcp-Name": "worker__" + tool}
	}
	return map[string]string{"Mcp-Session-Id": session}
}

// TestProgressOverHTTP: whoever gave a token hears on the stream of the answer, which comes last; others get plain JSON.
func TestProgressOverHTTP(t *testing.T) {
	t.Parallel()
	w := newWorker()
	h := gatetest.New(t, w.start)
	ann := h.Person("ann", "worker.work")
	for _, era := range []string{legacy, modern} {
		session, meta := "", modernInside
		if era == legacy {
			session, meta = initialize(t, h, ann.Token.Text), ""
		}
		res := open(t, h, "POST", "/mcp", ann.Token.Text, work("1", "work", `"p"`, meta), workHeaders(session, "work"))
		if got := res.Header.Get("Content-Type"); got != "text/event-stream" || res.Header.Get("X-Accel-Buffering") != "no" {
			t.Errorf("%s: %v", era, res.Header)
		}
		lines := bufio.NewScanner(res.Body)
		lines.Scan()
		if got := lines.Text(); got != "data: "+begunNotice {
			t.Errorf("%s: %s", era, got)
		}
		w.release <- struct{}{} // only now: the progress came before the answer
		rest := []string{}
		for lines.Scan() {
			if lines.Text() != "" {
				rest = append(rest, lines.Text())
			}
		}
		if len(rest) != 1 || !strings.Contains(rest[0], `"id":1,"result":{`) || !strings.Contains(rest[0], `"code":"ok"`) {
			t.Errorf("%s: after the progress: %q", era, rest)
		}
		_ = res.Body.Close()
		go func() { w.release <- struct{}{} }()
		status, header, body := exchange(t, h, "POST", "/mcp", ann.Token.Text, work("2", "work", "", meta), workHeaders(session, "work"))
		if status != 200 || header.Get("Content-Type") != "application/json" || strings.Contains(body, "progress") {
			t.Errorf("%s without a token: %d %v %s", era, status, header, body)
		}
	}
}

// rowOf waits for the one row of a tool of the worker's since a mark.
func rowOf(t *testing.T, h *gatetest.House, mark string) gatetest.Row {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); ; <-time.After(10 * time.Millisecond) {
		for _, r := range h.RowsSince(mark) {
			if strings.HasPrefix(r.Tool, "worker.") {
				return r
			}
		}
		if time.Now().After(end) {
			t.Fatal("the call has no row")
		}
	}
}

// TestACallThatIsTakenBack has no answer, and its row says what became of it: cancelled, or unknown where something may have
// happened.
func TestACallThatIsTakenBack(t *testing.T) {
	t.Parallel()
	w := newWorker()
	h := gatetest.New(t, w.start)
	ann := h.Person("ann", "worker.work")
	ann.Grant(map[string]string{"worker.labour": "allow"})
	token := ann.Issue(map[string]any{"tools": []string{"worker.work", "worker.labour"}}).Text
	for tool, want := range map[string]string{"work": "cancelled", "labour": "unknown"} {
		for _, progress := range []string{"", `"p"`} {
			session, mark := initialize(t, h, token), h.Mark()
			answers := make(chan string, 1)
			go func() {
				_, _, body := exchange(t, h, "POST", "/mcp", token, work("7", tool, progress, ""), workHeaders(session, tool))
				answers <- body
			}()
			<-w.begun
			exchange(t, h, "POST", "/mcp", token, `{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":"7"}}`, workHeaders(session, tool)) // another id
			if status, _, body := exchange(t, h, "POST", "/mcp", token, `{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":7}}`, workHeaders(session, tool)); status != 202 {
				t.Fatalf("cancelled: %d %s", status, body)
			}
			if body := <-answers; strings.Contains(body, `"result"`) || strings.Contains(body, `"error"`) {
				t.Errorf("%s over HTTP was answered: %s", tool, body)
			}
			if r := rowOf(t, h, mark); r.Outcome != want {
				t.Errorf("%s over HTTP: the row says %s, want %s", tool, r.Outcome, want)
			}
		}
		for name, meta := range map[string]string{"legacy": "", "modern": modernInside} {
			c, mark := legacyClient(t, h, token), h.Mark()
			c.send(work("7", tool, `"p"`, meta))
			if got := c.next(); got != begunNotice {
				t.Errorf("%s: %s", name, got)
			}
			<-w.begun
			c.send(work("7", tool, "", meta))
			if got := c.next(); !strings.Contains(got, "is under way") {
				t.Errorf("the same id again: %s", got)
			}
			c.send(`{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"_meta":{` + meta + `},"requestId":7}}`)
			if r := rowOf(t, h, mark); r.Outcome != want {
				t.Errorf("%s, %s, over a WebSocket: the row says %s, want %s", tool, name, r.Outcome, want)
			}
			c.send(`{"jsonrpc":"2.0","id":8,"method":"ping"}`)
			if got := c.next(); got != `{"jsonrpc":"2.0","id":8,"result":{}}` {
				t.Errorf("%s, %s: after the call was taken back came %s", tool, name, got)
			}
		}
	}
}

// TestAConnectionThatIsLost takes the call back in the modern era alone.
func TestAConnectionThatIsLost(t *testing.T) {
	t.Parallel()
	w := newWorker()
	h := gatetest.New(t, w.start)
	token := h.Person("ann", "worker.work").Token.Text
	for _, progress := range []string{"", `"p"`} {
		for _, era := range []string{legacy, modern} {
			session, meta, want := "", modernInside, "cancelled"
			if era == legacy {
				session, meta, want = initialize(t, h, token), "", "ok"
			}
			mark := h.Mark()
			ctx, leave := context.WithCancel(t.Context())
			r, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://127.0.0.1/mcp", strings.NewReader(work("7", "work", progress, meta)))
			if err != nil {
				t.Fatal(err)
			}
			r.Header.Set("Authorization", "Bearer "+token)
			r.Header.Set("Content-Type", "application/json")
			for k, v := range workHeaders(session, "work") {
				r.Header.Set(k, v)
			}
			gone := make(chan struct{})
			go func() {
				defer close(gone)
				if res, err := h.Do(r); err == nil {
					_, _ = io.Copy(io.Discard, res.Body)
					_ = res.Body.Close()
				}
			}()
			<-w.begun
			leave()
			<-gone
			if era == legacy {
				w.release <- struct{}{} // the call is still there to be let go
			}
			if r := rowOf(t, h, mark); r.Outcome != want {
				t.Errorf("%s over HTTP: the row says %s, want %s", era, r.Outcome, want)
			}

			mark = h.Mark()
			c := legacyClient(t, h, token)
			c.send(work("7", "work", progress, meta))
			<-w.begun
			_ = c.CloseNow()
			if era == legacy {
				w.release <- struct{}{}
			}
			if r := rowOf(t, h, mark); r.Outcome != want {
				t.Errorf("%s over a WebSocket: the row says %s, want %s", era, r.Outcome, want)
			}
		}
	}
}

// TestAServerThatStops answers what runs on a WebSocket, takes nothing new, and says that it goes.
func TestAServerThatStops(t *testing.T) {
	t.Parallel()
	w := newWorker()
	h := gatetest.New(t, w.start)
	token := h.Person("ann", "worker.work").Token.Text
	idle, busy := legacyClient(t, h, token), legacyClient(t, h, token)
	idle.send(`{"jsonrpc":"2.0","id":5,"method":"subscriptions/listen","params":{` + modernMeta + `,"notifications":{"toolsListChanged":true}}}`)
	idle.next()
	busy.send(work("7", "work", "", ""))
	<-w.begun
	closed := make(chan struct{})
	go func() {
		defer close(closed)
		h.Close()
	}()
	if got := idle.next(); got != `{"jsonrpc":"2.0","id":5,"result":{"_meta":{"io.modelcontextprotocol/subscriptionId":5},"resultType":"complete"}}` {
		t.Errorf("a subscription ends with %s", got)
	}
	if got := idle.closed(); got.Code != 1001 || got.Reason != "the server stops" {
		t.Errorf("an idle socket: %+v", got)
	}
	busy.send(work("8", "work", "", ""))
	w.release <- struct{}{}
	if got := busy.next(); !strings.Contains(got, `"id":7`) || !strings.Contains(got, `"code":"ok"`) {
		t.Errorf("the call that ran: %s", got)
	}
	if got := busy.closed(); got.Code != 1001 {
		t.Errorf("a socket with a call: %+v", got)
	}
	select {
	case <-closed:
	case <-time.After(20 * time.Second):
		t.Error("the server does not stop")
	}
	if len(w.begun) != 0 {
		t.Error("a call that came afterwards was begun")
	}
}
