package cli_test

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	_ "modernc.org/sqlite"

	"gatehouse/cli"
	"gatehouse/sandbox"
)

func TestMain(m *testing.M) {
	if status, asked := sandbox.Main(os.Args); asked {
		os.Exit(status)
	}
	testscript.Main(m, map[string]func(){
		"gatehouse": func() { os.Exit(cli.Main(os.Args[1:], os.Stdin, os.Stdout, os.Stderr)) },
	})
}

// TestScripts runs the scripts in testdata; their names say what each is about.
func TestScripts(t *testing.T) {
	t.Parallel()
	testscript.Run(t, testscript.Params{
		Dir: "testdata", RequireExplicitExec: true, RequireUniqueNames: true,
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"freeport": freePort, "sqlite": sqlite, "await": await, "replace": replace, "capture": capture,
			"copy": copyFolder, "tamper": tamper,
		},
		Condition: func(name string) (bool, error) {
			if name != "shell" {
				return false, fmt.Errorf("no condition %s", name)
			}
			_, noShell := exec.LookPath("sh")
			_, noCurl := exec.LookPath("curl")
			return runtime.GOOS != "windows" && noShell == nil && noCurl == nil, nil
		},
	})
}

// freePort NAME puts a port that is free now into the variable.
func freePort(ts *testscript.TestScript, _ bool, args []string) {
	l, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", "127.0.0.1:0")
	ts.Check(err)
	ts.Setenv(args[0], fmt.Sprint(l.Addr().(*net.TCPAddr).Port))
	ts.Check(l.Close())
}

// sqlite FILE STATEMENTS runs SQL on a SQLite file, which is made if it is not there.
func sqlite(ts *testscript.TestScript, _ bool, args []string) {
	db, err := sql.Open("sqlite", ts.MkAbs(args[0]))
	ts.Check(err)
	_, err = db.Exec(args[1])
	ts.Check(err)
	ts.Check(db.Close())
}

// tamper FILE STATEMENT changes the log's file behind the back of its triggers, which stand again afterwards.
func tamper(ts *testscript.TestScript, _ bool, args []string) {
	db, err := sql.Open("sqlite", ts.MkAbs(args[0]))
	ts.Check(err)
	db.SetMaxOpenConns(1)
	found, err := db.Query(`SELECT name, sql FROM sqlite_master WHERE type = 'trigger'`)
	ts.Check(err)
	triggers := map[string]string{}
	for found.Next() {
		var name, text string
		ts.Check(found.Scan(&name, &text))
		triggers[name] = text
	}
	ts.Check(errors.Join(found.Err(), found.Close()))
	for name := range triggers {
		_, err := db.Exec(`DROP TRIGGER ` + name)
		ts.Check(err)
	}
	changed, err := db.Exec(args[1])
	ts.Check(err)
	if n, err := changed.RowsAffected(); n != 1 || err != nil {
		ts.Fatalf("%d rows were changed, %v", n, err)
	}
	for _, text := range triggers {
		_, err := db.Exec(text)
		ts.Check(err)
	}
	ts.Check(db.Close())
}

// copy FROM TO copies a folder.
func copyFolder(ts *testscript.TestScript, _ bool, args []string) {
	ts.Check(os.CopyFS(ts.MkAbs(args[1]), os.DirFS(ts.MkAbs(args[0]))))
}

// await FILE [TEXT] waits until it is there, and holds the text.
func await(ts *testscript.TestScript, _ bool, args []string) {
	for end := time.Now().Add(20 * time.Second); ; <-time.After(5 * time.Millisecond) {
		text, err := os.ReadFile(ts.MkAbs(args[0]))
		if !errors.Is(err, os.ErrNotExist) && (len(args) == 1 || strings.Contains(string(text), args[1])) {
			return
		}
		if time.Now().After(end) {
			ts.Fatalf("%s does not come: %s", strings.Join(args, " "), text)
		}
	}
}

// replace FILE OLD NEW replaces a text in a file.
func replace(ts *testscript.TestScript, _ bool, args []string) {
	text := ts.ReadFile(args[0])
	if !strings.Contains(text, args[1]) {
		ts.Fatalf("%s does not hold %s", args[0], args[1])
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte(strings.ReplaceAll(text, args[1], args[2])), 0o600))
}

// capture NAME PATTERN puts what the group of the pattern matches in the last standard output into a variable.
func capture(ts *testscript.TestScript, _ bool, args []string) {
	found := regexp.MustCompile(args[1]).FindStringSubmatch(ts.ReadFile("stdout"))
	if len(found) != 2 {
		ts.Fatalf("standard output does not match %s", args[1])
	}
	ts.Setenv(args[0], found[1])
}

