package upstream_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"gatehouse/gatetest"
	"gatehouse/module/upstream"
	"gatehouse/outcome"
)

// TestNoProperAnswer: a tool that reads ends in upstream, one with effects in unknown, because it may have happened.
func TestNoProperAnswer(t *testing.T) {
	t.Parallel()
	for _, mode := range []string{
		"dies", "wrong version", "duplicate", "no object", "no list", "wants input", "error text",
		"long result", "long result, id last",
	} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			w := enter(t, scene{mode: mode, lines: classified}).ready()
			ann := w.Person("ann", "far.do", "far.look")
			for i, tt := range []struct {
				tool string
				want outcome.Code
			}{{"far.look", outcome.Upstream}, {"far.do", outcome.Unknown}} {
				began := time.Now()
				o := ann.Call(tt.tool, `{}`)
				if o.Code != tt.want || !o.Result.IsZero() {
					t.Errorf("%s: %s (%s), want %s", tt.tool, o.Code, o.Reason, tt.want)
				}
				if took := time.Since(began); took > 15*time.Second {
					t.Errorf("%s: the caller waited %s, to the deadline", tt.tool, took)
				}
				if got := len(w.noted("calls")); got != i+1 {
					t.Errorf("%s: the server was called %d times, want %d: nothing is repeated", tt.tool, got, i+1)
				}
			}
			rows := w.Rows()
			if last := rows[len(rows)-1]; last.Tool != "far.do" || last.Outcome != "unknown" {
				t.Errorf("the last row is %s", last)
			}
			if mode == "dies" {
				w.ready()
				if s := w.status(); s.Starts != 3 || s.Failure == "" {
					t.Errorf("after two deaths: %+v", s)
				}
			} else if s := w.status(); s.Starts != 1 {
				t.Errorf("an answer that cannot be read ended the program: %+v", s)
			}
		})
	}
}

func TestServersOwnError(t *testing.T) {
	t.Parallel()
	w := enter(t, scene{mode: "refuses", env: secretLines(t), lines: classified}).ready()
	ann := w.Person("ann", "far.do")
	o := ann.Call("far.do", `{}`)
	if o.Code != outcome.Upstream || !strings.Contains(o.Reason, `bad [secret]\u000a\u001b[31m\u202eyyy`) || len(o.Reason) > 400 {
		t.Errorf("%s (%s)", o.Code, o.Reason)
	}
}

func TestNeverAnswers(t *testing.T) {
	t.Parallel()
	w := enter(t, scene{mode: "silent", lines: strings.ReplaceAll(classified, "20s", "300ms")}).ready()
	ann := w.Person("ann", "far.do", "far.look")
	for tool, want := range map[string]outcome.Code{"far.look": outcome.Timeout, "far.do": outcome.Unknown} {
		if o := ann.Call(tool, `{}`); o.Code != want {
			t.Errorf("%s: %s (%s), want %s", tool, o.Code, o.Reason, want)
		}
	}
	w.until("both are told to be cancelled", func() bool {
		return strings.Count(strings.Join(w.noted("lines"), "\n"), "notifications/cancelled") == 2
	})
	if s := w.status(); s.Starts != 1 {
		t.Errorf("status %+v", s)
	}
}

// TestDeafServer does not read its input: whoever waits to be sent is told that nothing was, and closing does not hang.
func TestDeafServer(t *testing.T) {
	t.Parallel()
	w := enter(t, scene{mode: "deaf", lines: strings.ReplaceAll(classified, "20s", "500ms")}).ready()
	ann := w.Person("ann", "far.do")
	big := `{"text":"` + strings.Repeat("x", 1<<20) + `"}`
	for i, want := range []outcome.Code{outcome.Unknown, outcome.Unknown, outcome.Upstream} {
		if o := ann.Call("far.do", big); o.Code != want {
			t.Errorf("call %d: %s (%s), want %s", i, o.Code, o.Reason, want)
		}
	}
}

