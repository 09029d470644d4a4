package mcp_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"gatehouse/gatetest"
)

// through is an http.RoundTripper to the entries of a house.
type through struct{ h *gatetest.House }

func (t through) RoundTrip(r *http.Request) (*http.Response, error) { return t.h.Do(r) }

// dial opens a WebSocket. Headers of a case win; an empty one is left out.
func dial(t *testing.T, h *gatetest.House, token string, header map[string]string, protocols ...string) (*websocket.Conn, *http.Response, error) {
	t.Helper()
	all := http.Header{}
	if token != "" {
		all.Set("Authorization", "Bearer "+token)
	}
	for k, v := range header {
		all.Set(k, v)
	}
	if protocols == nil {
		protocols = []string{"mcp"}
	}
	c, res, err := websocket.Dial(t.Context(), "ws://127.0.0.1/ws", &websocket.DialOptions{
		HTTPClient: &http.Client{Transport: through{h}}, HTTPHeader: all, Subprotocols: protocols, Host: header["Host"],
	})
	if err == nil {
		c.SetReadLimit(-1)
		t.Cleanup(func() { _ = c.CloseNow() })
	}
	return c, res, err
}

// wsClient is a WebSocket in a test.
type wsClient struct {
	t *testing.T
	*websocket.Conn
}

func connect(t *testing.T, h *gatetest.House, token string) wsClient {
	t.Helper()
	c, _, err := dial(t, h, token, nil)
	if err != nil {
		t.Fatal(err)
	}
	return wsClient{t, c}
}

// legacyClient is one that has initialised.
func legacyClient(t *testing.T, h *gatetest.House, token string) wsClient {
	t.Helper()
	c := connect(t, h, token)
	c.send(`{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"t","version":"1"}}}`)
	if got := c.next(); !strings.Contains(got, `"protocolVersion":"2025-11-25"`) {
		t.Fatalf("initialize: %s", got)
	}
	c.send(`{"jsonrpc":"2.0","method":"notifications/initialized"}`)
	return c
}

func (c wsClient) send(frame string) {
	c.t.Helper()
	if err := c.Write(c.t.Context(), websocket.MessageText, []byte(frame)); err != nil {
		c.t.Fatal(err)
	}
}

func (c wsClient) next() string {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(c.t.Context(), 20*time.Second)
	defer cancel()
	_, b, err := c.Read(ctx)
	if err != nil {
		c.t.Fatal(err)
	}
	return string(b)
}

// closed reads until the server closes, and gives the code and the reason.
func (c wsClient) closed() websocket.CloseError {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(c.t.Context(), 30*time.Second)
	defer cancel()
	for {
		if _, _, err := c.Read(ctx); err != nil {
			var e websocket.CloseError
			if !errors.As(err, &e) {
				c.t.Fatalf("it ended without a reason: %v", err)
			}
			return e
		}
	}
}

const (
	modernMeta = `"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}`
	sayLegacy  = `{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"echo__say","arguments":{"text":"x"}}}`
	sayModern  = `{"jsonrpc":"2.0","id":8,"method":"tools/call","params":{` + modernMeta + `,"name":"echo.say","arguments":{"text":"x"}}}`
)

