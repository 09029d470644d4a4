package calls_test

import (
	"reflect"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"gatehouse/canon"
	"gatehouse/gate"
	"gatehouse/module/calls"
	"gatehouse/outcome"
)

// outcomes draws any outcome that the gate can give.
func outcomes() *rapid.Generator[gate.Outcome] {
	return rapid.Custom(func(t *rapid.T) gate.Outcome {
		o := gate.Outcome{
			Code:       rapid.SampledFrom(outcome.All()).Draw(t, "code"),
			Reason:     rapid.String().Draw(t, "reason"),
			RetryAfter: time.Duration(rapid.Int64().Draw(t, "retry")),
			ID:         gate.RowID{ID: rapid.Int64().Draw(t, "id"), Seq: rapid.Int32().Draw(t, "seq")},
			Content:    rapid.Bool().Draw(t, "content"),
		}
		for range rapid.IntRange(0, 3).Draw(t, "faults") {
			o.Faults = append(o.Faults, outcome.Fault{Path: rapid.String().Draw(t, "path"), Problem: rapid.String().Draw(t, "problem")})
		}
		for range rapid.IntRange(0, 3).Draw(t, "redactions") {
			o.Redactions = append(o.Redactions, gate.Redaction{Kind: rapid.String().Draw(t, "kind"), Count: rapid.Int().Draw(t, "count")})
		}
		text := rapid.SampledFrom([]string{
			``, `null`, `0`, `""`, `"\n"`, `{}`, `[1,2,{"a":"b"}]`, `12345678901234567890`, `0.10`, `1e308`,
			strings.Repeat(`[`, canon.MaxDepth) + strings.Repeat(`]`, canon.MaxDepth),
		}).Draw(t, "result")
		if text != "" {
			var err error
			if o.Result, err = canon.Parse([]byte(text)); err != nil {
				t.Fatal(err)
			}
		}
		return o
	})
}

func TestOutcomesComeBackAsTheyWere(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		want := outcomes().Draw(t, "outcome")
		plain, err := calls.Encode(want)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := calls.Decode(plain); err != nil || !reflect.DeepEqual(*got, want) {
			t.Fatalf("%v\n got %+v\nwant %+v", err, got, want)
		}
	})
}

// A reason that some system sent in another encoding must not cost the outcome.
func TestReasonsThatAreNotUTF8(t *testing.T) {
	t.Parallel()
	plain, err := calls.Encode(gate.Outcome{Code: outcome.Upstream, Reason: "caf\xe9", Faults: []outcome.Fault{{Path: "\xff"}}})
	if err != nil {
		t.Fatal(err)
	}
	if o, err := calls.Decode(plain); err != nil || o.Reason != "caf\uFFFD" {
		t.Errorf("%+v, %v", o, err)
	}
}

func TestBindingsDiffer(t *testing.T) {
	t.Parallel()
	differ := func(t interface{ Errorf(string, ...any) }, a, b, c, d string) {
		one, two := calls.Binding("outcome", 1, gate.ToolName(a), b), calls.Binding("outcome", 1, gate.ToolName(c), d)
		if (a != c || b != d) && one == two {
			t.Errorf("(%q, %q) and (%q, %q) are bound alike: %s", a, b, c, d, one)
		}
	}
	differ(t, "a b", "c", "a", "b c")
	differ(t, `a" "b`, "c", "a", `b" "c`)
	name := rapid.StringMatching(`[a "\\]{1,4}`)
	rapid.Check(t, func(t *rapid.T) {
		differ(t, name.Draw(t, "a"), name.Draw(t, "b"), name.Draw(t, "c"), name.Draw(t, "d"))
	})
}

func FuzzDecode(f *testing.F) {
	for _, o := range []gate.Outcome{{}, {Code: outcome.OK, Reason: "r", Content: true, RetryAfter: 1}} {
		plain, err := calls.Encode(o)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(plain)
		f.Add(append(plain, `{"a":1}`...))
	}
	f.Add([]byte("{\"code\":\"ok\",\"id\":1,\"seq\":0,\"code\":\"internal\"}\n1"))
	f.Fuzz(func(t *testing.T, plain []byte) {
		o, err := calls.Decode(plain)
		if err != nil {
			return
		}
		again, err := calls.Encode(*o)
		if err != nil {
			t.Fatalf("what was read cannot be written: %v", err)
		}
		if back, err := calls.Decode(again); err != nil || !reflect.DeepEqual(back, o) {
			t.Fatalf("%v\n got %+v\nwant %+v", err, back, o)
		}
	})
}
