package canon_test

import (
	"errors"
	"math"
	"strings"
	"testing"

	"gatehouse/canon"
	"gatehouse/outcome"
)

type letter struct {
	To      []string    `json:"to"`
	Count   int64       `json:"count"`
	Small   int8        `json:"small"`
	Share   float64     `json:"share"`
	Half    float32     `json:"half"`
	Urgent  bool        `json:"urgent"`
	Reply   *letter     `json:"reply"`
	Rest    canon.Value `json:"rest,omitzero"`
	Unnamed any         `json:"any"`
}

func TestDecode(t *testing.T) {
	t.Parallel()
	var l letter
	v := must(t, `{"to":["a","b"],"count":1e2,"share":0.1,"half":0.5,"urgent":true,"reply":{"count":9223372036854775807},"rest":{"z":1,"y":12345678901234567890}}`)
	if err := v.Decode(&l); err != nil {
		t.Fatal(err)
	}
	if len(l.To) != 2 || l.Count != 100 || l.Share != 0.1 || l.Half != 0.5 || !l.Urgent || l.Reply.Count != math.MaxInt64 ||
		l.Rest.String() != `{"y":12345678901234567890,"z":1}` {
		t.Errorf("got %+v", l)
	}
}

func TestDecodeRefuses(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ name, in, path, problem string }{
		{"unknown member", `{"cc":[]}`, "/cc", "no such member"},
		{"unknown member, deep", `{"reply":{"bcc":1}}`, "/reply/bcc", "no such member"},
		{"another case", `{"To":[]}`, "/To", "no such member"},
		{"both cases", `{"to":[],"TO":[]}`, "/TO", "no such member"},
		{"another kind", `{"to":["a",1]}`, "/to/1", "must be a string, not a number"},
		{"an object for an array", `{"to":{}}`, "/to", "must be an array, not an object"},
		{"an array for a boolean", `{"urgent":[]}`, "/urgent", "must be a boolean, not an array"},
		{"a boolean for a string", `{"to":[true]}`, "/to/0", "must be a string, not a boolean"},
		{"a string for an object", `{"reply":"x"}`, "/reply", "must be an object, not a string"},
		{"a string for a double", `{"share":"1"}`, "/share", "must be a number, not a string"},
		{"a string for a number", `{"count":"1"}`, "/count", "must be an integer, not a string"},
		{"a fraction for an integer", `{"count":1.5}`, "/count", "must be an integer of the right"},
		{"beyond 64 bits", `{"count":9223372036854775808}`, "/count", "must be an integer of the right"},
		{"beyond 8 bits", `{"small":128}`, "/small", "must be an integer of the right"},
		{"a double would round it", `{"share":12345678901234567890}`, "/share", "without rounding"},
		{"a double would round it, any", `{"any":12345678901234567890}`, "/any", "without rounding"},
		{"a double would round it, deep in any", `{"any":[{"a":0.12345678901234567891}]}`, "/any/0/a", "without rounding"},
		{"a short float would round it", `{"half":0.123456789}`, "/half", "without rounding"},
		{"a short float would be infinite", `{"half":1e300}`, "/half", "without rounding"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var l letter
			err := must(t, tt.in).Decode(&l)
			var e *outcome.Error
			if !errors.Is(err, outcome.Invalid) || !errors.As(err, &e) || len(e.Faults) != 1 {
				t.Fatalf("Decode: %v; want invalid with one fault", err)
			}
			if f := e.Faults[0]; f.Path != tt.path || !strings.Contains(f.Problem, tt.problem) {
				t.Errorf("Decode: %q at %q; want %q at %q", f.Problem, f.Path, tt.problem, tt.path)
			}
			if strings.Contains(err.Error(), "canon") || strings.Contains(err.Error(), "int64") {
				t.Errorf("the error speaks of Go: %v", err)
			}
		})
	}
	if err := (canon.Value{}).Decode(new(letter)); !errors.Is(err, outcome.Invalid) || !strings.Contains(err.Error(), "there is none") {
		t.Errorf("the zero Value decodes: %v", err)
	}
}

func TestFrom(t *testing.T) {
	t.Parallel()
	v, err := canon.From(letter{To: []string{"<b>&"}, Count: math.MaxInt64, Share: 1e21, Rest: must(t, `{"b":1.0,"a":2}`)})
	want := `{"any":null,"count":9223372036854775807,"half":0,"reply":null,"rest":{"a":2,"b":1},"share":1e+21,"small":0,"to":["<b>&"],"urgent":false}`
	if err != nil || v.String() != want {
		t.Errorf("From gives %s, %v\nwant %s", v, err, want)
	}
	if same, err := canon.From(v); err != nil || same != v {
		t.Errorf("From of a Value gives %s, %v", same, err)
	}
	var deep any
	for range 65 {
		deep = []any{deep}
	}
	for name, bad := range map[string]any{
		"NaN": math.NaN(), "a function": func() {}, "not UTF-8": "\xff", "U+0000 in a name": map[string]int{"a\x00": 1}, "too deep": deep,
	} {
		if v, err := canon.From(bad); err == nil || outcome.Of(err) != outcome.Internal || !v.IsZero() {
			t.Errorf("From(%s) = %s, %v; want an error without a code", name, v, err)
		}
	}
}

func TestUnmarshalIsAsStrict(t *testing.T) {
	t.Parallel()
	v := canon.Object()
	if err := v.UnmarshalJSON([]byte(`{"a":1,"a":2}`)); !errors.Is(err, outcome.Invalid) || v != canon.Object() {
		t.Errorf("UnmarshalJSON: %v, %s", err, v)
	}
}
