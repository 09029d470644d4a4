package app_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	"google.golang.org/protobuf/proto"

	"gatehouse/app"
	"gatehouse/config"
	"gatehouse/gate"
	"gatehouse/module"
)

var waitReadKey, waitWriteKey = gate.NewKey("wait/read"), gate.NewKey("wait/write")

// waiting is a module whose calls end when they are let go, or when they are told to end.
type waiting struct {
	inside chan struct{}
	let    chan struct{}
}

func (*waiting) Name() string { return "wait" }

func (m *waiting) Tools() []gate.Tool {
	return []gate.Tool{
		gate.AccessControlled("read", waitReadKey, gate.Spec{Title: "Wait", Effect: gate.Reads}, m.wait),
		gate.AccessControlled("write", waitWriteKey, gate.Spec{Title: "Wait", Effect: gate.Writes}, m.wait),
	}
}

type waitArgs struct {
	Let bool `json:"let,omitzero"`
}

func (m *waiting) wait(ctx context.Context, _ gate.Permit, a waitArgs) (struct{}, error) {
	let := m.let
	if !a.Let {
		let = nil
	}
	m.inside <- struct{}{}
	select {
	case <-let:
		return struct{}{}, nil
	case <-ctx.Done():
		return struct{}{}, ctx.Err()
	}
}

func (m *waiting) start(context.Context, module.Kit, config.Section) ([]gate.Module, error) {
	return []gate.Module{m}, nil
}

// running is a server with somebody who may call everything of a module.
type running struct {
	t     *testing.T
	url   string
	token string
	http  *http.Client
	app   *app.App
	stop  func()
	ended chan error
}

// run starts a server until the test stops it, with a token for the tools.
func run(t *testing.T, c app.Config, client *http.Client, tools ...string) *running {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	a, err := app.New(ctx, c)
	if err != nil {
		t.Fatal(err)
	}
	l, err := a.Listen(ctx)
	if err != nil {
		t.Fatal(err)
	}
	r := &running{t: t, url: "http://" + l.Addr().String(), http: client, app: a, stop: cancel, ended: make(chan error, 1)}
	if !c.File.TLS.IsZero() {
		r.url = "https://" + l.Addr().String()
	}
	go func() { r.ended <- a.Run(ctx, l) }()
	o := operate(t, c)
	defer leave(t, o)
	must := func(tool string, args any, member string) string {
		t.Helper()
		got, err := o.Call(t.Context(), tool, args)
		if err != nil || got.Code.String() != "ok" {
			t.Fatalf("%s: %v, %v", tool, got, err)
		}
		v, _ := got.Result.Member(member)
		return strings.Trim(v.String(), `"`)
	}
	grants := map[string]string{}
	for _, tool := range tools {
		grants[tool] = "allow"
	}
	person := number(must("people.add", map[string]any{"email": "ann@example.org"}, "person"))
	version := number(must("permissions.get", map[string]any{"person": person}, "version"))
	must("permissions.set", map[string]any{"person": person, "version": version, "grants": grants}, "version")
	r.token = must("tokens.issue", map[string]any{"person": person, "agent": "test", "tools": tools, "ttl_seconds": 600}, "token")
	return r
}

func number(s string) (n int64) {
	_, _ = fmt.Sscan(s, &n)
	return n
}

func (r *running) close() {
	r.t.Helper()
	r.stop()
	if err := errors.Join(<-r.ended, r.app.Close()); err != nil {
		r.t.Errorf("the server: %v", err)
	}
	r.http.CloseIdleConnections()
}

// call gives the status and the body.
func (r *running) call(method, path, body string, header ...string) (int, string) {
	req, err := http.NewRequestWithContext(context.WithoutCancel(r.t.Context()), method, r.url+path, strings.NewReader(body))
	if err != nil {
		return 0, err.Error()
	}
	req.Header.Set("Authorization", "Bearer "+r.token)
	req.Header.Set("Content-Type", "application/json")
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	res, err := r.http.Do(req)
	if err != nil {
		return 0, err.Error()
	}
	defer func() { _ = res.Body.Close() }()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		return 0, err.Error()
	}
	return res.StatusCode, string(text)
}

func client(tls *tls.Config) *http.Client {
	return &http.Client{Transport: &http.Transport{TLSClientConfig: tls}, Timeout: 30 * time.Second}
}

