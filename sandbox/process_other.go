//go:build !unix

package sandbox

import "os/exec"

// Process is a program that runs. This system has no process groups as we use them: what the program starts is not ended
// with it.
type Process struct{ cmd *exec.Cmd }

func newProcess(cmd *exec.Cmd) *Process { return &Process{cmd} }

func (*Process) begin() error { return ErrUnable }

// Wait returns when the program has ended.
func (p *Process) Wait() error { return p.cmd.Wait() }

// Terminate can only wait here: closing the program's input is the wish that it ends.
func (*Process) Terminate() {}

// Kill ends the program.
func (p *Process) Kill() { _ = p.cmd.Process.Kill() }
