package policy_test

import (
	"context"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/jsonschema-go/jsonschema"

	"gatehouse/app"
	"gatehouse/gate"
	"gatehouse/gatetest"
	"gatehouse/module"
	"gatehouse/outcome"
)

func TestRulesOfTheConfiguration(t *testing.T) {
	t.Parallel()
	h, box, _ := house(t, gatetest.Config{YAML: `policy:
  - {tool: gmail.send, when: '!(args.to + args.cc + args.bcc).all(a, domain(a) == "example.org")', then: ask}
  - {name: on-trial, tool: gmail.send, when: 'args.subject == "secret"', then: refuse, shadow: true}
  - {name: ann-only, tool: gmail.*, when: 'caller.email != "ann@example.org" || caller.agent == "other"', then: refuse, reason: this mailbox is Ann's}
`})
	ann, bob := h.Person("Ann", "gmail.send", "gmail.read"), h.Person("bob", "gmail.send", "gmail.read")
	other := ann.Issue(args{"tools": []string{"gmail.read"}, "agent": "other"})
	for _, tt := range []struct {
		who                gatetest.Person
		tool, args         string
		want               outcome.Code
		rule, shadow, says string
	}{
		{ann, "gmail.send", `{"to":["ada@example.org"]}`, outcome.OK, "grant", "", ""},
		{ann, "gmail.send", `{"to":["ada@example.org"],"subject":"secret"}`, outcome.OK, "grant", "on-trial refuse", ""},
		{ann, "gmail.send", `{"to":["ada@example.org"],"bcc":["eve@evil.example"]}`, outcome.Denied, "policy:1", "", "approval"},
		{ann, "gmail.send", `{"to":["Ada <ada@example.org>"]}`, outcome.Denied, "policy:1", "", "plain form"},
		{ann, "gmail.read", `{}`, outcome.OK, "grant", "", ""},
		{bob, "gmail.read", `{}`, outcome.Denied, "policy:ann-only", "", "this mailbox is Ann's"},
		{bob, "gmail.send", `{"to":["eve@evil.example"],"subject":"secret"}`, outcome.Denied, "policy:ann-only", "on-trial refuse", "Ann's"},
		{gatetest.Person{House: h, Token: other}, "gmail.read", `{}`, outcome.Denied, "policy:ann-only", "", "Ann's"},
		{ann, "permissions.get", `{}`, outcome.OK, "own", "", ""},
	} {
		before := box.sent.Load()
		o := tt.who.Call(tt.tool, tt.args)
		r := row(t, h, o.ID.String())
		if o.Code != tt.want || r.Rule != tt.rule || r.Shadow != tt.shadow || !strings.Contains(o.Reason, tt.says) {
			t.Errorf("%s %s %s: %s (%s), row %+v", tt.who.Name, tt.tool, tt.args, o.Code, o.Reason, r)
		}
		if reached := box.sent.Load() != before; reached != (tt.want == outcome.OK && strings.HasPrefix(tt.tool, "gmail.")) {
			t.Errorf("%s %s: reached the mailbox: %v", tt.tool, tt.args, reached)
		}
	}
}

// TestAStartThatABadRuleStops: the place in the file and the place in the condition are both said.
func TestAStartThatABadRuleStops(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ yaml, want string }{
		{"policy:\n  - tool: gmail.send\n    then: ask\n    when: args.tp == []\n", "gatehouse.yaml:4:11: the condition does not fit the tool gmail.send: line 1, column 5: undefined field 'tp'"},
		{"policy:\n  - {tool: gmail.*, then: ask, when: 'args.to == []'}\n", "gatehouse.yaml:2:38: the condition does not fit the tool gmail.read: line 1, column 5: undefined field 'to'"},
		{"policy:\n  - {tool: gmail.send, then: ask, when: 'args.to =='}\n", "gatehouse.yaml:2:41: the condition line 1, column 11: "},
		{"policy:\n  - {tool: gmail.send, then: ask, shadow: true, when: args.to}\n", "gatehouse.yaml:2:55: the condition does not fit the tool gmail.send: is list(string), and must be true or false"},
		{"policy:\n  - {tool: gmail, then: ask}\n", "gatehouse.yaml:2:12: tool is neither"},
		{"policy:\n  - {then: ask}\n", "gatehouse.yaml:2:5: tool is neither"},
		{"policy:\n  - {tool: gmail.send}\n", "gatehouse.yaml:2:5: then is none of allow, ask, refuse"},
		{"policy:\n  - {tool: gmail.send, then: deny}\n", "gatehouse.yaml:2:30: then is none of allow, ask, refuse"},
		{"policy:\n  - {tool: gmail.send, then: refuse, decide: [administrators]}\n", "gatehouse.yaml:2:46: decide belongs to a rule that asks"},
		{"policy:\n  - {tool: gmail.send, then: ask, decide: [bob]}\n", "gatehouse.yaml:2:43: decide \"bob\" is neither"},
		{"policy:\n  - {tool: gmail.send, then: ask, expire: 1s}\n", "gatehouse.yaml:2:43: expire is not between"},
		{"policy:\n  - {name: a, tool: gmail.send, then: ask}\n  - {name: a, tool: gmail.send, then: ask}\n", "gatehouse.yaml:3:12: name is that of another rule"},
		{"policy:\n  - {name: '7', tool: gmail.send, then: ask}\n", "gatehouse.yaml:2:12: name is a number"},
		{"policy:\n  - {tool: gmail.send, than: ask}\n", "gatehouse.yaml:2:24: unknown field \"than\""},
		{"policy: {tool: gmail.send}\n", "gatehouse.yaml:1:9: expected a list"},
	} {
		box := &mailbox{}
		_, err := gatetest.TryStart(t, gatetest.Config{YAML: tt.yaml, Modules: map[string]app.Starter{"gmail": app.Start(box.start)}})
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s%v\nwant %s", tt.yaml, err, tt.want)
		}
	}
}