// Arguments that look like something else are taken as what they stand for, or refused; nothing runs twice or elsewhere.
func TestOddArguments(t *testing.T) {
	t.Parallel()
	data := filepath.Join(t.TempDir(), "d")
	for _, tt := range []struct {
		name   string
		args   []string
		status int
		errs   string // a part of standard error
	}{
		{"nothing", nil, 2, "hint: gatehouse --help"},
		{"no such command", []string{"surve"}, 2, "serve"},
		{"no such flag", []string{"user", "list", "--lst"}, 2, "hint: gatehouse user list --help"},
		{"an empty argument", []string{"user", "add", ""}, 1, "is not one plain address"},
		{"a flag as an address", []string{"user", "add", "--", "--name"}, 1, "is not one plain address"},
		{"an address too many", []string{"user", "add", "a@example.org", "b@example.org"}, 2, "unexpected argument"},
		{"no address", []string{"user", "add"}, 2, "expected"},
		{"a line end in an address", []string{"user", "add", "a@example.org\nb"}, 1, "is not one plain address"},
		{"an escape in a command", []string{"\x1b[2J"}, 2, `\u001b[2J`},
		{"direction in a name", []string{"user", "disable", "\u202ea@example.org"}, 1, `\u202ea@example.org`},
		{"two decisions", []string{"permit", "a@example.org", "x.y", "--allow", "--ask"}, 2, "--allow"},
		{"no tool", []string{"permit", "a@example.org"}, 2, "tool"},
		{"nobody", []string{"permit", "nobody@example.org", "x.y"}, 1, "hint: gatehouse user list"},
		{"a time that is none", []string{"token", "issue", "--for=a@example.org", "--agent=a", "--tools=a.b", "--ttl=1y"}, 2, "1y"},
		{"half a second", []string{"token", "issue", "--for=a@example.org", "--agent=a", "--tools=a.b", "--ttl=500ms"}, 2, "whole seconds"},
		{"less than nothing", []string{"token", "issue", "--for=a@example.org", "--agent=a", "--tools=a.b", "--ttl=-1h"}, 2, "-1h"},
		{"a tool without a name", []string{"token", "issue", "--for=a@example.org", "--agent=a", "--tools=a.b,,c.d"}, 2, "empty name"},
		{"uses that are no number", []string{"token", "issue", "--for=a@example.org", "--agent=a", "--tools=a.b", "--max-uses=1e3"}, 2, "max-uses"},
		{"a token in the place of its id", []string{"token", "revoke", "st_abc"}, 2, "st_abc"},
		{"an id that is no token's", []string{"token", "revoke", "17"}, 1, "hint: gatehouse token list"},
		{"a limit of nothing", []string{"audit", "search", "--limit", "0"}, 2, "--limit"},
		{"no outcome", []string{"audit", "search", "--outcome", "fine"}, 1, "is no outcome"},
		{"no time", []string{"audit", "search", "--from", "yesterday"}, 1, "/from"},
		{"no row", []string{"audit", "get", "1-1"}, 1, "hint: gatehouse audit search"},
		{"no row's id", []string{"audit", "get", "../etc"}, 1, "is not a row's id"},
		{"no head", []string{"audit", "verify", "--head", filepath.Join(data, "none")}, 1, "reading what was kept elsewhere"},
		{"an empty head", []string{"audit", "verify", "--head", "-"}, 1, "it is empty"},
		{"no configuration", []string{"user", "list", "--config", filepath.Join(data, "none.yaml")}, 1, "none.yaml"},
		{"a flag without its value", []string{"user", "list", "--config"}, 2, "--config"},
		{"an address that others reach", []string{"serve", "--listen", "0.0.0.0:1"}, 1, "trusted_proxies"},
		{"no server to follow", []string{"audit", "tail"}, 1, "hint: start it: gatehouse --data"},
		{"help", []string{"permit", "--help"}, 0, ""},
		{"help of all", []string{"--help"}, 0, ""},
	} {
		var out, errs bytes.Buffer
		got := cli.Main(append([]string{"--data", data}, tt.args...), strings.NewReader(""), &out, &errs)
		if got != tt.status || !strings.Contains(errs.String(), tt.errs) {
			t.Errorf("%s: status %d, want %d; it says\n%s\nwant %q", tt.name, got, tt.status, &errs, tt.errs)
		}
		if got != 0 && (!strings.Contains(errs.String(), "\nhint: ") || !strings.HasPrefix(errs.String(), "gatehouse: ")) &&
			!strings.Contains(errs.String(), "level=") {
			t.Errorf("%s: without reason and hint:\n%s", tt.name, &errs)
		}
		if got != 0 && out.Len() > 0 {
			t.Errorf("%s: standard output holds %s", tt.name, &out)
		}
		for _, r := range out.String() + errs.String() {
			if r < ' ' && r != '\n' || r == '\u202e' {
				t.Errorf("%s: %U is printed as it came", tt.name, r)
			}
		}
	}
}

// A command whose result cannot be written did not do what it was asked.
func TestStandardOutputThatFails(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{{"version"}, {"version", "--json"}, {"user", "list"}, {"user", "list", "--json"}} {
		var errs bytes.Buffer
		if got := cli.Main(append([]string{"--data", t.TempDir()}, args...), strings.NewReader(""), full{}, &errs); got != 1 {
			t.Errorf("%v: status %d, %s", args, got, &errs)
		}
	}
}

type full struct{}

func (full) Write([]byte) (int, error) { return 0, fmt.Errorf("no space left") }
