package cli_test

import (
	"bytes"
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"gatehouse/cli"
	"gatehouse/store/storetest"
)

var fenced = regexp.MustCompile("(?s)```sh\n(.*?)```")

// ran are the sections of docs/operation.md with commands, and the test that runs each.
var ran = map[string]string{
	"Install":            "packaging: TestInstallIsAsPrinted",
	"Shell completion":   "TestCompletionIsAsPrinted",
	"Watch":              "TestWatchingIsAsPrinted",
	"What the log keeps": "TestExportIsAsPrinted",
	"Back up":            "TestOperationIsAsPrinted",
	"Restore":            "TestOperationIsAsPrinted",
	"Upgrade":            "TestOperationIsAsPrinted, and the package in packaging",
	"Move to PostgreSQL": "TestMovingToPostgreSQLIsAsPrinted",
	"Months of the log":  "TestMovingMonthsAwayIsAsPrinted",
}

// TestEveryCommandOfOperationIsRun: a block of commands that no test runs fails, and so does one that is written in a way
// that the tests do not see. Commands in a sentence must be ones that there are.
func TestEveryCommandOfOperationIsRun(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../docs/operation.md")
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]bool{}
	sections := strings.Split(string(page), "\n## ")
	for _, text := range sections {
		title, body, _ := strings.Cut(text, "\n")
		for i, line := range strings.Split(body, "\n") {
			if strings.HasPrefix(strings.TrimSpace(line), "~~~") || strings.HasPrefix(line, "    ") || strings.HasPrefix(strings.TrimSpace(line), "```") && line != "```" && line != "```sh" {
				t.Errorf("%s: line %d, %q: commands stand in blocks that begin with ```sh", title, i+1, line)
			}
		}
		if blocks := strings.Count("\n"+body, "\n```"); blocks != 2*len(fenced.FindAllString(body, -1)) {
			t.Errorf("%s: a block does not begin with ```sh", title)
		}
		if fenced.MatchString(body) {
			found[title] = true
			if ran[title] == "" {
				t.Errorf("no test runs the commands of the section %s: write one, and put it into the list", title)
			}
		}
	}
	for title, test := range ran {
		if !found[title] {
			t.Errorf("%s runs the section %s, which has no commands", test, title)
		}
	}
	inline := regexp.MustCompile("`gatehouse ([^`]*)`").FindAllStringSubmatch(string(page), -1)
	if len(inline) < 5 {
		t.Errorf("%d commands in sentences: are they not found?", len(inline))
	}
	for _, m := range inline {
		args := strings.Fields(strings.ReplaceAll(m[1], "\n", " "))
		var out, errs bytes.Buffer
		if status := cli.Main(append(args, "--help"), nil, &out, &errs); status != 0 || !strings.Contains(out.String(), "Usage: gatehouse "+args[0]) && args[0] != "--data" {
			t.Errorf("gatehouse %s: %d %s", m[1], status, &errs)
		}
		for _, arg := range args {
			if name, _, _ := strings.Cut(arg, "="); strings.HasPrefix(name, "--") && !strings.Contains(out.String(), name) {
				t.Errorf("gatehouse %s: its help knows no %s", m[1], name)
			}
		}
	}
}

// section gives the shell lines of one section of docs/operation.md, as they are printed.
func section(t *testing.T, title string) string {
	t.Helper()
	page, err := os.ReadFile("../docs/operation.md")
	if err != nil {
		t.Fatal(err)
	}
	_, text, ok := strings.Cut(string(page), "\n## "+title+"\n")
	if !ok {
		t.Fatalf("docs/operation.md has no section %q", title)
	}
	text, _, _ = strings.Cut(text, "\n## ")
	var lines []string
	for _, m := range fenced.FindAllStringSubmatch(text, -1) {
		lines = append(lines, m[1])
	}
	if len(lines) == 0 {
		t.Fatalf("the section %q of docs/operation.md has no commands", title)
	}
	return strings.Join(lines, "")
}

// shell runs lines as a person would, in a folder, with a gatehouse of this test's binary in the path.
func shell(t *testing.T, dir, lines string, env ...string) string {
	t.Helper()
	return shellOf(t, "sh", dir, lines, env...)
}

