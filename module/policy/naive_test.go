package policy_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"gatehouse/gate"
	"gatehouse/gatetest"
	"gatehouse/outcome"
)

// The naive evaluator: what docs/policy.md says in prose, written down a second time without CEL, schemas or a gate. A
// condition is a tree that can be written as CEL and worked out by hand.
type cond struct {
	text string
	eval func(*naiveCall) (bool, error)
}

// naiveCall is one call as the prose sees it. What was not given is nil.
type naiveCall struct {
	To, CC  []string
	Subject *string
	Copies  *int64
	Groups  [][]string
	Wrong   bool // with an argument that the tool does not have

	agent string
	token bool
}

var errNaive = errors.New("cannot be worked out")

// domains are addresses and their domains; those without one are not plain.
var domains = map[string]string{
	"a@example.org": "example.org", "B.b+c@example.org": "example.org", "e@evil.example": "evil.example",
	"A <a@example.org>": "", "a@EXAMPLE.ORG": "", "a@example.org,e@evil.example": "", "": "", "a@exampl\u0435.org": "",
}

var words = []string{"a@example.org", "B.b+c@example.org", "e@evil.example", "A <a@example.org>", "a@EXAMPLE.ORG", "a@example.org,e@evil.example", "", "a@exampl\u0435.org"}

func leaf(text string, eval func(*naiveCall) (bool, error)) cond { return cond{text, eval} }

func sure(f func(*naiveCall) bool) func(*naiveCall) (bool, error) {
	return func(c *naiveCall) (bool, error) { return f(c), nil }
}

// either is a || b: true where one is true, whatever the other is.
func either(a bool, errA error, b bool, errB error) (bool, error) {
	if errA == nil && a || errB == nil && b {
		return true, nil
	}
	return false, errors.Join(errA, errB)
}

func not(b bool, err error) (bool, error) { return !b && err == nil, err }

// anyOf is exists over a list.
func anyOf(list []string, f func(string) (bool, error)) (found bool, err error) {
	for _, s := range list {
		b, errB := f(s)
		found, err = either(found, err, b, errB)
	}
	return found, err
}

func domainIs(want string) func(string) (bool, error) {
	return func(s string) (bool, error) {
		if domains[s] == "" {
			return false, errNaive
		}
		return domains[s] == want, nil
	}
}

