//go:build unix && !linux

package upstream

import (
	"os/exec"
	"sync"
	"syscall"
)

// group is a program and all that it starts, as one process group.
type group struct {
	cmd  *exec.Cmd
	mu   sync.Mutex // guards gone
	gone bool       // the number may belong to another group by now
}

func newGroup(cmd *exec.Cmd) *group {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	return &group{cmd: cmd}
}

func (g *group) start() error { return g.cmd.Start() }

// wait returns when the program has ended and what it left behind in its group was killed.
func (g *group) wait() error {
	err := g.cmd.Wait()
	g.mu.Lock()
	defer g.mu.Unlock()
	_ = syscall.Kill(-g.cmd.Process.Pid, syscall.SIGKILL)
	g.gone = true
	return err
}

// terminate asks all to end.
func (g *group) terminate() { g.signal(syscall.SIGTERM) }

// kill ends all.
func (g *group) kill() { g.signal(syscall.SIGKILL) }

func (g *group) signal(s syscall.Signal) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.gone {
		_ = syscall.Kill(-g.cmd.Process.Pid, s)
	}
}