// TestNoise: lines that are nothing, foreign answers and requests in mid-call do not hurt a call, and get no further (T11).
func TestNoise(t *testing.T) {
	t.Parallel()
	for _, mode := range []string{"noise", "long"} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			w := enter(t, scene{mode: mode, lines: classified}).ready()
			ann := w.Person("ann", "far.look")
			for range 2 {
				o := ann.Call("far.look", `{}`)
				if o.Code != outcome.OK || o.Result.String() != `{"content":[{"text":"done","type":"text"}]}` {
					t.Fatalf("%s (%s) %s", o.Code, o.Reason, o.Result)
				}
			}
			s := w.status()
			if mode == "long" {
				if s.Dropped.Long != 2 || s.Starts != 1 {
					t.Errorf("status %+v", s)
				}
				return
			}
			// Three bad lines at the start; then each time a log line, and a batch; and two answers to nothing.
			if s.Dropped.Unread != 3+2*2 || s.Dropped.Foreign != 2*2 || s.Dropped.Long != 0 {
				t.Errorf("dropped %+v", s.Dropped)
			}
			w.until("the server has its answers", func() bool { return len(w.noted("answers")) == 6 })
			for i, want := range []string{
				`{"jsonrpc":"2.0","id":1,"result":{}}`, `{"jsonrpc":"2.0","id":2,"result":{"roots":[]}}`,
				`{"jsonrpc":"2.0","id":"s","error":{"code":-32601,"message":"Gatehouse does not do this for a server"}}`,
			} {
				if got := w.noted("answers")[i]; got != want {
					t.Errorf("answer %d: %s, want %s", i, got, want)
				}
			}
		})
	}
}

// TestDownDoesNotStopServe: the tools that were last seen are listed and can be permitted; a call says that nothing was sent.
func TestDownDoesNotStopServe(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	exe, data := filepath.Join(dir, "program"), filepath.Join(dir, "data")
	if err := os.Symlink(executable(t), exe); err != nil {
		t.Fatal(err)
	}
	s := scene{mode: "plain", lines: classified, exe: exe, data: data, dir: t.TempDir()}
	w := enter(t, s).ready()
	ann := w.Person("ann", "far.do")
	ann.MustCall("far.do", `{}`)
	w.Close()
	if err := os.Remove(exe); err != nil {
		t.Fatal(err)
	}
	s.make = upstream.NewLazy
	w = enter(t, s)
	w.until("the server is down", func() bool { return w.status().State == "down" })
	if st := w.status(); st.Tools != 2 || st.Next == "" || !strings.Contains(st.Failure, "program") {
		t.Errorf("status %+v", st)
	}
	again := gatetest.Person{House: w.House, ID: ann.ID, Token: ann.Token}
	again.Grant(map[string]string{"far.look": "allow"})
	began := time.Now()
	if o := again.Call("far.do", `{}`); o.Code != outcome.Upstream || !strings.Contains(o.Reason, "nothing was sent") {
		t.Errorf("a call of a server that is down: %s (%s)", o.Code, o.Reason)
	}
	if took := time.Since(began); took > time.Second {
		t.Errorf("the caller waited %s for a start that is an hour away", took)
	}
	if r := w.review("do"); r.Tools[0].State != "same" {
		t.Errorf("the acceptance was forgotten: %+v", r)
	}
}