// TestWhoIsLetIntoAWebSocket: the answer is given before the upgrade, and never repeats the token (T12, T13).
func TestWhoIsLetIntoAWebSocket(t *testing.T) {
	t.Parallel()
	h := gatetest.Start(t, gatetest.Config{
		YAML:    "allowed_origins: [\"chrome-extension://abcdefghijklmnopabcdefghijklmnop\"]\n",
		Modules: modules(newEcho),
	})
	token := h.Person("ann", "echo.say").Token.Text
	for _, tt := range []struct {
		name      string
		token     string
		header    map[string]string
		protocols []string
		status    int
		challenge string
	}{
		{"bearer in the header", token, nil, nil, 101, ""},
		{"bearer as a subprotocol", "", nil, []string{"mcp", "bearer." + token}, 101, ""},
		{"bearer first", "", nil, []string{"bearer." + token, "mcp"}, 101, ""},
		{"none", "", nil, nil, 401, "Bearer"},
		{"a bad one", "st_x", nil, nil, 401, `Bearer error="invalid_token"`},
		{"a bad one as a subprotocol", "", nil, []string{"mcp", "bearer.st_x"}, 401, `Bearer error="invalid_token"`},
		{"an empty one as a subprotocol", "", nil, []string{"mcp", "bearer."}, 401, "Bearer"},
		{"two as subprotocols", "", nil, []string{"mcp", "bearer." + token, "bearer." + token}, 401, "Bearer"},
		{"both", token, nil, []string{"mcp", "bearer." + token}, 401, "Bearer"},
		{"a bad one and another subprotocol", "st_x", nil, []string{"chat"}, 401, `Bearer error="invalid_token"`},
		{"another subprotocol", token, nil, []string{"chat"}, 400, ""},
		{"no subprotocol", token, nil, []string{}, 400, ""},
		{"no subprotocol but the bearer's", "", nil, []string{"bearer." + token}, 400, ""},
		{"our own origin", token, map[string]string{"Origin": "http://127.0.0.1"}, nil, 101, ""},
		{"an allowed extension", token, map[string]string{"Origin": "chrome-extension://abcdefghijklmnopabcdefghijklmnop"}, nil, 101, ""},
		{"another extension", token, map[string]string{"Origin": "chrome-extension://ponmlkjihgfedcbaponmlkjihgfedcba"}, nil, 403, ""},
		{"another site", token, map[string]string{"Origin": "https://evil.example"}, nil, 403, ""},
		{"a site whose name begins like ours", token, map[string]string{"Origin": "http://127.0.0.1.nip.io"}, nil, 403, ""},
		{"no site at all", token, map[string]string{"Origin": "null"}, nil, 403, ""},
		{"another program's page on this machine", token, map[string]string{"Origin": "http://127.0.0.1:8081"}, nil, 403, ""},
		{"another origin without a token", "", map[string]string{"Origin": "https://evil.example"}, nil, 403, ""},
		{"a name that resolves to us", token, map[string]string{"Host": "localhost.evil"}, nil, 403, ""},
		{"a name of a stranger's zone", token, map[string]string{"Host": "127.0.0.1.nip.io"}, nil, 403, ""},
		{"a cookie", "", map[string]string{"Cookie": "token=" + token}, nil, 401, "Bearer"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c, res, err := dial(t, h, tt.token, tt.header, tt.protocols...)
			if res == nil || res.StatusCode != tt.status {
				t.Fatalf("%+v %v, want %d", res, err, tt.status)
			}
			if got := res.Header.Get("WWW-Authenticate"); got != tt.challenge {
				t.Errorf("WWW-Authenticate: %q, want %q", got, tt.challenge)
			}
			var said strings.Builder
			_ = res.Header.Write(&said)
			if strings.Contains(said.String(), "st_") || strings.Contains(said.String(), "bearer.") {
				t.Errorf("the answer repeats the token: %s", said.String())
			}
			if err == nil && c.Subprotocol() != "mcp" {
				t.Errorf("the subprotocol is %q", c.Subprotocol())
			}
		})
	}
	for path, want := range map[string]int{"/ws": 400, "/ws/": 404, "/ws/echo": 404} {
		if status, _, body := exchange(t, h, "GET", path, token, "", nil); status != want {
			t.Errorf("GET %s: %d %s, want %d", path, status, body, want)
		}
	}
	if status, header, _ := exchange(t, h, "GET", "/ws", "", "", nil); status != 401 || header.Get("WWW-Authenticate") != "Bearer" {
		t.Errorf("GET /ws without a token: %d %v", status, header)
	}
}

