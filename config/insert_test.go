package config_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"gatehouse/config"
)

var path = []string{"modules", "mcp", "servers"}

func entries(names ...string) (all []config.Entry) {
	for _, name := range names {
		all = append(all, config.Entry{Name: name, Comments: []string{"about " + name}, Fields: []config.EntryField{
			{Name: "command", Value: []string{"npx", "-y", "true"}},
			{Name: "tools", Value: map[string]map[string]string{"*": {}}},
		}})
	}
	return all
}

const added = `a:
        # about a
        command: [npx, "-y", "true"]
        tools: {"*": {}}
`

// What is added stands where it belongs, and all else stays as it is, byte for byte.
func TestInsert(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ name, old, want string }{
		{"an empty file", "", "modules:\n  mcp:\n    servers:\n      " + added},
		{"comments alone", "# mine\n", "# mine\nmodules:\n  mcp:\n    servers:\n      " + added},
		{"no modules", "listen: 127.0.0.1:1 # why", "listen: 127.0.0.1:1 # why\nmodules:\n  mcp:\n    servers:\n      " + added},
		{"no mcp", "modules:\n  # the shop\n  database: {}\ndata: d\n", "modules:\n  mcp:\n    servers:\n      " + added + "  # the shop\n  database: {}\ndata: d\n"},
		{"modules with nothing in it", "modules:\n# end\n", "modules:\n  mcp:\n    servers:\n      " + added + "# end\n"},
		{"other servers", "modules:\n  mcp:\n    servers: # all\n      # b's\n      b: {url: x}\n", "modules:\n  mcp:\n    servers: # all\n      " + added + "      # b's\n      b: {url: x}\n"},
		{
			"deeper", "modules:\n    mcp:\n        servers:\n            b: {url: x}",
			"modules:\n    mcp:\n        servers:\n            " + strings.ReplaceAll(added, "\n        ", "\n              ") + "            b: {url: x}",
		},
		{"in braces", "modules: {mcp: {servers: {b: {url: x}}}} # é\n", "modules: {mcp: {servers: {a: {command: [npx, \"-y\", \"true\"], tools: {\"*\": {}}}, b: {url: x}}}} # é\n"},
		{"empty braces", "modules: {}\n", "modules: {mcp: {servers: {a: {command: [npx, \"-y\", \"true\"], tools: {\"*\": {}}}}}}\n"},
		{"braces over lines", "modules:\n  mcp: {\n    servers: {}\n  }\n", "modules:\n  mcp: {\n    servers: {a: {command: [npx, \"-y\", \"true\"], tools: {\"*\": {}}}}\n  }\n"},
		{"lines of Windows", "data: d\r\nmodules:\r\n  database: {}\r\n", "data: d\r\nmodules:\r\n  mcp:\r\n    servers:\r\n      " + strings.ReplaceAll(added, "\n", "\r\n") + "  database: {}\r\n"},
		{"a text in a block before", "modules:\n  database:\n    x: |\n      servers:\n        a\n", "modules:\n  mcp:\n    servers:\n      " + added + "  database:\n    x: |\n      servers:\n        a\n"},
		{"quoted keys", "\"modules\":\n  'mcp':\n    \"servers\":\n      b: {url: x}\n", "\"modules\":\n  'mcp':\n    \"servers\":\n      " + added + "      b: {url: x}\n"},
	} {
		got, err := config.Insert("g.yaml", []byte(tt.old), path, entries("a"))
		if err != nil || string(got) != tt.want {
			t.Errorf("%s: %v\ngot:\n%s\nwant:\n%s", tt.name, err, got, tt.want)
		}
	}
}

func TestInsertRefuses(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ name, old, want string }{
		{"a name that is taken", "modules:\n  mcp:\n    servers:\n      b: {}\n      a: {url: x}\n", `g.yaml:5:7: "a" stands there already`},
		{"a name that is taken, in braces", "modules: {mcp: {servers: {\"a\": {}}}}\n", `g.yaml:1:27: "a" stands there already`},
		{"a list", "modules: [a]\n", "g.yaml:1:10: expected fields"},
		{"text", "modules:\n  mcp: text\n", "g.yaml:2:8: expected fields"},
		{"nothing, written out", "modules: ~\n", "not written in a way"},
		{"what is no YAML", "a: [", "g.yaml"},
		{"an end of the document", "data: d\n...\n", "not written in a way"},
		{"a text in a block that would get a line end", "data: |\n  d", "something else"},
		{"a full file", "# " + strings.Repeat("x", 256<<10-10) + "\n", "larger than"},
	} {
		got, err := config.Insert("g.yaml", []byte(tt.old), path, entries("a"))
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %q; it gives\n%.300s", tt.name, err, tt.want, got)
		}
	}
}

// FuzzInsert: whatever is added means what it should in the file, and everything else what it did. Insert compares that
// itself and refuses else, so here no value may make it refuse a file that it can add to.
func FuzzInsert(f *testing.F) {
	for _, seed := range []string{"x", "true", "~", "1.5", "a: b", "- a", "#", "\"'\\", "\x00\x7f\u0085\u2028\u202e\ufeff", "\U0001f600", "{}", "!t", "&a", "*a", "0x1f", " a ", "a\nb", "=", "<<"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, value string) {
		value = strings.ToValidUTF8(value, "")
		if len(value) > 1<<10 {
			t.Skip("the parser's time grows with the square of the length")
		}
		add := []config.Entry{{Name: "a", Comments: []string{value}, Fields: []config.EntryField{
			{Name: "text", Value: value}, {Name: "list", Value: []string{value, value}}, {Name: "map", Value: map[string]string{value: value}},
		}}}
		for _, old := range []string{"", "modules:\n  b:\n    c: 1\n", "modules: {b: {}}\n"} {
			if value == "" {
				continue // an empty name is no name
			}
			if _, err := config.Insert("g.yaml", []byte(old), []string{"modules"}, add); err != nil {
				t.Errorf("%q into %q: %v", value, old, err)
			}
		}
	})
}

// A file is replaced whole, keeps its mode, and is left alone when somebody else changed it.
func TestReplace(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := filepath.Join(dir, "g.yaml")
	if err := os.WriteFile(file, []byte("old"), 0o640); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(file, 0o640); err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(dir, "link.yaml")
	if err := os.Symlink("g.yaml", link); err != nil {
		t.Skipf("no links here: %v", err)
	}
	if err := config.Replace(link, []byte("old"), []byte("new")); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(file)
	if err != nil || string(text) != "new" {
		t.Errorf("%s, %v", text, err)
	}
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o640 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	if info, err := os.Lstat(link); err != nil || info.Mode()&os.ModeSymlink == 0 {
		t.Errorf("the link is a %v, %v", info.Mode(), err)
	}
	if err := config.Replace(file, []byte("old"), []byte("newer")); err == nil || !strings.Contains(err.Error(), "somebody else changed it") {
		t.Errorf("over another's change: %v", err)
	}
	fresh := filepath.Join(dir, "fresh.yaml")
	if err := config.Replace(fresh, nil, []byte("new")); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(fresh); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("a new file: %v, %v", info, err)
	}
	left, err := os.ReadDir(dir)
	if err != nil || len(left) != 3 {
		t.Errorf("left in the folder: %v, %v", left, err)
	}
}
