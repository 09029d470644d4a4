package mcp_test

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"gatehouse/gatetest"
)

// TestAnExtensionInARealBrowser: the page of an extension whose origin stands in allowed_origins connects with its token as a
// subprotocol, lists, calls, is told of a changed list, and loses its token. A page of another origin is not let in.
func TestAnExtensionInARealBrowser(t *testing.T) {
	t.Parallel()
	chromium, err := exec.LookPath("chromium")
	if err != nil {
		if os.Getenv("GATEHOUSE_TEST_REQUIRE_PARTS") != "" {
			t.Fatal(err)
		}
		t.Skipf("skipped for want of a part: %v (make installs it)", err)
	}
	extension, id := newExtension(t)
	origin := "chrome-extension://" + id
	h := gatetest.Start(t, gatetest.Config{YAML: "allowed_origins: [" + origin + "]\n", Modules: modules(newEcho)})
	address := "ws" + strings.TrimSuffix(strings.TrimPrefix(serve(t, h), "http"), "mcp") + "ws"
	ann := h.Person("ann", "echo.say")
	token := ann.Issue(map[string]any{"tools": []string{"echo.say", "echo.shout"}})
	b := startBrowser(t, chromium, extension)

	page := b.open(origin + "/page.html")
	connect := fmt.Sprintf(`connect(%q, %q)`, address, token.Text)
	if got := page.eval("location.origin"); got != `"`+origin+`"` {
		t.Fatalf("the page is of %s", got)
	}
	if got := page.eval(connect); got != `"mcp"` {
		t.Fatalf("connecting: %s", got)
	}
	ask := func(method, params string) string {
		return page.eval(fmt.Sprintf(`ask({jsonrpc: "2.0", id: 1, method: %q, params: %s})`, method, params))
	}
	if got := ask("initialize", `{protocolVersion: "2025-11-25", capabilities: {}, clientInfo: {name: "page", version: "1"}}`); !strings.Contains(got, "2025-11-25") {
		t.Fatalf("initialize: %s", got)
	}
	if got := ask("tools/list", `{}`); !strings.Contains(got, "echo__say") || strings.Contains(got, "echo__shout") {
		t.Errorf("list: %s", got)
	}
	if got := ask("tools/call", `{name: "echo__say", arguments: {text: "from a page"}}`); !strings.Contains(got, "from a page") || !strings.Contains(got, `\"code\":\"ok\"`) {
		t.Errorf("call: %s", got)
	}
	ann.Grant(map[string]string{"echo.shout": "allow"})
	if got := page.eval("next()"); !strings.Contains(got, "notifications/tools/list_changed") {
		t.Errorf("when the list changed: %s", got)
	}
	h.Revoke(token)
	if got := page.eval("ended()"); got != `"4401 the token has ended"` {
		t.Errorf("when the token went: %s", got)
	}
	// That is what the browser calls a 401.
	if got := page.eval(connect); !strings.Contains(got, "1006") || !strings.Contains(b.said(page), "HTTP Authentication failed") {
		t.Errorf("with the token that was revoked: %s, %s", got, b.said(page))
	}

	fresh := ann.Issue(map[string]any{"tools": []string{"echo.say"}})
	stranger := httptest.NewServer(http.FileServer(http.Dir(extension)))
	t.Cleanup(stranger.Close)
	other := b.open(stranger.URL + "/page.html")
	got := other.eval(fmt.Sprintf(`connect(%q, %q)`, address, fresh.Text))
	if !strings.Contains(got, "1006") || !strings.Contains(b.said(other), "403") {
		t.Errorf("a page of %s: %s, %s", stranger.URL, got, b.said(other))
	}
	if got := page.eval(fmt.Sprintf(`connect(%q, %q)`, address, fresh.Text)); got != `"mcp"` {
		t.Errorf("the extension with the same token: %s", got)
	}
}

// pageScript is what a page needs to speak MCP over a WebSocket.
const pageScript = `
let socket, close, inbox = [], waiting = []
function connect (address, token) {
  return new Promise((resolve) => {
    socket = new WebSocket(address, ['mcp', 'bearer.' + token])
    close = new Promise((done) => { socket.onclose = (e) => { done(e.code + ' ' + e.reason); resolve('closed ' + e.code) } })
    socket.onopen = () => resolve(socket.protocol)
    socket.onmessage = (e) => { const to = waiting.shift(); if (to) to(e.data); else inbox.push(e.data) }
  })
}
const next = () => inbox.length ? Promise.resolve(inbox.shift()) : new Promise((resolve) => waiting.push(resolve))
const ask = (message) => { socket.send(JSON.stringify(message)); return next() }
const ended = () => close
`

