package httpfront_test

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/go-json-experiment/json"
	"go.uber.org/goleak"

	"gatehouse/httpfront"
)

// TestMain lets be what net/http itself keeps for half a second behind an answer that ended a connection.
func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("net/http.(*conn).closeWriteAndWait"))
}

// front is a server with a real socket, whose handler counts what gets through.
type front struct {
	address string // 127.0.0.1:port
	port    string
	through atomic.Int32
}

func start(t *testing.T, c httpfront.Config, h http.HandlerFunc) *front {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	f := &front{address: listener.Addr().String()}
	_, f.port, _ = net.SplitHostPort(f.address)
	if c.Listen == "" {
		c.Listen = f.address
	}
	c.Log = slog.New(slog.DiscardHandler)
	made, err := httpfront.New(c)
	if err != nil {
		t.Fatal(err)
	}
	server := made.Server(made.Wrap(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		f.through.Add(1)
		h(w, r)
	})))
	done := make(chan struct{})
	go func() { defer close(done); _ = server.Serve(listener) }()
	t.Cleanup(func() { _ = server.Close(); <-done })
	return f
}

// send writes a request as it stands, with \n for line ends and PORT for the port, and reads the answer.
func (f *front) send(t *testing.T, request string) (*http.Response, string) {
	t.Helper()
	conn, err := net.Dial("tcp", f.address)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	request = strings.ReplaceAll(strings.ReplaceAll(request, "PORT", f.port), "\n", "\r\n")
	if _, err := io.WriteString(conn, request); err != nil {
		t.Fatal(err)
	}
	answer, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatalf("%q: %v", request, err)
	}
	defer func() { _ = answer.Body.Close() }()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer, string(body)
}

func fine(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "fine") }

// TestHost is T12 for the Host header.
func TestHost(t *testing.T) {
	t.Parallel()
	f := start(t, httpfront.Config{
		PublicURL:    "https://gate.example.org/",
		AllowedHosts: []string{"Gate.Internal", "other.internal:9443", "[fd00::5]"},
	}, fine)
	for _, tt := range []struct {
		host string
		want int
	}{
		{"localhost:PORT", 200},
		{"LocalHost:PORT", 200},
		{"127.0.0.1:PORT", 200},
		{"[::1]:PORT", 200},
		{"gate.example.org", 200},
		{"GATE.example.org:443", 200},
		{"gate.internal", 200},
		{"gate.internal:443", 200},
		{"gate.internal:80", 200},
		{"other.internal:9443", 200},
		{"[fd00::5]:443", 200},
		{"localhost.evil:PORT", 403},
		{"localhost.evil", 403},
		{"127.0.0.1.nip.io:PORT", 403},
		{"evil.localhost:PORT", 403},
		{"localhost.:PORT", 403},
		{"gate.example.org.", 403},
		{"evil.gate.example.org", 403},
		{"gate.example.org.evil", 403},
		{"gate.example.org:PORT", 403},
		{"gate.example.org:80", 403},
		{"gate.internal:8080", 403},
		{"other.internal", 403},
		{"localhost", 403},
		{"localhost:1", 403},
		{"localhost:0PORT", 403},
		{"localhost:", 403},
		{":PORT", 403},
		{"127.0.0.1", 403},
		{"127.0.0.2:PORT", 403},
		{"127.1:PORT", 403},
		{"2130706433:PORT", 403},
		{"0.0.0.0:PORT", 403},
		{"[::]:PORT", 403},
		{"[0:0:0:0:0:0:0:1]:PORT", 403},
		{"[::ffff:127.0.0.1]:PORT", 403},
		{"::1:PORT", 403},
		{"user@localhost:PORT", 400},
		{"localhost:PORT@evil", 400},
		{"localhost:PORT,evil", 403},
		{"null", 403},
		{"", 403},
		{"localhost:PORT/x", 400},
		{"local host:PORT", 400},
		{"localhost:PORT\nHost: localhost:PORT", 400},
		{"localhost:PORT\nHost: evil", 400},
	} {
		before := f.through.Load()
		answer, body := f.send(t, "GET /x HTTP/1.1\nHost: "+tt.host+"\nConnection: close\n\n")
		if answer.StatusCode != tt.want {
			t.Errorf("Host %q: %d %s, want %d", tt.host, answer.StatusCode, body, tt.want)
		}
		if got := f.through.Load() - before; (got == 1) != (tt.want == 200) {
			t.Errorf("Host %q: the handler ran %d times", tt.host, got)
		}
	}
}

