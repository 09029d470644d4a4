package rest_test

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-json-experiment/json"

	"gatehouse/canon"
	"gatehouse/entry/rest"
	"gatehouse/gate"
	"gatehouse/gatetest"
	"gatehouse/guard"
	"gatehouse/httpfront"
	"gatehouse/outcome"
	"gatehouse/secret"
)

// host is what clients in these tests call the server.
const host = "127.0.0.1:8080"

// keyCanary begins every permission key here: it must stand in no answer (P3).
const keyCanary = "canary-key"

// world is a real gate with parts in memory, behind the real front. It is safe for parallel requests.
type world struct {
	t       *testing.T
	gate    *gate.Gate
	handler http.Handler
	log     *strings.Builder

	mu     sync.Mutex
	rights map[gate.PersonID]*gate.Rights
	tokens map[string]*gate.Bearer
	rows   []gate.Row
	ran    []ran
	broken error // what permissions answer, if set
	good   int   // how often they answer before that
}

// ran is what a handler saw.
type ran struct {
	tool gate.ToolName
	args string
}

func newWorld(t *testing.T, config rest.Config) *world {
	t.Helper()
	w := &world{t: t, rights: map[gate.PersonID]*gate.Rights{}, tokens: map[string]*gate.Bearer{}, log: &strings.Builder{}}
	logger := slog.New(slog.NewTextHandler(w.log, nil))
	g, err := gate.New(gate.Config{
		Modules: w.modules(),
		Parts:   gate.Parts{Permissions: permissions{w}, Tokens: tokens{w}, Log: rows{w}, Vault: noVault{}, Results: &results{kept: map[gate.ResultKey]kept{}}, Policy: gatetest.NoRules{}},
		Guards:  []guard.Guard{addresses{}},
		Log:     logger,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = g.Close() })
	w.gate = g
	config.Log = logger
	front, err := httpfront.New(httpfront.Config{Listen: host, MaxBody: 64 << 10})
	if err != nil {
		t.Fatal(err)
	}
	w.handler = front.Wrap(rest.New(g, config))
	return w
}

// person adds somebody with grants, and a token for them with all granted tools in its scope.
func (w *world) person(id gate.PersonID, grants map[string]gate.Decision) (token string) {
	r := &gate.Rights{Person: id, Active: true, Version: 1, Grants: map[gate.KeyNumber]gate.Grant{}}
	scope := map[gate.ToolName]struct{}{}
	for name, d := range grants {
		e, ok := w.gate.Directory().Find(name)
		if !ok {
			w.t.Fatalf("there is no tool %s", name)
		}
		r.Grants[e.Key] = gate.Grant{Decision: d, Version: 1}
		scope[e.Name] = struct{}{}
	}
	token = fmt.Sprintf("st_%d", id)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.rights[id] = r
	w.tokens[token] = &gate.Bearer{
		Token: gate.TokenID(id * 1000), Person: id, Agent: "test", Ends: time.Now().Add(time.Hour),
		Chain: []gate.Link{{Token: gate.TokenID(id * 1000), Version: 1, Scope: scope}},
	}
	return token
}

// everything grants all tools.
func (w *world) everything() map[string]gate.Decision {
	all := map[string]gate.Decision{}
	for _, e := range w.gate.Directory().All() {
		all[string(e.Name)] = gate.Allow
	}
	return all
}

func (w *world) revoke(token string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.tokens, token)
}

// fail lets the permissions fail after they answered so many times.
func (w *world) fail(good int, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.good, w.broken = good, err
}

// seen gives what handlers saw and which rows there are, and forgets both.
func (w *world) seen() ([]ran, []gate.Row) {
	w.mu.Lock()
	defer w.mu.Unlock()
	ran, rows := w.ran, w.rows
	w.ran, w.rows = nil, nil
	return ran, rows
}

// reply is an answer as a client reads it.
type reply struct {
	status int
	header http.Header
	body   string
}

// send makes a request. Headers are name, value, name, value…
func (w *world) send(method, path, token, body string, headers ...string) reply {
	w.t.Helper()
	r := httptest.NewRequest(method, "/", strings.NewReader(body)).WithContext(w.t.Context())
	u, err := url.ParseRequestURI(path)
	if err != nil {
		w.t.Fatal(err)
	}
	r.URL, r.RequestURI, r.Host, r.RemoteAddr = u, path, host, "127.0.0.1:40000"
	if body == "" {
		r.Body = http.NoBody
	} else {
		r.Header.Set("Content-Type", "application/json")
	}
	if token != "" {
		r.Header["Authorization"] = []string{"Bearer " + token}
	}
	for i := 0; i < len(headers); i += 2 {
		if headers[i+1] == "" {
			r.Header.Del(headers[i])
			continue
		}
		r.Header.Set(headers[i], headers[i+1])
		if headers[i] == "Host" {
			r.Host = headers[i+1]
		}
	}
	rec := httptest.NewRecorder()
	w.handler.ServeHTTP(rec, r)
	if strings.Contains(fmt.Sprint(rec.Header())+rec.Body.String(), keyCanary) {
		w.t.Errorf("%s %s shows a permission key: %s", method, path, rec.Body)
	}
	return reply{rec.Code, rec.Header(), rec.Body.String()}
}

