package egress_test

import (
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"gatehouse/egress"
	"gatehouse/egress/egresstest"
	"gatehouse/outcome"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// target is a server on loopback that counts the connections that reach it, on every loopback address.
type target struct {
	*httptest.Server
	port string
	hits atomic.Int32
}

func startTarget(t *testing.T, h http.HandlerFunc) *target {
	t.Helper()
	s := &target{}
	s.Server = httptest.NewUnstartedServer(h)
	s.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			s.hits.Add(1)
		}
	}
	s.Start()
	t.Cleanup(s.Close)
	_, s.port, _ = net.SplitHostPort(s.Listener.Addr().String())
	return s
}

// record keeps every attempt to connect.
type record struct {
	mu       sync.Mutex
	attempts []string
}

func (r *record) observe(network, address string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.attempts = append(r.attempts, network+" "+address)
}

func (r *record) all() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.attempts)
}

// notPublic are the addresses of T14 and one of each range that is not public.
var notPublic = []string{
	"0.0.0.0", "127.0.0.1", "127.0.0.2", "127.255.255.254", "10.0.0.1", "172.16.0.1", "192.168.0.1", "100.64.0.1", "169.254.169.254",
	"192.0.0.1", "192.0.2.1", "198.18.0.1", "198.51.100.1", "203.0.113.1", "224.0.0.1", "240.0.0.1", "255.255.255.255", "100.100.100.200",
	"::", "::1", "::127.0.0.1", "::ffff:127.0.0.1", "::ffff:7f00:1", "::ffff:169.254.169.254", "64:ff9b::7f00:1", "64:ff9b:1::1",
	"fd00:ec2::254", "fd20:ce::254", "fc00::1", "fe80::1", "fec0::1", "ff02::1", "2001:db8::1", "2002:7f00:1::", "3fff::1", "5f00::1", "100::1", "2001::1",
}

// TestNotPublicIsRefused: what a call's arguments name, and a configured name, lead to public addresses only. The
// refusal is made when the address is dialled, and nothing reaches the server that listens behind some of them.
func TestNotPublicIsRefused(t *testing.T) {
	t.Parallel()
	server := startTarget(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "SECRET") })
	answers := map[string][]string{}
	for i, a := range notPublic {
		if ip := netip.MustParseAddr(a); !ip.Is4In6() { // an AAAA record with such an address is read as one
			answers[fmt.Sprintf("n%d.test", i)] = []string{a}
		}
	}
	names := egresstest.NameServer(t, answers)
	var seen record
	e := egress.New(egress.Config{Resolver: names, Observe: seen.observe})
	try := func(what string, a egress.Allow, err error) {
		if err != nil {
			t.Errorf("%s: %v", what, err)
			return
		}
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		before := len(seen.all())
		conn, err := e.Dial(ctx, a)
		if err == nil {
			_ = conn.Close()
			t.Errorf("%s was dialled", what)
		}
		if !errors.Is(err, outcome.Blocked) {
			t.Errorf("%s: %v, want blocked", what, err)
		}
		if len(seen.all()) == before {
			t.Errorf("%s: the recorder saw no attempt", what)
		}
	}
	for i, address := range notPublic {
		at := net.JoinHostPort(address, server.port)
		a, err := egress.Requested("http://" + at)
		try("requested "+at, a, err)
		name := fmt.Sprintf("n%d.test", i)
		if answers[name] == nil {
			continue
		}
		a, err = egress.Requested("http://" + name + ":" + server.port)
		try("requested name of "+address, a, err)
		a, err = egress.Configured("http://"+name+":"+server.port, false)
		try("configured name of "+address, a, err)
	}
	if n := server.hits.Load(); n != 0 {
		t.Errorf("%d connections reached the server", n)
	}
}

