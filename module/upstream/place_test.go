package upstream_test

import (
	"context"
	"encoding/base64"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"

	"gatehouse/egress"
	"gatehouse/egress/egresstest"
	"gatehouse/module"
	"gatehouse/module/upstream"
	"gatehouse/outcome"
)

// at makes servers whose names a name server of the test knows.
func at(t *testing.T, answers map[string][]string, dialled func(address string)) func(context.Context, module.Kit, upstream.Config) (*upstream.Upstream, error) {
	names := egresstest.NameServer(t, answers)
	return func(ctx context.Context, kit module.Kit, c upstream.Config) (*upstream.Upstream, error) {
		kit.Egress = egress.New(egress.Config{Resolver: names, Observe: func(network, address string) {
			if strings.HasPrefix(network, "tcp") {
				dialled(address)
			}
		}})
		return upstream.NewQuick(ctx, kit, c)
	}
}

// TestT14_WhereServersMayBe: a name that leads inside is refused when it is dialled, whatever it led to before; only an
// address that the configuration writes in numbers, or private: true, leads there, and nothing to where clouds keep credentials.
func TestT14_WhereServersMayBe(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		host    string
		private bool
		answers []string
		reached bool
	}{
		{host: "127.0.0.1", reached: true},
		{host: "[::ffff:127.0.0.1]", reached: true},
		{host: "loop.test", answers: []string{"127.0.0.1"}},
		{host: "loop.test", answers: []string{"127.0.0.1"}, private: true, reached: true},
		{host: "zero.test", answers: []string{"0.0.0.0"}},
		{host: "zero.test", answers: []string{"0.0.0.0"}, private: true},
		{host: "six.test", answers: []string{"::"}, private: true},
		{host: "mapped.test", answers: []string{"::ffff:127.0.0.1"}},
		{host: "nat64.test", answers: []string{"64:ff9b::7f00:1"}},
		{host: "nat64.test", answers: []string{"64:ff9b::7f00:1"}, private: true},
		{host: "inside.test", answers: []string{"10.0.0.7"}},
		{host: "shared.test", answers: []string{"100.64.0.1"}},
		{host: "own.test", answers: []string{"fd00::1"}},
		{host: "link.test", answers: []string{"fe80::1"}, private: true},
		{host: "cloud.test", answers: []string{"169.254.169.254"}},
		{host: "cloud.test", answers: []string{"169.254.169.254"}, private: true},
		{host: "cloud6.test", answers: []string{"fd00:ec2::254"}, private: true},
		{host: "nowhere.test"},
	} {
		t.Run(fmt.Sprintf("%s %s private=%v", tt.host, tt.answers, tt.private), func(t *testing.T) {
			t.Parallel()
			far := (&web{}).start(t)
			u, err := url.Parse(far.URL)
			if err != nil {
				t.Fatal(err)
			}
			s := scene{
				url: "http://" + tt.host + ":" + u.Port(), lines: fmt.Sprintf("        private: %v\n", tt.private) + classified,
				make: at(t, map[string][]string{strings.Trim(tt.host, "[]"): tt.answers}, func(string) {}),
			}
			if tt.reached {
				enter(t, s).ready().Person("ann", "far.look").MustCall("far.look", `{}`)
				return
			}
			w := enter(t, s)
			w.until("it is down", func() bool { return w.status().State == "down" })
			why := w.status().Failure
			if len(tt.answers) > 0 && !strings.Contains(why, "reached from here") || strings.Contains(why, "internal") {
				t.Errorf("failure %q", why)
			}
			far.mu.Lock()
			defer far.mu.Unlock()
			if len(far.asked) != 0 {
				t.Errorf("the server was asked %q", far.asked)
			}
		})
	}
}

// TestT14_NamesThatFlip: a name is judged by where it leads at the moment of each dial, also when it was good before.
func TestT14_NamesThatFlip(t *testing.T) {
	t.Parallel()
	far := &web{}
	far.on = func(w http.ResponseWriter, _ *http.Request, m message) bool {
		w.Header().Set("Connection", "close") // each request dials anew
		return false
	}
	far.start(t)
	u, err := url.Parse(far.URL)
	if err != nil {
		t.Fatal(err)
	}
	// What comes before the first call takes five dials at least.
	answers := []string{"127.0.0.1", "127.0.0.1", "127.0.0.1", "127.0.0.1", "127.0.0.1", "169.254.169.254"}
	var mu sync.Mutex
	var dialled []string
	w := enter(t, scene{
		url: "http://flip.test:" + u.Port(), lines: "        private: true\n" + classified,
		make: at(t, map[string][]string{"flip.test": answers}, func(address string) {
			mu.Lock()
			defer mu.Unlock()
			dialled = append(dialled, address)
		}),
	}).ready()
	ann := w.Person("ann", "far.look")
	w.until("the name has flipped", func() bool { return ann.Call("far.look", `{}`).Code == outcome.Upstream })
	w.until("it is down", func() bool { return w.status().State == "down" })
	if why := w.status().Failure; !strings.Contains(why, "may not be reached") {
		t.Errorf("failure %q", why)
	}
}

