package upstream_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
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
	wait("the server runs", func() bool { return len(readLines(filepath.Join(dir, "ready"))) == 1 })
	pids := readLines(filepath.Join(dir, "pids"))
	server, _ := strconv.Atoi(pids[0])
	child, _ := strconv.Atoi(pids[1])
	t.Cleanup(func() {
		for _, pid := range []int{server, child} { // the server's own child nobody ends when the gateway is gone
			if alive(pid) {
				_ = syscall.Kill(pid, syscall.SIGKILL)
			}
		}
	})
	if err := gateway.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = gateway.Wait()
	wait("the server is gone", func() bool { return !alive(server) })
}