// TestWhatAWebSocketRefuses: what is no frame, or a frame at the wrong time, is answered and is no call (T10).
func TestWhatAWebSocketRefuses(t *testing.T) {
	t.Parallel()
	h := gatetest.New(t, newEcho)
	ann := h.Person("ann", "echo.say")
	c := connect(t, h, ann.Token.Text)
	mark := h.Mark()
	c.send(sayLegacy)
	if got := c.next(); !strings.Contains(got, "initialize first") || !strings.Contains(got, `"id":7`) {
		t.Errorf("before initialize: %s", got)
	}
	c.send(`{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2026-07-28"}}`)
	if got := c.next(); !strings.Contains(got, `"protocolVersion":"2025-11-25"`) {
		t.Errorf("initialize: %s", got)
	}
	for _, tt := range []struct{ name, frame, want string }{
		{"initialize again", `{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-11-25"}}`, "-32600"},
		{"a batch", `[` + sayLegacy + `]`, "-32600"},
		{"a batch with one bad member", `[` + sayLegacy + `,1]`, "-32600"},
		{"duplicate member", strings.Replace(sayLegacy, `"id":7`, `"id":7,"id":8`, 1), "-32700"},
		{"duplicate member deep inside", strings.Replace(sayLegacy, `"text":"x"`, `"text":"x","te\u0078t":"y"`, 1), "-32700"},
		{"Method beside method", strings.Replace(sayLegacy, `"id":7`, `"id":7,"Method":"ping"`, 1), "-32600"},
		{"id null", strings.Replace(sayLegacy, `"id":7`, `"id":null`, 1), "-32600"},
		{"a BOM", "\uFEFF" + sayLegacy, "-32700"},
		{"bytes after it", sayLegacy + `{}`, "-32700"},
		{"NaN", strings.Replace(sayLegacy, `"x"`, `NaN`, 1), "-32700"},
		{"1e400", strings.Replace(sayLegacy, `"x"`, `1e400`, 1), "-327"},
		{"10,000 levels", strings.Replace(sayLegacy, `"x"`, strings.Repeat("[", 10000)+strings.Repeat("]", 10000), 1), "-327"},
		{"not UTF-8", strings.Replace(sayLegacy, `"x"`, "\"\xff\"", 1), "-32700"},
		{"nothing", "", "-32700"},
		{"an unknown method", `{"jsonrpc":"2.0","id":7,"method":"resources/list"}`, "-32601"},
		{"a call without a name", `{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{}}`, "-32602"},
		{"modern without capabilities", strings.Replace(sayModern, `,"io.modelcontextprotocol/clientCapabilities":{}`, ``, 1), "-32602"},
		{"a modern revision that is not spoken", strings.Replace(sayModern, "2026-07-28", "2027-01-01", 1), "-32022"},
		{"a modern ping", `{"jsonrpc":"2.0","id":7,"method":"ping","params":{` + modernMeta + `}}`, "-32601"},
	} {
		c.send(tt.frame)
		if got := c.next(); !strings.Contains(got, `"error":`) || !strings.Contains(got, `"code":`+tt.want) {
			t.Errorf("%s: %.300s, want %s", tt.name, got, tt.want)
		}
	}
	c.send(strings.Replace(sayLegacy, `"id":7,`, ``, 1)) // a notification is never a call
	c.send(`{"jsonrpc":"2.0","id":7,"result":{}}`)       // nobody asked
	c.send(`{"jsonrpc":"2.0","id":9,"method":"ping"}`)
	if got := c.next(); got != `{"jsonrpc":"2.0","id":9,"result":{}}` {
		t.Errorf("ping: %s", got)
	}
	if rows := h.RowsSince(mark); len(rows) != 0 {
		t.Errorf("something became a call:\n%s", gatetest.Print(rows))
	}
	for _, good := range []string{sayLegacy, sayModern} {
		c.send(good)
		if got := c.next(); !strings.Contains(got, `"code":"ok"`) || strings.Contains(got, `"resultType":"complete"`) != (good == sayModern) {
			t.Errorf("a good call: %s", got)
		}
	}
}

