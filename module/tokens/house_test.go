package tokens_test

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"

	"go.uber.org/goleak"

	"gatehouse/canon"
	"gatehouse/gate"
	"gatehouse/gatetest"
	"gatehouse/module"
	"gatehouse/module/people"
	"gatehouse/module/tokens"
	"gatehouse/outcome"
	"gatehouse/secret"
	"gatehouse/store"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// house is a gate on people and tokens, with a module work whose tools a to e tests permit.
type house struct {
	t        testing.TB
	gate     *gate.Gate
	people   *people.People
	tokens   *tokens.Module
	ledger   *ledger
	operator gate.Caller
	close    func()
}

// open makes a house on a source; it closes with the test, or before, to be opened again.
func open(t testing.TB, source store.Source, change ...func(*tokens.Config)) *house {
	t.Helper()
	h := &house{t: t, ledger: &ledger{}}
	quiet := slog.New(slog.DiscardHandler)
	kit := func(name string) module.Kit {
		return module.Kit{Name: name, Source: source, Migrate: true, Data: t.TempDir(), Log: quiet}.Ready()
	}
	ours, theirs := kit("tokens"), kit("people")
	ctx := context.Background()
	var err error
	if h.people, err = people.New(ctx, theirs, people.Config{}); err != nil {
		t.Fatal(err)
	}
	c := tokens.Config{Permissions: h.people, Counts: h.ledger.counted}
	for _, do := range change {
		do(&c)
	}
	if h.tokens, err = tokens.New(ctx, ours, c); err != nil {
		t.Fatal(err)
	}
	key := secret.New("the operator's key")
	h.gate, err = gate.New(gate.Config{
		Modules:     append(h.people.Modules(), h.tokens, work{}),
		Parts:       gate.Parts{Permissions: h.people, Tokens: h.tokens, Log: h.ledger, Vault: noVault{}, Results: noResults{}, Policy: gatetest.NoRules{}},
		OperatorKey: key, Log: quiet, Limits: gate.Limits{CallsPerMinute: 1_000_000},
	})
	if err != nil {
		t.Fatal(err)
	}
	var once sync.Once
	h.close = func() {
		once.Do(func() {
			for _, end := range []func() error{h.gate.Close, ours.Close, theirs.Close} {
				if err := end(); err != nil {
					t.Error(err)
				}
			}
		})
	}
	t.Cleanup(h.close)
	nonce := make([]byte, 16)
	_, _ = rand.Read(nonce)
	h.operator, err = h.gate.Authenticate(ctx, gate.Credential{
		Operator: &gate.OperatorProof{Nonce: nonce, MAC: gate.OperatorMAC(key, nonce)},
	}, gate.Origin{Entry: "socket"})
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func (h *house) call(c gate.Caller, tool, args string) gate.Outcome {
	h.t.Helper()
	return h.gate.Call(context.Background(), c, gate.Request{Tool: gate.ToolName(tool), Arguments: []byte(args)})
}

// must makes a call that has to end well and gives its result.
func must[T any](h *house, c gate.Caller, tool string, args any) (result T) {
	h.t.Helper()
	o := h.call(c, tool, text(args))
	if o.Code != outcome.OK {
		h.t.Fatalf("%s %s: %s (%s) %v, want ok", tool, text(args), o.Code, o.Reason, o.Faults)
	}
	if err := o.Result.Decode(&result); err != nil {
		h.t.Fatalf("%s: result %s: %v", tool, o.Result, err)
	}
	return result
}

type args map[string]any

// person adds somebody who is permitted tools.
func (h *house) person(name string, tools ...string) gate.PersonID {
	h.t.Helper()
	added := must[people.Changed](h, h.operator, "people.add", args{"email": name + "@example.org"})
	h.permit(added.Person, tools...)
	return added.Person
}

// administrator adds one.
func (h *house) administrator(name string) gate.PersonID {
	h.t.Helper()
	return must[people.Changed](h, h.operator, "people.add", args{"email": name + "@example.org", "administrator": true}).Person
}

// permit makes these the tools of module work and tokens that a person may use, and no others.
func (h *house) permit(id gate.PersonID, tools ...string) {
	h.t.Helper()
	grants := map[string]string{}
	for _, e := range h.gate.Directory().All() {
		if name := string(e.Name); strings.HasPrefix(name, "work.") || strings.HasPrefix(name, "tokens.") {
			grants[name] = "none"
		}
	}
	for _, name := range tools {
		grants[name] = "allow"
	}
	r, err := h.people.Rights(context.Background(), id)
	if err != nil {
		h.t.Fatal(err)
	}
	must[people.Changed](h, h.operator, "permissions.set", args{"person": id, "version": r.Version, "grants": grants})
}

// agent is a token in use.
type agent struct {
	gate.Caller
	tokens.Issued
	secret string
}

// issue makes a token as somebody else and shows it once.
func (h *house) issue(by gate.Caller, a args) agent {
	h.t.Helper()
	if a["agent"] == nil {
		a["agent"] = "test"
	}
	issued := must[tokens.Issued](h, by, "tokens.issue", a)
	c, err := h.show(issued.Token, home)
	if err != nil {
		h.t.Fatalf("showing a new token: %v", err)
	}
	return agent{c, issued, issued.Token}
}

// issue makes a child.
func (a agent) issue(h *house, wish args) agent {
	h.t.Helper()
	return h.issue(a.Caller, wish)
}

// root makes a root token.
func (h *house) root(id gate.PersonID, tools ...string) agent {
	h.t.Helper()
	return h.issue(h.operator, args{"person": id, "tools": append([]string{}, tools...)})
}

const home = "127.0.0.1"

func (h *house) show(token, from string) (gate.Caller, error) {
	address, _ := netip.ParseAddr(from)
	return h.gate.Authenticate(context.Background(), gate.Credential{Bearer: secret.New(token)}, gate.Origin{Entry: "rest", Address: address})
}

// sees lists the tools of the modules work and tokens that a caller may call now.
func (h *house) sees(c gate.Caller) string {
	h.t.Helper()
	offers, err := h.gate.Tools(context.Background(), c)
	if err != nil && outcome.Of(err) != outcome.NotAllowed {
		h.t.Fatal(err)
	}
	var names []string
	for _, o := range offers {
		if o.Module == "work" || o.Module == "tokens" {
			names = append(names, string(o.Name))
		}
	}
	return strings.Join(names, " ")
}

func text(x any) string {
	b, err := json.Marshal(x)
	if err != nil {
		panic(err)
	}
	return string(b)
}

func paths(o gate.Outcome) string {
	var all []string
	for _, f := range o.Faults {
		all = append(all, f.Path)
	}
	return strings.Join(all, " ")
}

// work is a module with five tools that do nothing.
type work struct{}

type nothing struct{}

var workTools = []string{"work.a", "work.b", "work.c", "work.d", "work.e"}

func (work) Name() string { return "work" }

func (work) Tools() (all []gate.Tool) {
	for _, name := range workTools {
		_, short, _ := strings.Cut(name, ".")
		all = append(all, gate.AccessControlled(short, gate.NewKey("test "+name), gate.Spec{Effect: gate.Reads},
			func(context.Context, gate.Permit, nothing) (nothing, error) { return nothing{}, nil }))
	}
	return all
}

// ledger is a log in memory: it keeps the rows and counts as the real one does.
type ledger struct {
	mu     sync.Mutex // guards all below
	rows   []gate.Row
	counts map[gate.TokenID]tokens.Count
}

func (*ledger) Left(context.Context, []gate.Link) error                               { return nil }
func (*ledger) Affords(context.Context, gate.PersonID, gate.Money, []gate.Link) error { return nil }

func (l *ledger) Admit(_ context.Context, _ *gate.Row, chain []gate.Link) (gate.Ticket, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.counts == nil {
		l.counts = map[gate.TokenID]tokens.Count{}
	}
	for _, link := range chain {
		if link.MaxUses > 0 && l.counts[link.Token].Uses >= link.MaxUses {
			return gate.Ticket{}, outcome.Limited.Because("no use is left")
		}
	}
	for _, link := range chain {
		c := l.counts[link.Token]
		c.Uses++
		l.counts[link.Token] = c
	}
	return gate.Ticket{Admitted: true}, nil
}

func (l *ledger) Record(_ context.Context, _ gate.Ticket, r *gate.Row) (gate.RowID, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.rows = append(l.rows, *r)
	if r.Token != 0 && l.counts != nil {
		c := l.counts[r.Token]
		c.Calls, c.LastUsed, c.LastAddress = c.Calls+1, r.Began, r.Address
		l.counts[r.Token] = c
	}
	return gate.RowID{ID: int64(len(l.rows))}, nil
}

func (l *ledger) counted(_ context.Context, ids ...gate.TokenID) (map[gate.TokenID]tokens.Count, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	found := map[gate.TokenID]tokens.Count{}
	for _, id := range ids {
		found[id] = l.counts[id]
	}
	return found, nil
}

// all is what the log holds of values, as text.
func (l *ledger) all() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	var b strings.Builder
	for _, r := range l.rows {
		b.WriteString(r.Payload.Arguments.String() + r.Payload.Result.String() + r.Payload.Reason + "\n")
	}
	return b.String()
}

// noVault and noResults stand for parts that no call here reaches.
type noVault struct{ gate.Vault }

type noResults struct{ gate.Results }

func (noResults) Claim(context.Context, gate.ResultKey, canon.Digest) (*gate.Outcome, error) {
	return nil, outcome.Unavailable
}

func sorted(names ...string) string {
	slices.Sort(names)
	return strings.Join(names, " ")
}