var leaves = []cond{
	leaf(`true`, sure(func(*naiveCall) bool { return true })),
	leaf(`false`, sure(func(*naiveCall) bool { return false })),
	leaf(`args.subject == ""`, sure(func(c *naiveCall) bool { return c.Subject == nil || *c.Subject == "" })),
	leaf(`args.subject == "x"`, sure(func(c *naiveCall) bool { return c.Subject != nil && *c.Subject == "x" })),
	leaf(`has(args.subject)`, sure(func(c *naiveCall) bool { return c.Subject != nil })),
	leaf(`has(args.copies)`, sure(func(c *naiveCall) bool { return c.Copies != nil })),
	leaf(`args.copies > 2`, func(c *naiveCall) (bool, error) {
		if c.Copies == nil {
			return false, errNaive
		}
		return *c.Copies > 2, nil
	}),
	leaf(`6 / args.copies == 3`, func(c *naiveCall) (bool, error) {
		if c.Copies == nil || *c.Copies == 0 {
			return false, errNaive
		}
		return 6 / *c.Copies == 3, nil
	}),
	leaf(`args.to.size() + args.cc.size() > 1`, sure(func(c *naiveCall) bool { return len(c.To)+len(c.CC) > 1 })),
	leaf(`args.to[0] == "a@example.org"`, func(c *naiveCall) (bool, error) {
		if len(c.To) == 0 {
			return false, errNaive
		}
		return c.To[0] == "a@example.org", nil
	}),
	leaf(`"" in args.cc`, func(c *naiveCall) (bool, error) {
		return anyOf(c.CC, func(s string) (bool, error) { return s == "", nil })
	}),
	leaf(`(args.to + args.cc).exists(a, domain(a) == "evil.example")`, func(c *naiveCall) (bool, error) {
		return anyOf(append(append([]string{}, c.To...), c.CC...), domainIs("evil.example"))
	}),
	leaf(`!(args.to + args.cc).all(a, domain(a) == "example.org")`, func(c *naiveCall) (bool, error) {
		return anyOf(append(append([]string{}, c.To...), c.CC...), func(s string) (bool, error) { return not(domainIs("example.org")(s)) })
	}),
	leaf(`args.groups.exists(g, g.size() > 1 && g[1] == "e@evil.example")`, sure(func(c *naiveCall) bool {
		for _, g := range c.Groups {
			if len(g) > 1 && g[1] == "e@evil.example" {
				return true
			}
		}
		return false
	})),
	leaf(`args.groups.all(g, g.all(a, domain(a) != "evil.example"))`, func(c *naiveCall) (bool, error) {
		all := []string{}
		for _, g := range c.Groups {
			all = append(all, g...)
		}
		return not(anyOf(all, domainIs("evil.example")))
	}),
	leaf(`caller.agent == "one"`, sure(func(c *naiveCall) bool { return c.agent == "one" })),
	leaf(`caller.email == "ann@example.org" && caller.token != 0`, sure(func(c *naiveCall) bool { return c.token })),
	leaf(`caller.administrator || session.hot || session.task != ""`, sure(func(*naiveCall) bool { return false })),
	leaf(`tool.effect == "writes" && tool.module == "gmail"`, sure(func(*naiveCall) bool { return true })),
}

func drawCond(t *rapid.T, depth int) cond {
	kind := 0
	if depth > 0 {
		kind = rapid.IntRange(0, 3).Draw(t, "kind")
	}
	switch kind {
	case 1:
		a := drawCond(t, depth-1)
		return cond{"!(" + a.text + ")", func(c *naiveCall) (bool, error) { return not(a.eval(c)) }}
	case 2, 3:
		a, b := drawCond(t, depth-1), drawCond(t, depth-1)
		if kind == 2 {
			return cond{"(" + a.text + ") || (" + b.text + ")", func(c *naiveCall) (bool, error) {
				x, errX := a.eval(c)
				y, errY := b.eval(c)
				return either(x, errX, y, errY)
			}}
		}
		return cond{"(" + a.text + ") && (" + b.text + ")", func(c *naiveCall) (bool, error) {
			x, errX := not(a.eval(c))
			y, errY := not(b.eval(c))
			return not(either(x, errX, y, errY))
		}}
	}
	return rapid.SampledFrom(leaves).Draw(t, "leaf")
}

// naiveRule is a rule and its place in the order.
type naiveRule struct {
	cond   cond
	then   string
	shadow bool
	tool   string
	name   string
}

var severity = map[string]int{"refuse": 0, "ask": 1, "allow": 2}

// naively is the prose: the grant, then each rule in its order; the most restrictive wins, and the first of several.
func naively(grant string, rules []naiveRule, c *naiveCall) (decision, by, shadow string) {
	decision, by = grant, "grant"
	var tried []string
	for _, r := range rules {
		if r.tool == "gmail.read" || r.tool == "people.*" {
			continue
		}
		holds, err := r.cond.eval(c)
		then := "allow"
		switch {
		case err != nil:
			then = "refuse"
		case holds:
			then = r.then
		}
		if r.shadow {
			if err != nil {
				tried = append(tried, r.name+" refuse (failed)")
			} else if holds {
				tried = append(tried, r.name+" "+then)
			}
			continue
		}
		if severity[then] < severity[decision] {
			decision, by = then, "policy:"+r.name
		}
	}
	return decision, by, strings.Join(tried, ", ")
}

// met reports whether all conditions of a chain of tokens are true.
func met(chain []cond, c *naiveCall) bool {
	for _, one := range chain {
		if holds, err := one.eval(c); err != nil || !holds {
			return false
		}
	}
	return true
}

