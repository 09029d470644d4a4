package gate_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"gatehouse/canon"
	"gatehouse/gate"
	"gatehouse/gatetest"
)

type mailArgs struct {
	To      []string    `json:"to" kind:"email" carries:"destination" jsonschema:"who gets it"`
	Subject string      `json:"subject"`
	Size    int64       `json:"size,omitzero"`
	Parts   []part      `json:"parts,omitzero"`
	Any     canon.Value `json:"any,omitzero"`
}

type part struct {
	Name string `json:"name"`
}

func TestSchemaNamesThePlaceOfEachFault(t *testing.T) {
	t.Parallel()
	s, err := gate.SchemaFor[mailArgs]()
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct{ args, want string }{
		{`{"to":["a@b.c"],"subject":"x"}`, ``},
		{`{"to":["a@b.c"],"subject":"x","any":{"deep":[1,null]}}`, ``},
		{`{"to":["a@b.c"],"subject":"x","size":9223372036854775807}`, ``},
		{`{}`, `/to is missing; /subject is missing`},
		{`{"to":"a@b.c","subject":"x"}`, `/to is a string, but must be an array`},
		{`{"to":["a@b.c",7],"subject":"x"}`, `/to/1 is an integer, but must be a string`},
		{`{"to":null,"subject":"x"}`, `/to is a null, but must be an array`},
		{`{"to":[],"subject":"x","bcc":["z"]}`, `/bcc is not an argument of this tool`},
		{`{"to":[],"Subject":"x"}`, `/subject is missing; /Subject is not an argument of this tool`},
		{`{"to":[],"subject":"x","size":1.5}`, `/size is a number, but must be an integer`},
		{`{"to":[],"subject":"x","parts":[{"name":"a"},{"nam":"a"}]}`, `/parts/1/name is missing; /parts/1/nam is not an argument of this tool`},
	} {
		v, err := canon.ParseObject([]byte(tt.args))
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, f := range s.Check(v) {
			got = append(got, f.Path+" "+f.Problem)
		}
		if g := strings.Join(got, "; "); g != tt.want {
			t.Errorf("%s\n got %s\nwant %s", tt.args, g, tt.want)
		}
	}
}

// TestNoPropertyIsABoolean: clients in the field refuse a whole list of tools in which a property's schema is true.
func TestNoPropertyIsABoolean(t *testing.T) {
	t.Parallel()
	h, _ := house(t, gatetest.Config{})
	ann := h.Person("ann", allProbes...)
	offers, err := h.Gate.Tools(t.Context(), h.Caller(ann.Token))
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range offers {
		for _, schema := range []canon.Value{o.Input, o.Output} {
			if properties, ok := schema.Lookup("/properties"); ok {
				for name, p := range properties.Members {
					if !p.IsObject() {
						t.Errorf("%s: the schema of %s is %s", o.Name, name, p)
					}
				}
			}
		}
	}
	s, err := gate.SchemaFor[mailArgs]()
	if err != nil || !strings.Contains(s.Text(), `"any":{`) {
		t.Errorf("%s, %v", s.Text(), err)
	}
}

