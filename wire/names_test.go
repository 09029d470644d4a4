package wire_test

import (
	"math/rand/v2"
	"regexp"
	"strings"
	"testing"

	"gatehouse/wire"
)

// hashOfABC is how sha256sum begins for a.b/c.
const hashOfABC = "fc7cd9"

var outwardName = regexp.MustCompile(`^[a-zA-Z0-9_-]{1,48}$`)

func TestNames(t *testing.T) {
	t.Parallel()
	long := "files." + strings.Repeat("x", 60)
	n := wire.NewNames([]string{"gmail.send", "gmail.send", "files.resources.list", "files.read-file", "a.b/c", "a.b c", "a.b_c", "a.ü", long, "files." + strings.Repeat("y", 41), "files." + strings.Repeat("z", 42)})
	for canonical, want := range map[string]string{
		"gmail.send":                       "gmail__send",
		"files.resources.list":             "files__resources_list",
		"files.read-file":                  "files__read-file",
		"a.ü":                              "a___",
		"a.b/c":                            "a__b_c_", // and its hash, as the three meet
		"a.b c":                            "a__b_c_",
		"a.b_c":                            "a__b_c_",
		long:                               "files__" + strings.Repeat("x", 34) + "_",
		"files." + strings.Repeat("y", 41): "files__" + strings.Repeat("y", 41),
		"files." + strings.Repeat("z", 42): "files__" + strings.Repeat("z", 34) + "_",
	} {
		got, ok := n.Outward(canonical)
		hash := strings.TrimPrefix(got, want)
		if !ok || !strings.HasPrefix(got, want) || strings.HasSuffix(want, "_") != (len(hash) == 6) && canonical != "a.ü" {
			t.Errorf("Outward(%q) = %q, %v; want %q", canonical, got, ok, want)
		}
		for _, form := range []string{got, canonical} {
			if back, ok := n.Canonical(form); !ok || back != canonical {
				t.Errorf("Canonical(%q) = %q, %v; want %q", form, back, ok, canonical)
			}
		}
	}
	// SHA-256 of "a.b/c", made with sha256sum.
	if got, _ := n.Outward("a.b/c"); got != "a__b_c_"+hashOfABC {
		t.Errorf("Outward(a.b/c) = %q", got)
	}
	for _, unknown := range []string{"", "gmail", "gmail.trash", "gmail__trash", "a__b_c", "Gmail__send", "gmail_send"} {
		if got, ok := n.Canonical(unknown); ok {
			t.Errorf("Canonical(%q) = %q", unknown, got)
		}
		if got, ok := n.Outward(unknown); ok {
			t.Errorf("Outward(%q) = %q", unknown, got)
		}
	}
}

// TestNamesMeetTheirHashes: a name that looks like another's hash form gets one of its own.
func TestNamesMeetTheirHashes(t *testing.T) {
	t.Parallel()
	set := []string{"a.b/c", "a.b c", "a.b_c_" + hashOfABC}
	n := wire.NewNames(set)
	seen := map[string]string{}
	for _, name := range set {
		o, ok := n.Outward(name)
		if other, met := seen[o]; !ok || met {
			t.Errorf("%q and %q are both %q", name, other, o)
		}
		seen[o] = name
	}
	if o, _ := n.Outward("a.b_c_" + hashOfABC); o == "a__b_c_"+hashOfABC {
		t.Errorf("the look-alike kept the form %q", o)
	}
}

// TestHashesMeet: two names whose hashes begin alike (found by search) get two digits more.
func TestHashesMeet(t *testing.T) {
	t.Parallel()
	n := wire.NewNames([]string{"a. !!  ! ! ! !!!", "a. !!  ! !!! !  "})
	one, _ := n.Outward("a. !!  ! ! ! !!!")
	two, _ := n.Outward("a. !!  ! !!! !  ")
	if one != "a_________________b613a3d3" || two != "a_________________b613a358" {
		t.Errorf("got %q and %q", one, two)
	}
}

// FuzzNames: outward names fit, none is shared, both forms lead back, and the order of the set does not count.
func FuzzNames(f *testing.F) {
	f.Add("gmail.send\nfiles.read_file\nfiles.resources.list")
	f.Add("a.b/c\na.b c\na.b_c\na.b_c_" + hashOfABC)
	f.Add("a." + strings.Repeat("x", 60) + "\na." + strings.Repeat("x", 61))
	f.Add("a..b\na.__b\na.\n.\n..")
	f.Fuzz(func(t *testing.T, list string) {
		var set []string
		for name := range strings.SplitSeq(list, "\n") {
			if strings.Contains(name, ".") && len(set) < 50 {
				set = append(set, name)
			}
		}
		n := wire.NewNames(set)
		shuffled := append([]string(nil), set...)
		rand.Shuffle(len(shuffled), func(i, j int) { shuffled[i], shuffled[j] = shuffled[j], shuffled[i] })
		m := wire.NewNames(shuffled)
		seen := map[string]string{}
		for _, name := range set {
			o, ok := n.Outward(name)
			again, _ := m.Outward(name)
			if !ok || again != o || !outwardName.MatchString(o) {
				t.Fatalf("%q is %q, then %q", name, o, again)
			}
			if other, met := seen[o]; met && other != name {
				t.Fatalf("%q and %q are both %q", name, other, o)
			}
			seen[o] = name
			for _, form := range []string{o, name} {
				if back, ok := n.Canonical(form); !ok || back != name {
					t.Fatalf("Canonical(%q) = %q, want %q", form, back, name)
				}
			}
		}
	})
}