// TestMadeRules: a rule holds from the next call on, has a version, and is still there after a restart.
func TestMadeRules(t *testing.T) {
	t.Parallel()
	onEngines(t, func(t *testing.T, c gatetest.Config) {
		h, box, _ := house(t, c)
		ann := h.Person("ann", "gmail.read", "policy.list")
		must := func(want outcome.Code, when string) {
			t.Helper()
			before := box.sent.Load()
			if o := ann.Call("gmail.read", `{"message":"a"}`); o.Code != want {
				t.Fatalf("%s: %s (%s), want %s", when, o.Code, o.Reason, want)
			} else if (box.sent.Load() != before) != (want == outcome.OK) {
				t.Fatalf("%s: the mailbox was reached, or not, although %s", when, want)
			}
		}
		must(outcome.OK, "no rule")
		made := set(t, h, args{"tool": "gmail.*", "when": `tool.name == "gmail.read"`, "then": "refuse", "reason": "closed today"})
		must(outcome.Denied, "a rule")
		if o := ann.Call("gmail.read", `{}`); o.Reason != "closed today" || row(t, h, o.ID.String()).Rule != fmt.Sprint("policy:", made.Rule) {
			t.Errorf("%s, row %+v", o.Reason, row(t, h, o.ID.String()))
		}
		again := args{"rule": made.Rule, "version": made.Version, "tool": "gmail.read", "when": `args.message == "b"`, "then": "ask", "decide": []string{"administrators"}}
		if second := set(t, h, again); second.Rule != made.Rule || second.Version != 2 {
			t.Errorf("replaced: %+v", second)
		}
		must(outcome.OK, "another condition")
		if o := h.TryOperate("policy.set", again); o.Code != outcome.Conflict {
			t.Errorf("an older version: %s (%s)", o.Code, o.Reason)
		}
		if o := h.TryOperate("policy.remove", args{"rule": made.Rule, "version": 1}); o.Code != outcome.Conflict {
			t.Errorf("removing an older version: %s (%s)", o.Code, o.Reason)
		}
		h.Restart()
		l := rules(t, h)
		if len(l) != 1 || l[0].Rule != made.Rule || l[0].Version != 2 || l[0].When != `args.message == "b"` || l[0].Then != "ask" || l[0].Tools != 1 || len(l[0].Decide) != 1 {
			t.Errorf("after a restart: %+v", l)
		}
		if o := ann.Call("gmail.read", `{"message":"b"}`); o.Code != outcome.Denied {
			t.Errorf("after a restart: %s", o.Code)
		}
		if o := ann.Call("policy.list", `{}`); o.Code != outcome.OK || !strings.Contains(o.Result.String(), "args.message") {
			t.Errorf("listed by a token: %s %s", o.Code, o.Result)
		}
		h.Operate("policy.remove", args{"rule": made.Rule, "version": 2})
		must(outcome.OK, "no rule any more")
		if o := h.TryOperate("policy.remove", args{"rule": made.Rule, "version": 2}); o.Code != outcome.NotFound {
			t.Errorf("removing twice: %s", o.Code)
		}
	})
}

