package mcp_test

import (
	"bufio"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"gatehouse/gatetest"
)

const (
	legacy = "2025-11-25"
	modern = "2026-07-28"
)

// exchange sends one HTTP request and gives status, headers and body.
func exchange(t *testing.T, h *gatetest.House, method, path, token, body string, header map[string]string) (int, http.Header, string) {
	t.Helper()
	res := open(t, h, method, path, token, body, header)
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, res.Header, string(b)
}

func open(t *testing.T, h *gatetest.House, method, path, token, body string, header map[string]string) *http.Response {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, "http://127.0.0.1"+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Accept", "application/json, text/event-stream")
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	for k, v := range header {
		r.Header.Del(k)
		if v != "" {
			r.Header.Set(k, v)
		}
	}
	res, err := h.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	return res
}

// initialize opens a legacy session.
func initialize(t *testing.T, h *gatetest.House, token string) string {
	t.Helper()
	status, header, body := exchange(t, h, "POST", "/mcp", token,
		`{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"t","version":"1"}}}`, nil)
	if status != http.StatusOK {
		t.Fatalf("initialize: %d %s", status, body)
	}
	return header.Get("Mcp-Session-Id")
}

func TestInitializeNeverAnswersTheModernRevision(t *testing.T) {
	t.Parallel()
	h := gatetest.New(t, newEcho)
	ann := h.Person("ann", "echo.say")
	for asked, want := range map[string]string{
		"2025-11-25": "2025-11-25", "2025-06-18": "2025-06-18", "2026-07-28": "2025-11-25", "1999-01-01": "2025-11-25", "": "2025-11-25",
	} {
		_, _, body := exchange(t, h, "POST", "/mcp", ann.Token.Text,
			`{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"`+asked+`","capabilities":{},"clientInfo":{"name":"t","version":"1"}}}`, nil)
		var out struct {
			Result struct {
				ProtocolVersion string `json:"protocolVersion"`
			} `json:"result"`
		}
		if err := json.Unmarshal([]byte(body), &out); err != nil || out.Result.ProtocolVersion != want {
			t.Errorf("asked for %q, answered %s", asked, body)
		}
	}
}

// call is a tools/call as a modern client sends it, with what a case changes.
func call(args string) string {
	return `{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28",` +
		`"io.modelcontextprotocol/clientCapabilities":{}},"name":"echo__say","arguments":` + args + `}}`
}