// TestPrivateNames: private: true beside a name opens the operator's networks, and not where clouds keep credentials.
func TestPrivateNames(t *testing.T) {
	t.Parallel()
	server := startTarget(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "hello") })
	refused := []string{"169.254.169.254", "fd00:ec2::254", "fd20:ce::254", "100.100.100.200", "0.0.0.0", "::", "224.0.0.1", "64:ff9b::7f00:1", "fe80::1", "2002:7f00:1::"}
	answers := map[string][]string{"up.test": {"127.0.0.1"}}
	for i, a := range refused {
		answers[fmt.Sprintf("n%d.test", i)] = []string{a}
	}
	e := egress.New(egress.Config{Resolver: egresstest.NameServer(t, answers)})
	for i, address := range refused {
		a, err := egress.Configured(fmt.Sprintf("http://n%d.test:%s", i, server.port), true)
		if err != nil {
			t.Fatal(err)
		}
		if conn, err := e.Dial(t.Context(), a); !errors.Is(err, outcome.Blocked) {
			t.Errorf("private name of %s: %v, %v", address, conn, err)
		}
	}
	up := "http://up.test:" + server.port
	a, err := egress.Configured(up, true)
	if err != nil {
		t.Fatal(err)
	}
	if got := get(t, e.Client(a), up+"/x"); got != "200 hello" {
		t.Errorf("private name of 127.0.0.1: %s", got)
	}
	if server.hits.Load() != 1 {
		t.Errorf("%d connections", server.hits.Load())
	}
}

// get gives status and body, or the error.
func get(t *testing.T, c *http.Client, address string) string {
	t.Helper()
	defer c.CloseIdleConnections()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, address, nil)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := c.Do(r)
	if err != nil {
		return outcome.Of(err).String()
	}
	defer func() { _ = answer.Body.Close() }()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		return fmt.Sprintf("%d, %d bytes, %s", answer.StatusCode, len(body), outcome.Of(err))
	}
	if len(body) > 100 {
		return fmt.Sprintf("%d, %d bytes", answer.StatusCode, len(body))
	}
	return fmt.Sprintf("%d %s", answer.StatusCode, body)
}

// TestNameThatFlips: a look-up that somebody made before says nothing; the address that is dialled is the one checked.
func TestNameThatFlips(t *testing.T) {
	t.Parallel()
	server := startTarget(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "SECRET") })
	names := egresstest.NameServer(t, map[string][]string{"flip.test": {"93.184.216.34", "127.0.0.1"}})
	first, err := names.LookupNetIP(t.Context(), "ip4", "flip.test")
	if err != nil || len(first) != 1 || first[0].String() != "93.184.216.34" {
		t.Fatalf("first look-up: %v, %v", first, err)
	}
	address := "http://flip.test:" + server.port + "/"
	e := egress.New(egress.Config{Resolver: names})
	for _, made := range []func() (egress.Allow, error){
		func() (egress.Allow, error) { return egress.Requested(address) },
		func() (egress.Allow, error) { return egress.Configured(address, false) },
	} {
		a, err := made()
		if err != nil {
			t.Fatal(err)
		}
		if got := get(t, e.Client(a), address); got != "blocked" {
			t.Errorf("got %s", got)
		}
	}
	if n := server.hits.Load(); n != 0 {
		t.Errorf("%d connections reached the server", n)
	}
}

