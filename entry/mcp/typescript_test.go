package mcp_test

import (
	"bufio"
	"encoding/json"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"gatehouse/gatetest"
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

func startClient(t *testing.T, node, modules, kind, url, token, self string) typescript {
	t.Helper()
	file := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(file, []byte(token+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), node, "testdata/clients.mjs", modules, kind, url, file, self)
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