func TestWhatIsRefusedBeforeItIsACall(t *testing.T) {
	t.Parallel()
	h := gatetest.New(t, newEcho)
	ann, bob := h.Person("ann", "echo.say"), h.Person("bob", "echo.say")
	second := ann.Issue(map[string]any{"tools": []string{"echo.say"}})
	session, bobs := initialize(t, h, ann.Token.Text), initialize(t, h, bob.Token.Text)
	plain := `{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"echo__say","arguments":{"text":"x"}}}`
	headers := func(more ...string) map[string]string {
		m := map[string]string{"Mcp-Protocol-Version": modern, "Mcp-Method": "tools/call", "Mcp-Name": "echo__say"}
		for i := 0; i < len(more); i += 2 {
			m[more[i]] = more[i+1]
		}
		return m
	}
	inSession := func(s string) map[string]string {
		return map[string]string{"Mcp-Session-Id": s, "Mcp-Protocol-Version": legacy}
	}
	mark := h.Mark()
	for _, tt := range []struct {
		name, method, body string
		header             map[string]string
		status             int
		want               string
	}{
		{"legacy without a session", "POST", plain, nil, 400, "initialize first"},
		{"a session that never was", "POST", plain, inSession(strings.Repeat("0", 32)), 404, "gone"},
		{"another person's session", "POST", plain, inSession(bobs), 404, "gone"},
		{"an unknown revision in a session", "POST", plain, map[string]string{"Mcp-Session-Id": session, "Mcp-Protocol-Version": "2024-01-01"}, 400, "not spoken"},
		{"a batch", "POST", `[` + plain + `]`, inSession(session), 400, "-32600"},
		{"a batch with one bad member", "POST", `[` + plain + `,1]`, inSession(session), 400, "-32600"},
		{"duplicate member", "POST", strings.Replace(plain, `"id":7`, `"id":7,"id":8`, 1), inSession(session), 400, "-32700"},
		{"duplicate member deep inside", "POST", strings.Replace(plain, `"text":"x"`, `"text":"x","te\u0078t":"y"`, 1), inSession(session), 400, "-32700"},
		{"Method beside method", "POST", strings.Replace(plain, `"id":7`, `"id":7,"Method":"ping"`, 1), inSession(session), 400, "-32600"},
		{"id null", "POST", strings.Replace(plain, `"id":7`, `"id":null`, 1), inSession(session), 400, "-32600"},
		{"a BOM", "POST", "\uFEFF" + plain, inSession(session), 400, "-32700"},
		{"bytes after it", "POST", plain + `{}`, inSession(session), 400, "-32700"},
		{"NaN", "POST", strings.Replace(plain, `"x"`, `NaN`, 1), inSession(session), 400, "-32700"},
		{"1e400", "POST", strings.Replace(plain, `"x"`, `1e400`, 1), inSession(session), 400, "-327"},
		{"10,000 levels", "POST", strings.Replace(plain, `"x"`, strings.Repeat("[", 10000)+strings.Repeat("]", 10000), 1), inSession(session), 400, "-327"},
		{"text/plain", "POST", plain, map[string]string{"Content-Type": "text/plain"}, 415, "application/json"},
		{"no event stream accepted", "POST", plain, map[string]string{"Accept": "application/json"}, 406, "Accept"},
		{"modern without capabilities", "POST", strings.Replace(call(`{"text":"x"}`), `,"io.modelcontextprotocol/clientCapabilities":{}`, ``, 1), headers(), 400, "-32602"},
		{"modern with another method in the header", "POST", call(`{"text":"x"}`), headers("Mcp-Method", "tools/list"), 400, "-32020"},
		{"modern with another name in the header", "POST", call(`{"text":"x"}`), headers("Mcp-Name", "echo__shout"), 400, "-32020"},
		{"modern without the method's header", "POST", call(`{"text":"x"}`), headers("Mcp-Method", ""), 400, "-32020"},
		{"modern revision that is not spoken", "POST", strings.Replace(call(`{"text":"x"}`), modern, "2027-01-01", 1), headers("Mcp-Protocol-Version", "2027-01-01"), 400, "-32022"},
		{
			"modern unknown method", "POST", `{"jsonrpc":"2.0","id":7,"method":"ping","params":{"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}}}`,
			map[string]string{"Mcp-Protocol-Version": modern, "Mcp-Method": "ping"},
			404, "-32601",
		},
		{"modern GET", "GET", "", map[string]string{"Mcp-Protocol-Version": modern}, 405, "POST"},
		{"modern DELETE", "DELETE", "", map[string]string{"Mcp-Protocol-Version": modern}, 405, "POST"},
		{"GET without a session", "GET", "", nil, 400, "initialize"},
		{"PUT", "PUT", "{}", nil, 405, "POST"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			status, _, body := exchange(t, h, tt.method, "/mcp", ann.Token.Text, tt.body, tt.header)
			if status != tt.status || !strings.Contains(body, tt.want) {
				t.Errorf("%d %s, want %d and %q", status, body, tt.status, tt.want)
			}
		})
	}
	if status, _, body := exchange(t, h, "POST", "/mcp", second.Text, plain, inSession(session)); status != 404 {
		t.Errorf("the session of one token with another token of the same person: %d %s", status, body)
	}
	if rows := h.RowsSince(mark); len(rows) != 0 {
		t.Errorf("something became a call:\n%s", gatetest.Print(rows))
	}
	if status, _, body := exchange(t, h, "POST", "/mcp", ann.Token.Text, plain, inSession(session)); status != 200 || !strings.Contains(body, `"code":"ok"`) {
		t.Errorf("the good call in the same session: %d %s", status, body)
	}
}