// newExtension writes an extension into a folder, and gives its id, which follows from its key.
func newExtension(t *testing.T) (dir, id string) {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	public, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	dir = t.TempDir()
	for name, text := range map[string]string{
		"manifest.json": `{"manifest_version":3,"name":"test","version":"1","key":"` + base64.StdEncoding.EncodeToString(public) + `"}`,
		"page.html":     `<!doctype html><title>test</title><script src="page.js"></script>`,
		"page.js":       pageScript,
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	sum := sha256.Sum256(public)
	for _, b := range sum[:16] {
		id += string(rune('a'+b>>4)) + string(rune('a'+b&15))
	}
	return dir, id
}

// browser is a real one, driven over its own debugging protocol.
type browser struct {
	t     *testing.T
	conn  *websocket.Conn
	last  int
	heard map[string]string // by session: what it said of WebSockets that failed
}

// tab is one page.
type tab struct {
	b       *browser
	session string
}

func startBrowser(t *testing.T, program, extension string) *browser {
	t.Helper()
	profile, err := os.MkdirTemp("", "gatehouse-browser-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		// Its children may still write for a moment.
		for end := time.Now().Add(10 * time.Second); os.RemoveAll(profile) != nil && time.Now().Before(end); {
			<-time.After(50 * time.Millisecond)
		}
	})
	cmd := exec.CommandContext(context.Background(), program, "--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run", "--remote-debugging-port=0",
		"--disable-background-networking", "--disable-component-update", "--user-data-dir="+profile, "--disable-extensions-except="+extension,
		"--load-extension="+extension, "about:blank")
	cmd.Env = append(os.Environ(), "HOME="+profile)
	cmd.WaitDelay = 10 * time.Second
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	var port, path string
	for end := time.Now().Add(60 * time.Second); ; {
		if text, err := os.ReadFile(filepath.Join(profile, "DevToolsActivePort")); err == nil {
			port, path, _ = strings.Cut(strings.TrimSpace(string(text)), "\n")
			if path != "" {
				break
			}
		}
		if time.Now().After(end) {
			t.Fatal("the browser does not start")
		}
		<-time.After(20 * time.Millisecond) // a foreign program starts in its own time
	}
	conn, res, err := websocket.Dial(t.Context(), "ws://"+net.JoinHostPort("127.0.0.1", port)+path, nil)
	if err != nil {
		t.Fatal(res, err)
	}
	conn.SetReadLimit(-1)
	t.Cleanup(func() { _ = conn.CloseNow() })
	return &browser{t: t, conn: conn, heard: map[string]string{}}
}

// do sends one command and waits for its answer.
func (b *browser) do(session, method string, params any) json.RawMessage {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.t.Context(), time.Minute)
	defer cancel()
	b.last++
	order, err := json.Marshal(map[string]any{"id": b.last, "method": method, "params": params, "sessionId": session})
	if session == "" {
		order, err = json.Marshal(map[string]any{"id": b.last, "method": method, "params": params})
	}
	if err != nil {
		b.t.Fatal(err)
	}
	if err := b.conn.Write(ctx, websocket.MessageText, order); err != nil {
		b.t.Fatal(err)
	}
	for {
		_, text, err := b.conn.Read(ctx)
		if err != nil {
			b.t.Fatalf("%s: %v", method, err)
		}
		var m struct {
			ID        int             `json:"id"`
			SessionID string          `json:"sessionId"`
			Method    string          `json:"method"`
			Params    json.RawMessage `json:"params"`
			Result    json.RawMessage `json:"result"`
			Error     json.RawMessage `json:"error"`
		}
		if err := json.Unmarshal(text, &m); err != nil {
			b.t.Fatal(err)
		}
		switch {
		case m.Method == "Network.webSocketFrameError":
			b.heard[m.SessionID] += string(m.Params)
		case m.ID == b.last && m.Error != nil:
			b.t.Fatalf("%s: %s", method, m.Error)
		case m.ID == b.last:
			return m.Result
		}
	}
}

// said is what the browser says of the WebSockets of a page that failed.
func (b *browser) said(p tab) string {
	p.eval("1") // what was said before has come when this is answered
	return b.heard[p.session]
}

func (b *browser) open(url string) tab {
	b.t.Helper()
	var target struct {
		TargetID string `json:"targetId"`
	}
	var attached struct {
		SessionID string `json:"sessionId"`
	}
	if err := json.Unmarshal(b.do("", "Target.createTarget", map[string]any{"url": url}), &target); err != nil {
		b.t.Fatal(err)
	}
	if err := json.Unmarshal(b.do("", "Target.attachToTarget", map[string]any{"targetId": target.TargetID, "flatten": true}), &attached); err != nil {
		b.t.Fatal(err)
	}
	p := tab{b, attached.SessionID}
	b.do(p.session, "Network.enable", map[string]any{})
	for end := time.Now().Add(30 * time.Second); p.eval("typeof connect") != `"function"`; {
		if time.Now().After(end) {
			b.t.Fatalf("%s does not load: %s", url, p.eval("document.documentElement.outerHTML"))
		}
		<-time.After(20 * time.Millisecond)
	}
	return p
}

// eval evaluates an expression in the page, waits if it is a promise, and gives its value as JSON.
func (p tab) eval(expression string) string {
	p.b.t.Helper()
	var got struct {
		Result struct {
			Value json.RawMessage `json:"value"`
		} `json:"result"`
		Exception json.RawMessage `json:"exceptionDetails"`
	}
	answer := p.b.do(p.session, "Runtime.evaluate", map[string]any{"expression": expression, "awaitPromise": true, "returnByValue": true})
	if err := json.Unmarshal(answer, &got); err != nil || got.Exception != nil {
		p.b.t.Fatalf("%s: %s", expression, answer)
	}
	return string(got.Result.Value)
}
