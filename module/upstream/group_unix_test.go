//go:build unix

package upstream_test

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"gatehouse/module/upstream"
	"gatehouse/outcome"
)

// TestNothingIsLeft: what a server started ends with it, though neither listens to SIGTERM.
func TestNothingIsLeft(t *testing.T) {
	t.Parallel()
	w := enter(t, scene{mode: "stubborn"}).ready()
	pids := w.noted("pids")
	w.Close()
	for _, text := range pids {
		pid, err := strconv.Atoi(text)
		if err != nil {
			t.Fatal(err)
		}
		w.until("process "+text+" is gone", func() bool { return !alive(pid) })
	}
	if len(pids) != 2 {
		t.Errorf("the server told of %d processes", len(pids))
	}
}

// TestGroupEndsWithItsLeader: a child that a server leaves behind when it is killed does not live on, and the server is
// started again.
func TestGroupEndsWithItsLeader(t *testing.T) {
	t.Parallel()
	w := enter(t, scene{mode: "stubborn"}).ready()
	pids := w.noted("pids")
	leader, _ := strconv.Atoi(pids[0])
	child, _ := strconv.Atoi(pids[1])
	if err := syscall.Kill(leader, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	w.until("the child is gone", func() bool { return !alive(child) })
	w.until("it is started again", func() bool { s := w.status(); return s.Starts == 2 && s.State == "ready" })
}

// alive takes a zombie for dead: who adopts orphans in a container may not reap them.
func alive(pid int) bool {
	if syscall.Kill(pid, 0) != nil {
		return false
	}
	b, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
	return err != nil || !strings.Contains(string(b), ") Z ")
}

// TestChangedInTheMeantime: a call that was let through for one definition is not sent to another.
func TestChangedInTheMeantime(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	describe := func(text string) {
		if err := os.WriteFile(filepath.Join(dir, "description"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	describe("one")
	w := enter(t, scene{mode: "changing", dir: dir, lines: classified, make: upstream.NewPausing}).ready()
	ann := w.Person("ann", "far.do")
	ann.MustCall("far.do", `{}`)
	describe("two")
	pid, err := strconv.Atoi(w.noted("pids")[0])
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	w.until("the server is down", func() bool { return w.status().State == "down" })
	if o := ann.Call("far.do", `{}`); o.Code != outcome.Invalidated {
		t.Errorf("%s (%s), want invalidated", o.Code, o.Reason)
	}
	if got := w.noted("calls"); len(got) != 1 {
		t.Errorf("the server was called %q", got)
	}
}