// TestRequestLines: what stands for the host besides the header, and requests without any.
func TestRequestLines(t *testing.T) {
	t.Parallel()
	f := start(t, httpfront.Config{}, fine)
	for _, tt := range []struct {
		request string
		want    int
	}{
		{"GET / HTTP/1.1\nHost: localhost:PORT\n\n", 200},
		{"GET / HTTP/1.1\n\n", 400},
		{"GET / HTTP/1.0\n\n", 403},
		{"GET / HTTP/1.0\nHost: localhost:PORT\n\n", 200},
		{"GET http://localhost:PORT/ HTTP/1.1\nHost: localhost:PORT\n\n", 403},
		{"GET http://localhost:PORT/ HTTP/1.1\nHost: evil\n\n", 403},
		{"GET http://evil/ HTTP/1.1\nHost: localhost:PORT\n\n", 403},
		{"CONNECT localhost:PORT HTTP/1.1\nHost: localhost:PORT\n\n", 403},
		{"CONNECT evil:80 HTTP/1.1\nHost: localhost:PORT\n\n", 403},
		{"GET //evil/x HTTP/1.1\nHost: localhost:PORT\n\n", 200}, // a path like any other
	} {
		if answer, body := f.send(t, tt.request); answer.StatusCode != tt.want {
			t.Errorf("%q: %d %s, want %d", tt.request, answer.StatusCode, body, tt.want)
		}
	}
}

// TestNotLoopback: bound to an address that others reach, its loopback names are nobody's.
func TestNotLoopback(t *testing.T) {
	t.Parallel()
	f := start(t, httpfront.Config{Listen: "0.0.0.0:8080", PublicURL: "https://gate.example.org"}, fine)
	for host, want := range map[string]int{
		"gate.example.org": 200, "localhost:8080": 403, "127.0.0.1:8080": 403, "127.0.0.1:PORT": 403, "0.0.0.0:8080": 403,
	} {
		if answer, _ := f.send(t, "GET / HTTP/1.1\nHost: "+host+"\n\n"); answer.StatusCode != want {
			t.Errorf("Host %s: %d, want %d", host, answer.StatusCode, want)
		}
	}
	if answer, _ := f.send(t, "GET / HTTP/1.1\nHost: gate.example.org\nOrigin: http://localhost:8080\n\n"); answer.StatusCode != 403 {
		t.Errorf("a loopback origin: %d", answer.StatusCode)
	}
}

// TestOrigin is T12 for the Origin header, on each method alike.
func TestOrigin(t *testing.T) {
	t.Parallel()
	f := start(t, httpfront.Config{
		PublicURL:      "https://gate.example.org",
		AllowedOrigins: []string{"https://App.example.org:443", "http://dev.example.org:3000", "chrome-extension://abcdef"},
	}, fine)
	for _, tt := range []struct {
		headers string
		want    int
	}{
		{"", 200},
		{"Origin: https://gate.example.org\n", 200},
		{"Origin: http://localhost:PORT\n", 200},
		{"Origin: http://127.0.0.1:PORT\n", 200},
		{"Origin: http://[::1]:PORT\n", 200},
		{"Origin: https://app.example.org\n", 200},
		{"Origin: http://dev.example.org:3000\n", 200},
		{"Origin: chrome-extension://abcdef\n", 200},
		{"Origin: https://gate.example.org\nSec-Fetch-Site: same-origin\n", 200},
		{"Origin: https://app.example.org\nSec-Fetch-Site: cross-site\n", 200},
		{"Sec-Fetch-Site: same-origin\n", 200},
		{"Sec-Fetch-Site: none\n", 200},
		{"Origin: null\n", 403},
		{"Origin:\n", 403},
		{"Origin: *\n", 403},
		{"Origin: http://gate.example.org\n", 403},
		{"Origin: https://gate.example.org:8443\n", 403},
		{"Origin: https://gate.example.org/\n", 403},
		{"Origin: https://gate.example.org.evil\n", 403},
		{"Origin: https://evil.gate.example.org\n", 403},
		{"Origin: https://evil\n", 403},
		{"Origin: http://localhost\n", 403},
		{"Origin: http://localhost:1\n", 403},
		{"Origin: https://localhost:PORT\n", 403},
		{"Origin: http://localhost.evil:PORT\n", 403},
		{"Origin: http://127.0.0.1.nip.io:PORT\n", 403},
		{"Origin: http://dev.example.org\n", 403},
		{"Origin: chrome-extension://other\n", 403},
		{"Origin: file://\n", 403},
		{"Origin: https://gate.example.org https://evil\n", 403},
		{"Origin: https://gate.example.org\nOrigin: https://evil\n", 403},
		{"Origin: https://gate.example.org\nOrigin: https://gate.example.org\n", 403},
		{"Sec-Fetch-Site: cross-site\n", 403},
		{"Sec-Fetch-Site: same-site\n", 403}, // a page of another program on localhost
		{"Sec-Fetch-Site: none\nSec-Fetch-Site: cross-site\n", 403},
		{"Sec-Fetch-Site: other\n", 403},
	} {
		for _, method := range []string{"GET", "POST", "DELETE", "OPTIONS"} {
			before := f.through.Load()
			answer, body := f.send(t, method+" /mcp HTTP/1.1\nHost: localhost:PORT\nContent-Length: 0\n"+tt.headers+"\n")
			if answer.StatusCode != tt.want {
				t.Errorf("%s %q: %d %s, want %d", method, tt.headers, answer.StatusCode, body, tt.want)
			}
			if got := f.through.Load() - before; (got == 1) != (tt.want == 200) {
				t.Errorf("%s %q: the handler ran %d times", method, tt.headers, got)
			}
			if tt.want != 200 && answer.Header.Get("Access-Control-Allow-Origin") != "" {
				t.Errorf("%s %q: a refused page may read the answer", method, tt.headers)
			}
		}
	}
}