// TestPromise_P5_AnOpenSocketEndsWithItsToken: at once, although nothing is sent on it; and every other end has its code and
// its reason too.
func TestPromise_P5_AnOpenSocketEndsWithItsToken(t *testing.T) {
	t.Parallel()
	h := gatetest.Start(t, gatetest.Config{YAML: "limits: {body: 64KiB}\n", Modules: modules(newEcho)})
	for _, tt := range []struct {
		name string
		end  func(p gatetest.Person, token gatetest.Token, c wsClient)
		want websocket.StatusCode
		says string
	}{
		{"revoked", func(_ gatetest.Person, token gatetest.Token, _ wsClient) { h.Revoke(token) }, 4401, "the token has ended"},
		{"disabled", func(p gatetest.Person, _ gatetest.Token, _ wsClient) {
			h.Operate("people.disable", map[string]any{"person": p.ID})
		}, 4401, "the token has ended"},
		{"expired", func(gatetest.Person, gatetest.Token, wsClient) {}, 4401, "the token has ended"},
		{"too long", func(_ gatetest.Person, _ gatetest.Token, c wsClient) {
			go func() { _ = c.Write(t.Context(), websocket.MessageText, make([]byte, 65<<10)) }()
		}, 1009, "at most 65536 bytes"},
		{"far too long", func(_ gatetest.Person, _ gatetest.Token, c wsClient) {
			go func() { _ = c.Write(t.Context(), websocket.MessageText, make([]byte, 1<<20)) }()
		}, 1009, "at most 65536 bytes"},
		{"binary", func(_ gatetest.Person, _ gatetest.Token, c wsClient) {
			_ = c.Write(t.Context(), websocket.MessageBinary, []byte(sayLegacy))
		}, 1003, "text frames"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			p := h.Person(strings.ReplaceAll(tt.name, " ", "-"), "echo.say")
			ttl := 3600
			if tt.name == "expired" {
				ttl = 1
			}
			token := p.Issue(map[string]any{"tools": []string{"echo.say"}, "ttl_seconds": ttl})
			c := legacyClient(t, h, token.Text)
			tt.end(p, token, c)
			if got := c.closed(); got.Code != tt.want || !strings.Contains(got.Reason, tt.says) {
				t.Errorf("it closed with %+v, want %d %q", got, tt.want, tt.says)
			}
		})
	}
}

// TestAWebSocketIsToldOfAChangedList, once for the session and once for each subscription, and only if the list that the
// caller is shown is another one.
func TestAWebSocketIsToldOfAChangedList(t *testing.T) {
	t.Parallel()
	h := gatetest.New(t, newEcho)
	ann, bob := h.Person("ann", "echo.say"), h.Person("bob", "echo.say")
	token := ann.Issue(map[string]any{"tools": []string{"echo.say", "echo.shout"}})
	c, modern := legacyClient(t, h, token.Text), connect(t, h, token.Text)
	for id, wants := range map[string]string{"5": "true", "6": "false"} {
		modern.send(`{"jsonrpc":"2.0","id":` + id + `,"method":"subscriptions/listen","params":{` + modernMeta + `,"notifications":{"toolsListChanged":` + wants + `}}}`)
		if got := modern.next(); !strings.Contains(got, "subscriptions/acknowledged") || !strings.Contains(got, `"io.modelcontextprotocol/subscriptionId":`+id) ||
			!strings.Contains(got, `"toolsListChanged":`+wants) {
			t.Fatalf("acknowledged: %s", got)
		}
	}
	bob.Grant(map[string]string{"echo.shout": "allow"})                     // another's list
	ann.Issue(map[string]any{"tools": []string{"echo.say"}})                // another token
	ann.Grant(map[string]string{"echo.say": "ask", "people.list": "allow"}) // not on the list, not in scope
	ann.Grant(map[string]string{"echo.say": "allow"})
	ann.Grant(map[string]string{"echo.shout": "allow"})
	if got := c.next(); got != `{"jsonrpc":"2.0","method":"notifications/tools/list_changed","params":{}}` {
		t.Errorf("legacy: %s", got)
	}
	if got := modern.next(); got != `{"jsonrpc":"2.0","method":"notifications/tools/list_changed","params":{"_meta":{"io.modelcontextprotocol/subscriptionId":5}}}` {
		t.Errorf("modern: %s", got)
	}
	modern.send(`{"jsonrpc":"2.0","method":"notifications/cancelled","params":{` + modernMeta + `,"requestId":5}}`)
	modern.send(sayModern)
	if got := modern.next(); !strings.Contains(got, `"code":"ok"`) {
		t.Errorf("a call after the subscription was cancelled: %s", got)
	}
	ann.Grant(map[string]string{"echo.shout": "none"})
	if got := c.next(); !strings.Contains(got, "list_changed") {
		t.Errorf("legacy, when the tool went: %s", got)
	}
	for _, ws := range []wsClient{c, modern} { // and nothing else came before
		ws.send(`{"jsonrpc":"2.0","id":9,"method":"tools/list","params":{` + modernMeta + `}}`)
		if got := ws.next(); !strings.Contains(got, `"id":9`) || strings.Contains(got, "shout") {
			t.Errorf("the list now: %s", got)
		}
	}
}