// TestLiteralAddress: what the operator wrote as an address may be private, and it opens that address and port alone.
func TestLiteralAddress(t *testing.T) {
	t.Parallel()
	server := startTarget(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/away" {
			http.Redirect(w, r, "http://169.254.169.254/latest/meta-data/", http.StatusFound)
			return
		}
		_, _ = io.WriteString(w, r.Host)
	})
	other := startTarget(t, func(http.ResponseWriter, *http.Request) {})
	var seen record
	e := egress.New(egress.Config{Observe: seen.observe})
	a, err := egress.Configured(server.URL+"/mcp", false)
	if err != nil {
		t.Fatal(err)
	}
	c := e.Client(a)
	for _, tt := range []struct{ url, want string }{
		{server.URL + "/x", "200 127.0.0.1:" + server.port},
		{"http://[::ffff:127.0.0.1]:" + server.port, "200 [::ffff:127.0.0.1]:" + server.port}, // the same address in another form
		{other.URL, "blocked"},
		{"https://127.0.0.1:" + server.port, "blocked"},
		{"http://127.0.0.2:" + server.port, "blocked"},
		{"http://localhost:" + server.port, "blocked"},
		{"http://u:p@127.0.0.1:" + server.port, "blocked"},
		{"ftp://127.0.0.1:" + server.port, "blocked"},
	} {
		got := get(t, c, tt.url)
		if got != tt.want {
			t.Errorf("%s: %s, want %s", tt.url, got, tt.want)
		}
	}
	if got := get(t, c, server.URL+"/away"); !strings.HasPrefix(got, "302 ") {
		t.Errorf("a redirect: %s, want it handed over", got)
	}
	r, _ := http.NewRequestWithContext(t.Context(), http.MethodPost, server.URL, strings.NewReader("x"))
	r.Host = "metadata.google.internal"
	if answer, err := c.Do(r); !errors.Is(err, outcome.Blocked) {
		t.Errorf("another Host header: %v, %v", answer, err)
	}
	for _, s := range seen.all() {
		if !strings.HasSuffix(s, " 127.0.0.1:"+server.port) {
			t.Errorf("attempt to reach %s", s)
		}
	}
	if other.hits.Load() != 0 || len(seen.all()) == 0 {
		t.Errorf("%d connections elsewhere, %d attempts recorded", other.hits.Load(), len(seen.all()))
	}
}

func TestNoProxyFromEnvironment(t *testing.T) { // not parallel: the environment
	proxy := startTarget(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "proxied") })
	server := startTarget(t, func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, "direct "+r.RequestURI) })
	for _, name := range []string{"HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"} {
		t.Setenv(name, proxy.URL)
	}
	e := egress.New(egress.Config{Resolver: egresstest.NameServer(t, map[string][]string{"up.test": {"127.0.0.1"}})})
	up := "http://up.test:" + server.port
	a, err := egress.Configured(up, true)
	if err != nil {
		t.Fatal(err)
	}
	if got := get(t, e.Client(a), up+"/x"); got != "200 direct /x" || proxy.hits.Load() != 0 {
		t.Errorf("%s, and %d connections to the proxy", got, proxy.hits.Load())
	}
}

// TestAnswersAreBounded: by what they inflate to, and a cut answer is an error.
func TestAnswersAreBounded(t *testing.T) {
	t.Parallel()
	const most = 1 << 20
	server := startTarget(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/bomb":
			if r.Header.Get("Accept-Encoding") != "gzip" {
				http.Error(w, "asked for "+r.Header.Get("Accept-Encoding"), http.StatusTeapot)
				return
			}
			w.Header().Set("Content-Encoding", "gzip")
			z := gzip.NewWriter(w)
			zero := make([]byte, 1<<20)
			for range 200 {
				if _, err := z.Write(zero); err != nil {
					return
				}
			}
			_ = z.Close()
		case "/length":
			w.Header().Set("Content-Length", "1048577")
			_, _ = w.Write(make([]byte, most+1))
		case "/chunks":
			for range 3 {
				_, _ = w.Write(make([]byte, most/2))
				w.(http.Flusher).Flush()
			}
		case "/exact":
			_, _ = w.Write(make([]byte, most/2))
			w.(http.Flusher).Flush()
			_, _ = w.Write(make([]byte, most/2))
		case "/unasked":
			w.Header().Set("Content-Encoding", "br")
			_, _ = io.WriteString(w, "x")
		case "/header":
			w.Header().Set("X", strings.Repeat("x", 128<<10))
		}
	})
	e := egress.New(egress.Config{MaxBody: most})
	a, err := egress.Configured(server.URL, false)
	if err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		"/bomb":    fmt.Sprintf("200, %d bytes, upstream", most),
		"/chunks":  fmt.Sprintf("200, %d bytes, upstream", most),
		"/exact":   fmt.Sprintf("200, %d bytes", most),
		"/length":  "upstream",
		"/unasked": "upstream",
		"/header":  "internal", // net/http's own error
	} {
		if got := get(t, e.Client(a), server.URL+path); got != want {
			t.Errorf("%s: %s, want %s", path, got, want)
		}
	}
	r, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL+"/bomb", nil)
	r.Header.Set("Accept-Encoding", "br, gzip") // as an agent's header might: it would switch the transport's inflating off
	c := e.Client(a)
	defer c.CloseIdleConnections()
	answer, err := c.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = answer.Body.Close() }()
	if n, err := io.Copy(io.Discard, answer.Body); n != most || !errors.Is(err, outcome.Upstream) {
		t.Errorf("with Accept-Encoding set: %d bytes, %v", n, err)
	}
	if r.Header.Get("Accept-Encoding") == "" {
		t.Error("the caller's request was changed")
	}
}

