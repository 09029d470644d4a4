package main_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"
)

// newcomer is a folder of testdata/newcomer: what somebody who read CONTRIBUTING.md would bring.
type newcomer struct {
	name   string
	folder string // where its files go
	file   string // the one file of ours that it changes
	below  string // the line of that file after which its own line goes
	line   string
	pkg    string // the import that the line needs; empty: none
}

func newcomers(t *testing.T) (all []newcomer) {
	t.Helper()
	for _, name := range []string{"module", "entry", "guard", "command"} {
		n := newcomer{name: name}
		text, err := os.ReadFile(filepath.Join("testdata/newcomer", name, "change.txt"))
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(text)) {
			word, rest, _ := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
			field := map[string]*string{"folder": &n.folder, "file": &n.file, "below": &n.below, "line": &n.line, "import": &n.pkg}[word]
			if field == nil || *field != "" {
				t.Fatalf("%s: the line %q: each of folder, file, below, line, import stands there once, so that one line changes", name, line)
			}
			*field = rest
		}
		all = append(all, n)
	}
	return all
}

// TestNewcomers brings a module, an entry, a guard and a command into a copy of the tree as CONTRIBUTING.md describes it:
// a folder each, and one line (with its import) in one file. The copy must build, keep the architecture, pass the
// newcomers' own tests, and serve calls that meet all four.
func TestNewcomers(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("it builds the tree a second time")
	}
	dir := t.TempDir()
	copyTree(t, dir)
	for _, n := range newcomers(t) {
		n.enter(t, dir)
	}
	program := filepath.Join(dir, "gatehouse")
	run(t, dir, "go", "build", "-buildvcs=false", "-o", program, ".")
	run(t, dir, "go", "test", "-run", "TestImports|TestOnlyOne|TestModulesHold|TestEveryPackage|TestNotes|TestShouting",
		".", "./module/note", "./guard/shouting")
	tryNewcomers(t, program)
}

// enter copies the newcomer's files and changes its one line.
func (n newcomer) enter(t *testing.T, dir string) {
	t.Helper()
	from := filepath.Join("testdata/newcomer", n.name)
	if inner := filepath.Join(from, filepath.Base(n.folder)); isDir(inner) {
		from = inner
	}
	to := filepath.Join(dir, n.folder)
	if from != filepath.Join("testdata/newcomer", n.name) && isDir(to) {
		t.Fatalf("%s: the folder %s is taken", n.name, n.folder)
	}
	copyFiles(t, from, to)
	path := filepath.Join(dir, n.file)
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	changed := insert(t, string(text), n.below, n.line)
	if n.pkg != "" {
		changed = insert(t, changed, "import (", fmt.Sprintf("\t%q", n.pkg))
	}
	if err := os.WriteFile(path, []byte(changed), 0o600); err != nil {
		t.Fatal(err)
	}
}

// insert puts a line below the one line that reads so, spaces around it left out.
func insert(t *testing.T, text, below, line string) string {
	t.Helper()
	var out strings.Builder
	found := 0
	for l := range strings.Lines(text) {
		out.WriteString(l)
		if strings.TrimSpace(l) == below {
			found++
			out.WriteString(line + "\n")
		}
	}
	if found != 1 {
		t.Fatalf("%d lines read %q, want one", found, below)
	}
	return out.String()
}

func isDir(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}

// copyTree copies what is needed to build and to test, without testdata, what was built, and what is hidden.
func copyTree(t *testing.T, to string) {
	t.Helper()
	entries, err := os.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		switch name := e.Name(); {
		case name == "build" || name == "data" || name == "testdata" || strings.HasPrefix(name, "."):
		case e.IsDir():
			copyFiles(t, name, filepath.Join(to, name))
		case strings.HasSuffix(name, ".go") || name == "go.mod" || name == "go.sum":
			copyFile(t, name, filepath.Join(to, name))
		}
	}
}