// TestPromise_P6_AStopLosesNoRow: calls that end in time are answered; those that do not are told to end, are answered
// that, and have their rows; new ones are refused.
func TestPromise_P6_AStopLosesNoRow(t *testing.T) {
	t.Parallel()
	m := &waiting{inside: make(chan struct{}, 10), let: make(chan struct{})}
	c := house(t)
	c.File.Limits.Drain = 500 * time.Millisecond
	c.Modules = map[string]app.Starter{"wait": m.start}
	r := run(t, c, client(nil), "wait.read", "wait.write")
	defer r.close()
	type answer struct {
		status int
		body   string
	}
	var all sync.WaitGroup
	answers := make([]answer, 3)
	for i, call := range []struct{ tool, args string }{
		{"wait.read", `{"let":true}`}, {"wait.read", `{}`}, {"wait.write", `{}`},
	} {
		all.Go(func() {
			answers[i].status, answers[i].body = r.call("POST", "/v1/tools/"+call.tool, call.args)
		})
		<-m.inside
	}
	if status, body := r.call("GET", "/readyz", ""); status != 200 {
		t.Errorf("before the stop: %d %s", status, body)
	}
	r.stop()
	for end := time.Now().Add(5 * time.Second); r.app.Ready(t.Context()) == nil; <-time.After(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("readiness does not tell of the stop")
		}
	}
	for end := time.Now().Add(5 * time.Second); ; <-time.After(time.Millisecond) {
		status, body := r.call("POST", "/v1/tools/wait.read", `{}`)
		if status != 503 && status != 0 {
			t.Errorf("a call after the stop: %d %s", status, body)
		}
		if status == 0 { // the listener is closed
			break
		}
		if time.Now().After(end) {
			t.Fatal("the listener stays open")
		}
	}
	close(m.let)
	all.Wait()
	for i, want := range []struct {
		status int
		in     string
	}{{200, `"result":{}`}, {409, `"code":"cancelled"`}, {502, `"code":"unknown"`}} {
		if got := answers[i]; got.status != want.status || !strings.Contains(got.body, want.in) {
			t.Errorf("call %d: %d %s, want %d and %s", i, got.status, got.body, want.status, want.in)
		}
	}
	r.close()
	r.ended <- nil // for the second close
	o := operate(t, c)
	defer leave(t, o)
	got, err := o.Call(t.Context(), "audit.search", map[string]any{"person": 0})
	if err == nil && got.Code.String() != "ok" {
		got, err = o.Call(t.Context(), "audit.search", struct{}{})
	}
	if err != nil {
		t.Fatal(err)
	}
	rows := got.Result.String()
	for _, want := range []string{`"cancelled"`, `"unknown"`} {
		if strings.Count(rows, want) != 1 {
			t.Errorf("%d rows say %s: %s", strings.Count(rows, want), want, rows)
		}
	}
}

// write makes a certificate for 127.0.0.1 and writes it with its key.
func (f files) write(t *testing.T, serial int64, end time.Duration) *x509.CertPool {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: "gatehouse test"}, NotBefore: time.Now().Add(-2 * time.Hour),
		NotAfter: time.Now().Add(end), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for path, block := range map[string]*pem.Block{f.cert: {Type: "CERTIFICATE", Bytes: der}, f.key: {Type: "PRIVATE KEY", Bytes: secret}} {
		if err := os.WriteFile(path, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
		at := time.Now().Add(time.Duration(serial) * time.Minute) // a file system may not tell two writes of a moment apart
		if err := os.Chtimes(path, at, at); err != nil {
			t.Fatal(err)
		}
	}
	parsed, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(parsed)
	return pool
}

type files struct{ cert, key string }

