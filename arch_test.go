package main_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// rooms is the map of imports: which rooms of ours each room may import, tests left out. A "/*" stands for every folder
// on that floor. A room that no file stands in, a folder that is in no room, and an arrow that is not here fail.
var rooms = map[string]string{
	"outcome":           "",
	"secret":            "",
	"canon":             "outcome",
	"wire":              "outcome canon",
	"store":             "outcome secret",
	"store/storetest":   "secret store",
	"egress/egresstest": "",
	"backup":            "outcome canon secret",
	"egress":            "outcome",
	"sandbox":           "outcome",
	"config":            "outcome secret",
	"httpfront":         "outcome secret",
	"guard":             "outcome canon",
	"guard/*":           "outcome canon guard",
	"measure":           "canon guard guard/flow",
	"policy":            "outcome canon",
	"gate":              "outcome canon secret guard policy",
	"module":            "store egress secret sandbox",
	"module/*":          "gate module store egress outcome canon secret",
	"module/policy":     "gate module store egress outcome canon secret policy",
	"module/upstream":   "gate module store egress outcome canon secret wire sandbox",
	"entry/*":           "gate outcome secret canon wire httpfront",
	"telemetry":         "gate outcome",
	"app":               "*",
	"gatetest":          "*",
	"connect":           "",
	"mcpjson":           "",
	"bridge":            "outcome secret canon wire egress",
	"cli":               "app bridge config connect gate mcpjson outcome secret demo sandbox measure guard/flow",
	"demo":              "app connect config gate outcome canon egress wire",
	"main":              "cli",
	"packaging":         "*",
	"promise":           "*",
	"bench":             "*",
	"tools/mutants":     "",
}

// onlyIn says which packages may be imported by which rooms alone, with the reason.
var onlyIn = []struct{ pkg, rooms, why string }{
	{"database/sql", "store module/database", "a module's SQL goes through its own store handle"},
	{"modernc.org/sqlite", "store module/database", "databases are opened in one place"},
	{"github.com/jackc/pgx/v5/stdlib", "store", "databases are opened in one place"},
	{"github.com/jackc/pgx/v5/pgconn", "store module/database", "databases are opened in one place"},
	{"github.com/go-sql-driver/mysql", "module/database", "databases are opened in one place"},
	{"encoding/gob", "", "input is strict JSON"},
	{"github.com/tailscale/hujson", "mcpjson", "only files of other programs may hold comments; all else is strict JSON"},
	{"filippo.io/age", "backup", "backups are encrypted in one place, and never written in the clear (P9)"},
}

// calls says which functions may be called, and of which types (with {}) values made, in which rooms alone, with the
// reason. Tests are left out. new(T) and variables of a type are not seen here; the linter forbids those.
var calls = []struct{ selector, rooms, why string }{
	{"net.Dial", "egress", "egress is the only dialler (P11)"},
	{"net.DialTimeout", "egress", "egress is the only dialler (P11)"},
	{"net.Dialer{}", "egress", "egress is the only dialler (P11)"},
	{"tls.Dial", "egress", "egress is the only dialler (P11)"},
	{"tls.Dialer{}", "egress", "egress is the only dialler (P11)"},
	{"http.DefaultClient", "", "egress.Client is the only HTTP client (P11)"},
	{"http.DefaultTransport", "", "egress.Client is the only HTTP client (P11)"},
	{"http.Get", "", "egress.Client is the only HTTP client (P11)"},
	{"http.Post", "", "egress.Client is the only HTTP client (P11)"},
	{"http.Client{}", "egress", "egress.Client is the only HTTP client (P11)"},
	{"http.Transport{}", "egress", "egress.Client is the only HTTP client (P11)"},
	{"os.Getenv", "config", "the environment is read in one place"},
	{"os.LookupEnv", "config", "the environment is read in one place"},
	{"os.Environ", "config sandbox", "the environment is read in one place; what confines a program hands on what it was given"},
	{"gate.KeyFor", "module/upstream", "keys made at run time are for tools that are known only at run time"},
	{"exec.Command", "sandbox", "programs are started in one place, which confines them (T7)"},
	{"exec.CommandContext", "", "programs are started in one place, which confines them (T7)"},
	{"exec.Cmd{}", "", "programs are started in one place, which confines them (T7)"},
	{"os.StartProcess", "", "programs are started in one place, which confines them (T7)"},
	{"syscall.ForkExec", "", "programs are started in one place, which confines them (T7)"},
	{"syscall.StartProcess", "", "programs are started in one place, which confines them (T7)"},
	{"syscall.Exec", "sandbox", "programs are started in one place, which confines them (T7)"},
	{"unix.Exec", "", "programs are started in one place, which confines them (T7)"},
}

// source is one parsed file that is not a test.
type source struct {
	path, room string
	file       *ast.File
}

