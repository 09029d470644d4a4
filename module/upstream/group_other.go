//go:build !unix

package upstream

import "os/exec"

// group is a program. This system has no process groups as we use them: what the program starts is not ended with it.
type group struct{ cmd *exec.Cmd }

func newGroup(cmd *exec.Cmd) *group { return &group{cmd} }

func (g *group) start() error { return g.cmd.Start() }

// wait returns when the program has ended.
func (g *group) wait() error { return g.cmd.Wait() }

// terminate can only wait here: closing the program's input is the wish that it ends.
func (*group) terminate() {}

// kill ends the program.
func (g *group) kill() { _ = g.cmd.Process.Kill() }