func TestParseSchema(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	for i := range 10_001 {
		fmt.Fprintf(&b, `"p%d":{},`, i)
	}
	many := `{"type":"object","properties":{` + strings.TrimSuffix(b.String(), ",") + `}}`
	for _, tt := range []struct{ name, schema, wantErr string }{
		{"none", ``, ``},
		{"empty", `{}`, ``},
		{"draft-07", `{"$schema":"http://json-schema.org/draft-07/schema#","type":"object"}`, ``},
		{"a reference inside", `{"type":"object","properties":{"a":{"$ref":"#/$defs/x"}},"$defs":{"x":{"type":"string"}}}`, ``},
		{"a tree that refers to itself", `{"type":"object","properties":{"l":{"$ref":"#"},"r":{"$ref":"#"}}}`, ``},
		{"a circle in place", `{"type":"object","allOf":[{"$ref":"#"}]}`, `without end`},
		{"a circle of a definition", `{"type":"object","properties":{"a":{"$ref":"#/$defs/a"}},"$defs":{"a":{"$ref":"#/$defs/a"}}}`, `without end`},
		{"a circle of two", `{"type":"object","properties":{"a":{"$ref":"#/$defs/a"}},"$defs":{"a":{"anyOf":[{"$ref":"#/$defs/b"}]},"b":{"not":{"$ref":"#/$defs/a"}}}}`, `without end`},
		{"a reference to nothing", `{"type":"object","properties":{"a":{"$ref":"#/$defs/x"}}}`, `refers to nothing`},
		{"a reference that depends on who asks", `{"type":"object","properties":{"a":{"$dynamicRef":"#x"}}}`, `not followed`},
		{"a reference to another document", `{"type":"object","properties":{"a":{"$ref":"http://127.0.0.1/x"}}}`, `compiling`},
		{"an array", `{"type":"array"}`, `not of an object`},
		{"object or null", `{"type":["object","null"]}`, `not of an object`},
		{"duplicate names", `{"type":"object","type":"object"}`, `reading`},
		{"no JSON", `{`, `reading`},
		{"a pattern that does not compile", `{"type":"object","properties":{"a":{"pattern":"("}}}`, `compiling`},
		{"too many nodes", many, `more than 10000`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, err := gate.ParseSchema([]byte(tt.schema))
			if got := fmt.Sprint(err); tt.wantErr == "" && err != nil || !strings.Contains(got, tt.wantErr) {
				t.Errorf("%s, want %q", got, tt.wantErr)
			}
		})
	}
}

// TestWorkIsBounded: short schemas can ask for more than a lifetime of validation, by doubling or by what is sent.
func TestWorkIsBounded(t *testing.T) {
	t.Parallel()
	doubling := `"d0":{"type":"string"}`
	for i := 1; i <= 60; i++ {
		doubling += fmt.Sprintf(`,"d%d":{"allOf":[{"$ref":"#/$defs/d%d"},{"$ref":"#/$defs/d%d"}]}`, i, i-1, i-1)
	}
	nested := func(depth int) string { return `{"a":` + strings.Repeat("[", depth) + strings.Repeat("]", depth) + `}` }
	twice := `{"type":"object","properties":{"a":{"$ref":"#/$defs/n"}},"$defs":{"n":{"anyOf":[{"type":"array","items":{"$ref":"#/$defs/n"}},{"items":{"$ref":"#/$defs/n"}}]}}}`
	value := `{"type":"object","properties":{"a":{"$ref":"#/$defs/v"}},"$defs":{"v":{"anyOf":[{"type":["string","number","null"]},{"type":"array","items":{"$ref":"#/$defs/v"}},{"type":"object","additionalProperties":{"$ref":"#/$defs/v"}}]}}}`
	for _, tt := range []struct{ name, schema, args, want string }{
		{"doubling", `{"type":"object","properties":{"a":{"$ref":"#/$defs/d60"}},"$defs":{` + doubling + `}}`, `{"a":"x"}`, "nested too deeply"},
		{"two ways down, not deep", twice, nested(8), ""},
		{"two ways down, deep", twice, nested(60), "nested too deeply"},
		{"any JSON value, deep", value, nested(60), ""},
		{"any JSON value", value, `{"a":{"b":[1,{"c":null}]}}`, ""},
	} {
		s, err := gate.ParseSchema([]byte(tt.schema))
		if err != nil {
			t.Fatalf("%s: %v", tt.name, err)
		}
		v, err := canon.ParseObject([]byte(tt.args))
		if err != nil {
			t.Fatal(err)
		}
		got := ""
		if faults := s.Check(v); len(faults) > 0 {
			got = faults[0].Problem
		}
		if tt.want == "" && got != "" || !strings.Contains(got, tt.want) {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
		}
	}
}