// problem reads a problem document and checks what all of them promise.
type problem struct {
	Type   string          `json:"type"`
	Title  string          `json:"title"`
	Status int             `json:"status"`
	Code   string          `json:"code"`
	Reason string          `json:"reason"`
	ID     string          `json:"id,omitzero"`
	Faults []outcome.Fault `json:"faults,omitzero"`
	Result canon.Value     `json:"result,omitzero"`
	Cut    canon.Value     `json:"redactions,omitzero"`
}

func (r reply) problem(t *testing.T) problem {
	t.Helper()
	if got := r.header.Get("Content-Type"); got != "application/problem+json" {
		t.Errorf("Content-Type %q of a problem: %d %s", got, r.status, r.body)
	}
	var p problem
	if err := json.Unmarshal([]byte(r.body), &p, json.RejectUnknownMembers(true)); err != nil {
		t.Fatalf("%d %q is no problem document: %v", r.status, r.body, err)
	}
	if p.Type != "urn:gatehouse:"+p.Code || p.Status != r.status || p.Title == "" {
		t.Errorf("type %q, title %q, status %d of an answer %d with code %q", p.Type, p.Title, p.Status, r.status, p.Code)
	}
	return p
}

// The parts, in memory.

type permissions struct{ *world }

func (w permissions) Rights(_ context.Context, p gate.PersonID) (*gate.Rights, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.broken != nil && w.good == 0 {
		return nil, w.broken
	}
	if w.broken != nil {
		w.good--
	}
	if r := w.rights[p]; r != nil {
		return r, nil
	}
	return nil, outcome.NotFound
}

type tokens struct{ *world }

func (w tokens) Find(_ context.Context, text secret.Text, _ netip.Addr) (*gate.Bearer, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if b := w.tokens[text.Reveal()]; b != nil && b.Ends.After(time.Now()) {
		return b, nil
	}
	return nil, outcome.Unauthenticated
}

func (w tokens) Current(_ context.Context, id gate.TokenID, _ netip.Addr) (*gate.Bearer, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, b := range w.tokens {
		if b.Token == id && b.Ends.After(time.Now()) {
			return b, nil
		}
	}
	return nil, outcome.Unauthenticated
}

type rows struct{ *world }

func (rows) Left(context.Context, []gate.Link) error                               { return nil }
func (rows) Affords(context.Context, gate.PersonID, gate.Money, []gate.Link) error { return nil }

func (rows) Admit(context.Context, *gate.Row, []gate.Link) (gate.Ticket, error) {
	return gate.Ticket{Admitted: true, Intent: 1}, nil
}

func (w rows) Record(_ context.Context, _ gate.Ticket, r *gate.Row) (gate.RowID, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.world.rows = append(w.world.rows, *r)
	return gate.RowID{ID: time.Now().UnixMilli(), Seq: int32(len(w.world.rows))}, nil
}

type noVault struct{}

func (noVault) Seal(context.Context, gate.PersonID, string, []byte) ([]byte, error) {
	return nil, outcome.NotFound
}

func (noVault) Open(context.Context, gate.PersonID, string, []byte) ([]byte, error) {
	return nil, outcome.NotFound
}

func (noVault) Credential(context.Context, gate.PersonID, string, string) (secret.Text, error) {
	return secret.Text{}, outcome.NotFound
}

// results keeps outcomes under their idempotency keys.
type results struct {
	mu   sync.Mutex
	kept map[gate.ResultKey]kept
}

type kept struct {
	digest  canon.Digest
	outcome gate.Outcome
}

func (r *results) Claim(_ context.Context, k gate.ResultKey, d canon.Digest) (*gate.Outcome, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	old, ok := r.kept[k]
	if !ok {
		r.kept[k] = kept{digest: d}
		return nil, nil
	}
	if old.digest != d {
		return nil, outcome.Conflict.Because("the key was used for other arguments")
	}
	return &old.outcome, nil
}

func (r *results) Keep(_ context.Context, k gate.ResultKey, o gate.Outcome) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.kept[k] = kept{r.kept[k].digest, o}
	return nil
}

func (r *results) Drop(_ context.Context, k gate.ResultKey) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.kept, k)
	return nil
}

// addresses is a guard that cuts ann@example.org out of results.
type addresses struct{}

func (addresses) Name() string                           { return "addresses" }
func (addresses) Looks(s guard.Stage, k guard.Kind) bool { return s == guard.After && k == guard.Text }

func (addresses) Inspect(_ context.Context, s guard.Subject) ([]guard.Finding, error) {
	i := strings.Index(s.Text, "ann@example.org")
	if i < 0 {
		return nil, nil
	}
	return []guard.Finding{{
		Guard: "addresses", Rule: "ann", Kind: "email", Pointer: s.Pointer,
		Start: i, End: i + len("ann@example.org"), Action: guard.Cut,
	}}, nil
}
