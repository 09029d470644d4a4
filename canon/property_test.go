package canon_test

import (
	"encoding/hex"
	"fmt"
	"math/big"
	"strings"
	"testing"
	"unicode/utf16"

	"github.com/go-json-experiment/json/jsontext"
	"pgregory.net/rapid"

	"gatehouse/canon"
)

// node is a model of a JSON value that knows nothing of package canon: a number is its exact fraction.
type node struct {
	kind    byte // n t f " 0 [ {
	text    string
	number  *big.Rat
	names   []string
	members []node
}

// equal compares two models; the order of members does not count.
func (a node) equal(b node) bool {
	if a.kind != b.kind || a.text != b.text || len(a.members) != len(b.members) {
		return false
	}
	if a.kind == '0' {
		return a.number.Cmp(b.number) == 0
	}
	for i, m := range a.members {
		j := i
		if a.kind == '{' {
			for j = range b.names {
				if b.names[j] == a.names[i] {
					break
				}
			}
			if b.names[j] != a.names[i] {
				return false
			}
		}
		if !m.equal(b.members[j]) {
			return false
		}
	}
	return true
}

// texts has what is hard: escapes, both sides of the surrogates, look-alikes, pointers' own characters.
var texts = rapid.OneOf(
	rapid.SampledFrom([]string{
		"", "a", "A", "b", "ab", "\"", "\\", "/", "~", "~0", "a/b", "\n", "\x1f", "\x7f", "é", "e\u0301", "\uffff", "\ue000", "😂", "\u2028", "<", "0", "1",
		"same prefix", "same prefix\"", "same prefix#", "same prefix!", "same prefix\ue000", "same prefix😂", "same pre", "same pref",
	}),
	rapid.String(),
)

// numbers are decimal texts of JSON's grammar that are accepted.
var numbers = rapid.Custom(func(t *rapid.T) string {
	s := rapid.SampledFrom([]string{"", "-"}).Draw(t, "sign")
	s += rapid.SampledFrom([]string{"0", "1", "7", "10", "9007199254740993", "12345678901234567890", "100000000000000000000000", "295147905179352825856"}).Draw(t, "integer")
	if rapid.Bool().Draw(t, "fraction") {
		s += "." + rapid.StringMatching(`[0-9]{1,20}`).Draw(t, "digits")
	}
	if rapid.Bool().Draw(t, "exponent") {
		s += rapid.SampledFrom([]string{"e", "E"}).Draw(t, "e") + rapid.SampledFrom([]string{"", "+", "-"}).Draw(t, "e sign") + fmt.Sprintf("%0*d", rapid.IntRange(1, 4).Draw(t, "e width"), rapid.IntRange(0, 60).Draw(t, "exponent"))
	}
	return s
})

func nodes(depth int) *rapid.Generator[node] {
	return rapid.Custom(func(t *rapid.T) node {
		kinds := "ntf\"\"00"
		if depth > 0 {
			kinds += "[[{{{"
		}
		n := node{kind: kinds[rapid.IntRange(0, len(kinds)-1).Draw(t, "kind")]}
		switch n.kind {
		case '"':
			n.text = texts.Draw(t, "text")
		case '0':
			n.number, _ = new(big.Rat).SetString(numbers.Draw(t, "number"))
		case '[':
			n.members = rapid.SliceOfN(nodes(depth-1), 0, 4).Draw(t, "elements")
		case '{':
			n.names = rapid.SliceOfNDistinct(texts.Filter(func(s string) bool { return !strings.Contains(s, "\x00") }), 0, 24, rapid.ID).Draw(t, "names")
			for range n.names {
				n.members = append(n.members, nodes(depth-1).Draw(t, "member"))
			}
		}
		return n
	})
}

// spell writes a model in one of its many spellings.
func (a node) spell(t *rapid.T) string {
	space := rapid.SampledFrom([]string{"", "", "", " ", "\n\t\r "})
	out := space.Draw(t, "space")
	switch a.kind {
	case 'n':
		out += "null"
	case 't':
		out += "true"
	case 'f':
		out += "false"
	case '"':
		out += spellString(t, a.text)
	case '0':
		out += spellNumber(t, a.number)
	case '[':
		var parts []string
		for _, m := range a.members {
			parts = append(parts, m.spell(t))
		}
		out += "[" + strings.Join(parts, ",") + space.Draw(t, "space") + "]"
	case '{':
		var parts []string
		for i, m := range a.members {
			parts = append(parts, space.Draw(t, "space")+spellString(t, a.names[i])+space.Draw(t, "space")+":"+m.spell(t))
		}
		out += "{" + strings.Join(rapid.Permutation(parts).Draw(t, "order"), ",") + space.Draw(t, "space") + "}"
	}
	return out + space.Draw(t, "space")
}

func spellString(t *rapid.T, s string) string {
	var b strings.Builder
	for _, r := range s {
		escape := rapid.IntRange(0, 4).Draw(t, "escape") == 0
		switch {
		case escape || r < 0x20 || r == '"' || r == '\\':
			for _, u := range utf16.Encode([]rune{r}) {
				fmt.Fprintf(&b, rapid.SampledFrom([]string{`\u%04x`, `\u%04X`}).Draw(t, "case"), u)
			}
		default:
			b.WriteRune(r)
		}
	}
	return `"` + b.String() + `"`
}

