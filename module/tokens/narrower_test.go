package tokens_test

import (
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"gatehouse/gate"
	"gatehouse/module/people"
	"gatehouse/module/tokens"
	"gatehouse/outcome"
	"gatehouse/store/storetest"
)

// TestPromise_P4_OnlyNarrower compares the gate with a model that is too simple to be wrong: whatever tokens are made,
// revoked or run out, and whatever their owner is permitted meanwhile, a token may do what its scope, the scope of every
// ancestor, and its owner may do now: no more, and no less.
func TestPromise_P4_OnlyNarrower(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := open(t, storetest.SQLite(t))
		defer h.close()
		round := 0
		outside := struct{ testing.TB }{t} // a *testing.T would be asked for its deadline, which a bubble has not
		rapid.Check(outside, func(t *rapid.T) {
			round++
			m := &model{h: h, t: t, owner: h.person(fmt.Sprintf("p%d", round)), active: true, grants: map[string]bool{}}
			m.permit(allTools)
			t.Repeat(map[string]func(*rapid.T){
				"":        m.check,
				"root":    m.root,
				"child":   m.child,
				"revoke":  m.revoke,
				"permit":  func(t *rapid.T) { m.t = t; m.permit(someTools(t)) },
				"disable": m.disable,
				"wait":    func(t *rapid.T) { time.Sleep(time.Duration(rapid.IntRange(1, 40).Draw(t, "seconds")) * time.Second) },
			})
		})
	})
}

var allTools = append([]string{"tokens.issue", "tokens.revoke"}, workTools...)

func someTools(t *rapid.T) []string {
	return rapid.SliceOfDistinct(rapid.SampledFrom(allTools), rapid.ID).Draw(t, "tools")
}

// model is one person with tokens, as the promise says it must be.
type model struct {
	h      *house
	t      *rapid.T
	owner  gate.PersonID
	active bool
	grants map[string]bool
	tokens []*modelled
}

type modelled struct {
	agent
	parent  *modelled
	scope   []string
	ends    time.Time
	uses    int64
	rate    int
	revoked bool
}

// live: it and all its ancestors are, and its owner is.
func (m *model) live(t *modelled) bool {
	for link := t; link != nil; link = link.parent {
		if link.revoked || !time.Now().Before(link.ends) {
			return false
		}
	}
	return m.active
}

// may is the promise in five lines.
func (m *model) may(t *modelled, tool string) bool {
	for link := t; link != nil; link = link.parent {
		if !slices.Contains(link.scope, tool) {
			return false
		}
	}
	return m.live(t) && m.grants[tool]
}

// check asks the gate about every token and every tool.
func (m *model) check(t *rapid.T) {
	m.t = t
	for i, token := range m.tokens {
		var want []string
		for _, tool := range allTools {
			if m.may(token, tool) {
				want = append(want, tool)
			}
		}
		if got := m.h.sees(token.Caller); got != sorted(want...) {
			t.Fatalf("token %d of %d may %q, want %q", i, len(m.tokens), got, sorted(want...))
		}
		if _, err := m.h.show(token.secret, home); (err == nil) != m.live(token) {
			t.Fatalf("showing token %d: %v, but it is live: %v", i, err, m.live(token))
		}
	}
	if len(m.tokens) == 0 {
		return
	}
	token, tool := rapid.SampledFrom(m.tokens).Draw(t, "caller"), rapid.SampledFrom(workTools).Draw(t, "tool")
	if o := m.h.call(token.Caller, tool, `{}`); (o.Code == outcome.OK) != m.may(token, tool) {
		t.Fatalf("a call of %s: %s, but it may: %v", tool, o.Code, m.may(token, tool))
	}
}

func (m *model) permit(tools []string) {
	m.h.permit(m.owner, tools...)
	clear(m.grants)
	for _, name := range tools {
		m.grants[name] = true
	}
}

func (m *model) disable(*rapid.T) {
	m.active = !m.active
	tool := map[bool]string{true: "people.enable", false: "people.disable"}[m.active]
	must[people.Changed](m.h, m.h.operator, tool, args{"person": m.owner})
}

// wish draws what to ask for; uses and rate may be left out.
func (m *model) wish(t *rapid.T) (args, *modelled) {
	w := &modelled{scope: someTools(t), ends: time.Now().Add(24 * time.Hour)}
	a := args{"agent": "x", "tools": w.scope}
	if rapid.Bool().Draw(t, "says ttl") {
		seconds := rapid.Int64Range(1, 120).Draw(t, "ttl")
		a["ttl_seconds"], w.ends = seconds, time.Now().Add(time.Duration(seconds)*time.Second)
	}
	if rapid.Bool().Draw(t, "says uses") {
		w.uses = rapid.Int64Range(1_000_000, 1_000_003).Draw(t, "uses") // never used up here
		a["max_uses"] = w.uses
	}
	if rapid.Bool().Draw(t, "says rate") {
		w.rate = rapid.IntRange(900_000, 900_003).Draw(t, "rate")
		a["rate"] = w.rate
	}
	w.ends = w.ends.Truncate(time.Millisecond)
	return a, w
}

