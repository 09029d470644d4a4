package upstream_test

import (
	"compress/gzip"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"gatehouse/gate"
	"gatehouse/module/upstream"
	"gatehouse/outcome"
)

// quirk is one way to answer a call that the specification does not want, or that clients often do not survive.
type quirk struct {
	name   string
	answer func(w http.ResponseWriter, r *http.Request, id string)
	reads  outcome.Code // how a call of a tool that reads ends
	acts   outcome.Code // and of one with effects
	reason string
}

const good = `{"jsonrpc":"2.0","id":%s,"result":{"content":[{"type":"text","text":"done"}]}}`

func plainly(status int, kind, body string) func(http.ResponseWriter, *http.Request, string) {
	return func(w http.ResponseWriter, _ *http.Request, _ string) {
		if kind != "" {
			w.Header().Set("Content-Type", kind)
		}
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}

func quirks11() []quirk {
	const json = "application/json"
	ok, up, un := outcome.OK, outcome.Upstream, outcome.Unknown
	long := func(w io.Writer, begin, end string, mib int) {
		_, _ = io.WriteString(w, begin)
		piece := strings.Repeat("x", 1<<20)
		for range mib {
			if _, err := io.WriteString(w, piece); err != nil {
				return
			}
		}
		_, _ = io.WriteString(w, end)
	}
	return []quirk{
		{"other messages before the answer", func(w http.ResponseWriter, _ *http.Request, id string) {
			send := events(w)
			send(`{"jsonrpc":"2.0","method":"notifications/message","params":{"level":"info","data":"x"}}`)
			send(`{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":1,"progress":1}}`)
			send(`{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":%s,"progress":"x"}}`, id)
			send(`{"jsonrpc":"2.0","id":"q","method":"sampling/createMessage","params":{}}`)
			send(good, id)
		}, ok, ok, ""},
		{"events that do not parse", func(w http.ResponseWriter, _ *http.Request, id string) {
			send := events(w)
			send(`hello`)
			send(`{"jsonrpc":"2.0"`)
			send(``)
			_, _ = io.WriteString(w, "event: other\ndata: {}\n\n: comment\nretry: soon\nid: 7\n\n")
			send(good, id)
		}, ok, ok, ""},
		{"an answer on several lines", func(w http.ResponseWriter, _ *http.Request, id string) {
			events(w)
			_, _ = io.WriteString(w, "event: message\r\nid: 1\r\ndata: {\"jsonrpc\":\"2.0\",\r\ndata: \"id\":"+id+",\"result\":{}}\r\n\r\n")
		}, ok, ok, ""},
		{"an answer that stays open", func(w http.ResponseWriter, r *http.Request, id string) {
			events(w)(good, id)
			<-r.Context().Done()
		}, ok, ok, ""},
		{"an answer and something after it", func(w http.ResponseWriter, _ *http.Request, id string) {
			send := events(w)
			send(good, id)
			send(good, id)
		}, ok, ok, ""},
		{"an event of 100 MB", func(w http.ResponseWriter, _ *http.Request, id string) {
			events(w)
			long(w, `data: {"jsonrpc":"2.0","id":`+id+`,"result":{"x":"`, `"}}`+"\n\n", 100)
		}, up, un, "longer than 16 MiB"},
		{"a result of 17 MiB", func(w http.ResponseWriter, _ *http.Request, id string) {
			w.Header().Set("Content-Type", json)
			long(w, `{"jsonrpc":"2.0","id":`+id+`,"result":{"x":"`, `"}}`, 17)
		}, up, un, "longer than 16 MiB"},
		{"a result of 64 MiB in a small parcel", func(w http.ResponseWriter, _ *http.Request, id string) {
			w.Header().Set("Content-Type", json)
			w.Header().Set("Content-Encoding", "gzip")
			z := gzip.NewWriter(w)
			long(z, `{"jsonrpc":"2.0","id":`+id+`,"result":{"x":"`, `"}}`, 64)
			_ = z.Close()
		}, up, un, "longer than 16 MiB"},
		{"an encoding that nobody asked for", func(w http.ResponseWriter, _ *http.Request, _ string) {
			w.Header().Set("Content-Encoding", "br")
			plainly(200, json, "xyz")(w, nil, "")
		}, up, un, "ended before an answer"},
		{"a stream that ends early", func(w http.ResponseWriter, _ *http.Request, _ string) {
			events(w)(`{"jsonrpc":"2.0","method":"notifications/message","params":{}}`)
		}, up, un, "ended before an answer"},
		{"half an answer", func(w http.ResponseWriter, _ *http.Request, id string) {
			w.Header().Set("Content-Length", "1000")
			plainly(200, json, fmt.Sprintf(good, id))(w, nil, "")
		}, up, un, "ended before an answer"},
		{"a connection that breaks", func(http.ResponseWriter, *http.Request, string) { panic(http.ErrAbortHandler) }, up, un, "ended before an answer"},
		{"another's id", func(w http.ResponseWriter, _ *http.Request, _ string) { say(w, 200, good, "7") }, up, un, "was not asked"},
		{"our id as a text", func(w http.ResponseWriter, _ *http.Request, id string) { say(w, 200, good, `"`+id+`"`) }, up, un, "was not asked"},
		{"another's id in a stream", func(w http.ResponseWriter, r *http.Request, _ string) {
			events(w)(good, "7")
			<-r.Context().Done()
		}, up, un, "was not asked"},
		{"a page", plainly(200, "text/html", "<html>sign in</html>"), up, un, "not strict JSON"},
		{"a page that calls itself JSON", plainly(200, json, "<html>"), up, un, "not strict JSON"},
		{"a batch", func(w http.ResponseWriter, _ *http.Request, id string) { say(w, 200, "["+good+"]", id) }, up, un, "not strict JSON"},
		{"one name twice", func(w http.ResponseWriter, _ *http.Request, id string) {
			say(w, 200, `{"jsonrpc":"2.0","id":%s,"result":{"content":[],"content":[]}}`, id)
		}, up, un, "not strict JSON"},
		{"taken and not answered", plainly(202, "", ""), up, un, "gave no answer"},
		{"no content", plainly(204, "", ""), up, un, "gave no answer"},
		{"empty", plainly(200, json, ""), up, un, "gave no answer"},
		{"HTTP 401", plainly(401, "text/plain", "no"), up, up, "or wants one (HTTP 401)"},
		{"HTTP 403", plainly(403, json, `{"error":"no"}`), up, up, "or the host in its url (HTTP 403)"},
		{"HTTP 400", plainly(400, "text/html", "<html>"), up, up, "HTTP 400"},
		{"HTTP 429", plainly(429, "", ""), up, up, "too often"},
		{"HTTP 408", plainly(408, "", ""), up, un, "HTTP 408"},
		{"HTTP 500", plainly(500, "text/html", "<html>stack"), up, un, "HTTP 500"},
		{"HTTP 502", plainly(502, "", ""), up, un, "HTTP 502"},
		{"HTTP 400 with a reason", func(w http.ResponseWriter, _ *http.Request, id string) {
			say(w, 400, `{"jsonrpc":"2.0","id":%s,"error":{"code":-32602,"message":"not so"}}`, id)
		}, up, up, "-32602: not so"},
		{"an error about nothing", func(w http.ResponseWriter, _ *http.Request, _ string) {
			say(w, 200, `{"jsonrpc":"2.0","id":null,"error":{"code":-32600,"message":"what"}}`)
		}, up, up, "-32600: what"},
		{"a redirect", func(w http.ResponseWriter, r *http.Request, _ string) {
			http.Redirect(w, r, "http://169.254.169.254/latest", http.StatusTemporaryRedirect)
		}, up, up, "is not followed"},
	}
}

// TestT11_OneCallAlone: whatever one answer is, the call ends at once with what is known of it, a call that is under way
// at that time is not hurt, nor is the one after it, and nothing is sent twice.
func TestT11_OneCallAlone(t *testing.T) {
	t.Parallel()
	for _, era := range []bool{false, true} {
		for _, q := range quirks11() {
			t.Run(fmt.Sprintf("%s modern=%v", q.name, era), func(t *testing.T) {
				t.Parallel()
				release := make(chan struct{})
				far := &web{modern: era}
				far.on = func(w http.ResponseWriter, r *http.Request, m message) bool {
					switch {
					case strings.Contains(string(m.Params), `"quirk"`):
						q.answer(w, r, string(m.ID))
						return true
					case strings.Contains(string(m.Params), `"slow"`):
						<-release
					}
					return false
				}
				far.start(t)
				w := enter(t, scene{url: far.URL, lines: classified}).ready()
				ann := w.Person("ann", "far.do", "far.look")
				slow := make(chan gate.Outcome, 1)
				go func() { slow <- ann.Call("far.look", `{"slow":1}`) }()
				for tool, want := range map[string]outcome.Code{"look": q.reads, "do": q.acts} {
					began, before := time.Now(), far.count("tools/call "+tool)
					o := ann.Call("far."+tool, `{"quirk":1}`)
					if o.Code != want || !strings.Contains(o.Reason, q.reason) {
						t.Errorf("%s: %s (%s) %s, want %s (%s)", tool, o.Code, o.Reason, o.Result, want, q.reason)
					}
					if took := time.Since(began); took > 10*time.Second {
						t.Errorf("%s: the caller waited %s", tool, took)
					}
					if n := far.count("tools/call "+tool) - before; n != 1 && tool == "do" || n > 2 {
						t.Errorf("%s was sent %d times", tool, n)
					}
				}
				close(release)
				if o := <-slow; o.Code != outcome.OK {
					t.Errorf("the call beside it: %s (%s)", o.Code, o.Reason)
				}
				if o := ann.Call("far.do", `{}`); o.Code != outcome.OK {
					t.Errorf("the call after it: %s (%s)", o.Code, o.Reason)
				}
				if s := w.status(); s.Starts != 1 || far.count("initialize") > 1 {
					t.Errorf("the server was begun anew: %+v", s)
				}
			})
		}
	}
}

// TestForgottenSession: one new session, and only a call that reads is sent again.
func TestForgottenSession(t *testing.T) {
	t.Parallel()
	far := (&web{}).start(t)
	w := enter(t, scene{url: far.URL, lines: classified}).ready()
	ann := w.Person("ann", "far.do", "far.look")
	ann.MustCall("far.look", `{}`)
	for _, tt := range []struct {
		tool  string
		want  outcome.Code
		calls int
	}{{"look", outcome.OK, 2}, {"do", outcome.Upstream, 1}, {"look", outcome.OK, 1}} {
		if tt.calls == 2 || tt.want != outcome.OK {
			far.forget()
		}
		calls, begun := far.count("tools/call "+tt.tool), far.count("initialize")
		o := ann.Call("far."+tt.tool, `{}`)
		if n := far.count("tools/call "+tt.tool) - calls; o.Code != tt.want || n != tt.calls {
			t.Errorf("%s: %s (%s) after %d calls, want %s after %d", tt.tool, o.Code, o.Reason, n, tt.want, tt.calls)
		}
		if n := far.count("initialize") - begun; n > 1 {
			t.Errorf("%s: %d new sessions", tt.tool, n)
		}
	}
	if s := w.status(); s.Starts != 1 {
		t.Errorf("the server was begun anew: %+v", s)
	}
}

// TestForgottenByAll: of many calls that learn it at once, one begins the new session.
func TestForgottenByAll(t *testing.T) {
	t.Parallel()
	far := (&web{}).start(t)
	w := enter(t, scene{url: far.URL, lines: classified}).ready()
	ann := w.Person("ann", "far.look")
	ann.MustCall("far.look", `{}`)
	far.forget()
	before := far.count("initialize")
	var wrong atomic.Int64
	done := make(chan struct{})
	for range 20 {
		go func() {
			defer func() { done <- struct{}{} }()
			if o := ann.Call("far.look", `{}`); o.Code != outcome.OK {
				wrong.Add(1)
			}
		}()
	}
	for range 20 {
		<-done
	}
	if n := far.count("initialize") - before; n != 1 || wrong.Load() != 0 {
		t.Errorf("%d new sessions, %d calls failed", n, wrong.Load())
	}
}

// TestWithoutSession: a server need not give an id.
func TestWithoutSession(t *testing.T) {
	t.Parallel()
	far := (&web{nameless: true}).start(t)
	w := enter(t, scene{url: far.URL, lines: classified}).ready()
	w.Person("ann", "far.look").MustCall("far.look", `{}`)
	if _, h := far.last("tools/call look"); len(h.Values("Mcp-Session-Id")) != 0 || h.Get("MCP-Protocol-Version") != "2025-11-25" {
		t.Errorf("headers %v", h)
	}
}

// TestListsWithoutEnd: of a list of pages without end, or with a cursor that comes twice, the beginning is taken.
func TestListsWithoutEnd(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		cursor string
		tools  int
		reason string
	}{"always more": {"c%d", 100, "more than 100 pages"}, "the same cursor": {"c", 2, "does not end"}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			far := &web{}
			var n atomic.Int64
			far.on = func(w http.ResponseWriter, _ *http.Request, m message) bool {
				if m.Method != "tools/list" {
					return false
				}
				i := n.Add(1)
				cursor := tt.cursor
				if strings.Contains(cursor, "%d") {
					cursor = fmt.Sprintf(cursor, i)
				}
				say(w, 200, `{"jsonrpc":"2.0","id":%s,"result":{"tools":[{"name":"t%d"}],"nextCursor":"%s"}}`, m.ID, i, cursor)
				return true
			}
			far.start(t)
			w := enter(t, scene{url: far.URL}).ready()
			s := w.status()
			if s.Tools != tt.tools || len(s.LeftOut) != 1 || !strings.Contains(s.LeftOut[0].Reason, tt.reason) {
				t.Errorf("%d tools, left out %+v", s.Tools, s.LeftOut)
			}
		})
	}
}

