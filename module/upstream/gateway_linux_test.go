package upstream_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"
)

// TestGatewayKilled: a server does not outlive a gateway that was killed.
func TestGatewayKilled(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	gateway := exec.CommandContext(t.Context(), executable(t))
	gateway.Env = append(os.Environ(), playing+"=gateway", "PLAY_DIR="+dir)
	if err := gateway.Start(); err != nil {
		t.Fatal(err)
	}
	wait := func(what string, good func() bool) {
		t.Helper()
		for end := time.Now().Add(20 * time.Second); !good(); {
			if time.Now().After(end) {
				t.Fatalf("waited in vain until %s", what)
			}
			<-time.After(5 * time.Millisecond)
		}
	}
	wait("the server runs", func() bool { return len(readLines(filepath.Join(dir, "lists"))) == 1 })
	pids := readLines(filepath.Join(dir, "pids"))
	server, _ := strconv.Atoi(pids[0])
	child, _ := strconv.Atoi(pids[1])
	t.Cleanup(func() {
		if p, err := os.FindProcess(child); err == nil {
			_ = p.Kill() // the server's own child is not ours to end when we are gone
		}
	})
	if err := gateway.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = gateway.Wait()
	wait("the server is gone", func() bool { return !alive(server) })
}