func TestCrossOrigin(t *testing.T) {
	t.Parallel()
	f := start(t, httpfront.Config{AllowedOrigins: []string{"https://app.example.org"}}, fine)
	ask := "Access-Control-Request-Method: POST\nAccess-Control-Request-Headers: authorization,content-type\n"
	for _, tt := range []struct {
		name, request     string
		want              int
		allowed, headers  string
		reachesTheHandler bool
	}{
		{"preflight", "OPTIONS /v1/tools/x HTTP/1.1\nHost: localhost:PORT\nOrigin: https://app.example.org\n" + ask + "\n", 204, "https://app.example.org", "authorization,content-type", false},
		{"request", "GET /v1/tools HTTP/1.1\nHost: localhost:PORT\nOrigin: https://app.example.org\n\n", 200, "https://app.example.org", "", true},
		{"our own page", "GET /v1/tools HTTP/1.1\nHost: localhost:PORT\nOrigin: http://localhost:PORT\n\n", 200, "", "", true},
		{"no page", "OPTIONS /v1/tools/x HTTP/1.1\nHost: localhost:PORT\n" + ask + "\n", 200, "", "", true},
		{"stranger's preflight", "OPTIONS / HTTP/1.1\nHost: localhost:PORT\nOrigin: https://evil\n" + ask + "\n", 403, "", "", false},
		{"preflight to another host", "OPTIONS / HTTP/1.1\nHost: evil\nOrigin: https://app.example.org\n" + ask + "\n", 403, "", "", false},
	} {
		before := f.through.Load()
		answer, body := f.send(t, tt.request)
		h := answer.Header
		if answer.StatusCode != tt.want || h.Get("Access-Control-Allow-Origin") != tt.allowed || h.Get("Access-Control-Allow-Headers") != tt.headers {
			t.Errorf("%s: %d %s %v", tt.name, answer.StatusCode, body, h)
		}
		if h.Get("Access-Control-Allow-Credentials") != "" {
			t.Errorf("%s: cookies are let in", tt.name)
		}
		if (f.through.Load() > before) != tt.reachesTheHandler {
			t.Errorf("%s: reached the handler: %v", tt.name, !tt.reachesTheHandler)
		}
	}
}

