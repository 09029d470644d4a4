package cli_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"gatehouse/store/storetest"
)

var fenced = regexp.MustCompile("(?s)```sh\n(.*?)```")

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
	sh, err := exec.LookPath("sh")
	if err != nil {
		t.Skip("there is no shell here")
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
		{"Back up", "monday.age holds 5 databases"},
		{"Restore", "the log holds"},
		{"Upgrade", "up to date"},
	} {
		if got := shell(t, dir, section(t, step.title)); !strings.Contains(got, step.want) {
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