func TestANotificationIsNeverACall(t *testing.T) {
	t.Parallel()
	h := gatetest.New(t, newEcho)
	ann := h.Person("ann", "echo.say")
	session := initialize(t, h, ann.Token.Text)
	mark := h.Mark()
	for era, header := range map[string]map[string]string{
		legacy: {"Mcp-Session-Id": session},
		modern: {"Mcp-Protocol-Version": modern, "Mcp-Method": "tools/call", "Mcp-Name": "echo__say"},
	} {
		body := strings.Replace(call(`{"text":"x"}`), `"id":7,`, ``, 1)
		if era == legacy {
			body = `{"jsonrpc":"2.0","method":"tools/call","params":{"name":"echo__say","arguments":{"text":"x"}}}`
		}
		if status, _, got := exchange(t, h, "POST", "/mcp", ann.Token.Text, body, header); status != http.StatusAccepted || got != "" {
			t.Errorf("%s: %d %q", era, status, got)
		}
	}
	if rows := h.RowsSince(mark); len(rows) != 0 {
		t.Errorf("a notification became a call:\n%s", gatetest.Print(rows))
	}
}

func TestUnknownAndNotPermittedAnswerAlike(t *testing.T) {
	t.Parallel()
	h := gatetest.New(t, newEcho)
	ann := h.Person("ann", "echo.say")
	for _, d := range h.Doors() {
		// The same length of name, since a client knows what it asked for.
		unknown, hidden := d.Call(ann.Token.Text, "echo.shoot", `{"text":"x"}`), d.Call(ann.Token.Text, "echo.shout", `{"text":"x"}`)
		a, b := strings.ReplaceAll(unknown.Raw, unknown.ID, "ID"), strings.ReplaceAll(hidden.Raw, hidden.ID, "ID")
		if a != b || unknown.ID == "" {
			t.Errorf("%s:\n%s\n%s", d.Title(), a, b)
		}
	}
}

func TestPromise_P5_AnOpenStreamEndsWithItsToken(t *testing.T) {
	t.Parallel()
	h := gatetest.New(t, newEcho)
	ann := h.Person("ann", "echo.say")
	ann.Grant(map[string]string{"echo.shout": "none"})
	token := ann.Issue(map[string]any{"tools": []string{"echo.say", "echo.shout"}})
	session := initialize(t, h, token.Text)
	streams := map[string]*http.Response{
		"GET": open(t, h, "GET", "/mcp", token.Text, "", map[string]string{"Mcp-Session-Id": session}),
		"listen": open(t, h, "POST", "/mcp", token.Text,
			`{"jsonrpc":"2.0","id":3,"method":"subscriptions/listen","params":{"notifications":{"toolsListChanged":true},"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}}}`,
			map[string]string{"Mcp-Protocol-Version": modern, "Mcp-Method": "subscriptions/listen"}),
	}
	lines := map[string]*bufio.Scanner{}
	for name, res := range streams {
		defer res.Body.Close()
		if res.StatusCode != http.StatusOK {
			b, _ := io.ReadAll(res.Body)
			t.Fatalf("%s: %d %s", name, res.StatusCode, b)
		}
		lines[name] = bufio.NewScanner(res.Body)
		lines[name].Scan() // the stream is open
	}
	ann.Grant(map[string]string{"echo.shout": "allow"})
	for name, l := range lines {
		if !until(l, "list_changed") {
			t.Errorf("%s: the list changed and nobody was told", name)
		}
	}
	h.Revoke(token)
	for name, l := range lines {
		done := make(chan bool, 1)
		go func() { done <- until(l, "never sent") }()
		select {
		case <-done:
		case <-time.After(10 * time.Second):
			t.Errorf("%s: the stream is open although its token was revoked", name)
		}
	}
	if status, _, _ := exchange(t, h, "GET", "/mcp", token.Text, "", map[string]string{"Mcp-Session-Id": session}); status != http.StatusUnauthorized {
		t.Errorf("a new stream with the revoked token: %d", status)
	}
}

// until reads lines up to one that holds the word; false at the end of the stream.
func until(l *bufio.Scanner, word string) bool {
	for l.Scan() {
		if strings.Contains(l.Text(), word) {
			return true
		}
	}
	return false
}

