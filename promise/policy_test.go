package promise_test

import (
	"context"
	"encoding/json"
	"strings"
	"sync/atomic"
	"testing"

	"gatehouse/app"
	"gatehouse/gate"
	"gatehouse/gatetest"
	"gatehouse/module"
	"gatehouse/outcome"
)

// mailer is a module with the arguments of gmail.send. It counts what was sent.
type mailer struct{ sent atomic.Int64 }

var mailKey = gate.NewKey("promise_test/mail")

type mail struct {
	To      []string `json:"to" carries:"destination"`
	CC      []string `json:"cc,omitzero" carries:"destination"`
	BCC     []string `json:"bcc,omitzero" carries:"destination"`
	Subject string   `json:"subject"`
	Body    string   `json:"body"`
}

func (m *mailer) start(context.Context, module.Kit, struct{}) (*mailer, error) { return m, nil }
func (*mailer) Name() string                                                   { return "gmail" }
func (m *mailer) Tools() []gate.Tool {
	return []gate.Tool{gate.AccessControlled("send", mailKey, gate.Spec{Effect: gate.Writes}, func(context.Context, gate.Permit, mail) (struct{}, error) {
		m.sent.Add(1)
		return struct{}{}, nil
	})}
}

// TestPromise_P2_ARecipientThatIsNotPlain is T25: the sample rule lets mail out to the house alone, however another
// recipient is written, through every entry.
func TestPromise_P2_ARecipientThatIsNotPlain(t *testing.T) {
	t.Parallel()
	const yaml = "policy: [{tool: gmail.send, when: '!(args.to + args.cc + args.bcc).all(a, domain(a) == \"example.org\")', then: ask}]\n"
	for i, d := range (&gatetest.House{}).Doors() {
		t.Run(d.Title(), func(t *testing.T) {
			t.Parallel()
			m := &mailer{}
			w := newWorldWith(t, gatetest.Config{YAML: yaml, Modules: map[string]app.Starter{"gmail": app.Start(m.start)}})
			ann := w.Person("ann", "gmail.send")
			call := func(fields map[string][]string) gatetest.Reply {
				args := map[string]any{"to": []string{"ada@example.org"}, "subject": "s", "body": "b"}
				for field, list := range fields {
					args[field] = list
				}
				b, err := json.Marshal(args)
				if err != nil {
					t.Fatal(err)
				}
				return w.Doors()[i].Call(ann.Token.Text, "gmail.send", string(b))
			}
			if got := call(map[string][]string{"cc": {"Bob.b+x@example.org"}}); got.Code != outcome.OK || m.sent.Load() != 1 {
				t.Fatalf("mail within the house: %s (%s)", got.Code, got.Reason)
			}
			for _, trick := range []string{
				"eve@evil.example", "ada@example.org, eve@evil.example", "ada@example.org;eve@evil.example", "ada@example.org\r\nBcc: eve@evil.example",
				"Ada <eve@evil.example>", "ada@example.org <eve@evil.example>", "\"ada@example.org\" <eve@evil.example>", "eve@evil.example (ada@example.org)",
				"<ada@example.org>", "@evil.example:ada@example.org", "eve%evil.example@example.org", "evil.example!eve@example.org", "eve@evil.example@example.org",
				"ada@EXAMPLE.ORG", "ada@example.org.evil.example", "ada@example.org.", "ada@exampl\u0435.org", "ada@example\uff0eorg", "ada\uff20example.org",
				"ada@\u212aexample.org", "ada@example.org\u200b", "\u202eada@example.org", "ada@e\u00adxample.org", " ada@example.org", "ada@[192.0.2.1]", "ada", "",
			} {
				for _, field := range []string{"to", "cc", "bcc"} {
					for _, list := range [][]string{{trick}, {"ada@example.org", trick}} {
						got := call(map[string][]string{field: list})
						if got.Code != outcome.Denied && got.Code != outcome.Limited || m.sent.Load() != 1 {
							t.Errorf("%s %q: %s (%s), %d sent", field, list, got.Code, got.Reason, m.sent.Load())
						}
						if strings.Contains(got.Raw, "domain(") {
							t.Errorf("%q: the answer shows the rule: %s", list, got.Raw)
						}
					}
				}
			}
		})
	}
}