func TestSlowAnswerEnds(t *testing.T) {
	t.Parallel()
	quit := make(chan struct{})
	server := startTarget(t, func(w http.ResponseWriter, r *http.Request) {
		w.(http.Flusher).Flush()
		select {
		case <-quit:
		case <-r.Context().Done():
		}
	})
	defer close(quit)
	a, err := egress.Configured(server.URL, false)
	if err != nil {
		t.Fatal(err)
	}
	c := egress.New(egress.Config{Timeout: 50 * time.Millisecond}).Client(a)
	if got := get(t, c, server.URL); !strings.HasPrefix(got, "200, 0 bytes, ") {
		t.Errorf("got %s", got)
	}
}

// TestCheckStandsAlone: the check at the moment of dialling does not rely on what was asked of the resolver before.
func TestCheckStandsAlone(t *testing.T) {
	t.Parallel()
	e := egress.New(egress.Config{})
	allow := func(url string, private bool) egress.Allow {
		a, err := egress.Configured(url, private)
		if err != nil {
			t.Fatal(err)
		}
		return a
	}
	literal, name, private := allow("http://10.0.0.1:80", false), allow("http://a.test:80", false), allow("http://a.test:80", true)
	for _, tt := range []struct {
		to               egress.Allow
		network, address string
		ok               bool
	}{
		{literal, "tcp4", "10.0.0.1:80", true},
		{literal, "tcp6", "[::ffff:10.0.0.1]:80", true},
		{literal, "tcp4", "10.0.0.2:80", false},
		{literal, "tcp4", "93.184.216.34:80", false},
		{literal, "tcp4", "10.0.0.1:81", false},
		{literal, "unix", "/run/x", false},
		{name, "tcp4", "93.184.216.34:80", true},
		{name, "tcp4", "93.184.216.34:81", false},
		{name, "tcp6", "[2606:2800:220:1::1]:80", true},
		{name, "tcp6", "[::ffff:127.0.0.1]:80", false},
		{name, "tcp4", "10.0.0.1:80", false},
		{name, "tcp4", "a.test:80", false},
		{private, "tcp4", "10.0.0.1:80", true},
		{private, "tcp6", "[::ffff:10.0.0.1]:80", true},
		{private, "tcp6", "[::ffff:169.254.169.254]:80", false},
		{egress.Socket("/run/x"), "unix", "/run/x", true},
		{egress.Socket("/run/x"), "unix", "/run/y", false},
		{egress.Socket("/run/x"), "tcp4", "127.0.0.1:80", false},
		{egress.Allow{}, "tcp4", "93.184.216.34:0", false},
	} {
		if err := e.Check(tt.to, tt.network, tt.address); (err == nil) != tt.ok || err != nil && !errors.Is(err, outcome.Blocked) {
			t.Errorf("%s at %s %s: %v", tt.to, tt.network, tt.address, err)
		}
	}
	if conn, err := e.Dial(t.Context(), egress.Allow{}); !errors.Is(err, outcome.Blocked) || !strings.Contains(err.Error(), "nothing") {
		t.Errorf("the zero Allow: %v, %v", conn, err)
	}
}