func TestClientAddress(t *testing.T) {
	t.Parallel()
	show := func(w http.ResponseWriter, r *http.Request) { _, _ = fmt.Fprint(w, httpfront.Address(r)) }
	trusting := start(t, httpfront.Config{TrustedProxies: []netip.Prefix{
		netip.MustParsePrefix("127.0.0.1/32"), netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("fd00::/8"),
	}}, show)
	alone := start(t, httpfront.Config{}, show)
	elsewhere := start(t, httpfront.Config{TrustedProxies: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}}, show)
	for _, tt := range []struct {
		name    string
		front   *front
		headers string
		want    string // empty: refused
	}{
		{"no proxy", alone, "", "127.0.0.1"},
		{"a header from nobody we trust", alone, "X-Forwarded-For: 203.0.113.9\n", "127.0.0.1"},
		{"a header from another peer", elsewhere, "X-Forwarded-For: 203.0.113.9\n", "127.0.0.1"},
		{"nonsense from another peer", elsewhere, "X-Forwarded-For: x\n", "127.0.0.1"},
		{"no header", trusting, "", "127.0.0.1"},
		{"an empty header", trusting, "X-Forwarded-For:\n", "127.0.0.1"},
		{"one hop", trusting, "X-Forwarded-For: 203.0.113.9\n", "203.0.113.9"},
		{"what the client wrote is left of it", trusting, "X-Forwarded-For: 10.0.0.1, 198.51.100.1, 203.0.113.9\n", "203.0.113.9"},
		{"nonsense that the client wrote", trusting, "X-Forwarded-For: <x>, , 203.0.113.9\n", "203.0.113.9"},
		{"two proxies", trusting, "X-Forwarded-For: 203.0.113.9, 10.1.2.3\n", "203.0.113.9"},
		{"two headers", trusting, "X-Forwarded-For: 198.51.100.1\nX-Forwarded-For: 203.0.113.9\n", "203.0.113.9"},
		{"a client inside", trusting, "X-Forwarded-For: 10.9.9.9, 10.1.2.3\n", "10.9.9.9"},
		{"with a port", trusting, "X-Forwarded-For: 203.0.113.9:4711\n", "203.0.113.9"},
		{"IPv6", trusting, "X-Forwarded-For: 2001:db8::1, fd00::1\n", "2001:db8::1"},
		{"IPv6 with a port", trusting, "X-Forwarded-For: [2001:db8::1]:80\n", "2001:db8::1"},
		{"IPv6 in brackets", trusting, "X-Forwarded-For: [2001:db8::1]\n", "2001:db8::1"},
		{"IPv4 in IPv6", trusting, "X-Forwarded-For: 203.0.113.9, ::ffff:10.0.0.1\n", "203.0.113.9"},
		{"nonsense from the proxy", trusting, "X-Forwarded-For: unknown\n", ""},
		{"nonsense between proxies", trusting, "X-Forwarded-For: 203.0.113.9, x, 10.1.2.3\n", ""},
		{"an empty hop", trusting, "X-Forwarded-For: 203.0.113.9, \n", ""},
		{"other headers say nothing", trusting, "Forwarded: for=203.0.113.9\nX-Real-IP: 203.0.113.9\nTrue-Client-IP: 203.0.113.9\n", "127.0.0.1"},
	} {
		answer, body := tt.front.send(t, "GET / HTTP/1.1\nHost: localhost:PORT\n"+tt.headers+"\n")
		if tt.want == "" {
			if answer.StatusCode != 400 {
				t.Errorf("%s: %d %s, want 400", tt.name, answer.StatusCode, body)
			}
		} else if body != tt.want {
			t.Errorf("%s: %d %s, want %s", tt.name, answer.StatusCode, body, tt.want)
		}
	}
	if a := httpfront.Address(&http.Request{RemoteAddr: "pipe"}); a.IsValid() {
		t.Errorf("an in-memory peer has the address %s", a)
	}
}

func TestSize(t *testing.T) {
	t.Parallel()
	f := start(t, httpfront.Config{MaxBody: 10}, func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		_, _ = fmt.Fprintf(w, "%s %v", body, err)
	})
	for _, tt := range []struct {
		name, rest string
		status     int
		want       string
	}{
		{"fits", "Content-Length: 10\n\n0123456789", 200, "0123456789 <nil>"},
		{"too long", "Content-Length: 11\n\n0123456789a", 413, ""},
		{"too long by its word alone", "Content-Length: 999999999999\n\n", 413, ""},
		{"chunks that fit", "Transfer-Encoding: chunked\n\n5\nabcde\n0\n\n", 200, "abcde <nil>"},
		{"chunks too long", "Transfer-Encoding: chunked\n\nb\n0123456789a\n0\n\n", 200, "0123456789 http: request body too large"},
	} {
		answer, body := f.send(t, "POST / HTTP/1.1\nHost: localhost:PORT\n"+tt.rest)
		if answer.StatusCode != tt.status || tt.want != "" && body != tt.want {
			t.Errorf("%s: %d %s", tt.name, answer.StatusCode, body)
		}
	}
	if answer, _ := f.send(t, "POST / HTTP/1.1\nHost: evil\nContent-Length: 11\n\n0123456789a"); answer.StatusCode != 413 {
		t.Errorf("size comes before Host: %d", answer.StatusCode)
	}
	if answer, _ := f.send(t, "POST / HTTP/1.1\nHost: evil\nOrigin: null\nX-Forwarded-For: x\nContent-Length: 1\n\n0"); answer.StatusCode != 403 {
		t.Errorf("Host comes before the rest: %d", answer.StatusCode)
	}
}