func (m *model) root(t *rapid.T) {
	a, w := m.wish(t)
	a["person"] = m.owner
	m.issued(m.h.operator, a, w, m.active, outcome.Conflict)
}

// child predicts whether a token may make the child, too: it must not be wider in anything.
func (m *model) child(t *rapid.T) {
	if len(m.tokens) == 0 {
		t.Skip("there is no parent")
	}
	a, w := m.wish(t)
	w.parent = rapid.SampledFrom(m.tokens).Draw(t, "parent")
	if !m.may(w.parent, "tokens.issue") {
		m.issued(w.parent.Caller, a, w, false, outcome.NotAllowed)
		return
	}
	good, depth := true, 0
	for link := w.parent; link != nil; link = link.parent {
		for _, tool := range w.scope {
			good = good && slices.Contains(link.scope, tool)
		}
		if a["ttl_seconds"] == nil && w.ends.After(link.ends) {
			w.ends = link.ends
		}
		good = good && !w.ends.After(link.ends) && (link.uses == 0 || w.uses <= link.uses) && (link.rate == 0 || w.rate <= link.rate)
		depth++
	}
	if depth == tokens.MaxDepth {
		t.Skip("the chain has no room")
	}
	m.issued(w.parent.Caller, a, w, good, outcome.Invalid)
}

func (m *model) issued(by gate.Caller, a args, w *modelled, good bool, otherwise outcome.Code) {
	o := m.h.call(by, "tokens.issue", text(a))
	if !good {
		if o.Code != otherwise {
			m.t.Fatalf("issuing %v: %s (%s), want %s", a, o.Code, o.Reason, otherwise)
		}
		return
	}
	if o.Code != outcome.OK {
		m.t.Fatalf("issuing %v: %s (%s) %v, want ok", a, o.Code, o.Reason, o.Faults)
	}
	if err := o.Result.Decode(&w.Issued); err != nil {
		m.t.Fatal(err)
	}
	if w.Ends != stamp(w.ends) {
		m.t.Fatalf("issued until %s, want %s", w.Ends, stamp(w.ends))
	}
	w.secret = w.Issued.Token
	var err error
	if w.Caller, err = m.h.show(w.secret, home); err != nil {
		m.t.Fatalf("showing a new token: %v", err)
	}
	m.tokens = append(m.tokens, w)
}

// revoke asks as the operator or as any token, which may end only itself and what descends from it.
func (m *model) revoke(t *rapid.T) {
	if len(m.tokens) == 0 {
		t.Skip("there is no token")
	}
	token := rapid.SampledFrom(m.tokens).Draw(t, "token")
	by, good, otherwise := m.h.operator, true, outcome.NotFound
	if rapid.Bool().Draw(t, "by a token") {
		asker := rapid.SampledFrom(m.tokens).Draw(t, "asker")
		by, good = asker.Caller, false
		for link := token; link != nil; link = link.parent {
			good = good || link == asker
		}
		if !m.may(asker, "tokens.revoke") {
			good, otherwise = false, outcome.NotAllowed
		}
	}
	o := m.h.call(by, "tokens.revoke", text(args{"token": token.TokenID}))
	if good {
		token.revoked = true
		otherwise = outcome.OK
	}
	if o.Code != otherwise {
		t.Fatalf("revoking: %s (%s), want %s", o.Code, o.Reason, otherwise)
	}
}

// TestScopesAreTheIntersection is the same for one chain, for those who read before they run.
func TestScopesAreTheIntersection(t *testing.T) {
	t.Parallel()
	h := open(t, storetest.SQLite(t))
	ann := h.person("ann", "tokens.issue", "work.a", "work.b", "work.c")
	root := h.root(ann, "tokens.issue", "work.a", "work.b", "work.d")
	child := root.issue(h, args{"tools": []string{"work.a", "work.d"}})
	for _, tt := range []struct {
		permitted   []string
		root, child string
	}{
		{[]string{"tokens.issue", "work.a", "work.b", "work.c"}, "tokens.issue work.a work.b", "work.a"},
		{[]string{"work.b", "work.c"}, "work.b", ""},
		{[]string{"work.d"}, "work.d", "work.d"}, // what the owner gets back, or gets new, holds only where it is in scope
		{nil, "", ""},
		{[]string{"work.a", "work.e"}, "work.a", "work.a"},
	} {
		h.permit(ann, tt.permitted...)
		if r, c := h.sees(root.Caller), h.sees(child.Caller); r != tt.root || c != tt.child {
			t.Errorf("permitted %v: the root sees %q, the child %q; want %q and %q", tt.permitted, r, c, tt.root, tt.child)
		}
	}
}
