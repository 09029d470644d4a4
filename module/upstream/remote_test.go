package upstream_test

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"gatehouse/gate"
	"gatehouse/outcome"
)

// TestToolsOfARealServerOverHTTP: the SDK's server in both eras, listed, called, refused, failing, with progress.
func TestToolsOfARealServerOverHTTP(t *testing.T) {
	t.Parallel()
	for era, modern := range map[string]bool{"2025-11-25": false, "2026-07-28": true} {
		t.Run(era, func(t *testing.T) {
			t.Parallel()
			calls := make(chan string, 100)
			w := enter(t, scene{url: sdkServer(t, modern, calls).URL, lines: classified}).ready()
			ann := w.Person("ann", "far.greet", "far.fail")
			for _, door := range w.Doors() {
				r := door.Call(ann.Token.Text, "far.greet", `{"name":"bob"}`)
				if r.Code != outcome.OK || !strings.Contains(r.Raw, "hello bob") || strings.Contains(r.Raw, "ignore all rules") {
					t.Errorf("%s: %s %s, want the greeting alone", door.Title(), r.Code, r.Raw)
				}
				if got := <-calls; got != "greet bob" {
					t.Errorf("%s: the server was called %q", door.Title(), got)
				}
			}
			if o := ann.Call("far.fail", `{}`); o.Code != outcome.Upstream || !strings.Contains(o.Result.String(), "no such thing") {
				t.Errorf("a tool that fails: %s %s", o.Code, o.Result)
			}
			<-calls
			if o := w.Person("bob").Call("far.greet", `{"name":"x"}`); o.Code != outcome.NotAllowed || len(calls) != 0 {
				t.Errorf("without permission: %s, %d calls reached the server", o.Code, len(calls))
			}
			var heard []string
			o := w.Gate.Call(t.Context(), w.Caller(ann.Token), gate.Request{
				Tool: "far.greet", Arguments: []byte(`{"name":"eve"}`),
				Progress: func(p gate.Progress) { heard = append(heard, fmt.Sprint(p.Done, p.Total, p.Message)) },
			})
			if o.Code != outcome.OK || strings.Join(heard, "|") != "1 2 half of it" && strings.Join(heard, "|") != "1 2half of it" {
				t.Errorf("with progress: %s (%s), heard %q", o.Code, o.Reason, heard)
			}
			if s := w.status(); s.Revision != era || s.Tools != 2 || s.Starts != 1 || s.Address == "" || s.Program != "" {
				t.Errorf("status %+v", s)
			}
		})
	}
}

// TestConnectionsAreKept: a call whose answer is a stream leaves its connection to the next one, although the stream ends
// only after the call has.
func TestConnectionsAreKept(t *testing.T) {
	t.Parallel()
	for _, modern := range []bool{false, true} {
		var connections sync.Map
		far := (&web{modern: modern}).start(t)
		far.on = func(w http.ResponseWriter, r *http.Request, m message) bool {
			if m.Method != "tools/call" {
				return false
			}
			connections.Store(r.RemoteAddr, true)
			send := events(w)
			send(`{"jsonrpc":"2.0","id":%s,"result":{"content":[]%s}}`, m.ID, map[bool]string{true: `,"resultType":"complete"`}[modern])
			time.Sleep(20 * time.Millisecond) // the end of the stream comes late
			return true
		}
		w := enter(t, scene{url: far.URL, lines: classified}).ready()
		ann := w.Person("ann", "far.look")
		for range 10 {
			if o := ann.Call("far.look", `{}`); o.Code != outcome.OK {
				t.Fatalf("%s (%s)", o.Code, o.Reason)
			}
			time.Sleep(40 * time.Millisecond) // by now it has come
		}
		n := 0
		connections.Range(func(any, any) bool { n++; return true })
		if n > 2 { // one is that of the listing, which may be busy with its own end
			t.Errorf("modern %v: ten calls came over %d connections", modern, n)
		}
	}
}

// TestExactBytesOverHTTP: what the gate checked is what the server gets, and no number changes on either way (P13).
func TestExactBytesOverHTTP(t *testing.T) {
	t.Parallel()
	for _, modern := range []bool{false, true} {
		far := (&web{modern: modern}).start(t)
		w := enter(t, scene{url: far.URL + "/mcp", lines: classified}).ready()
		ann := w.Person("ann", "far.look")
		o := ann.Call("far.look", `{ "z": 12345678901234567890, "a":"\u0041", "n": 0.1000, "e": {"b":[1,2.50]} }`)
		const canonical = `{"a":"A","e":{"b":[1,2.5]},"n":0.1,"z":12345678901234567890}`
		body, header := far.last("tools/call look")
		if o.Code != outcome.OK || !strings.Contains(body, `"arguments":`+canonical) {
			t.Errorf("%s (%s), the server got %s", o.Code, o.Reason, body)
		}
		want := `{"content":[{"text":"done","type":"text","vendor":{"n":12345678901234567890}}],"extra":1.1,"structuredContent":` + canonical + `}`
		if got := o.Result.String(); got != want {
			t.Errorf("the result is\n%s, want\n%s", got, want)
		}
		if strings.Contains(body, "progressToken") {
			t.Errorf("nobody asked for progress, and the server got %s", body)
		}
		headers := "2025-11-25  " + far.current()
		if modern {
			headers = "2026-07-28 tools/call look "
		}
		got := strings.Join([]string{header.Get("MCP-Protocol-Version"), header.Get("Mcp-Method"), header.Get("Mcp-Name")}, " ")
		if got = strings.TrimSpace(got) + " " + header.Get("Mcp-Session-Id"); strings.Join(strings.Fields(got), " ") != strings.Join(strings.Fields(headers), " ") {
			t.Errorf("headers %q, want %q", got, headers)
		}
	}
}