func TestAnswersAreData(t *testing.T) {
	t.Parallel()
	f := start(t, httpfront.Config{}, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/page" {
			w.Header().Set("Content-Security-Policy", "default-src 'self'")
			w.Header().Set("Cache-Control", "max-age=60")
		}
	})
	for _, tt := range []struct{ request, policy, cache string }{
		{"GET /data HTTP/1.1\nHost: localhost:PORT\n\n", "default-src 'none'; frame-ancestors 'none'", "no-store"},
		{"GET /page HTTP/1.1\nHost: localhost:PORT\n\n", "default-src 'self'", "max-age=60"},
		{"GET /page HTTP/1.1\nHost: evil\n\n", "default-src 'none'; frame-ancestors 'none'", "no-store"},
	} {
		answer, _ := f.send(t, tt.request)
		for name, want := range map[string]string{
			"Content-Security-Policy": tt.policy, "Cache-Control": tt.cache, "X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer",
		} {
			if got := answer.Header.Values(name); len(got) != 1 || got[0] != want {
				t.Errorf("%q: %s is %q, want %q", tt.request, name, got, want)
			}
		}
	}
	answer, body := f.send(t, "GET / HTTP/1.1\nHost: evil\n\n")
	var problem map[string]any
	if err := json.Unmarshal([]byte(body), &problem); err != nil {
		t.Fatalf("%v in %s", err, body)
	}
	if answer.Header.Get("Content-Type") != "application/problem+json" || problem["type"] != "urn:gatehouse:not_allowed" ||
		problem["status"] != 403.0 || problem["code"] != "not_allowed" || problem["title"] != "Forbidden" || problem["reason"] == "" {
		t.Errorf("%v %s", answer.Header, body)
	}
	if bytes.Contains([]byte(body), []byte("evil")) {
		t.Errorf("the answer repeats the header: %s", body)
	}
}

func TestConfigIsChecked(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]httpfront.Config{
		"no listen":       {},
		"port 0":          {Listen: "127.0.0.1:0"},
		"a name":          {Listen: "localhost:80"},
		"a path":          {Listen: "127.0.0.1:1", PublicURL: "https://a.example/x"},
		"no scheme":       {Listen: "127.0.0.1:1", PublicURL: "a.example"},
		"another scheme":  {Listen: "127.0.0.1:1", PublicURL: "ws://a.example"},
		"a user":          {Listen: "127.0.0.1:1", PublicURL: "https://u@a.example"},
		"any origin":      {Listen: "127.0.0.1:1", AllowedOrigins: []string{"*"}},
		"a star":          {Listen: "127.0.0.1:1", AllowedOrigins: []string{"https://*.example"}},
		"null":            {Listen: "127.0.0.1:1", AllowedOrigins: []string{"null"}},
		"an empty origin": {Listen: "127.0.0.1:1", AllowedOrigins: []string{""}},
		"an empty host":   {Listen: "127.0.0.1:1", AllowedHosts: []string{""}},
		"a host's path":   {Listen: "127.0.0.1:1", AllowedHosts: []string{"a/b"}},
		"any host":        {Listen: "127.0.0.1:1", AllowedHosts: []string{"*"}},
		"a host's dot":    {Listen: "127.0.0.1:1", AllowedHosts: []string{"a."}},
		"a host's URL":    {Listen: "127.0.0.1:1", AllowedHosts: []string{"http://a"}},
	} {
		if _, err := httpfront.New(c); err == nil {
			t.Errorf("%s was taken", name)
		}
	}
	f := start(t, httpfront.Config{Listen: "127.0.0.1:80"}, fine)
	for _, host := range []string{"localhost", "localhost:80"} {
		if answer, _ := f.send(t, "GET / HTTP/1.1\nHost: "+host+"\nOrigin: http://localhost\n\n"); answer.StatusCode != 200 {
			t.Errorf("on port 80, Host %s: %d", host, answer.StatusCode)
		}
	}
}