// TestDialerForDrivers: a database driver asks for addresses by itself; only those that were allowed are opened.
func TestDialerForDrivers(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	dir, err := os.MkdirTemp("", "gate") // t.TempDir can be longer than a socket's name may be
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	path := filepath.Join(dir, "s")
	socket, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = socket.Close() }()
	a, err := egress.Configured("tcp://"+listener.Addr().String(), false)
	if err != nil {
		t.Fatal(err)
	}
	var seen record
	dial := egress.New(egress.Config{Observe: seen.observe}).Dialer(a, egress.Socket(path))
	for _, tt := range []struct {
		network, address string
		ok               bool
	}{
		{"tcp", listener.Addr().String(), true},
		{"unix", path, true},
		{"tcp", path, false},
		{"unix", listener.Addr().String(), false},
		{"tcp", "127.0.0.1:1", false},
		{"unix", path + "x", false},
		{"tcp", "", false},
	} {
		conn, err := dial(t.Context(), tt.network, tt.address)
		if (err == nil) != tt.ok || err != nil && !errors.Is(err, outcome.Blocked) {
			t.Errorf("%s %s: %v", tt.network, tt.address, err)
		}
		if conn != nil {
			_ = conn.Close()
		}
	}
	if got, want := seen.all(), []string{"tcp4 " + listener.Addr().String(), "unix " + path}; !slices.Equal(got, want) {
		t.Errorf("recorded %q, want %q", got, want)
	}
	if _, err := egress.New(egress.Config{}).Dialer()(t.Context(), "tcp", listener.Addr().String()); !errors.Is(err, outcome.Blocked) {
		t.Errorf("no Allow: %v", err)
	}
}

func FuzzAllow(f *testing.F) {
	for _, seed := range hosts {
		f.Add("http://" + seed.host)
	}
	f.Add("https://[::1]:443/x?y#z")
	f.Fuzz(func(t *testing.T, raw string) {
		a, err := egress.Configured(raw, false)
		if err != nil {
			if a != (egress.Allow{}) {
				t.Errorf("%q is refused, yet gives %s", raw, a)
			}
			return
		}
		again, err := egress.Configured(a.String(), false)
		if err != nil || again != a {
			t.Errorf("%q gives %s, and that gives %s, %v", raw, a, again, err)
		}
		// Another reader of the URL must see the same host.
		u, err := url.Parse(raw)
		if err != nil || !strings.EqualFold(u.Scheme, strings.Split(a.String(), ":")[0]) {
			t.Errorf("%q gives %s, net/url says %v, %v", raw, a, u, err)
		}
	})
}

// TestRedial reaches the machine that the open connection has, whatever its name leads to by now, and is checked again.
func TestRedial(t *testing.T) {
	t.Parallel()
	server := startTarget(t, func(http.ResponseWriter, *http.Request) {})
	other := startTarget(t, func(http.ResponseWriter, *http.Request) {})
	names := egresstest.NameServer(t, map[string][]string{"many.test": {"127.0.0.1", "127.0.0.2"}})
	e := egress.New(egress.Config{Resolver: names})
	allow := func(private bool) egress.Allow {
		a, err := egress.Configured("tcp://many.test:"+server.port, private)
		if err != nil {
			t.Fatal(err)
		}
		return a
	}
	first, err := e.Dial(t.Context(), allow(true))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = first.Close() }()
	second, err := e.Redial(t.Context(), allow(true), first)
	if err != nil || second.RemoteAddr().String() != first.RemoteAddr().String() {
		t.Fatalf("reached %v (%v), want %s", second, err, first.RemoteAddr())
	}
	_ = second.Close()
	elsewhere, err := net.Dial("tcp", other.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = elsewhere.Close() }()
	for what, redial := range map[string]func() (net.Conn, error){
		"a private address, without leave":          func() (net.Conn, error) { return e.Redial(t.Context(), allow(false), first) },
		"where a connection of another place leads": func() (net.Conn, error) { return e.Redial(t.Context(), allow(true), elsewhere) },
		"no place": func() (net.Conn, error) { return e.Redial(t.Context(), egress.Allow{}, first) },
	} {
		if conn, err := redial(); !errors.Is(err, outcome.Blocked) {
			t.Errorf("%s: %v, %v", what, conn, err)
		}
	}
}
