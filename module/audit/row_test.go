package audit_test

import (
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"gatehouse/canon"
	"gatehouse/gate"
	"gatehouse/module/audit"
	"gatehouse/outcome"
)

// TestRowsAreCanonical: the hand-made encoder writes what canon does, for whatever the gate hands over.
func TestRowsAreCanonical(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.OneOf(rapid.Just(""), rapid.String(), rapid.StringMatching(`[a-z.\\"\x00-\x1f]{0,20}`),
			rapid.Map(rapid.SliceOf(rapid.Byte()), func(b []byte) string { return string(b) }))
		number := rapid.OneOf(rapid.Just(int64(0)), rapid.Int64())
		ids := rapid.SliceOf(rapid.Map(number, func(n int64) gate.TokenID { return gate.TokenID(n) }))
		r := &gate.Row{
			Began: time.UnixMilli(rapid.Int64Range(0, 1<<45).Draw(t, "began")), Person: gate.PersonID(number.Draw(t, "person")),
			Agent: text.Draw(t, "agent"), Token: gate.TokenID(number.Draw(t, "token")), Ancestors: ids.Draw(t, "ancestors"),
			Entry: text.Draw(t, "entry"), Address: text.Draw(t, "address"), Session: text.Draw(t, "session"), Job: text.Draw(t, "job"),
			Operator: rapid.Bool().Draw(t, "operator"),
			Peer:     gate.Peer{UID: int(number.Draw(t, "uid")), PID: int(number.Draw(t, "pid")), Program: text.Draw(t, "program")},
			Tool:     gate.ToolName(text.Draw(t, "tool")), Definition: text.Draw(t, "definition"),
			Effect: gate.Effect(rapid.IntRange(0, 2).Draw(t, "effect")), MapVersion: number.Draw(t, "map"),
			GrantVersion: number.Draw(t, "grant"), TokenVersion: number.Draw(t, "version"),
			Decision: gate.Decision(rapid.IntRange(0, 2).Draw(t, "decision")), Rule: text.Draw(t, "rule"),
			Outcome: rapid.SampledFrom(outcome.All()).Draw(t, "outcome"), Count: number.Draw(t, "count"),
			Price: gate.Money(number.Draw(t, "price")), BytesIn: number.Draw(t, "in"), BytesOut: number.Draw(t, "out"),
			Took: time.Duration(number.Draw(t, "took")),
		}
		id := gate.RowID{ID: rapid.Int64Range(1, 1<<50).Draw(t, "id"), Seq: rapid.Int32Range(0, 1<<30).Draw(t, "seq")}
		row, got := audit.Text(r, ids.Draw(t, "used"), id, rapid.Int64Range(1, 1<<60).Draw(t, "n"), [32]byte{1, 2}, strings.Repeat("ab", 32))
		want, err := canon.From(row)
		if err != nil {
			t.Fatal(err)
		}
		if got != want.String() {
			t.Fatalf("wrote %s\nwant  %s", got, want)
		}
	})
}

// TestPayloadsAreCanonical: what is sealed is what canon would write, and reads back as what was given.
func TestPayloadsAreCanonical(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.OneOf(rapid.Just(""), rapid.String(), rapid.StringMatching(`[a-z.\\"\x00-\x1f]{0,20}`))
		values := rapid.Custom(func(t *rapid.T) canon.Value {
			if rapid.Bool().Draw(t, "none") {
				return canon.Value{}
			}
			v, err := canon.From(map[string]any{text.Draw(t, "name") + "x": text.Draw(t, "text"), "n": rapid.Int32().Draw(t, "n")})
			if err != nil {
				return canon.Object() // a name with U+0000
			}
			return v
		})
		findings := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) audit.Finding {
			return audit.Finding{
				Action: text.Draw(t, "action"), End: int(rapid.Int32().Draw(t, "end")), Guard: text.Draw(t, "guard"), Kind: text.Draw(t, "kind"),
				Pointer: text.Draw(t, "pointer"), Rule: text.Draw(t, "rule"), Start: int(rapid.Int32().Draw(t, "start")),
			}
		}), 0, 3)
		p := audit.Payload{
			Arguments: values.Draw(t, "arguments"), Findings: findings.Draw(t, "findings"), Forgotten: rapid.Bool().Draw(t, "forgotten"),
			Cut: rapid.SliceOfN(text, 0, 3).Draw(t, "cut"), Reason: text.Draw(t, "reason"), Result: values.Draw(t, "result"), Task: text.Draw(t, "task"),
		}
		if len(p.Cut) == 0 {
			p.Cut = nil
		}
		if len(p.Findings) == 0 {
			p.Findings = nil
		}
		want, err := canon.From(p)
		if err != nil {
			t.Fatal(err)
		}
		if got := audit.PayloadText(p); got != want.String() {
			t.Fatalf("wrote %s\nwant  %s", got, want)
		}
	})
}

func TestTextsThatNoEngineStoresAreMadeFit(t *testing.T) {
	t.Parallel()
	r, text := audit.Text(&gate.Row{Tool: "a\x00b\xff", Agent: "\xc3"}, nil, gate.RowID{ID: 1}, 1, [32]byte{}, "00")
	if r.Tool != "a\uFFFDb\uFFFD" || r.Agent != "\uFFFD" || strings.Contains(text, `\u0000`) {
		t.Errorf("%q %q in %s", r.Tool, r.Agent, text)
	}
}

func TestEffectIsOfAToolThatIsThere(t *testing.T) {
	t.Parallel()
	for definition, want := range map[string]string{"": "", "d5f1": "destroys"} {
		if r, _ := audit.Text(&gate.Row{Definition: definition}, nil, gate.RowID{ID: 1}, 1, [32]byte{}, "00"); r.Effect != want {
			t.Errorf("with definition %q the effect is %q, want %q", definition, r.Effect, want)
		}
	}
}

func TestPayloadIsCut(t *testing.T) {
	t.Parallel()
	long := value(t, map[string]string{"text": strings.Repeat("ä", 100)})
	for limit := int64(1); limit < 40; limit++ {
		p := audit.NewPayload(gate.Payload{Arguments: long, Result: value(t, "x")}, limit)
		start, ok := p.Arguments.Text()
		if !ok || !strings.HasPrefix(long.String(), start) || int64(len(start)) > limit || int64(len(start)) < limit-1 {
			t.Errorf("limit %d: %q", limit, start)
		}
		if p.Cut[0] != "arguments" || len(p.Cut) != 1 && limit >= 3 {
			t.Errorf("limit %d: says that %v are cut", limit, p.Cut)
		}
	}
	if p := audit.NewPayload(gate.Payload{Arguments: long}, int64(long.Len())); p.Cut != nil || p.Arguments != long {
		t.Errorf("a payload of exactly the limit was cut: %v", p)
	}
}
