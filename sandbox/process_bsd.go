//go:build unix && !linux

package sandbox

import "syscall"

func attributes() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }

// Wait returns when the program has ended and what it left behind in its group was killed.
func (p *Process) Wait() error {
	err := p.cmd.Wait()
	p.killRest()
	return err
}