// TestOtherCommand: the right to a tool is bound to the command as well.
func TestOtherCommand(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := scene{mode: "plain", lines: classified, exe: filepath.Join(dir, "one"), data: filepath.Join(dir, "data"), dir: t.TempDir()}
	for _, name := range []string{"one", "two"} {
		if err := os.Symlink(executable(t), filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	w := enter(t, s).ready()
	ann := w.Person("ann", "far.do")
	ann.MustCall("far.do", `{}`)
	w.Close()
	s.exe = filepath.Join(dir, "two")
	w = enter(t, s).ready()
	if o := w.CallAs(ann.Token.Text, "far.do", `{}`); o.Code != outcome.NotAllowed {
		t.Errorf("the same tool of another command: %s", o.Code)
	}
	if r := w.review("do"); r.Tools[0].State != "added" {
		t.Errorf("review %+v", r)
	}
	if got := w.noted("calls"); len(got) != 1 {
		t.Errorf("the servers were called %d times", len(got))
	}
}

func TestUnspokenRevision(t *testing.T) {
	t.Parallel()
	w := enter(t, scene{mode: "future"})
	w.until("it failed twice", func() bool { return w.status().Starts > 2 })
	if s := w.status(); !strings.Contains(s.Failure, "2031-01-01") || s.Tools != 0 {
		t.Errorf("status %+v", s)
	}
}

// TestEnvironment: a program sees PATH, LANG, a home of its own and what is configured, and nothing else of ours.
func TestEnvironment(t *testing.T) {
	t.Parallel()
	w := enter(t, scene{mode: "environment", env: "          PLAIN: yes-of-course\n", lines: classified}).ready()
	ann := w.Person("ann", "far.look")
	result := ann.MustCall("far.look", `{}`)
	text, _ := result.Lookup("/content/0/text")
	own, _ := text.Text()
	at, _ := result.Lookup("/content/1/text")
	folder, _ := at.Text()
	home := folder
	for _, line := range strings.Split(own, "\n") {
		name, value, _ := strings.Cut(line, "=")
		switch name {
		case "PATH", "LANG", "PWD", "PLAY_DIR", "GATEHOUSE_PLAY":
		case "PLAIN":
			if value != "yes-of-course" {
				t.Errorf("%s is not as it was configured", line)
			}
		case "HOME":
			if value != home || strings.HasPrefix(home, w.Dir) {
				t.Errorf("HOME is %s, want %s, outside of %s", value, home, w.Dir)
			}
		case "TMPDIR":
			if value != filepath.Join(home, "tmp") {
				t.Errorf("TMPDIR is %s", value)
			}
		default:
			t.Errorf("the program sees %s", name)
		}
	}
	if !strings.Contains(own, "HOME=") || folder != home {
		t.Errorf("it runs in %s, with %q", folder, own)
	}
	if info, err := os.Stat(home); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("its home: %v %v", info, err)
	}
	w.Close()
	if _, err := os.Stat(home); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("its home is left behind: %v", err)
	}
}

const (
	apiKey  = "k-3141592653"
	longKey = "-----BEGIN KEY-----\nAAAABBBBCCCCDDDD\n-----END KEY-----"
)

// secretLines configures two secrets from files.
func secretLines(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	lines := "        env_from:\n"
	for name, value := range map[string]string{"API_KEY": apiKey, "LONG": longKey} {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(value+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		lines += "          " + name + ": {file: " + path + "}\n"
	}
	return lines
}

// TestSecretsStayInside: what a program knows of its environment is in no result, no status and no log (P9, T16).
func TestSecretsStayInside(t *testing.T) {
	t.Parallel()
	for _, mode := range []string{"environment", "stderr", "secret name"} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			w := enter(t, scene{mode: mode, env: secretLines(t), lines: classified}).ready()
			ann := w.Person("ann", "far.look")
			r := w.Doors()[0].Call(ann.Token.Text, "far.look", `{}`)
			if want := map[string]outcome.Code{"secret name": outcome.Upstream}[mode]; want != 0 && r.Code != want || want == 0 && r.Code != outcome.OK {
				t.Errorf("%s (%s)", r.Code, r.Reason)
			}
			if mode == "environment" && !strings.Contains(r.Raw, "API_KEY=[secret]") {
				t.Errorf("the program does not have its key: %s", r.Raw)
			}
			status := w.Operate("servers.list", map[string]any{}).String()
			if mode == "stderr" && !strings.Contains(status, `"last":"key [secret], log [secret]\\u001b[31m"`) {
				t.Errorf("the status does not show the last line: %s", status)
			}
			for _, text := range []string{r.Raw, status} {
				for _, canary := range []string{apiKey, "AAAABBBB", "-----END"} {
					if strings.Contains(text, canary) {
						t.Errorf("%s stands in %s", canary, text)
					}
				}
			}
		})
	}
}

