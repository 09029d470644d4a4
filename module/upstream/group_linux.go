package upstream

import (
	"errors"
	"os/exec"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// group is a program and all that it starts, as one process group.
type group struct {
	cmd  *exec.Cmd
	mu   sync.Mutex // guards gone
	gone bool       // the number may belong to another group by now
}

func newGroup(cmd *exec.Cmd) *group {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	return &group{cmd: cmd}
}

// start must be called on a thread that lives until wait returns, or the kernel kills the program with the thread.
func (g *group) start() error { return g.cmd.Start() }

// wait returns when the program has ended; what it left behind in its group is killed first, while the number of the
// group cannot be anybody else's yet.
func (g *group) wait() error {
	for {
		err := unix.Waitid(unix.P_PID, g.cmd.Process.Pid, nil, unix.WEXITED|unix.WNOWAIT, nil)
		if !errors.Is(err, unix.EINTR) {
			break
		}
	}
	g.mu.Lock()
	_ = syscall.Kill(-g.cmd.Process.Pid, syscall.SIGKILL)
	g.gone = true
	g.mu.Unlock()
	return g.cmd.Wait()
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