// TestPromise_P3_PolicySaysNothingOfOthers: policy.explain tells a person's agent nothing of another person, of another token, nor
// whether a tool exists that is not theirs; and it leaves its own row alone.
func TestPromise_P3_PolicySaysNothingOfOthers(t *testing.T) {
	t.Parallel()
	throughEveryDoor(t, "", func(t *testing.T, w *world, d gatetest.Door) {
		ann, bob := w.Person("ann", "ledger.write", "policy.explain"), w.Person("bob", "ledger.write")
		mark := w.Mark()
		ask := func(args map[string]any) gatetest.Reply {
			b, err := json.Marshal(args)
			if err != nil {
				t.Fatal(err)
			}
			return d.Call(ann.Token.Text, "policy.explain", string(b))
		}
		if got := ask(map[string]any{"tool": "ledger.write", "arguments": map[string]any{"text": "x"}}); got.Code != outcome.OK || !strings.Contains(got.Result, `"decision":"allow"`) {
			t.Errorf("about oneself: %s %s", got.Code, got.Result)
		}
		for _, args := range []map[string]any{
			{"tool": "ledger.write", "person": bob.ID}, {"tool": "ledger.write", "person": 1}, {"tool": "ledger.write", "token": bob.Token.ID}, {"tool": "ledger.write", "token": 1},
		} {
			if got := ask(args); got.Code != outcome.NotFound {
				t.Errorf("%v: %s %s", args, got.Code, got.Raw)
			}
		}
		there, gone := ask(map[string]any{"tool": "ledger.read"}), ask(map[string]any{"tool": "ledger.nothing"})
		if there.Code != outcome.OK || there.Result != gone.Result {
			t.Errorf("a tool that is there and one that is not:\n%s\n%s", there.Result, gone.Result)
		}
		if n := w.ledger.count(); n != 0 {
			t.Errorf("%d calls reached the ledger", n)
		}
		if rows := w.RowsSince(mark); len(rows) != 7 {
			t.Errorf("%d rows, want one for each question:\n%s", len(rows), gatetest.Print(rows))
		}
	})
}

// TestPromise_P4_AConditionHidesWhatWasKept: a token that may call a tool with some arguments alone does not read, among the kept
// results of its root token, what the tool gave for others.
func TestPromise_P4_AConditionHidesWhatWasKept(t *testing.T) {
	t.Parallel()
	throughEveryDoor(t, "", func(t *testing.T, w *world, d gatetest.Door) {
		ann := w.Person("ann", "ledger.write", "tokens.issue")
		status, body := w.post(ann.Token.Text, "ledger.write", `{"text":"a secret"}`, "key")
		id := func(body string) string {
			var out struct{ ID string }
			if err := json.Unmarshal([]byte(body), &out); err != nil || out.ID == "" {
				t.Fatalf("%d %s", status, body)
			}
			return out.ID
		}
		issue := func(more string) string {
			var issued struct{ Token string }
			got := d.Call(ann.Token.Text, "tokens.issue", `{"agent":"child","tools":["ledger.write"]`+more+`}`)
			if err := json.Unmarshal([]byte(got.Result), &issued); err != nil || issued.Token == "" {
				t.Fatalf("%s %s", got.Code, got.Raw)
			}
			return issued.Token
		}
		child, narrow := issue(``), issue(`,"conditions":{"ledger.write":"args.text == 'a'"}`)
		_, own := w.post(narrow, "ledger.write", `{"text":"a"}`, "key")
		for _, tt := range []struct {
			who, token, call string
			want             outcome.Code
		}{
			{"the root", ann.Token.Text, id(body), outcome.OK},
			{"a child", child, id(body), outcome.OK},
			{"a narrowed child", narrow, id(body), outcome.NotFound},
			{"a narrowed child of its own", narrow, id(own), outcome.OK},
		} {
			if got := d.Call(tt.token, "calls.get", `{"call":"`+tt.call+`"}`); got.Code != tt.want {
				t.Errorf("%s: %s %s, want %s", tt.who, got.Code, got.Raw, tt.want)
			}
		}
		if got := d.Call(narrow, "calls.list", `{}`); strings.Contains(got.Raw, id(body)) || !strings.Contains(got.Raw, id(own)) {
			t.Errorf("the list of a narrowed child: %s", got.Raw)
		}
	})
}

// TestPromise_P2_ARuleOnEveryReplica: a rule that one replica took holds for the next call of each, with no message between
// them, and so does its removal.
func TestPromise_P2_ARuleOnEveryReplica(t *testing.T) {
	t.Parallel()
	w := newReplicas(t, "")
	ann := w.Person("ann", "ledger.write")
	all := func(want outcome.Code, when string) {
		t.Helper()
		for range 2 { // straight calls go to one replica after the other
			for _, d := range w.Doors() {
				if got := d.Call(ann.Token.Text, "ledger.write", `{"text":"x"}`); got.Code != want {
					t.Errorf("%s, %s: %s (%s), want %s", when, d.Title(), got.Code, got.Reason, want)
				}
			}
			if got := ann.Call("ledger.write", `{"text":"x"}`); got.Code != want {
				t.Errorf("%s, at the gate: %s (%s), want %s", when, got.Code, got.Reason, want)
			}
		}
	}
	all(outcome.OK, "no rule")
	for range 3 { // made by either replica
		var made struct{ Rule, Version int64 }
		if err := json.Unmarshal(w.Operate("policy.set", map[string]any{"tool": "ledger.write", "then": "refuse"}).Bytes(), &made); err != nil {
			t.Fatal(err)
		}
		all(outcome.Denied, "a rule")
		w.Operate("policy.remove", map[string]any{"rule": made.Rule, "version": made.Version})
		all(outcome.OK, "no rule any more")
	}
}