// TestOddNamesOverHTTP: names that no header can hold arrive as they are, schemas that say nothing are taken, and what a
// schema marks for headers is sent in them.
func TestOddNamesOverHTTP(t *testing.T) {
	t.Parallel()
	far := &web{modern: true}
	long := strings.Repeat("n", 200)
	names := []string{"a/b", "with space", "größe", long}
	far.on = func(w http.ResponseWriter, _ *http.Request, m message) bool {
		if m.Method != "tools/list" {
			return false
		}
		list := ""
		for _, name := range names {
			list += fmt.Sprintf(`{"name":%q,"inputSchema":{}},`, name)
		}
		list += `{"name":"none"},{"name":"marked","inputSchema":{"type":"object","properties":{"region":{"type":"string","x-mcp-header":"Region"},"n":{"type":"integer","x-mcp-header":"N"}}}},` +
			`{"name":"badly","inputSchema":{"type":"object","properties":{"a":{"type":"array","x-mcp-header":"A"}}}}`
		say(w, 200, `{"jsonrpc":"2.0","id":%s,"result":{"resultType":"complete","tools":[%s]}}`, m.ID, list)
		return true
	}
	far.start(t)
	w := enter(t, scene{url: far.URL, lines: "        tools: {\"*\": {effect: reads, args: {x: {carries: nothing}}}}\n"}).ready()
	var tools []string
	for _, e := range w.Gate.Directory().All() {
		if strings.HasPrefix(string(e.Name), "far.") {
			tools = append(tools, string(e.Name))
		}
	}
	ann := w.Person("ann", tools...)
	for _, tool := range tools {
		if o := ann.Call(tool, `{}`); o.Code != outcome.OK {
			t.Errorf("%s: %s (%s)", tool, o.Code, o.Reason)
		}
	}
	if n := len(tools); n != 6 || far.count("tools/call with space") != 1 {
		t.Errorf("%d tools, want 6: %q", n, tools)
	}
	for _, name := range []string{"a/b", "größe", long} {
		_, h := far.last("tools/call " + name)
		want := name
		if name == "größe" {
			want = "=?base64?Z3LDtsOfZQ==?="
		}
		if h.Get("Mcp-Name") != want {
			t.Errorf("%s was called as %q", name, h.Get("Mcp-Name"))
		}
	}
	ann.MustCall("far.marked", `{"region":"été","n":42}`)
	if _, h := far.last("tools/call marked"); h.Get("Mcp-Param-Region") != "=?base64?w6l0w6k=?=" || h.Get("Mcp-Param-N") != "42" {
		t.Errorf("headers %v", h)
	}
	ann.MustCall("far.marked", `{}`)
	if _, h := far.last("tools/call marked"); len(h.Values("Mcp-Param-Region")) != 0 {
		t.Errorf("an argument that is not there has a header: %v", h)
	}
	if o := ann.Call("far.marked", `{"n":12345678901234567890}`); o.Code != outcome.Invalid || far.count("tools/call marked") != 3 {
		t.Errorf("a number that no header can hold: %s (%s)", o.Code, o.Reason)
	}
	if s := w.status(); len(s.LeftOut) != 1 || s.LeftOut[0].Tool != "badly" {
		t.Errorf("left out %+v", s.LeftOut)
	}
}

