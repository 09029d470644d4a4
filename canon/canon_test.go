package canon_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"gatehouse/canon"
	"gatehouse/outcome"
)

func TestParse(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ name, in, want string }{
		{"order and space", " { \"b\" : 1 ,\n\"a\" : [ true , false , null , { } , [ ] ] } ", `{"a":[true,false,null,{},[]],"b":1}`},
		{"deep order", `{"b":{"d":1,"c":{"z":0,"y":[{"k":1,"j":2}]}},"a":""}`, `{"a":"","b":{"c":{"y":[{"j":2,"k":1}],"z":0},"d":1}}`},
		{"order of escaped names", `{"\"":1,"!":2,"#":3,"\\":4,"[":5,"]":6}`, `{"!":2,"\"":1,"#":3,"[":5,"\\":4,"]":6}`},
		{"order by UTF-16", `{"\uFB33":1,"\uD83D\uDE02":2,"\u20ac":3,"1":4,"\u0080":5,"\r":6}`, "{\"\\r\":6,\"1\":4,\"\u0080\":5,\"\u20ac\":3,\"\U0001F602\":2,\"\uFB33\":1}"},
		{"strings", `"\u0041\/\u000A\u001F\u007f\u2028<\u00e9\t"`, "\"A/\\n\\u001f\u007f\u2028<é\\t\""},
		{"order behind eight equal bytes", `{"12345678\uFB33":1,"12345678\uD83D\uDE02":2,"12345678#":3,"12345678\"":4,"12345678":5}`, "{\"12345678\":5,\"12345678\\\"\":4,\"12345678#\":3,\"12345678\U0001F602\":2,\"12345678\uFB33\":1}"},
		{"both ends of the upper block", `{"\ue000":1,"\uffff":2,"\ud7ff":3,"\ud800\udc00":4,"\udbff\udfff":5}`, "{\"\ud7ff\":3,\"\U00010000\":4,\"\U0010FFFF\":5,\"\ue000\":1,\"\uffff\":2}"},
		{"an escaped slash alone", `{"\/":"\/"}`, `{"/":"/"}`},
		{"a prefix comes first", `{"ab":1,"a":2,"":3}`, `{"":3,"a":2,"ab":1}`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			v, err := canon.Parse([]byte(tt.in))
			if err != nil || v.String() != tt.want {
				t.Errorf("Parse(%s)\n got %s, %v\nwant %s", tt.in, v, err, tt.want)
			}
		})
	}
}

func TestParseRefuses(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ name, in, path, problem string }{
		{"nothing", " ", "", "there is none (at byte 0)"},
		{"byte order mark", "\xef\xbb\xbf{}", "", "byte order mark (at byte 0)"},
		{"not UTF-8", "{\"a\":\"\xff\"}", "/a", "(at byte 6)"},
		{"UTF-16", "\x00{\x00}", "", "invalid character"},
		{"overlong", "\"\xc0\x80\"", "", "UTF-8"},
		{"surrogate in UTF-8", "\"\xed\xa0\x80\"", "", "UTF-8"},
		{"lone surrogate", `{"a":["\ud800"]}`, "/a/0", "at byte"},
		{"lone low surrogate", `"\udc00x"`, "", "at byte"},
		{"same name twice", `{"a":{"b":1,"b":1}}`, "/a/b", "twice"},
		{"same name by escape", `{"a":1,"\u0061":1}`, "/a", "twice"},
		{"U+0000 in a name", `{"x":{"name\u0000":1}}`, "/x/name\x00", "U+0000"},
		{"raw U+0000", "{\"a\x00\":1}", "", "invalid"},
		{"something after it", `{} x`, "", "nothing after it"},
		{"two values", `{}{}`, "", "nothing after it"},
		{"U+0000 after it", "{}\x00", "", "at byte 2"},
		{"cut", `{"a":[1,`, "/a", "too early"},
		{"comma", `[1,]`, "", "at byte"},
		{"comment", `[1/*x*/]`, "", "at byte 2"},
		{"single quotes", `{'a':1}`, "", "at byte 1"},
		{"NaN", `[NaN]`, "", "at byte 1"},
		{"Infinity", `[-Infinity]`, "", "at byte 2"},
		{"leading zero", `[01]`, "", "at byte 2"},
		{"plus", `[+1]`, "", "at byte 1"},
		{"hex", `[0x1]`, "", "at byte 2"},
		{"bare point", `[1.]`, "", "at byte 3"},
		{"too large", `{"n":[0,1e400]}`, "/n/1", "too large (at byte 8)"},
		{"too large, negative", `-1e400`, "", "too large"},
		{"exponent beyond int", `1e99999999999999999999`, "", "too large"},
		{"too small", `1e-400`, "", "too small"},
		{"too small, exponent beyond int", `1e-99999999999999999999`, "", "too small"},
		{"101 digits", strings.Repeat("7", 101), "", "100 characters"},
		{"101 zeros", "0." + strings.Repeat("0", 99), "", "100 characters"},
		{"longer when written out", "-1." + strings.Repeat("7", 93) + "e-5", "", "100 characters"},
		{"65 levels", strings.Repeat("[", 65) + strings.Repeat("]", 65), strings.Repeat("/0", 64), "64 objects"},
		{"65 levels of objects", strings.Repeat(`{"a":`, 65) + "1" + strings.Repeat("}", 65), strings.Repeat("/a", 64), "64 objects"},
		{"10,000 levels", strings.Repeat("[", 10_000) + strings.Repeat("]", 10_000), strings.Repeat("/0", 64), "64 objects"},
		{"a long name in the path", `{"` + strings.Repeat("é", 500) + `":1e400}`, "/" + strings.Repeat("é", 99) + "…", "too large"},
		{"100,000 levels", strings.Repeat("[", 100_000), "", "at byte"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			v, err := canon.Parse([]byte(tt.in))
			var e *outcome.Error
			if !errors.Is(err, outcome.Invalid) || !errors.As(err, &e) || len(e.Faults) != 1 {
				t.Fatalf("Parse gives %s, %v; want one fault", v, err)
			}
			if f := e.Faults[0]; tt.path != "" && f.Path != tt.path || !strings.Contains(f.Problem, tt.problem) {
				t.Errorf("Parse: fault %q at %q; want %q at %q", f.Problem, f.Path, tt.problem, tt.path)
			}
			if !v.IsZero() {
				t.Errorf("Parse gives a value with its error: %s", v)
			}
		})
	}
}