// TestSecretsInDefinitions: a tool that is described with a secret is not offered, and the secret is kept nowhere (P9).
func TestSecretsInDefinitions(t *testing.T) {
	t.Parallel()
	data := t.TempDir()
	w := enter(t, scene{mode: "secret definition", env: secretLines(t), lines: classified, data: data}).ready()
	status := w.status()
	var out []string
	for _, l := range status.LeftOut {
		out = append(out, l.Tool)
		if l.Tool != "task [secret]" && l.Reason != "its definition holds a secret of its environment" {
			t.Errorf("%s is left out because %s", l.Tool, l.Reason)
		}
	}
	want := []string{"escaped", "is [secret]", "member", "output", "preset", "task [secret]", "told"}
	if slices.Sort(out); !slices.Equal(out, want) || status.Tools != 2 {
		t.Errorf("%d tools are offered, and left out are %q, want 2 and %q", status.Tools, out, want)
	}
	ann := w.Person("ann", "far.look")
	ann.MustCall("far.look", `{}`)
	places := map[string]string{
		"servers.list":   w.Operate("servers.list", map[string]any{}).String(),
		"servers.review": w.Operate("servers.review", map[string]any{"server": "far"}).String(),
	}
	for _, e := range w.Gate.Directory().All() {
		places["the gate's "+string(e.Name)] = fmt.Sprintf("%+v", e)
	}
	w.Close()
	err := filepath.WalkDir(data, func(path string, e fs.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() {
			return err
		}
		b, err := os.ReadFile(path)
		places[path] = string(b)
		return err
	})
	if _, kept := places[filepath.Join(data, "upstream.db")]; err != nil || !kept {
		t.Fatalf("%d places, %v", len(places), err)
	}
	for place, text := range places {
		for _, canary := range []string{apiKey, "AAAABBBB"} {
			if strings.Contains(text, canary) {
				t.Errorf("a secret stands in %s", place)
			}
		}
	}
}

// TestMissingSecret: a program is not started without its secret, and the reason names the reference alone.
func TestMissingSecret(t *testing.T) {
	t.Parallel()
	w := enter(t, scene{mode: "plain", env: "        env_from: {API_KEY: {file: /nowhere/key}}\n"})
	w.until("it failed", func() bool { return w.status().Failure != "" })
	if s := w.status(); !strings.Contains(s.Failure, "/nowhere/key") || len(w.noted("lists")) != 0 {
		t.Errorf("status %+v", s)
	}
}

// TestCallerLeaves: whoever leaves while a server is starting has nothing sent for them.
func TestCallerLeaves(t *testing.T) {
	t.Parallel()
	w := enter(t, scene{mode: "holds", lines: classified}).ready()
	ann := w.Person("ann", "far.do")
	ctx, cancel := context.WithCancel(t.Context())
	caller := w.Caller(ann.Token)
	ended := make(chan outcome.Code, 1)
	go func() { ended <- w.Gate.Call(ctx, caller, request("far.do")).Code }()
	w.until("the server has the call", func() bool { return len(w.noted("calls")) == 1 })
	cancel()
	if code := <-ended; code != outcome.Unknown {
		t.Errorf("%s, want unknown: it was begun", code)
	}
	if err := os.WriteFile(filepath.Join(w.dir, "go"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	w.until("the late answer is dropped", func() bool { return w.status().Dropped.Foreign == 1 })
}

// TestListsAreBounded: a server cannot keep us reading its list.
func TestListsAreBounded(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "description"), []byte("one"), 0o600); err != nil {
		t.Fatal(err)
	}
	w := enter(t, scene{mode: "changing", dir: dir, lines: classified, make: upstream.NewPausing}).ready()
	ann := w.Person("ann", "far.look")
	for range 20 {
		ann.MustCall("far.look", `{}`) // each says that the tools changed
	}
	if n := len(w.noted("lists")); n > 2 {
		t.Errorf("the list was read %d times", n)
	}
}

// TestIntentBeforeServerHears: when the server has the call, its intent can be read by another process (P6, T21).
func TestIntentBeforeServerHears(t *testing.T) {
	t.Parallel()
	w := enter(t, scene{mode: "holds", lines: classified}).ready()
	ann := w.Person("ann", "far.do")
	ended := make(chan outcome.Code, 1)
	go func() { ended <- ann.Call("far.do", `{}`).Code }()
	w.until("the server has the call", func() bool { return len(w.noted("calls")) == 1 })
	db, err := sql.Open("sqlite", "file:"+filepath.Join(w.Data, "audit.db")+"?mode=ro")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	var n int
	if err := db.QueryRowContext(t.Context(), "SELECT count(*) FROM intent WHERE body LIKE '%far.do%'").Scan(&n); err != nil || n != 1 {
		t.Errorf("%d intents (%v), want 1", n, err)
	}
	if err := os.WriteFile(filepath.Join(w.dir, "go"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if code := <-ended; code != outcome.OK {
		t.Errorf("the call ended in %s", code)
	}
}
