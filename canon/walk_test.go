package canon_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"gatehouse/canon"
)

func must(t *testing.T, text string) canon.Value {
	t.Helper()
	v, err := canon.Parse([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return v
}

const tree = `{"a":"x","b":["y",1,{"c/d":"z","e~f":"\"q\""}],"":{"":"empty"},"n":null}`

func TestStrings(t *testing.T) {
	t.Parallel()
	var got []string
	for pointer, s := range must(t, tree).Strings {
		got = append(got, pointer+"="+s)
	}
	want := []string{"//=empty", "/a=x", "/b/0=y", "/b/2/c~1d=z", `/b/2/e~0f="q"`}
	if !slices.Equal(got, want) {
		t.Errorf("Strings gives %q, want %q", got, want)
	}
}

func TestNames(t *testing.T) {
	t.Parallel()
	var got []string
	for pointer, s := range must(t, tree).Names {
		got = append(got, pointer+"="+s)
	}
	want := []string{"/=", "//=", "/a=a", "/b=b", "/b/2/c~1d=c/d", "/b/2/e~0f=e~f", "/n=n"}
	if !slices.Equal(got, want) {
		t.Errorf("Names gives %q, want %q", got, want)
	}
}

func TestKeep(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ from, without, want string }{
		{`{}`, "a", `{}`},
		{`{"a":1}`, "a", `{}`},
		{`{"a":1}`, "b", `{"a":1}`},
		{`{"a":1,"b":{"a":[2]},"c":"}"}`, "a", `{"b":{"a":[2]},"c":"}"}`},
		{`{"a":1,"b":{"a":[2]},"c":"}"}`, "b", `{"a":1,"c":"}"}`},
		{`{"a":1,"b":{"a":[2]},"c":"}"}`, "c", `{"a":1,"b":{"a":[2]}}`},
		{`{"a":1,"b":2,"c":3}`, "ab", `{"c":3}`},
		{`{"a":1,"b":2,"c":3}`, "abc", `{}`},
		{`{"a\"":1,"b":2}`, "b", `{"a\"":1}`},
		{`["a"]`, "a", `["a"]`},
	} {
		got := must(t, tt.from).Keep(func(name string) bool { return !strings.Contains(tt.without, name) })
		if want := must(t, tt.want); got != want {
			t.Errorf("%s without %s is %s, want %s", tt.from, tt.without, got, want)
		}
	}
}

// TestWalksStop: every walker stops at the very place where it is told to, at every depth.
func TestWalksStop(t *testing.T) {
	t.Parallel()
	v := must(t, tree)
	for name, walk := range map[string]func(yield func(string, string) bool){"Strings": v.Strings, "Names": v.Names} {
		all := 0
		for range walk {
			all++
		}
		for stop := 1; stop <= all; stop++ {
			seen := 0
			walk(func(string, string) bool { seen++; return seen < stop })
			if seen != stop {
				t.Errorf("%s was told to stop at %d and went on to %d", name, stop, seen)
			}
		}
	}
}

func TestReplaceStrings(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ name, with, want string }{
		{"shorter", "", `{"":{"":""},"a":"","b":["",1,{"c/d":"","e~f":""}],"n":null}`},
		{"what would end the string", `","a":"`, `{"":{"":"\",\"a\":\""},"a":"\",\"a\":\"","b":["\",\"a\":\"",1,{"c/d":"\",\"a\":\"","e~f":"\",\"a\":\""}],"n":null}`},
		{"not UTF-8", "\xff\n", `{"":{"":"` + "\ufffd" + `\n"},"a":"` + "\ufffd" + `\n","b":["` + "\ufffd" + `\n",1,{"c/d":"` + "\ufffd" + `\n","e~f":"` + "\ufffd" + `\n"}],"n":null}`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if got := must(t, tree).ReplaceStrings(func(_, _ string) string { return tt.with }); got.String() != tt.want {
				t.Errorf("got %s\nwant %s", got, tt.want)
			}
		})
	}
	one := must(t, tree).ReplaceStrings(func(pointer, s string) string {
		if pointer == "/b/0" {
			return "[cut]"
		}
		return s
	})
	if want := must(t, `{"a":"x","b":["[cut]",1,{"c/d":"z","e~f":"\"q\""}],"":{"":"empty"},"n":null}`); one != want {
		t.Errorf("got %s, want %s", one, want)
	}
	if v := must(t, `"secret"`).ReplaceStrings(func(_, _ string) string { return "x" }); v.String() != `"x"` {
		t.Errorf("a lone string became %s", v)
	}
}

func TestLookup(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ pointer, want string }{
		{"", `{"":{"":"empty"},"a":"x","b":["y",1,{"c/d":"z","e~f":"\"q\""}],"n":null}`},
		{"/", `{"":"empty"}`},
		{"//", `"empty"`},
		{"/a", `"x"`},
		{"/n", "null"},
		{"/b/1", "1"},
		{"/b/2/c~1d", `"z"`},
		{"/b/2/e~0f", `"\"q\""`},
		{"/b/01", ""},
		{"/b/-", ""},
		{"/b/3", ""},
		{"/b/-1", ""},
		{"/A", ""},
		{"a", ""},
		{"/a/x", ""},
		{"/b/2/c/d", ""},
	} {
		t.Run(tt.pointer, func(t *testing.T) {
			t.Parallel()
			got, ok := must(t, tree).Lookup(tt.pointer)
			if got.String() != tt.want || ok != (tt.want != "") {
				t.Errorf("Lookup(%q) = %s, %v; want %s", tt.pointer, got, ok, tt.want)
			}
		})
	}
}

func TestLookupOfEscapedTilde(t *testing.T) {
	t.Parallel()
	v := must(t, `{"~1":"tilde","/":"slash"}`)
	for pointer := range v.Names {
		got, ok := v.Lookup(pointer)
		if want := map[string]string{"/~01": `"tilde"`, "/~1": `"slash"`}[pointer]; !ok || got.String() != want {
			t.Errorf("Lookup(%q) = %s, %v; want %s", pointer, got, ok, want)
		}
	}
}

func TestMember(t *testing.T) {
	t.Parallel()
	v := must(t, `{"a":"x","b":null}`)
	a, okA := v.Member("a")
	b, okB := v.Member("b")
	_, okC := v.Member("A")
	if s, isText := a.Text(); !okA || !isText || s != "x" || !okB || b.String() != "null" || okC {
		t.Errorf("members a %s, b %s, A %v", a, b, okC)
	}
	if _, isText := b.Text(); isText {
		t.Error("null is a text")
	}
}

func TestZeroValueHoldsNothing(t *testing.T) {
	t.Parallel()
	var v canon.Value
	for range v.Members {
		t.Error("a member")
	}
	for range v.Elements {
		t.Error("an element")
	}
	for range v.Strings {
		t.Error("a string")
	}
	for range v.Names {
		t.Error("a name")
	}
	_, found := v.Lookup("")
	_, member := v.Member("")
	_, text := v.Text()
	if found || member || text || !v.IsZero() || v.IsObject() || v.Len() != 0 || !v.ReplaceStrings(func(_, _ string) string { return "" }).IsZero() {
		t.Error("the zero Value is taken for JSON")
	}
}

func ExampleValue_Members() {
	v, err := canon.Parse([]byte(`{"sql": "select 1", "connection": "shop"}`))
	if err != nil {
		panic(err)
	}
	for name, member := range v.Members {
		fmt.Println(name, member)
	}
	// Output:
	// connection "shop"
	// sql "select 1"
}