func TestStreamsOfOneTokenAreBounded(t *testing.T) {
	t.Parallel()
	h := gatetest.New(t, newEcho)
	ann, bob := h.Person("ann", "echo.say"), h.Person("bob", "echo.say")
	listen := func(token string) *http.Response {
		return open(t, h, "POST", "/mcp", token,
			`{"jsonrpc":"2.0","id":3,"method":"subscriptions/listen","params":{"notifications":{},"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}}}`,
			map[string]string{"Mcp-Protocol-Version": modern, "Mcp-Method": "subscriptions/listen"})
	}
	for i := range 65 {
		res := listen(ann.Token.Text)
		defer res.Body.Close()
		if want := map[bool]int{true: http.StatusOK, false: http.StatusTooManyRequests}[i < 64]; res.StatusCode != want {
			t.Fatalf("stream %d: %d, want %d", i+1, res.StatusCode, want)
		}
	}
	res := listen(bob.Token.Text)
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		t.Errorf("another person's first stream: %d", res.StatusCode)
	}
}

func TestTheDoorWithoutDiscovery(t *testing.T) {
	t.Parallel()
	h := gatetest.New(t, newEcho)
	ann := h.Person("ann", "echo.say")
	for _, path := range []string{"/mcp", "/t/mcp"} {
		status, _, body := exchange(t, h, "POST", path, ann.Token.Text, call(`{"text":"x"}`),
			map[string]string{"Mcp-Protocol-Version": modern, "Mcp-Method": "tools/call", "Mcp-Name": "echo__say"})
		if status != http.StatusOK || !strings.Contains(body, `"code":"ok"`) {
			t.Errorf("%s: %d %s", path, status, body)
		}
	}
}

func TestOneModuleAlone(t *testing.T) {
	t.Parallel()
	h := gatetest.New(t, newEcho)
	ann := h.Person("ann", "echo.say", "people.list")
	header := map[string]string{"Mcp-Session-Id": initialize(t, h, ann.Token.Text)}
	_, _, body := exchange(t, h, "POST", "/mcp/echo", ann.Token.Text, `{"jsonrpc":"2.0","id":2,"method":"tools/list"}`, header)
	if !strings.Contains(body, `"name":"say"`) || strings.Contains(body, "people") {
		t.Errorf("tools/list of one module: %s", body)
	}
	_, _, body = exchange(t, h, "POST", "/mcp/echo", ann.Token.Text, `{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{"name":"say","arguments":{"text":"x"}}}`, header)
	if !strings.Contains(body, `"code":"ok"`) {
		t.Errorf("tools/call under its own name: %s", body)
	}
	_, _, body = exchange(t, h, "POST", "/mcp/echo", ann.Token.Text, `{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{"name":"people.list","arguments":{}}}`, header)
	if !strings.Contains(body, `"code":"not_allowed"`) {
		t.Errorf("another module's tool by this address: %s", body)
	}
}

func TestT13_WithoutOAuthThereIsNoDiscovery(t *testing.T) {
	t.Parallel()
	h := gatetest.New(t, newEcho)
	for _, path := range []string{
		"/.well-known/oauth-protected-resource", "/.well-known/oauth-protected-resource/mcp",
		"/.well-known/oauth-authorization-server", "/.well-known/openid-configuration", "/mcp/.well-known/openid-configuration",
	} {
		if status, header, _ := exchange(t, h, "GET", path, "", "", nil); status != 404 && status != 401 || header.Get("Location") != "" || strings.HasPrefix(path, "/.") && status != 404 {
			t.Errorf("GET %s: %d %v", path, status, header)
		}
	}
	for token, want := range map[string]string{"": "Bearer", "st_x": `Bearer error="invalid_token"`} {
		status, header, _ := exchange(t, h, "POST", "/mcp", token, call(`{}`), nil)
		if got := header.Get("WWW-Authenticate"); status != http.StatusUnauthorized || got != want {
			t.Errorf("token %q: %d, WWW-Authenticate: %s", token, status, got)
		}
	}
}