// drawAgents makes a token and a child of it, each with a condition or without. The child's agent is two.
func drawAgents(t *rapid.T, h *gatetest.House, ann gatetest.Person) (agents map[string]gatetest.Token, narrowed map[string][]cond) {
	agents, narrowed = map[string]gatetest.Token{}, map[string][]cond{}
	var chain []cond
	wish := func(agent string, tools ...string) args {
		a := args{"agent": agent, "tools": tools}
		if rapid.IntRange(0, 2).Draw(t, agent+" narrowed") == 0 {
			one := drawCond(t, 1)
			chain = append(chain, one)
			a["conditions"] = args{"gmail.send": one.text}
		}
		narrowed[agent] = append([]cond{}, chain...)
		return a
	}
	agents["one"] = ann.Issue(wish("one", "gmail.send", "tokens.issue")) // an hour, as ann's other tokens
	o := h.CallAs(agents["one"].Text, "tokens.issue", text(wish("two", "gmail.send")))
	var issued struct {
		ID    gate.TokenID `json:"token_id"`
		Token string       `json:"token"`
	}
	if err := json.Unmarshal(o.Result.Bytes(), &issued); err != nil {
		t.Fatalf("%s (%s)", o.Code, o.Reason)
	}
	agents["two"] = gatetest.Token{ID: issued.ID, Text: issued.Token}
	return agents, narrowed
}

func drawList(t *rapid.T, name string) []string {
	if rapid.Bool().Draw(t, name+" absent") {
		return nil
	}
	return rapid.SliceOfN(rapid.SampledFrom(words), 0, 3).Draw(t, name)
}

func drawCall(t *rapid.T) *naiveCall {
	c := &naiveCall{To: drawList(t, "to"), CC: drawList(t, "cc"), Wrong: rapid.IntRange(0, 20).Draw(t, "wrong") == 0}
	if rapid.Bool().Draw(t, "has subject") {
		s := rapid.SampledFrom([]string{"", "x", "y"}).Draw(t, "subject")
		c.Subject = &s
	}
	if rapid.Bool().Draw(t, "has copies") {
		n := rapid.Int64Range(0, 4).Draw(t, "copies")
		c.Copies = &n
	}
	for range rapid.IntRange(0, 2).Draw(t, "groups") {
		c.Groups = append(c.Groups, rapid.SliceOfN(rapid.SampledFrom(words), 0, 2).Draw(t, "group"))
	}
	return c
}

// json is the call's arguments; to is required, so that an absent one is an empty list there.
func (c *naiveCall) json() args {
	a := args{"to": append([]string{}, c.To...)}
	if c.CC != nil {
		a["cc"] = c.CC
	}
	if c.Subject != nil {
		a["subject"] = *c.Subject
	}
	if c.Copies != nil {
		a["copies"] = *c.Copies
	}
	if c.Groups != nil {
		a["groups"] = c.Groups
	}
	if c.Wrong {
		a["nothing"] = 1
	}
	return a
}