// TestWebSocketsOfOneTokenAreBounded, and sessions of HTTP count as well.
func TestWebSocketsOfOneTokenAreBounded(t *testing.T) {
	t.Parallel()
	h := gatetest.New(t, newEcho)
	ann, bob := h.Person("ann", "echo.say"), h.Person("bob", "echo.say")
	initialize(t, h, ann.Token.Text)
	var last *websocket.Conn
	for i := range 64 {
		c, res, err := dial(t, h, ann.Token.Text, nil)
		if want := map[bool]int{true: 101, false: 429}[i < 63]; res == nil || res.StatusCode != want {
			t.Fatalf("socket %d: %v %v, want %d", i+1, res, err, want)
		}
		if c != nil {
			last = c
		}
	}
	if _, res, err := dial(t, h, bob.Token.Text, nil); err != nil {
		t.Errorf("another person's first: %v %v", res, err)
	}
	if err := last.Close(websocket.StatusNormalClosure, ""); err != nil {
		t.Error(err)
	}
	for end := time.Now().Add(10 * time.Second); ; {
		if _, _, err := dial(t, h, ann.Token.Text, nil); err == nil {
			break
		}
		if time.Now().After(end) {
			t.Fatal("the place of a socket that was closed is not given back")
		}
		<-time.After(10 * time.Millisecond)
	}
}

// TestManyRequestsOnOneWebSocket: each is answered once, under its own id.
func TestManyRequestsOnOneWebSocket(t *testing.T) {
	t.Parallel()
	h := gatetest.Start(t, gatetest.Config{YAML: "limits: {calls_per_minute: 100000, in_flight: 1000}\n", Modules: modules(newEcho)})
	c := legacyClient(t, h, h.Person("ann", "echo.say").Token.Text)
	const n = 1000
	go func() {
		for i := range n {
			frame := strings.Replace(strings.Replace(sayLegacy, `"id":7`, `"id":"`+strconv.Itoa(i)+`"`, 1), `"x"`, `"`+strconv.Itoa(i)+`"`, 1)
			if c.Write(t.Context(), websocket.MessageText, []byte(frame)) != nil {
				return
			}
		}
	}()
	seen := map[string]bool{}
	for range n {
		var f struct {
			ID     string `json:"id"`
			Result struct {
				Structured struct {
					Text string `json:"text"`
				} `json:"structuredContent"`
			} `json:"result"`
		}
		got := c.next()
		if err := json.Unmarshal([]byte(got), &f); err != nil || f.ID == "" || seen[f.ID] || f.Result.Structured.Text != f.ID {
			t.Fatalf("%s (%v)", got, err)
		}
		seen[f.ID] = true
	}
}