func TestRulesThatAreNotTaken(t *testing.T) {
	t.Parallel()
	h, _, _ := house(t, gatetest.Config{})
	for _, tt := range []struct {
		args args
		path string
	}{
		{args{"tool": "gmail.send", "then": "ask", "when": "args.tp == []"}, "/when: does not fit the tool gmail.send: line 1, column 5: undefined field 'tp'"},
		{args{"tool": "gmail.*", "then": "ask", "when": "args.to == []"}, "/when: does not fit the tool gmail.read: "},
		{args{"tool": "gmail.send", "then": "ask", "when": "args.to +"}, "/when: line 1, column 10: "},
		{args{"tool": "gmail.s*", "then": "ask"}, "/tool: "},
		{args{"tool": "*", "then": "deny"}, "/then: "},
		{args{"tool": "*", "then": "ask", "expire_seconds": 5}, "/expire_seconds: "},
		{args{"tool": "*", "then": "ask", "expire_seconds": -5}, "/expire_seconds: "},
		{args{"tool": "*", "then": "ask", "expire_seconds": int64(1) << 62}, "/expire_seconds: "},
		{args{"tool": "*", "then": "refuse", "four_eyes": true}, "/four_eyes: "},
		{args{"tool": "*", "then": "ask", "reason": "x"}, "/reason: "},
		{args{"tool": "*", "then": "ask", "rule": 7}, "/version: "},
		{args{"tool": "*", "then": "ask", "version": 7}, "/version: "},
	} {
		if o := h.TryOperate("policy.set", tt.args); o.Code != outcome.Invalid || !strings.HasPrefix(o.Reason, tt.path) {
			t.Errorf("%v: %s (%s), want %s", tt.args, o.Code, o.Reason, tt.path)
		}
	}
	if o := h.TryOperate("policy.set", args{"tool": "*", "then": "ask", "rule": 7, "version": 1}); o.Code != outcome.NotFound {
		t.Errorf("a rule that is not there: %s (%s)", o.Code, o.Reason)
	}
	if l := rules(t, h); len(l) != 0 {
		t.Errorf("something was written: %+v", l)
	}
	ann := h.Person("ann", "policy.list", "policy.explain", "policy.set", "policy.remove")
	for _, tool := range []string{"policy.set", "policy.remove"} {
		if o := ann.Call(tool, `{"tool":"*","then":"allow"}`); o.Code != outcome.NotAllowed {
			t.Errorf("%s with a token: %s", tool, o.Code)
		}
	}
}

// shifting is a module whose one tool comes and goes.
type shifting struct {
	mu      sync.Mutex
	schema  string // empty: no tool
	changed chan struct{}
}

var shiftKey = gate.NewKey("policy_test/shift")

func (s *shifting) start(context.Context, module.Kit, struct{}) (*shifting, error) { return s, nil }
func (*shifting) Name() string                                                     { return "far" }

func (s *shifting) Changed() <-chan struct{} { return s.changed }

func (s *shifting) Tools() []gate.Tool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.schema == "" {
		return nil
	}
	schema, err := gate.ParseSchema([]byte(s.schema))
	if err != nil {
		panic(err)
	}
	return []gate.Tool{gate.AccessControlled("do", shiftKey, gate.Spec{Effect: gate.Reads, Input: schema},
		func(context.Context, gate.Permit, gate.Raw) (gate.Content, error) {
			return gate.Content{Result: gatetestContent}, nil
		})}
}

var gatetestContent = func() gate.Raw {
	var v gate.Raw
	if err := v.UnmarshalJSON([]byte(`{"content":[]}`)); err != nil {
		panic(err)
	}
	return v
}()

// TestToolsThatComeAndGo: rules are checked again when tools change. One that no longer fits refuses, and says so.
func TestToolsThatComeAndGo(t *testing.T) {
	t.Parallel()
	s := &shifting{changed: make(chan struct{})}
	h, _, log := house(t, gatetest.Config{
		YAML:    "policy: [{tool: far.do, when: 'args.path == \"/x\"', then: refuse, reason: not that one}]\n",
		Modules: map[string]app.Starter{"far": app.Start(s.start)},
	})
	shift := func(schema string) {
		t.Helper()
		s.mu.Lock()
		s.schema = schema
		s.mu.Unlock()
		s.changed <- struct{}{}
		for end := time.Now().Add(10 * time.Second); ; <-time.After(time.Millisecond) {
			if e, ok := h.Gate.Directory().Find("far.do"); ok == (schema != "") && (!ok || e.Definition != "") {
				if l := rules(t, h); (l[0].Tools == 1) == ok && (len(l[0].Faults) > 0) == strings.Contains(schema, "integer") {
					return
				}
			}
			if time.Now().After(end) {
				t.Fatalf("the tool does not change to %s: %+v", schema, rules(t, h))
			}
		}
	}
	shift(`{"type":"object","properties":{"path":{"type":"string"}}}`)
	ann := h.Person("ann", "far.do")
	for args, want := range map[string]outcome.Code{`{"path":"/x"}`: outcome.Denied, `{"path":"/y"}`: outcome.OK, `{}`: outcome.OK} {
		if o := ann.Call("far.do", args); o.Code != want {
			t.Errorf("%s: %s (%s), want %s", args, o.Code, o.Reason, want)
		}
	}
	shift(`{"type":"object","properties":{"path":{"type":"integer"}}}`)
	ann.Grant(map[string]string{"far.do": "allow"})
	o := ann.Call("far.do", `{"path":1}`)
	if o.Code != outcome.Denied || !strings.Contains(o.Reason, "does not fit this tool") || row(t, h, o.ID.String()).Rule != "policy:1" {
		t.Errorf("a rule that does not fit: %s (%s)", o.Code, o.Reason)
	}
	if !strings.Contains(log.String(), "a rule does not fit a tool, whose calls are refused") || strings.Count(log.String(), "does not fit a tool") != 1 {
		t.Errorf("the log does not say it once:\n%s", log)
	}
	l := rules(t, h)
	if len(l[0].Faults) != 1 || l[0].Faults[0].Tool != "far.do" || !strings.Contains(l[0].Faults[0].Problem, "line 1, column 11") {
		t.Errorf("policy.list: %+v", l)
	}
	shift(``)
	shift(`{"type":"object","properties":{"path":{"type":"string"}},"title":"again"}`)
	ann.Grant(map[string]string{"far.do": "allow"})
	if o := ann.Call("far.do", `{"path":"/y"}`); o.Code != outcome.OK {
		t.Errorf("a rule that fits again: %s (%s)", o.Code, o.Reason)
	}
}