func sources(t *testing.T) []source {
	t.Helper()
	var all []source
	err := filepath.WalkDir(".", func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := d.Name()
		if d.IsDir() && p != "." && (name == "testdata" || name == "node_modules" || name == "build" || strings.HasPrefix(name, ".")) {
			return filepath.SkipDir
		}
		if d.IsDir() || !strings.HasSuffix(name, ".go") {
			return nil
		}
		file, err := parser.ParseFile(token.NewFileSet(), p, nil, 0)
		if err != nil {
			return err
		}
		room := path.Dir(filepath.ToSlash(p))
		if room == "." {
			room = "main"
		}
		all = append(all, source{filepath.ToSlash(p), room, file})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func allowed(room string) (list []string, ok bool) {
	for _, key := range []string{room, path.Dir(room) + "/*"} {
		if imports, ok := rooms[key]; ok {
			return strings.Fields(imports), true
		}
	}
	return nil, false
}

// TestImportsGoOneWay reads the files itself: a test that asked go list would be answered from the test cache.
func TestImportsGoOneWay(t *testing.T) {
	t.Parallel()
	lived := map[string]bool{}
	for _, s := range sources(t) {
		lived[s.room], lived[path.Dir(s.room)+"/*"] = true, true
		mayImport, ok := allowed(s.room)
		if !ok {
			t.Errorf("%s: the folder %s is in no room: put it into the map", s.path, s.room)
			continue
		}
		test := strings.HasSuffix(s.path, "_test.go")
		for _, spec := range s.file.Imports {
			imported, _ := strconv.Unquote(spec.Path.Value)
			for _, rule := range onlyIn {
				if imported == rule.pkg && !test && !slices.Contains(strings.Fields(rule.rooms), s.room) {
					t.Errorf("%s imports %s, which only %q may: %s", s.path, imported, rule.rooms, rule.why)
				}
			}
			ours, ok := strings.CutPrefix(imported, "gatehouse/")
			if !ok || test || slices.Contains(mayImport, "*") {
				continue
			}
			if !slices.Contains(mayImport, ours) {
				t.Errorf("%s imports %s: %q may import only %v", s.path, ours, s.room, mayImport)
			}
		}
	}
	for room := range rooms {
		if !lived[room] {
			t.Errorf("no file stands in the room %s: take it out of the map", room)
		}
	}
}

func TestOnlyOneRoomDoesIt(t *testing.T) {
	t.Parallel()
	seen := map[string]int{}
	for _, s := range sources(t) {
		if strings.HasSuffix(s.path, "_test.go") || slices.Contains([]string{"bench", "gatetest", "store/storetest", "egress/egresstest", "tools/mutants"}, s.room) {
			continue
		}
		ast.Inspect(s.file, func(n ast.Node) bool {
			name := selected(n)
			if name == "" {
				return true
			}
			seen[name]++
			for _, rule := range calls {
				if name == rule.selector && !slices.Contains(strings.Fields(rule.rooms), s.room) {
					t.Errorf("%s uses %s, which only %q may: %s", s.path, name, rule.rooms, rule.why)
				}
			}
			return true
		})
	}
	if seen["gate.AccessControlled"] == 0 || seen["gate.KeyFor"] == 0 {
		t.Error("the search found no tool being made: it looks in the wrong place")
	}
}

// selected gives package.Name for a selector, and package.Name{} for a literal of such a type.
func selected(n ast.Node) string {
	suffix := ""
	if lit, ok := n.(*ast.CompositeLit); ok {
		n, suffix = lit.Type, "{}"
	}
	sel, ok := n.(*ast.SelectorExpr)
	if !ok {
		return ""
	}
	pkg, ok := sel.X.(*ast.Ident)
	if !ok || pkg.Obj != nil {
		return ""
	}
	return pkg.Name + "." + sel.Sel.Name + suffix
}

// TestModulesHoldNoGate: a module that held the gate could call itself past its caller's rights.
func TestModulesHoldNoGate(t *testing.T) {
	t.Parallel()
	for _, s := range sources(t) {
		if !strings.HasPrefix(s.room, "module/") || strings.HasSuffix(s.path, "_test.go") {
			continue
		}
		ast.Inspect(s.file, func(n ast.Node) bool {
			if sel, ok := n.(*ast.SelectorExpr); ok {
				if pkg, ok := sel.X.(*ast.Ident); ok && pkg.Name == "gate" && (sel.Sel.Name == "Gate" || sel.Sel.Name == "New") {
					t.Errorf("%s names gate.%s: a module never holds the gate", s.path, sel.Sel.Name)
				}
			}
			return true
		})
	}
}

// TestEveryPackageSaysWhatItIsFor: a package comment, and for rooms of ours what it must never do.
func TestEveryPackageSaysWhatItIsFor(t *testing.T) {
	t.Parallel()
	docs := map[string]string{}
	err := filepath.WalkDir(".", func(p string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() && (d.Name() == "testdata" || d.Name() == "build" || p != "." && strings.HasPrefix(d.Name(), ".")) {
			if err == nil {
				err = filepath.SkipDir
			}
			return err
		}
		if d.IsDir() || !strings.HasSuffix(p, ".go") || strings.HasSuffix(p, "_test.go") {
			return nil
		}
		file, err := parser.ParseFile(token.NewFileSet(), p, nil, parser.ParseComments|parser.PackageClauseOnly)
		if err != nil {
			return err
		}
		docs[path.Dir(filepath.ToSlash(p))] += file.Doc.Text()
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for room, doc := range docs {
		if len(doc) < 40 {
			t.Errorf("%s has no package comment", room)
		} else if room != "." && room != "bench" && !strings.HasPrefix(room, "tools/") && !strings.Contains(doc, "never") && !strings.Contains(doc, "only") {
			t.Errorf("%s: the package comment does not say what it must never do", room)
		}
	}
	if len(docs) < 10 {
		t.Errorf("read %d packages: the walk looks in the wrong place", len(docs))
	}
	if _, err := os.Stat("docs/architecture.md"); err != nil {
		t.Error(err)
	}
}