func TestTLS(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	f := files{filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")}
	first := f.write(t, 1, time.Hour)
	c := house(t)
	c.File.TLS = config.TLS{CertFile: f.cert, KeyFile: f.key}
	r := run(t, c, client(&tls.Config{RootCAs: first}), "calls.list")
	defer r.close()
	if status, body := r.call("GET", "/v1/tools", "", "Origin", r.url); status != 200 {
		t.Errorf("over TLS: %d %s", status, body)
	}
	if status, body := r.call("GET", "/v1/tools", "", "Origin", strings.Replace(r.url, "https", "http", 1)); status != 403 {
		t.Errorf("from a page without TLS: %d %s", status, body)
	}
	old := client(&tls.Config{RootCAs: first, MaxVersion: tls.VersionTLS11, MinVersion: tls.VersionTLS10}) //nolint:gosec // to be refused
	if res, err := old.Get(r.url + "/healthz"); err == nil {
		t.Errorf("TLS 1.1 is spoken: %s", res.Status)
		_ = res.Body.Close()
	}
	if status, body := (&running{t: t, url: strings.Replace(r.url, "https", "http", 1), http: client(nil)}).call("GET", "/healthz", ""); status != 400 {
		t.Errorf("without TLS: %d %s", status, body)
	}
}

// TestTheCertificateIsRenewed: the next connection is served with the new one; one that cannot be read changes nothing.
func TestTheCertificateIsRenewed(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	f := files{filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")}
	f.write(t, 1, time.Hour)
	get := app.Certificate(t, config.TLS{CertFile: f.cert, KeyFile: f.key})
	serial := func() int64 { return get().Leaf.SerialNumber.Int64() }
	if got := serial(); got != 1 {
		t.Errorf("at first %d", got)
	}
	f.write(t, 2, time.Hour)
	if got := serial(); got != 2 {
		t.Errorf("renewed: %d", got)
	}
	f.write(t, 3, -time.Hour)
	if got := serial(); got != 2 {
		t.Errorf("after one that has ended: %d", got)
	}
	if err := os.WriteFile(f.cert, []byte("half"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := serial(); got != 2 {
		t.Errorf("after one that cannot be read: %d", got)
	}
	if err := os.Remove(f.key); err != nil {
		t.Fatal(err)
	}
	if got := serial(); got != 2 {
		t.Errorf("after the key went: %d", got)
	}
	f.write(t, 4, time.Hour)
	if got := serial(); got != 4 {
		t.Errorf("renewed again: %d", got)
	}
}

func TestCertificatesThatAreNotTaken(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, want string
		spoil      func(*testing.T, files) error
	}{
		{"no key", "reading the key of TLS", func(_ *testing.T, f files) error { return os.Remove(f.key) }},
		{"no certificate", "reading the certificate of TLS", func(_ *testing.T, f files) error { return os.Remove(f.cert) }},
		{"a key for everybody", "make it 0600", func(_ *testing.T, f files) error { return os.Chmod(f.key, 0o644) }},
		{"another key", "does not match", func(t *testing.T, f files) error {
			cert, err := os.ReadFile(f.cert)
			f.write(t, 2, time.Hour)
			return errors.Join(err, os.WriteFile(f.cert, cert, 0o600))
		}},
		{"one that has ended", "renew it", func(t *testing.T, f files) error { f.write(t, 2, -time.Minute); return nil }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			f := files{filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")}
			f.write(t, 1, time.Hour)
			if err := tt.spoil(t, f); err != nil {
				t.Fatal(err)
			}
			c := house(t)
			c.File.TLS = config.TLS{CertFile: f.cert, KeyFile: f.key}
			a, err := app.New(t.Context(), c)
			if err == nil {
				_ = a.Close()
			}
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("%v, want %q", err, tt.want)
			}
		})
	}
}

// TestMetrics: on an address of their own and for the operator; they name tools and outcomes and nobody.
func TestMetrics(t *testing.T) {
	t.Parallel()
	m := &waiting{inside: make(chan struct{}, 10), let: make(chan struct{})}
	close(m.let)
	c := house(t)
	c.Modules = map[string]app.Starter{"wait": m.start}
	spare, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	c.File.Metrics.Listen = spare.Addr().String()
	if err := spare.Close(); err != nil {
		t.Fatal(err)
	}
	r := run(t, c, client(nil), "wait.read")
	defer r.close()
	if status, body := r.call("POST", "/v1/tools/wait.read", `{"let":true}`); status != 200 {
		t.Fatalf("%d %s", status, body)
	}
	for range 3 {
		r.call("POST", "/v1/tools/made.up_by_a_stranger", `{}`)
	}
	figures := &running{t: t, url: "http://" + c.File.Metrics.Listen, http: r.http, token: "none"}
	status, text := figures.call("GET", "/metrics", "")
	if status != 200 {
		t.Fatalf("%d %s", status, text)
	}
	for _, want := range []string{
		`gatehouse_calls_total{entry="rest",outcome="ok",tool="wait.read"} 1`,
		`gatehouse_calls_total{entry="rest",outcome="not_allowed",tool=""} 3`,
		`gatehouse_call_seconds_count{entry="rest",tool="wait.read"} 1`, `gatehouse_ready 1`, `gatehouse_calls_running 0`,
		`gatehouse_build_info{`, `process_resident_memory_bytes`, `go_goroutines`,
	} {
		if !strings.Contains(text, want) {
			t.Errorf("there is no %s in:\n%s", want, text)
		}
	}
	for _, never := range []string{"stranger", "ann@example.org", r.token, "wait/read"} {
		if strings.Contains(text, never) {
			t.Errorf("%s stands in the metrics", never)
		}
	}
	if status, body := figures.call("GET", "/v1/tools", ""); status != 404 {
		t.Errorf("another path there: %d %s", status, body)
	}
	if status, body := r.call("GET", "/metrics", ""); status != 404 {
		t.Errorf("on the first address: %d %s", status, body)
	}
	elsewhere, err := http.NewRequestWithContext(t.Context(), http.MethodGet, figures.url+"/metrics", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	elsewhere.Host = "evil.example"
	if res, err := r.http.Do(elsewhere); err != nil || res.Body.Close() != nil || res.StatusCode != 403 {
		t.Errorf("by another name: %v, %v", res, err)
	}
	o := operate(t, c)
	defer leave(t, o)
	got, err := o.Call(t.Context(), "house.metrics", struct{}{})
	if err != nil || !strings.Contains(got.Result.String(), `tool=\"wait.read\"} 1`) {
		t.Errorf("for the operator: %v %v", got, err)
	}
	got, err = o.Call(t.Context(), "house.status", struct{}{})
	if err != nil || !strings.Contains(got.Result.String(), `"ready":true,"running":1`) || !strings.Contains(got.Result.String(), `"storage":"sqlite"`) {
		t.Errorf("the status: %v %v", got, err)
	}
}

// TestSpans: each call is a span in the client's trace, sent where the configuration says, and a collector that is away
// keeps nothing waiting.
func TestSpans(t *testing.T) {
	t.Parallel()
	got := make(chan *collector.ExportTraceServiceRequest, 10)
	to := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		sent := &collector.ExportTraceServiceRequest{}
		if err != nil || r.URL.Path != "/v1/traces" || proto.Unmarshal(body, sent) != nil {
			t.Errorf("%s %s, %d bytes, %v", r.Method, r.URL.Path, len(body), err)
		}
		got <- sent
		w.Header().Set("Content-Type", "application/x-protobuf")
	}))
	defer to.Close()
	m := &waiting{inside: make(chan struct{}, 10), let: make(chan struct{})}
	close(m.let)
	c := house(t)
	c.Modules = map[string]app.Starter{"wait": m.start}
	c.File.OTLP.Endpoint = to.URL
	r := run(t, c, client(nil), "wait.read")
	defer r.close()
	const trace = "4bf92f3577b34da6a3ce929d0e0e4736"
	if status, body := r.call("POST", "/v1/tools/wait.read", `{"let":true}`, "Traceparent", "00-"+trace+"-00f067aa0ba902b7-01"); status != 200 {
		t.Fatalf("%d %s", status, body)
	}
	r.close() // sends what is left
	r.ended <- nil
	close(got)
	var found int
	for sent := range got {
		for _, s := range sent.GetResourceSpans()[0].GetScopeSpans()[0].GetSpans() {
			if s.GetName() != "tools/call wait.read" {
				continue
			}
			found++
			text := s.String()
			for _, want := range []string{"gatehouse.outcome", `"ok"`, "gatehouse.row", `"rest"`} {
				if !strings.Contains(text, want) {
					t.Errorf("no %s in %s", want, text)
				}
			}
			if fmt.Sprintf("%x", s.GetTraceId()) != trace {
				t.Errorf("in the trace %x", s.GetTraceId())
			}
			if strings.Contains(text, r.token) || strings.Contains(text, "ann") {
				t.Errorf("it says who: %s", text)
			}
		}
	}
	if found != 1 {
		t.Errorf("%d spans of the call", found)
	}
}