// TestTheDocumentedRulesLoad: the example of docs/policy.md is taken, and means what stands there.
func TestTheDocumentedRulesLoad(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../../docs/policy.md")
	if err != nil {
		t.Fatal(err)
	}
	_, yaml, _ := strings.Cut(string(page), "```yaml\n")
	yaml, _, ok := strings.Cut(yaml, "```")
	if !ok {
		t.Fatal("there is no example")
	}
	h, _, _ := house(t, gatetest.Config{YAML: yaml})
	l := rules(t, h)
	if len(l) != 3 || l[0].Name != "1" || l[1].Name != "no-agents-at-night" || l[1].Tools != 2 || !l[2].Shadow || l[2].Decide[0] != "administrators" {
		t.Errorf("%+v", l)
	}
}

// TestResultsFitTheirSchemas: clients check what policy.explain and policy.list give against what is advertised of them.
func TestResultsFitTheirSchemas(t *testing.T) {
	t.Parallel()
	h, _, _ := house(t, gatetest.Config{YAML: "policy: [{tool: gmail.send, when: args.copies > 1, then: ask, shadow: true}, {tool: gmail.send, when: args.copies > 2, then: refuse}]\n"})
	ann := h.Person("ann", "policy.explain", "policy.list", "gmail.send")
	offers, err := h.Gate.Tools(t.Context(), h.Caller(ann.Token))
	if err != nil {
		t.Fatal(err)
	}
	checked := 0
	for _, o := range offers {
		calls := map[gate.ToolName][]string{"policy.list": {`{}`}, "policy.explain": {
			`{"tool":"gmail.send","arguments":{"to":[],"copies":3}}`, `{"tool":"gmail.send","arguments":{"to":[]}}`, `{"tool":"gmail.send","arguments":{"x":1}}`,
		}}[o.Name]
		for _, args := range calls {
			var s jsonschema.Schema
			read(t, o.Output.Bytes(), &s)
			compiled, err := s.Resolve(nil)
			if err != nil {
				t.Fatal(err)
			}
			var got any
			read(t, ann.MustCall(string(o.Name), args).Bytes(), &got)
			if err := compiled.Validate(got); err != nil {
				t.Errorf("%s %s gives %v: %v", o.Name, args, got, err)
			}
			checked++
		}
	}
	if checked != 4 {
		t.Errorf("%d results were looked at", checked)
	}
}

// BenchmarkCall is a whole call at the gate, with and without rules that are about it.
func BenchmarkCall(b *testing.B) {
	for _, tt := range []struct{ name, yaml string }{
		{"no rules", ""},
		{"rules on other tools", "policy: [{tool: people.*, then: ask}]\n"},
		{"the sample rule", "policy: [{tool: gmail.send, when: '!(args.to + args.cc + args.bcc).all(a, domain(a) == \"example.org\")', then: ask}]\n"},
	} {
		b.Run(tt.name, func(b *testing.B) {
			h, _, _ := house(b, gatetest.Config{YAML: tt.yaml + "limits: {calls_per_minute: 100000000}\n"})
			ann := h.Person("ann", "gmail.send")
			c := h.Caller(ann.Token)
			b.ReportAllocs()
			for b.Loop() {
				o := h.Gate.Call(b.Context(), c, gate.Request{Tool: "gmail.send", Arguments: []byte(`{"to":["ada@example.org","bob@example.org"],"subject":"hello"}`)})
				if o.Code != outcome.OK {
					b.Fatal(o.Code, o.Reason)
				}
			}
		})
	}
}