// TestExplainAndTheGateAgreeWithTheProse: random rules, grants, agents and arguments. What policy.explain says, what the
// gate does and what the prose says are the same.
func TestExplainAndTheGateAgreeWithTheProse(t *testing.T) {
	t.Parallel()
	h, box, _ := house(t, gatetest.Config{YAML: "limits: {calls_per_minute: 1000000}\ntokens: {max_per_person: 100000}\n"})
	ann := h.Person("ann", "gmail.send")
	ann.Grant(map[string]string{"tokens.issue": "allow"})
	seen := map[string]int{}
	rapid.Check(t, func(rt *rapid.T) {
		for _, old := range rules(t, h) {
			h.Operate("policy.remove", args{"rule": old.Rule, "version": old.Version})
		}
		var all []naiveRule
		for range rapid.IntRange(0, 4).Draw(rt, "rules") {
			r := naiveRule{
				cond: drawCond(rt, 2), then: rapid.SampledFrom([]string{"allow", "ask", "ask", "refuse"}).Draw(rt, "then"),
				shadow: rapid.IntRange(0, 3).Draw(rt, "shadow") == 0,
				tool:   rapid.SampledFrom([]string{"gmail.send", "gmail.send", "gmail.read", "people.*"}).Draw(rt, "tool"),
			}
			when := r.cond.text
			if r.tool != "gmail.send" {
				when = "true"
			}
			r.name = fmt.Sprint(set(t, h, args{"tool": r.tool, "when": when, "then": r.then, "shadow": r.shadow}).Rule)
			all = append(all, r)
		}
		agents, narrowed := drawAgents(rt, h, ann)
		grant := rapid.SampledFrom([]string{"allow", "allow", "allow", "allow", "allow", "allow", "ask", "none"}).Draw(rt, "grant")
		ann.Grant(map[string]string{"gmail.send": grant})
		for range 10 {
			c := drawCall(rt)
			c.agent, c.token = rapid.SampledFrom([]string{"one", "two"}).Draw(rt, "agent"), true
			token := agents[c.agent]
			decision, by, shadow := naively(grant, all, c)
			code := ""
			switch {
			case grant == "none":
				decision, by, code, shadow = "refuse", "grant", "not_allowed", ""
			case c.Wrong:
				decision, by, code, shadow = "refuse", "schema", "invalid", ""
			case !met(narrowed[c.agent], c):
				decision, by, code, shadow = "refuse", "condition", "not_allowed", ""
			case decision == "refuse":
				code = "denied"
			}
			seen[decision+" by "+strings.TrimRight(by, "0123456789")]++
			var e struct {
				Decision, Rule, Outcome string
				Steps                   []struct{ Step, Shadow string }
			}
			if err := json.Unmarshal(h.Operate("policy.explain", args{"person": ann.ID, "token": token.ID, "tool": "gmail.send", "arguments": c.json()}).Bytes(), &e); err != nil {
				rt.Fatal(err)
			}
			tried := ""
			for _, s := range e.Steps {
				tried += s.Shadow
			}
			if e.Decision != decision || e.Rule != by || e.Outcome != code || tried != shadow {
				rt.Fatalf("%s\nexplain: %+v\nprose: %s by %s (%s), shadow %q\nrules %s", text(c.json()), e, decision, by, code, shadow, said(all))
			}
			before := box.sent.Load()
			o := h.CallAs(token.Text, "gmail.send", text(c.json()))
			if reached := box.sent.Load() != before; (o.Code == outcome.OK) != (decision == "allow") || reached != (decision == "allow") || code != "" && o.Code.String() != code {
				rt.Fatalf("%s\nthe gate: %s (%s), reached %v\nprose: %s by %s (%s)\nrules %s", text(c.json()), o.Code, o.Reason, reached, decision, by, code, said(all))
			}
			if o.ID.IsZero() {
				continue // one of many refusals, in a summary row
			}
			if r := row(t, h, o.ID.String()); r.Rule != by || r.Decision != decision && code != "invalid" || r.Shadow != shadow {
				rt.Fatalf("%s\nthe row: %+v\nprose: %s by %s, shadow %q\nrules %s", text(c.json()), r, decision, by, shadow, said(all))
			}
		}
	})
	if len(seen) < 7 && !testing.Short() {
		t.Errorf("the cases are too few kinds: %v", seen)
	}
	t.Logf("%v", seen)
}

func text(a args) string {
	b, err := json.Marshal(a)
	if err != nil {
		panic(err)
	}
	return string(b)
}

func said(all []naiveRule) string {
	s := ""
	for _, r := range all {
		s += fmt.Sprintf("\n  %s %s %s shadow=%v: %s", r.name, r.tool, r.then, r.shadow, r.cond.text)
	}
	return s
}
