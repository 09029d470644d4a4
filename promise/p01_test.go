package promise_test

import (
	"net/http"
	"strings"
	"testing"
)

// TestPromise_P1_OtherWebSites: a page of another site, or a name that was bent to this machine, comes to no endpoint,
// with a good token or without (T12).
func TestPromise_P1_OtherWebSites(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "")
	ann := w.Person("ann", "ledger.write")
	for _, host := range []string{"localhost.evil", "127.0.0.1.nip.io", "evil.example", "[::ffff:7f00:1].evil", "127.0.0.1@evil.example", "127.1", "0x7f.1", ""} {
		w.foreign(ann.Token.Text, host, "")
	}
	for _, origin := range []string{"null", "http://evil.example", "http://127.0.0.1.evil.example", "http://localhost.evil", "https://127.0.0.1:1", "file://", "chrome-extension://abc", "*"} {
		w.foreign(ann.Token.Text, "127.0.0.1", origin)
	}
	if n := w.ledger.count(); n != 0 {
		t.Errorf("%d calls reached the ledger", n)
	}
	// What must pass for the above to say anything.
	if got := w.Doors()[0].Call(ann.Token.Text, "ledger.write", `{}`); w.ledger.count() != 1 {
		t.Errorf("a request of no other site: %s", got.Code)
	}
}

// foreign sends requests of every kind with that host and origin, and expects refusals.
func (w *world) foreign(token, host, origin string) {
	w.t.Helper()
	for _, r := range []struct{ method, path, body string }{
		{http.MethodPost, "/v1/tools/ledger.write", `{}`},
		{http.MethodGet, "/v1/tools", ""},
		{http.MethodGet, "/v1/openapi.json", ""},
		{http.MethodPost, "/mcp", `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"ledger__write","arguments":{},"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}}}`},
		{http.MethodGet, "/mcp", ""},
		{http.MethodDelete, "/mcp", ""},
	} {
		q, err := http.NewRequestWithContext(w.t.Context(), r.method, "http://127.0.0.1"+r.path, strings.NewReader(r.body))
		if err != nil {
			w.t.Fatal(err)
		}
		q.Header = http.Header{
			"Authorization": {"Bearer " + token}, "Content-Type": {"application/json"}, "Accept": {"application/json, text/event-stream"},
			"Mcp-Protocol-Version": {"2026-07-28"}, "Mcp-Method": {"tools/call"}, "Mcp-Name": {"ledger__write"},
		}
		if origin != "" {
			q.Header.Set("Origin", origin)
		}
		if q.Host = host; host == "" {
			q.Host = " " // sent as an empty Host
		}
		res, err := w.Do(q)
		if err != nil {
			if host == "" {
				continue // the client does not even send it
			}
			w.t.Errorf("%s %s, host %q, origin %q: %v", r.method, r.path, host, origin, err)
			continue
		}
		_ = res.Body.Close()
		if res.StatusCode < 400 || res.StatusCode == http.StatusUnauthorized || res.StatusCode >= 500 {
			w.t.Errorf("%s %s, host %q, origin %q: %d", r.method, r.path, host, origin, res.StatusCode)
		}
	}
}

// TestPromise_P1_ARefusalSaysSo: without a good token there is a 401 that says how to come in, and never an empty list (T13).
func TestPromise_P1_ARefusalSaysSo(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "")
	ann := w.Person("ann", "ledger.write")
	for i, token := range []string{"", wrongEnd(ann.Token.Text)} {
		for _, r := range []struct{ method, path, body string }{
			{http.MethodPost, "/v1/tools/ledger.write", `{}`},
			{http.MethodGet, "/v1/tools", ""},
			{http.MethodGet, "/v1/openapi.json", ""},
			{http.MethodPost, "/mcp", `{"jsonrpc":"2.0","id":1,"method":"tools/list"}`},
			{http.MethodGet, "/mcp", ""},
		} {
			res, body := w.Send(r.method, r.path, token, r.body, nil)
			if res.StatusCode != http.StatusUnauthorized || !strings.HasPrefix(res.Header.Get("WWW-Authenticate"), "Bearer") || strings.Contains(body, `"tools"`) {
				t.Errorf("%s %s, token %d: %d %v %s", r.method, r.path, i, res.StatusCode, res.Header, body)
			}
		}
	}
}
