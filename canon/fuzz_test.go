package canon_test

import (
	"math/big"
	"strings"
	"testing"

	"github.com/go-json-experiment/json/jsontext"

	"gatehouse/canon"
	"gatehouse/outcome"
)

// FuzzParse holds Parse against the library: it accepts only what the library accepts, writes what the library would
// write (numbers aside), and what it refuses beyond that it refuses for one of its own reasons.
func FuzzParse(f *testing.F) {
	for _, s := range []string{
		`{"b":[1,2.50,-0,1e2],"a":{"d":null,"c":"\u00e9\/\n"}}`, `{"name\u0000":1}`, "\xef\xbb\xbf{}", "[NaN]", "1e400",
		strings.Repeat("[", 10_000) + strings.Repeat("]", 10_000), "{} {}", `"\ud800"`, `{"a":1,"\u0061":2}`, `{"":{"~":["/"]}}`,
		`{"\uFB33":1,"\uD83D\uDE02":2}`, strings.Repeat("9", 101), "12345678901234567890", "{\"a\x00\":1}", "\"\xff\"", `{"Method":1,"method":2}`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		sent := string(b)
		v, err := canon.Parse(b)
		if string(b) != sent {
			t.Fatal("Parse changed its input")
		}
		valid := jsontext.Value(b).IsValid()
		if err != nil {
			checkRefusal(t, valid, v, err)
			return
		}
		if !valid {
			t.Fatalf("accepted what is not JSON: %q", b)
		}
		if again, err := canon.Parse(v.Bytes()); err != nil || again != v {
			t.Fatalf("not stable: %s, then %s, %v", v, again, err)
		}
		formatted, err := jsontext.AppendFormat(nil, v.Bytes(), jsontext.ReorderRawObjects(true))
		if err != nil || string(formatted) != v.String() {
			t.Fatalf("%s is not in the order or spelling of RFC 8785: %s, %v", v, formatted, err)
		}
		// With the numbers made doubles on both sides, everything else must be as it was sent.
		in, out := jsontext.Value(b).Clone(), jsontext.Value(v.Bytes())
		if errIn, errOut := in.Canonicalize(), out.Canonicalize(); errIn != nil || errOut != nil || string(in) != string(out) {
			t.Fatalf("sent %s, became %s (%v, %v)", in, out, errIn, errOut)
		}
		checkWalk(t, v)
	})
}

func checkRefusal(t *testing.T, valid bool, v canon.Value, err error) {
	t.Helper()
	if outcome.Of(err) != outcome.Invalid || !v.IsZero() {
		t.Fatalf("refused with %v and %q", err, v)
	}
	own := false
	for _, reason := range []string{"100 characters", "too large", "too small", "64 objects", "U+0000"} {
		own = own || strings.Contains(err.Error(), reason)
	}
	if valid != own {
		t.Fatalf("JSON: %v, but refused with %v", valid, err)
	}
}

// checkWalk holds the walkers against each other.
func checkWalk(t *testing.T, v canon.Value) {
	t.Helper()
	for pointer, s := range v.Strings {
		leaf, ok := v.Lookup(pointer)
		if text, isText := leaf.Text(); !ok || !isText || text != s {
			t.Fatalf("%s: Strings gives %q at %q, Lookup %q, %v", v, s, pointer, leaf, ok)
		}
	}
	for pointer := range v.Names {
		if _, ok := v.Lookup(pointer); !ok {
			t.Fatalf("%s: Names gives %q, Lookup does not find it", v, pointer)
		}
	}
	if same := v.ReplaceStrings(func(_, s string) string { return s }); same != v {
		t.Fatalf("replacing nothing made %s of %s", same, v)
	}
	cut := v.ReplaceStrings(func(_, s string) string { return s + "\"\xff" })
	if again, err := canon.Parse(cut.Bytes()); err != nil || again != cut {
		t.Fatalf("replacing made %s, which is not canonical: %v", cut, err)
	}
}

func FuzzNumber(f *testing.F) {
	for _, s := range []string{"0", "-0.0e1", "1.50", "1E2", "1e400", "1e-400", "123456789012345678901234567890", "295147905179352825856", "-1e-7", "1e21"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		v, err := canon.Parse([]byte(s))
		if err != nil || !strings.ContainsAny(s[:1], "-0123456789 \t\r\n") || strings.ContainsAny(s, "tfn\"[{") {
			return
		}
		sent, ok := new(big.Rat).SetString(strings.TrimSpace(s))
		written, okOut := new(big.Rat).SetString(v.String())
		if !ok || !okOut || sent.Cmp(written) != 0 || len(v.String()) > canon.MaxNumber {
			t.Fatalf("%q is written %s", s, v)
		}
	})
}