// TestOldTransport: a real server of the time before streamable HTTP, and one that gives an address elsewhere.
func TestOldTransport(t *testing.T) {
	t.Parallel()
	s := mcp.NewServer(&mcp.Implementation{Name: "old", Version: "1"}, nil)
	calls := make(chan string, 10)
	greetings(s, func(what string) { calls <- what })
	far := httptest.NewServer(mcp.NewSSEHandler(func(*http.Request) *mcp.Server { return s }, nil))
	t.Cleanup(far.Close)
	w := enter(t, scene{url: far.URL + "/sse", lines: classified}).ready()
	ann := w.Person("ann", "far.greet", "far.fail")
	if o := ann.Call("far.greet", `{"name":"bob"}`); o.Code != outcome.OK || !strings.Contains(o.Result.String(), "hello bob") {
		t.Errorf("%s (%s) %s", o.Code, o.Reason, o.Result)
	}
	if o := ann.Call("far.fail", `{}`); o.Code != outcome.Upstream || !strings.Contains(o.Result.String(), "no such thing") {
		t.Errorf("a tool that fails: %s %s", o.Code, o.Result)
	}
	var heard int
	w.Gate.Call(t.Context(), w.Caller(ann.Token), gate.Request{
		Tool: "far.greet", Arguments: []byte(`{"name":"eve"}`), Progress: func(gate.Progress) { heard++ },
	})
	if heard != 1 {
		t.Errorf("heard %d times of progress", heard)
	}
	w.Close() // ends the stream, which the server waits for

	thief := (&web{}).start(t)
	lure := &web{get: func(w http.ResponseWriter, _ *http.Request) {
		events(w)
		_, _ = fmt.Fprintf(w, "event: endpoint\ndata: %s/steal\n\n", thief.URL)
	}}
	lure.on = func(w http.ResponseWriter, _ *http.Request, _ message) bool { w.WriteHeader(405); return true }
	lure.start(t)
	w = enter(t, scene{url: lure.URL, make: upstream.NewLazy})
	w.until("it is down", func() bool { return w.status().State == "down" })
	if got := w.status().Failure; !strings.Contains(got, "another address") {
		t.Errorf("failure %q", got)
	}
	thief.mu.Lock()
	defer thief.mu.Unlock()
	if len(thief.asked) != 0 {
		t.Errorf("the other server was asked %q", thief.asked)
	}
}