// shellOf is shell with another one.
func shellOf(t *testing.T, name, dir, lines string, env ...string) string {
	t.Helper()
	sh, err := exec.LookPath(name)
	if err != nil {
		t.Skip("there is no " + name + " here")
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	bin := t.TempDir()
	if err := os.Symlink(self, filepath.Join(bin, "gatehouse")); err != nil { // testscript goes by the name
		t.Skipf("no links here: %v", err)
	}
	cmd := exec.CommandContext(t.Context(), sh, "-e", "-c", lines)
	cmd.Dir = dir
	cmd.Env = append(append(os.Environ(), "PATH="+bin+string(os.PathListSeparator)+os.Getenv("PATH")), env...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s\n%s\n%v", lines, out, err)
	}
	return string(out)
}

// TestOperationIsAsPrinted runs the commands of docs/operation.md one section after the other, on one data folder.
func TestOperationIsAsPrinted(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	shell(t, dir, "gatehouse --data d user add ada@example.org")
	for _, step := range []struct{ title, want string }{
		{"Back up", "monday.age holds 6 databases"},
		{"Restore", "the log holds"},
		{"Upgrade", "up to date"},
	} {
		lines := section(t, step.title)
		if step.title == "Upgrade" { // the package is for packaging's test
			var packages bool
			if lines, packages = without(lines, "dpkg "); !packages {
				t.Error("Upgrade installs no package any more: packaging's test stands for it")
			}
		}
		if got := shell(t, dir, lines); !strings.Contains(got, step.want) {
			t.Errorf("%s: it says\n%s\nwant %q", step.title, got, step.want)
		}
	}
}

func TestMovingToPostgreSQLIsAsPrinted(t *testing.T) {
	t.Parallel()
	source := storetest.Postgres(t)
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "postgres.yaml"), []byte("store: {postgres_dsn_env: RUN_DSN, postgres_owner_dsn_env: OWNER_DSN}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	shell(t, dir, "gatehouse --data d user add ada@example.org")
	got := shell(t, dir, section(t, "Move to PostgreSQL"), "RUN_DSN="+source.Run.Reveal(), "OWNER_DSN="+source.Owner.Reveal())
	if !strings.Contains(got, "moved to PostgreSQL: the log holds there with 1 rows") || !strings.Contains(got, "the log holds: 1 rows") {
		t.Errorf("it says\n%s", got)
	}
}

// without leaves lines out that begin with a word.
func without(lines, word string) (rest string, found bool) {
	for line := range strings.Lines(lines) {
		if strings.HasPrefix(line, word) {
			found = true
		} else {
			rest += line
		}
	}
	return rest, found
}

// served runs lines with a gateway that serves the folder d, which is ended afterwards. The page's port may be taken here.
func served(t *testing.T, dir, yaml, lines string) string {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	if err := errors.Join(l.Close(), os.WriteFile(filepath.Join(dir, "served.yaml"), []byte(yaml), 0o600)); err != nil {
		t.Fatal(err)
	}
	lines = strings.ReplaceAll(lines, "127.0.0.1:8080", address)
	return shell(t, dir, "gatehouse serve --data d --config served.yaml --listen "+address+" & served=$!\n"+
		"trap 'kill $served; wait $served' EXIT\n"+
		"n=0; until [ -S d/operator.sock ]; do n=$((n+1)); [ $n -lt 300 ]; sleep 0.1; done\n"+lines)
}

func TestWatchingIsAsPrinted(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("curl"); err != nil {
		t.Skip("there is no curl here")
	}
	dir := t.TempDir()
	got := served(t, dir, "audit: {head_file: head}\n", "gatehouse --data d user add ada@example.org\n"+section(t, "Watch"))
	for _, want := range []string{"ready", "gatehouse_ready 1", "people.add", "the log holds"} {
		if !strings.Contains(got, want) {
			t.Errorf("it says\n%s\nwant %q", got, want)
		}
	}
}

func TestExportIsAsPrinted(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	got := served(t, dir, "", "gatehouse --data d user add ada@example.org\n"+section(t, "What the log keeps"))
	if !strings.Contains(got, "the log holds") {
		t.Errorf("it says\n%s", got)
	}
}

// TestCompletionIsAsPrinted: the files are where the shells look; completion_test.go has the shells read them.
func TestCompletionIsAsPrinted(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	got := shellOf(t, "bash", dir, section(t, "Shell completion")+"complete -p gatehouse\n", "HOME="+dir)
	if !strings.Contains(got, "gatehouse") {
		t.Errorf("bash completes nothing: %s", got)
	}
	for _, file := range []string{".zfunc/_gatehouse", ".config/fish/completions/gatehouse.fish"} {
		if text, err := os.ReadFile(filepath.Join(dir, file)); err != nil || !strings.Contains(string(text), "gatehouse") {
			t.Errorf("%s: %v", file, err)
		}
	}
}