func copyFiles(t *testing.T, from, to string) {
	t.Helper()
	err := filepath.WalkDir(from, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(from, path)
		switch {
		case err != nil:
			return err
		case d.IsDir() && path != from && (d.Name() == "testdata" || d.Name() == "node_modules"):
			return filepath.SkipDir
		case d.IsDir():
			return os.MkdirAll(filepath.Join(to, rel), 0o755)
		case d.Type().IsRegular() && d.Name() != "change.txt":
			copyFile(t, path, filepath.Join(to, rel))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func copyFile(t *testing.T, from, to string) {
	t.Helper()
	text, err := os.ReadFile(from)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(to, text, 0o600); err != nil {
		t.Fatal(err)
	}
}

// run runs a program to its end and gives what it printed on its standard output.
func run(t *testing.T, dir, program string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), program, args...)
	cmd.Dir = dir
	var errs strings.Builder
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s%s", filepath.Base(program), strings.Join(args, " "), err, out, errs.String())
	}
	return strings.TrimSpace(string(out))
}

// tryNewcomers makes calls through REST and through the new entry.
func tryNewcomers(t *testing.T, program string) {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "gatehouse.yaml"), []byte("modules:\n  note: {}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	base := serve(t, dir, program)
	cli := func(args ...string) string { return run(t, dir, program, append([]string{"--data", "d"}, args...)...) }
	cli("user", "add", "ada@example.org")
	if id := cli("whois", "ada@example.org"); len(id) != 13 {
		t.Errorf("the new command says %q, want an id", id)
	}
	cli("permit", "ada@example.org", "note.read", "note.write", "--allow")
	token := cli("token", "issue", "--for", "ada@example.org", "--agent", "newcomer", "--tools", "note.read,note.write", "--ttl", "1h")

	status, made := post(t, base+"/v1/tools/note.write", token, `{"text":"buy milk"}`)
	_, id, _ := strings.Cut(made, `"result":{"id":`)
	id, _, ok := strings.Cut(id, ",")
	if status != http.StatusOK || !ok {
		t.Fatalf("writing a note: %d %s", status, made)
	}
	for _, tt := range []struct {
		name, path, token, body string
		status                  int
		want                    string
	}{
		{"the module, through REST", "/v1/tools/note.read", token, `{"id":` + id + `}`, http.StatusOK, `"text":"buy milk"`},
		{"no such note", "/v1/tools/note.read", token, `{"id":1}`, http.StatusNotFound, `"code":"not_found"`},
		{"the guard, through REST", "/v1/tools/note.write", token, `{"text":"BUY MILK NOW"}`, http.StatusUnprocessableEntity, `"code":"blocked"`},
		{"the entry", "/plain/note.read", token, `{"id":` + id + `}`, http.StatusOK, "ok\n{\"id\":" + id},
		{"the guard, through the entry", "/plain/note.write", token, `{"text":"BUY MILK NOW"}`, http.StatusUnprocessableEntity, "blocked\n"},
		{"the entry and a stranger", "/plain/note.read", "", `{"id":` + id + `}`, http.StatusUnauthorized, "unauthenticated\n"},
		{"the entry and a tool that is not permitted", "/plain/people.list", token, `{}`, http.StatusUnprocessableEntity, "not_allowed\n"},
	} {
		if status, text := post(t, base+tt.path, tt.token, tt.body); status != tt.status || !strings.Contains(text, tt.want) {
			t.Errorf("%s: %d %s, want %d with %s", tt.name, status, text, tt.status, tt.want)
		}
	}
	if rows := cli("--json", "audit", "search", "--tool", "note.read"); strings.Count(rows, `"entry":"plain"`) != 1 {
		t.Errorf("the new entry's call of note.read has not one row:\n%s", rows)
	}
}

// serve starts the program on a free port and gives its address. It is asked to end with the test, and must.
func serve(t *testing.T, dir, program string) string {
	t.Helper()
	cmd := exec.Command(program, "serve", "--data", "d", "--config", "gatehouse.yaml", "--listen", "127.0.0.1:0")
	cmd.Dir = dir
	var errs strings.Builder
	cmd.Stderr = &errs
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		kill := time.AfterFunc(20*time.Second, func() { _ = cmd.Process.Kill() })
		defer kill.Stop()
		end := syscall.SIGTERM
		if runtime.GOOS == "windows" {
			end = syscall.SIGKILL
		}
		_ = cmd.Process.Signal(end)
		if err := cmd.Wait(); err != nil {
			t.Errorf("serve: %v\n%s", err, errs.String())
		}
	})
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		if address, ok := strings.CutPrefix(lines.Text(), "listening on "); ok {
			go func() { _, _ = io.Copy(io.Discard, out) }()
			return address
		}
	}
	t.Fatalf("serve does not say where it listens:\n%s", errs.String())
	return ""
}

func post(t *testing.T, url, token, body string) (int, string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(text)
}
