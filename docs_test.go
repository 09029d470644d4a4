package main_test

import (
	"flag"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"gatehouse/config"
	"gatehouse/gatetest"
	"gatehouse/module/database"
	"gatehouse/module/upstream"
	"gatehouse/outcome"
)

var update = flag.Bool("update", false, "rewrite the lists of tests in docs/security.md")

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// pages are all Markdown files of ours.
func pages(t *testing.T) (all []string) {
	t.Helper()
	for _, pattern := range []string{"*.md", "docs/*.md", "docs/*/*.md"} {
		found, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, found...)
	}
	if len(all) < 20 {
		t.Fatalf("%d pages: the search looks in the wrong place", len(all))
	}
	return all
}

// testsOfOurs finds the names of all test functions.
func testsOfOurs(t *testing.T) map[string]bool {
	t.Helper()
	function := regexp.MustCompile(`(?m)^func (Test\w+)\(`)
	all := map[string]bool{}
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && path != "." && (d.Name() == "build" || d.Name() == "testdata" || strings.HasPrefix(d.Name(), ".")) {
			return filepath.SkipDir
		}
		if strings.HasSuffix(path, "_test.go") {
			for _, m := range function.FindAllStringSubmatch(read(t, path), -1) {
				all[m[1]] = true
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// TestDocsNameTheTests: docs/security.md names, for each promise, every test of its name, and no page names one that is
// not there. -update writes the lists.
func TestDocsNameTheTests(t *testing.T) {
	t.Parallel()
	ours := testsOfOurs(t)
	section := regexp.MustCompile(`(?ms)^### P(\d+) .*?^(Tests: .*?)\n(?:\n|\z)`)
	security := read(t, "docs/security.md")
	written := security
	found := section.FindAllStringSubmatch(security, -1)
	if len(found) != 13 {
		t.Fatalf("%d promises with a line of tests, want 13", len(found))
	}
	for _, m := range found {
		want := testsLine(ours, m[1])
		if m[2] != want && !*update {
			t.Errorf("docs/security.md says of P%s:\n%s\nwant (go test -run TestDocs -update .)\n%s", m[1], m[2], want)
		}
		written = strings.Replace(written, m[0], strings.Replace(m[0], m[2], want, 1), 1)
	}
	if *update && written != security {
		if err := os.WriteFile("docs/security.md", []byte(written), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	named := regexp.MustCompile("`(Test[A-Z]\\w+)`")
	for _, page := range pages(t) {
		for _, m := range named.FindAllStringSubmatch(read(t, page), -1) {
			if !ours[m[1]] {
				t.Errorf("%s names %s, and there is no such test", page, m[1])
			}
		}
	}
}

// testsLine lists the tests of one promise.
func testsLine(ours map[string]bool, promise string) string {
	var names []string
	for name := range ours {
		if strings.HasPrefix(name, "TestPromise_P"+promise+"_") {
			names = append(names, "`"+name+"`")
		}
	}
	slices.Sort(names)
	if len(names) == 0 {
		return "Tests: not as a whole yet."
	}
	return "Tests: " + strings.Join(names, ",\n") + "."
}

// TestDocsLinksLead: every link of ours to a file leads to one.
func TestDocsLinksLead(t *testing.T) {
	t.Parallel()
	link := regexp.MustCompile(`\]\(([^)#:]+)(?:#[^)]*)?\)`)
	for _, page := range pages(t) {
		for _, m := range link.FindAllStringSubmatch(read(t, page), -1) {
			if _, err := os.Stat(filepath.Join(filepath.Dir(page), m[1])); err != nil {
				t.Errorf("%s links to %s: %v", page, m[1], err)
			}
		}
	}
}

// TestDocsConfigurationLoads: the example is a good configuration, and the tables name every field and no other.
func TestDocsConfigurationLoads(t *testing.T) {
	t.Parallel()
	page := read(t, "docs/configuration.md")
	_, example, _ := strings.Cut(page, "```yaml\n")
	example, _, ok := strings.Cut(example, "```")
	if !ok {
		t.Fatal("there is no example")
	}
	path := filepath.Join(t.TempDir(), "gatehouse.yaml")
	if err := os.WriteFile(path, []byte(example), 0o600); err != nil {
		t.Fatal(err)
	}
	file, err := config.Load(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := file.KnowModules("database", "mcp"); err != nil {
		t.Error(err)
	}
	db, mcp := database.Config{}, upstream.Config{}
	for name, section := range map[string]any{"database": &db, "mcp": &mcp} {
		if err := file.Modules[name].Decode(section); err != nil {
			t.Error(err)
		}
	}
	row := regexp.MustCompile("(?m)^\\| `([a-z_.]+)` \\|")
	for part, want := range map[string][]string{
		"\n## Fields\n":              fields(reflect.TypeFor[config.File](), "", true),
		"\n### `modules.database`\n": fields(reflect.TypeFor[database.Config](), "", false),
		"\n### `modules.mcp`\n":      fields(reflect.TypeFor[upstream.Config](), "", false),
	} {
		_, text, ok := strings.Cut(page, part)
		if !ok {
			t.Fatalf("there is no part %q", part)
		}
		text, _, _ = strings.Cut(text, "\n##")
		var said []string
		for _, m := range row.FindAllStringSubmatch(text, -1) {
			said = append(said, m[1])
		}
		slices.Sort(said)
		if slices.Sort(want); !slices.Equal(said, want) {
			t.Errorf("%s names %v, and the fields are %v", strings.TrimSpace(part), said, want)
		}
	}
}

// fields lists the names of a configuration, those of structs below with their path where dotted is asked for.
func fields(of reflect.Type, prefix string, dotted bool) (all []string) {
	for f := range of.Fields() {
		name, _, _ := strings.Cut(f.Tag.Get("yaml"), ",")
		below := f.Type
		for below.Kind() == reflect.Map {
			below = below.Elem()
		}
		ours := below.Kind() == reflect.Struct && below.NumField() > 0 && below.Field(0).Tag.Get("yaml") != ""
		switch {
		case name == "":
		case ours && dotted:
			all = append(all, fields(below, name+".", dotted)...)
		case ours:
			all = append(append(all, name), fields(below, "", dotted)...)
		default:
			all = append(all, prefix+name)
		}
	}
	return all
}

// table reads the rows of a page's table whose first cell is a code: code → second cell.
func table(t *testing.T, page string) map[string]string {
	t.Helper()
	_, text, ok := strings.Cut(read(t, page), "\n| code |")
	if !ok {
		t.Fatalf("%s has no table of codes", page)
	}
	rows := map[string]string{}
	for _, m := range regexp.MustCompile("(?m)^\\| `([a-z_]+)` \\| ([^|]+) \\|").FindAllStringSubmatch(text, -1) {
		rows[m[1]] = m[2]
	}
	return rows
}

// TestDocsTablesOfOutcomes: what the pages say of each code is what the entries' tables say.
func TestDocsTablesOfOutcomes(t *testing.T) {
	t.Parallel()
	statuses := map[string]int{}
	for n := range 600 {
		statuses[strings.ReplaceAll(http.StatusText(n), " ", "")] = n
	}
	rest, mcp := map[string]string{}, map[string]string{}
	source := read(t, "entry/rest/outcome.go")
	for _, m := range regexp.MustCompile(`case outcome\.(\w+):.*\n\s*return translation\{http\.Status(\w+),`).FindAllStringSubmatch(source, -1) {
		rest[m[1]] = strconv.Itoa(statuses[m[2]])
	}
	last := regexp.MustCompile(`case outcome\.(\w+):\n\t\}\n\treturn translation\{http\.Status(\w+),`).FindStringSubmatch(source)
	if last == nil {
		t.Fatal("entry/rest/outcome.go reads otherwise than this test knows")
	}
	rest[last[1]] = strconv.Itoa(statuses[last[2]])
	for _, m := range regexp.MustCompile(`(?s)case (outcome\.[^:]+):\n\t\treturn (true|false)`).FindAllStringSubmatch(read(t, "entry/mcp/outcome.go"), -1) {
		for _, code := range regexp.MustCompile(`outcome\.(\w+)`).FindAllStringSubmatch(m[1], -1) {
			mcp[code[1]] = map[string]string{"true": "yes", "false": "no"}[m[2]]
		}
	}
	for page, entry := range map[string]map[string]string{"docs/rest.md": rest, "docs/mcp.md": mcp} {
		said := table(t, page)
		if len(said) != len(outcome.All()) || len(entry) != len(outcome.All()) {
			t.Errorf("%s has %d codes, the entry %d, and there are %d", page, len(said), len(entry), len(outcome.All()))
		}
		for name, want := range entry {
			code := strings.ToLower(regexp.MustCompile(`([a-z])([A-Z])`).ReplaceAllString(name, "${1}_$2"))
			if name == "OK" {
				code = "ok"
			}
			if said[code] != want {
				t.Errorf("%s says %q of %s, and the entry %q", page, said[code], code, want)
			}
		}
	}
}

// TestDocsNameTheTools: the pages of docs/modules name every built-in tool and no other.
func TestDocsNameTheTools(t *testing.T) {
	t.Parallel()
	h := gatetest.Start(t, gatetest.Config{YAML: "modules:\n  database: {connections: {shop: {driver: sqlite, dsn: shop.db, writable: true}}}\n  mcp: {}\n"})
	row := regexp.MustCompile("(?m)^\\| `([a-z]+\\.[a-z_]+)`")
	said := map[string]bool{}
	for _, page := range pages(t) {
		if strings.HasPrefix(page, "docs/modules/") {
			for _, m := range row.FindAllStringSubmatch(read(t, page), -1) {
				said[m[1]] = true
			}
		}
	}
	for _, tool := range h.Gate.Directory().All() {
		if !said[string(tool.Name)] {
			t.Errorf("no page of docs/modules has a row for %s", tool.Name)
		}
		delete(said, string(tool.Name))
	}
	for name := range said {
		t.Errorf("docs/modules has a row for %s, and there is no such tool", name)
	}
}

// TestDocsTypeWhatWorks: the command lines of README.md are those that cli/testdata/contract.txtar runs, and what
// CONTRIBUTING.md adds is what the newcomers add.
func TestDocsTypeWhatWorks(t *testing.T) {
	t.Parallel()
	_, lines, _ := strings.Cut(read(t, "cli/testdata/contract.txtar"), "-- lines.sh --\n")
	lines, _, _ = strings.Cut(lines, "-- ")
	if lines == "" || !strings.Contains(read(t, "README.md"), "```sh\n"+lines+"```") {
		t.Errorf("README.md does not hold the lines of cli/testdata/contract.txtar:\n%s", lines)
	}
	contributing := read(t, "CONTRIBUTING.md")
	for _, n := range newcomers(t) {
		if !strings.Contains(contributing, "```go\n"+n.line+"\n```") || !strings.Contains(contributing, "`"+n.file+"`") {
			t.Errorf("CONTRIBUTING.md does not hold the line of %s in %s:\n%s", n.name, n.file, n.line)
		}
	}
}