// TestALongListOfFaultsIsCut: what is told, and what is looked at, does not grow with what was sent.
func TestALongListOfFaultsIsCut(t *testing.T) {
	t.Parallel()
	s, err := gate.SchemaFor[mailArgs]()
	if err != nil {
		t.Fatal(err)
	}
	for _, args := range []string{
		`{"subject":"x","to":[` + strings.TrimSuffix(strings.Repeat("1,", 100_000), ",") + `]}`,
		`{"subject":7,"to":[` + strings.TrimSuffix(strings.Repeat(`"a",`, 100_000), ",") + `]}`,
	} {
		v, err := canon.ParseObject([]byte(args))
		if err != nil {
			t.Fatal(err)
		}
		if n := len(s.Check(v)); n < 1 || n > 20 {
			t.Errorf("%d faults", n)
		}
	}
}

// TestNoNumberPassesAsAnother: the validator computes with doubles; what it cannot see exactly it does not pass.
func TestNoNumberPassesAsAnother(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		schema, number string
		good           bool
	}{
		{`{"type":"integer"}`, `1.00000000000000000001`, false},
		{`{"type":"number","maximum":1}`, `1.00000000000000000001`, false},
		{`{"const":0.3}`, `0.30000000000000000001`, false},
		{`{"enum":[1e30]}`, `1000000000000000000000000000001`, false},
		{`{"type":"integer","maximum":18446744073709551615}`, `18446744073709551999`, false},
		{`{"type":"integer","maximum":18446744073709551615}`, `18446744073709551615`, true},
		{`{"type":"integer"}`, `12345678901234567890123`, true},
		{`{"type":"number"}`, `0.12345678901234567890123`, true},
		{`{"const":0.3}`, `0.3`, true},
	} {
		s, err := gate.ParseSchema([]byte(`{"type":"object","properties":{"n":` + tt.schema + `}}`))
		if err != nil {
			t.Fatal(err)
		}
		v, err := canon.ParseObject([]byte(`{"n":` + tt.number + `}`))
		if err != nil {
			t.Fatal(err)
		}
		if faults := s.Check(v); (len(faults) == 0) != tt.good {
			t.Errorf("%s under %s: %v", tt.number, tt.schema, faults)
		}
	}
}

func TestAnAdvertisedResultMayBeRedacted(t *testing.T) {
	t.Parallel()
	s, err := gate.ParseSchema([]byte(`{"type":"object","properties":{
		"mail":{"type":"string","format":"email","pattern":"@","minLength":3},
		"format":{"type":"integer","minimum":3,"enum":[3,4]},
		"list":{"type":"array","minItems":1,"items":{"type":"string","enum":["a"]}}},"required":["mail"]}`))
	if err != nil {
		t.Fatal(err)
	}
	got, err := s.Loosened()
	if err != nil {
		t.Fatal(err)
	}
	want := `{"properties":{"format":{"enum":[3,4],"minimum":3,"type":"integer"},"list":{"items":{"type":"string"},"minItems":1,"type":"array"},"mail":{"type":"string"}},"required":["mail"],"type":"object"}`
	if got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestResolveFollowsLinksAsFarAsThePathExists(t *testing.T) {
	t.Parallel()
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Join(dir, "root", "sub"), 0o700); err != nil {
		t.Fatal(err)
	}
	for link, to := range map[string]string{"root/out": dir, "root/in": "sub", "root/nowhere": filepath.Join(dir, "missing")} {
		if err := os.Symlink(to, filepath.Join(dir, link)); err != nil {
			t.Fatal(err)
		}
	}
	for _, tt := range []struct{ path, want string }{
		{"root/sub", "root/sub"},
		{"root/new/file", "root/new/file"},
		{"root/in/file", "root/sub/file"},
		{"root/out/x", "x"},
		{"root/nowhere/x", "error"},
		{"root/nowhere", "error"},
	} {
		got, err := gate.Resolve(filepath.Join(dir, tt.path))
		if err != nil {
			got = filepath.Join(dir, "error")
		}
		if want := filepath.Join(dir, tt.want); got != want {
			t.Errorf("%s leads to %s (%v), want %s", tt.path, got, err, want)
		}
	}
}
