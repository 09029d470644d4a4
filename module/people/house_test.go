package people_test

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"log/slog"
	"net/netip"
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

// house is a gate on people and tokens, with a module work of which tests permit things.
type house struct {
	t        *testing.T
	gate     *gate.Gate
	people   *people.People
	work     *work
	operator gate.Caller
	close    func()
}

// open makes a house on a source; it closes with the test, or before, to be opened again.
func open(t *testing.T, source store.Source) *house {
	t.Helper()
	h := &house{t: t, work: &work{changed: make(chan struct{}, 1), definition: "1"}}
	quiet := slog.New(slog.DiscardHandler)
	kit := func(name string) module.Kit {
		return module.Kit{Name: name, Source: source, Migrate: true, Data: t.TempDir(), Log: quiet}.Ready()
	}
	ours, theirs := kit("people"), kit("tokens")
	var err error
	if h.people, err = people.New(t.Context(), ours, people.Config{}); err != nil {
		t.Fatal(err)
	}
	keys, err := tokens.New(t.Context(), theirs, tokens.Config{Permissions: h.people})
	if err != nil {
		t.Fatal(err)
	}
	key := secret.New("the operator's key")
	h.gate, err = gate.New(gate.Config{
		Modules:     append(h.people.Modules(), keys, h.work),
		Parts:       gate.Parts{Permissions: h.people, Tokens: keys, Log: &ledger{}, Vault: noVault{}, Results: noResults{}, Policy: gatetest.NoRules{}},
		OperatorKey: key, Log: quiet,
	})
	if err != nil {
		t.Fatal(err)
	}
	var once sync.Once
	h.close = func() {
		once.Do(func() {
			for _, end := range []func() error{h.gate.Close, theirs.Close, ours.Close} {
				if err := end(); err != nil {
					t.Error(err)
				}
			}
		})
	}
	t.Cleanup(h.close)
	nonce := make([]byte, 16)
	_, _ = rand.Read(nonce)
	h.operator, err = h.gate.Authenticate(t.Context(), gate.Credential{
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
func must[T any](h *house, c gate.Caller, tool, args string) (result T) {
	h.t.Helper()
	o := h.call(c, tool, args)
	if o.Code != outcome.OK {
		h.t.Fatalf("%s %s: %s (%s) %v, want ok", tool, args, o.Code, o.Reason, o.Faults)
	}
	if err := o.Result.Decode(&result); err != nil {
		h.t.Fatalf("%s: result %s: %v", tool, o.Result, err)
	}
	return result
}

func (h *house) add(email string, administrator bool) people.Changed {
	h.t.Helper()
	return must[people.Changed](h, h.operator, "people.add", text(map[string]any{"email": email, "administrator": administrator}))
}

func (h *house) set(id gate.PersonID, version int64, grants map[string]string) gate.Outcome {
	h.t.Helper()
	return h.call(h.operator, "permissions.set", text(map[string]any{"person": id, "version": version, "grants": grants}))
}

func (h *house) get(id gate.PersonID) people.Map {
	h.t.Helper()
	return must[people.Map](h, h.operator, "permissions.get", text(map[string]any{"person": id}))
}

// agent is a caller with a new token of the person.
func (h *house) agent(id gate.PersonID, tools ...string) gate.Caller {
	h.t.Helper()
	issued := must[tokens.Issued](h, h.operator, "tokens.issue", text(map[string]any{"person": id, "agent": "test", "tools": append([]string{}, tools...)}))
	c, err := h.gate.Authenticate(h.t.Context(), gate.Credential{Bearer: secret.New(issued.Token)}, gate.Origin{Entry: "rest", Address: netip.MustParseAddr("127.0.0.1")})
	if err != nil {
		h.t.Fatal(err)
	}
	return c
}

// sees lists the tools of the module work that a caller is shown.
func (h *house) sees(c gate.Caller) []gate.ToolName {
	h.t.Helper()
	offers, err := h.gate.Tools(h.t.Context(), c)
	if err != nil && outcome.Of(err) != outcome.NotAllowed {
		h.t.Fatal(err)
	}
	var names []gate.ToolName
	for _, o := range offers {
		if o.Module == "work" {
			names = append(names, o.Name)
		}
	}
	return names
}

func text(x any) string {
	b, err := json.Marshal(x)
	if err != nil {
		panic(err)
	}
	return string(b)
}

// work is a module with one tool of each kind, one of which gets another definition, or goes (""), when told to.
type work struct {
	mu         sync.Mutex // guards definition
	definition string
	changed    chan struct{}
}

type nothing struct{}

var readKey, sendKey, destroyKey = gate.NewKey("test work/read"), gate.NewKey("test work/send"), gate.NewKey("test work/destroy")

func (*work) Name() string { return "work" }

func (w *work) Changed() <-chan struct{} { return w.changed }

func (w *work) Tools() []gate.Tool {
	w.mu.Lock()
	defer w.mu.Unlock()
	run := func(context.Context, gate.Permit, nothing) (nothing, error) { return nothing{}, nil }
	send := func(context.Context, gate.Permit, struct {
		To string `json:"to" carries:"destination"`
	},
	) (nothing, error) {
		return nothing{}, nil
	}
	tools := []gate.Tool{
		gate.AccessControlled("read", readKey, gate.Spec{Title: "Read", Effect: gate.Reads}, run),
		gate.AccessControlled("send", sendKey, gate.Spec{Effect: gate.Writes}, send),
		gate.AccessControlled("destroy", destroyKey, gate.Spec{}, run),
	}
	if w.definition == "" {
		return tools
	}
	return append(tools, gate.AccessControlled("foreign", gate.KeyFor("work", "foreign", w.definition), gate.Spec{Effect: gate.Reads}, run))
}

// ledger is a log in memory.
type ledger struct {
	mu sync.Mutex // guards n
	n  int64
}

func (*ledger) Left(context.Context, []gate.Link) error                               { return nil }
func (*ledger) Affords(context.Context, gate.PersonID, gate.Money, []gate.Link) error { return nil }

func (*ledger) Admit(context.Context, *gate.Row, []gate.Link) (gate.Ticket, error) {
	return gate.Ticket{Admitted: true}, nil
}

func (l *ledger) Record(context.Context, gate.Ticket, *gate.Row) (gate.RowID, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.n++
	return gate.RowID{ID: l.n}, nil
}

// noVault and noResults stand for parts that no call here reaches.
type noVault struct{ gate.Vault }

type noResults struct{ gate.Results }

func (noResults) Claim(context.Context, gate.ResultKey, canon.Digest) (*gate.Outcome, error) {
	return nil, outcome.Unavailable
}