// spellNumber writes the number as an integer or decimal times a power of ten, never of more than 100 characters.
func spellNumber(t *rapid.T, n *big.Rat) string {
	if n.Sign() == 0 {
		return rapid.SampledFrom([]string{"0", "-0", "0.00", "0e5", "-0.0E-400"}).Draw(t, "zero")
	}
	scale := 0
	for !n.IsInt() {
		n = new(big.Rat).Mul(n, big.NewRat(10, 1))
		scale++
	}
	digits := n.Num().String()
	for range rapid.IntRange(0, 2).Draw(t, "zeros") {
		digits, scale = digits+"0", scale+1
	}
	for scale == 0 && len(digits) > 60 && strings.HasSuffix(digits, "0") {
		digits, scale = digits[:len(digits)-1], scale-1
	}
	if scale > 0 && rapid.Bool().Draw(t, "with a point") {
		sign := ""
		if digits[0] == '-' {
			sign, digits = "-", digits[1:]
		}
		if len(digits) <= scale && scale < 60 {
			digits = strings.Repeat("0", scale-len(digits)+1) + digits
		}
		if len(digits) > scale {
			return sign + digits[:len(digits)-scale] + "." + digits[len(digits)-scale:]
		}
		digits = sign + digits
	}
	if scale == 0 {
		return digits
	}
	return fmt.Sprintf("%se%d", digits, -scale)
}

// read makes a model of a JSON text with the library alone.
func read(t *rapid.T, text string) node {
	d := jsontext.NewDecoder(strings.NewReader(text))
	var value func() node
	value = func() node {
		tok, err := d.ReadToken()
		if err != nil {
			t.Fatalf("reading %s: %v", text, err)
		}
		n := node{kind: byte(tok.Kind())}
		switch n.kind {
		case '"':
			n.text = tok.String()
		case '0':
			n.number, _ = new(big.Rat).SetString(tok.String())
		case '[', '{':
			for d.PeekKind() != ']' && d.PeekKind() != '}' {
				if n.kind == '{' {
					name, _ := d.ReadToken()
					n.names = append(n.names, name.String())
				}
				n.members = append(n.members, value())
			}
			_, _ = d.ReadToken()
		}
		return n
	}
	return value()
}

func parse(t *rapid.T, text string) canon.Value {
	v, err := canon.Parse([]byte(text))
	if err != nil {
		t.Fatalf("Parse(%q): %v", text, err)
	}
	return v
}

func TestNoValueChanges(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		n := nodes(4).Draw(t, "value")
		v := parse(t, n.spell(t))
		if got := read(t, v.String()); !got.equal(n) {
			t.Fatalf("%s is another value than was sent", v)
		}
		if again := parse(t, v.String()); again != v {
			t.Fatalf("parsing %s once more gives %s", v, again)
		}
		if other := parse(t, n.spell(t)); other != v || other.Digest() != v.Digest() {
			t.Fatalf("two spellings of one value: %s and %s", v, other)
		}
	})
}

func TestDifferentValuesShareNothing(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		a, b := nodes(2).Draw(t, "a"), nodes(2).Draw(t, "b")
		v, w := parse(t, a.spell(t)), parse(t, b.spell(t))
		if same := a.equal(b); same != (v == w) || same != (v.Digest() == w.Digest()) {
			t.Fatalf("equal: %v; texts %s and %s", same, v, w)
		}
	})
}

func TestNumbersAreExact(t *testing.T) {
	t.Parallel()
	// Neighbours: two numbers that differ in their last digit or in a power of ten are where a double would make them one.
	neighbour := rapid.Custom(func(t *rapid.T) string {
		return rapid.SampledFrom([]string{"", "-"}).Draw(t, "sign") + rapid.StringMatching(`[1-9][0-9]{0,24}`).Draw(t, "digits") +
			rapid.SampledFrom([]string{"", "0", "00", ".0", ".1", ".10", "e0", "e1", "E-1", "e-30", "e+30"}).Draw(t, "end")
	})
	rapid.Check(t, func(t *rapid.T) {
		a := rapid.OneOf(numbers, neighbour).Draw(t, "a")
		b := rapid.OneOf(numbers, neighbour, rapid.Just(a+"0"), rapid.Just(a)).Draw(t, "b")
		x, okA := new(big.Rat).SetString(a)
		y, okB := new(big.Rat).SetString(b)
		v, errA := canon.Parse([]byte(a))
		w, errB := canon.Parse([]byte(b))
		if !okA || !okB || errA != nil || errB != nil {
			t.Skip("one is no number or is refused")
		}
		for text, want := range map[string]*big.Rat{v.String(): x, w.String(): y} {
			if got, ok := new(big.Rat).SetString(text); !ok || got.Cmp(want) != 0 {
				t.Fatalf("%s and %s became %s and %s", a, b, v, w)
			}
		}
		if same := x.Cmp(y) == 0; same != (v == w) {
			t.Fatalf("%s and %s are written %s and %s", a, b, v, w)
		}
	})
}

// TestDoublesAsRFC8785: where a double's text is exact, ours is that text. jsontext.AppendFloat is RFC 8785's but for -0.
func TestDoublesAsRFC8785(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		f := rapid.Float64().Draw(t, "double")
		text := string(jsontext.AppendFloat(nil, f+0, 64)) // -0+0 is 0
		if v := parse(t, text); v.String() != text {
			t.Fatalf("%s is written %s", text, v)
		}
	})
}

func TestDigestIsHex(t *testing.T) {
	t.Parallel()
	v, err := canon.Parse([]byte(`{}`))
	if err != nil {
		t.Fatal(err)
	}
	d := v.Digest()
	if d.String() != hex.EncodeToString(d[:]) || d.IsZero() || !(canon.Digest{}).IsZero() {
		t.Errorf("digest of {} is %s", d)
	}
}
