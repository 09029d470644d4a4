//go:build unix

package sandbox

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"sync"
	"syscall"
)

// Process is a program that runs and all that it starts, as one process group.
type Process struct {
	cmd  *exec.Cmd
	mu   sync.Mutex // guards gone
	gone bool       // the number may belong to another group by now
}

func newProcess(cmd *exec.Cmd) *Process {
	cmd.SysProcAttr = attributes()
	return &Process{cmd: cmd}
}

// begin starts the program through this binary, and returns when it has become the program, or says why it did not.
func (p *Process) begin() error {
	r, w, err := os.Pipe()
	if err != nil {
		return fmt.Errorf("making a pipe: %w", err)
	}
	defer func() { _ = r.Close() }()
	p.cmd.ExtraFiles = []*os.File{w} // closed there when it becomes the program
	err = p.cmd.Start()
	_ = w.Close()
	if err != nil {
		return err
	}
	complaint, err := io.ReadAll(io.LimitReader(r, 4<<10))
	if err == nil && len(complaint) == 0 {
		return nil
	}
	p.Kill()
	if len(complaint) > 0 {
		err = errors.New(string(complaint))
	}
	_ = p.Wait()
	return err
}

// Terminate asks all to end.
func (p *Process) Terminate() { p.signal(syscall.SIGTERM) }

// Kill ends all.
func (p *Process) Kill() { p.signal(syscall.SIGKILL) }

func (p *Process) signal(s syscall.Signal) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.gone {
		_ = syscall.Kill(-p.cmd.Process.Pid, s)
	}
}

// killRest ends what the program left behind in its group; afterwards the group's number is nobody's.
func (p *Process) killRest() {
	p.mu.Lock()
	defer p.mu.Unlock()
	_ = syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL)
	p.gone = true
}
