package upstream_test

import (
	"regexp"
	"strconv"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"gatehouse/canon"
	"gatehouse/module/upstream"
)

var gateNames = regexp.MustCompile(`^[^\x00-\x20\x7f]{1,200}$`)

// FuzzDefinition: whatever a server says of a tool ends in a tool or in an error, never in a panic, and the definition
// that a right is bound to is read again as itself.
func FuzzDefinition(f *testing.F) {
	for _, seed := range strings.Split(odd, ",{") {
		f.Add([]byte("{" + strings.TrimPrefix(seed, "{")))
	}
	f.Add([]byte(`{"name":"x","title":"t","annotations":{"title":"u"},"inputSchema":{"type":"object","$ref":"#/$defs/a","$defs":{"a":{"$ref":"#/$defs/a"}}}}`))
	f.Add([]byte(`{"name":"x","inputSchema":{"type":["object","null"],"required":7}}`))
	f.Fuzz(func(t *testing.T, entry []byte) {
		name, definition, err := upstream.Offered(entry)
		if err != nil {
			return
		}
		if !gateNames.MatchString(name) || strings.IndexFunc(name, func(r rune) bool { return !unicode.IsPrint(r) }) >= 0 {
			t.Errorf("the tool is called %q", name)
		}
		again, same, err := upstream.Offered([]byte(definition))
		if err != nil || again != name || same != definition {
			t.Errorf("%s is read again as %q %s (%v)", definition, again, same, err)
		}
	})
}

func FuzzTidy(f *testing.F) {
	for _, seed := range []string{"", "plain", "a\x1b[31mb", "\u202e", "\xff\xfe", strings.Repeat("é", 300), "\U000e0041", "\n"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got := upstream.Tidy(s)
		if len(got) > 300 || !utf8.ValidString(got) || strings.IndexFunc(got, func(r rune) bool { return !unicode.IsPrint(r) }) >= 0 {
			t.Errorf("%q became %q", s, got)
		}
	})
}

// FuzzAnswered: where a line can be read as a whole, what is guessed from its ends is what it says, or nothing.
func FuzzAnswered(f *testing.F) {
	for _, seed := range []string{
		`{"jsonrpc":"2.0","id":7,"result":{}}`, `{"result":{"id":3},"jsonrpc":"2.0","id":7}`, `{"id":7,"result":"\"id\":9}"}`,
		`{"result":{"id":9}}`, `{"jsonrpc":"2.0","id":"7","result":{}}`, `{"result":[{"id":1}],"id":2}`, `{ "id" : 12 , "result": 1 }`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, line []byte) {
		id, ok := upstream.Answered(line, line)
		v, err := canon.ParseObject(line)
		if !ok || err != nil {
			return
		}
		if said, _ := v.Member("id"); said.String() != strconv.FormatInt(id, 10) {
			t.Errorf("%q is taken for the answer to %d", line, id)
		}
	})
}

func TestAnswered(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 1000)
	for line, want := range map[string]int64{
		`{"jsonrpc":"2.0","id":7,"result":{"a":"` + long + `"}}`:       7,
		`{"id":7,"jsonrpc":"2.0","result":{"a":"` + long + `"}}`:       7,
		`{"result":{"a":"` + long + `"},"jsonrpc":"2.0","id":7}`:       7,
		`{"result":{"a":"` + long + `"},"id":7,"jsonrpc":"2.0"}`:       7,
		` { "jsonrpc" : "2.0" , "id" : 7 , "result" : "` + long + `"}`: 7,
		`{"jsonrpc":"2.0","id":"7","result":{"a":"` + long + `"}}`:     0,
		`{"jsonrpc":"2.0","result":{"a":"` + long + `"}}`:              0,
		long: 0,
	} {
		if got, ok := upstream.Answered([]byte(line), []byte(line)); got != want || ok != (want != 0) {
			t.Errorf("%.60s…: %d %v, want %d", line, got, ok, want)
		}
	}
}