// TestManyMembers: objects with few and with many members are sorted in two ways.
func TestManyMembers(t *testing.T) {
	t.Parallel()
	for n := range 40 {
		var members []string
		for i := range n {
			members = append(members, fmt.Sprintf(`"%d":%d`, i*7%41, i))
		}
		in := "{" + strings.Join(members, ",") + "}"
		slices.Sort(members) // all names are digits, and a quote comes before them: the order of bytes
		want := "{" + strings.Join(members, ",") + "}"
		if v, err := canon.Parse([]byte(in)); err != nil || v.String() != want {
			t.Errorf("Parse(%s)\n got %s, %v\nwant %s", in, v, err, want)
		}
	}
}

func TestParseObject(t *testing.T) {
	t.Parallel()
	if v, err := canon.ParseObject([]byte(` {"b":1, "a":2}`)); err != nil || v.String() != `{"a":2,"b":1}` {
		t.Errorf("an object: %s, %v", v, err)
	}
	for _, in := range []string{`[]`, `null`, `"{}"`, `1`, `{`, ``} {
		if v, err := canon.ParseObject([]byte(in)); !errors.Is(err, outcome.Invalid) || !v.IsZero() {
			t.Errorf("ParseObject(%q) = %s, %v; want invalid", in, v, err)
		}
	}
}

func TestBytesAreACopy(t *testing.T) {
	t.Parallel()
	in := []byte(`{"a":1}`)
	v, err := canon.Parse(in)
	if err != nil {
		t.Fatal(err)
	}
	in[2], v.Bytes()[2] = 'x', 'x'
	if got := string(v.AppendTo([]byte("x"))); got != `x{"a":1}` {
		t.Errorf("the value became %s", got)
	}
}

func TestConcurrentParses(t *testing.T) {
	t.Parallel()
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			for i := range 200 {
				in := fmt.Sprintf(`{"z":%d,"a":{"y":"%d","b":[%d]}}`, g, i, i)
				want := fmt.Sprintf(`{"a":{"b":[%d],"y":"%d"},"z":%d}`, i, i, g)
				if v, err := canon.Parse([]byte(in)); err != nil || v.String() != want {
					t.Errorf("got %s, %v, want %s", v, err, want)
				}
			}
		})
	}
	wg.Wait()
}

func TestAppendString(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{"": `""`, "a\"\n\x00/": `"a\"\n\u0000/"`, "\xff": "\"\ufffd\""} {
		if got := string(canon.AppendString([]byte("x"), in)); got != "x"+want {
			t.Errorf("AppendString(%q) = %s, want %s", in, got, want)
		}
	}
}
