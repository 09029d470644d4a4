package gate_test

import (
	"regexp"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"gatehouse/gate"
)

var exportable = regexp.MustCompile(`^[a-zA-Z0-9_-]{1,48}$`)

func TestExportNames(t *testing.T) {
	t.Parallel()
	long := "files." + strings.Repeat("x", 60)
	for _, tt := range []struct {
		name  string
		names []string
		want  []string
	}{
		{"the dot becomes two underscores", []string{"gmail.send"}, []string{"gmail__send"}},
		{"only the first dot is the module's", []string{"files.resources.list"}, []string{"files__resources_list"}},
		{"other signs", []string{"files.read file/é"}, []string{"files__read_file__"}},
		{"colliding names both get the hash form", []string{"a.b c", "a.b/c"}, []string{"a__b_c_", "a__b_c_"}},
		{"too long", []string{long}, []string{"files__" + strings.Repeat("x", 34) + "_"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got := gate.ExportNames(tt.names)
			for i := range got {
				if !strings.HasPrefix(got[i], tt.want[i]) || !exportable.MatchString(got[i]) {
					t.Errorf("%q is exported as %q, want %q…", tt.names[i], got[i], tt.want[i])
				}
			}
		})
	}
}

func TestExportNamesTellAllToolsApart(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		names := rapid.SliceOfNDistinct(rapid.StringMatching(`[a-c]{1,2}\.[ab_. é/-]{1,60}`), 1, 30, rapid.ID[string]).Draw(t, "names")
		exported := gate.ExportNames(names)
		seen := map[string]string{}
		for i, e := range exported {
			if !exportable.MatchString(e) {
				t.Errorf("%q is exported as %q", names[i], e)
			}
			if other, ok := seen[e]; ok {
				t.Errorf("%q and %q are both exported as %q", names[i], other, e)
			}
			seen[e] = names[i]
		}
		// The mapping follows from the names, not from their order.
		for i, e := range gate.ExportNames(reversed(names)) {
			if want := exported[len(names)-1-i]; e != want {
				t.Errorf("in another order %q is exported as %q, not %q", names[len(names)-1-i], e, want)
			}
		}
	})
}

func reversed(names []string) []string {
	var out []string
	for i := len(names) - 1; i >= 0; i-- {
		out = append(out, names[i])
	}
	return out
}

func FuzzExportNames(f *testing.F) {
	f.Add("gmail.send", "gmail.send_")
	f.Add("a.b c", "a.b/c")
	f.Add("a._b", "a_._b")
	f.Add("a.", ".")
	f.Fuzz(func(t *testing.T, a, b string) {
		if a == b {
			return
		}
		got := gate.ExportNames([]string{a, b})
		if got[0] == got[1] {
			t.Errorf("%q and %q are both exported as %q", a, b, got[0])
		}
		for _, e := range got {
			if !exportable.MatchString(e) {
				t.Errorf("%q: %q", []string{a, b}, e)
			}
		}
	})
}