// TestT17_CredentialsStayAtTheirHost: what headers_from gives goes with every request to the configured host, to no other,
// and not to callers, whatever the server repeats of it.
func TestT17_CredentialsStayAtTheirHost(t *testing.T) {
	const bearer, basic, key = "bearer-hunter2-x", "ann:correct horse", "k3y-of-the-wiki"
	inBasic := base64.StdEncoding.EncodeToString([]byte(basic))
	t.Setenv("FAR_BEARER", "Bearer "+bearer)
	t.Setenv("FAR_BASIC", "Basic "+inBasic)
	t.Setenv("FAR_KEY", key)
	thief := (&web{}).start(t)
	far := &web{get: func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, thief.URL, http.StatusFound) }}
	far.on = func(w http.ResponseWriter, r *http.Request, m message) bool {
		switch {
		case strings.Contains(string(m.Params), `"elsewhere"`):
			http.Redirect(w, r, thief.URL, http.StatusPermanentRedirect)
		case strings.Contains(string(m.Params), `"refuse"`):
			say(w, 400, `{"jsonrpc":"2.0","id":%s,"error":{"code":-1,"message":"bad credential %s"}}`, m.ID, r.Header.Get("Authorization"))
		case strings.Contains(string(m.Params), `"echo"`):
			say(w, 200, `{"jsonrpc":"2.0","id":%s,"result":{"content":[{"type":"text","text":"you sent %s and %s"}],"structuredContent":{"a":%q,"b":%q,"c":"correct horse"}}}`,
				m.ID, r.Header.Get("Authorization"), r.Header.Get("X-Key"), bearer, inBasic)
		default:
			return false
		}
		return true
	}
	far.start(t)
	for _, auth := range []string{"FAR_BEARER", "FAR_BASIC"} {
		w := enter(t, scene{url: far.URL, lines: "        headers_from: {authorization: {env: " + auth + "}, X-Key: {env: FAR_KEY}}\n        credentials: shared\n" + classified}).ready()
		ann := w.Person("ann", "far.look")
		seen := ""
		for _, args := range []string{`{"echo":1}`, `{"refuse":1}`, `{"elsewhere":1}`, `{}`} {
			o := ann.Call("far.look", args)
			seen += o.Reason + o.Result.String() + "\n"
			if args == `{"elsewhere":1}` && o.Code != outcome.Upstream {
				t.Errorf("a redirect: %s", o.Code)
			}
		}
		own := []string{key, bearer}
		if auth == "FAR_BASIC" {
			own = []string{key, inBasic, "correct horse"}
		}
		for _, secret := range own {
			if strings.Contains(seen, secret) {
				t.Errorf("%s: a caller saw %q in %s", auth, secret, seen)
			}
		}
		if !strings.Contains(seen, "you sent [secret] and [secret]") {
			t.Errorf("%s: callers saw %s", auth, seen)
		}
		w.Close()
	}
	far.mu.Lock()
	for i, h := range far.headers {
		if h.Get("X-Key") != key || h.Get("Authorization") == "" {
			t.Errorf("%s went without credentials: %v", far.asked[i], h)
		}
	}
	far.mu.Unlock()
	thief.mu.Lock()
	defer thief.mu.Unlock()
	if len(thief.asked) != 0 {
		t.Errorf("the other server was asked %q with %v", thief.asked, thief.headers)
	}
}

// TestServerThatComesAndGoes: a server that is down stops nothing, is asked again, and its tools work when it is there.
func TestServerThatComesAndGoes(t *testing.T) {
	t.Parallel()
	far := (&web{}).start(t)
	address := far.Listener.Addr().String()
	far.Close()
	w := enter(t, scene{url: "http://" + address, lines: classified})
	w.until("it is down", func() bool { return w.status().State == "down" && strings.Contains(w.status().Failure, "refused") })
	back := &web{t: t}
	back.Server = httptest.NewUnstartedServer(http.HandlerFunc(back.serve))
	if err := back.Listener.Close(); err != nil {
		t.Fatal(err)
	}
	var err error
	if back.Listener, err = listen(address); err != nil {
		t.Skip("another program took the port:", err)
	}
	back.Start()
	w.ready()
	ann := w.Person("ann", "far.look", "far.do")
	ann.MustCall("far.look", `{}`)
	back.CloseClientConnections()
	back.Close()
	w.until("a call is refused at once", func() bool { return ann.Call("far.do", `{}`).Code == outcome.Upstream })
	w.until("it is down again", func() bool { return w.status().State == "down" })
}

func listen(address string) (net.Listener, error) { return net.Listen("tcp", address) }
