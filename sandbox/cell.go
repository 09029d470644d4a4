package sandbox

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
)

// Cell is the place of one program, which may be started many times, one after the other. A nil one has no problem and
// nothing to close.
type Cell struct {
	sandbox *Sandbox
	name    string
	command []string
	rules   Rules // paths resolved
	account account
	problem error // why it is never started here

	mu   sync.Mutex // guards home
	home string     // empty until the first start
}

// Cell checks a program and its rules. A program that cannot be confined here is no error yet: [Cell.Problem] tells, and
// starting it fails. name is part of folders and, where Gatehouse runs as root, decides the program's own user.
func (s *Sandbox) Cell(name string, command []string, r Rules) (*Cell, error) {
	c := &Cell{sandbox: s, name: name, command: command, rules: r}
	if r.off {
		return c, nil
	}
	var err error
	if c.rules.Read, err = s.resolve("read", r.Read); err != nil {
		return nil, err
	}
	if c.rules.Write, err = s.resolve("write", r.Write); err != nil {
		return nil, err
	}
	if err := s.outside(command, c.rules.Write); err != nil {
		return nil, err
	}
	for _, dir := range systemFolders {
		for _, p := range s.protected {
			if dir := real(dir); within(dir, p) {
				return nil, fmt.Errorf("%s lies in %s, which every program may read: move it elsewhere", p, dir)
			}
		}
	}
	if problem := Supported().Problem; problem != "" {
		c.problem = fmt.Errorf("%w: %s; the program is not started unless its configuration says sandbox: off", ErrUnable, problem)
		return c, nil
	}
	c.account, err = accountFor(name, string(r.User))
	return c, err
}

// outside refuses a program that may change itself, or lies where no program may read.
func (s *Sandbox) outside(command, writable []string) error {
	program, err := exec.LookPath(command[0])
	if err != nil {
		return nil //nolint:nilerr // it may come later; starting it says so
	}
	for _, path := range append([]string{program}, command[1:]...) {
		if !filepath.IsAbs(path) || !file(path) {
			continue
		}
		for _, dir := range writable {
			if path == program && within(dir, real(path)) {
				return fmt.Errorf("sandbox.write: %s holds the program %s, which could change itself", dir, path)
			}
		}
		if p, ok := s.shields(real(path)); ok {
			return fmt.Errorf("%s of command lies in %s, where no program may read", path, p)
		}
	}
	return nil
}

// Problem is why the program is never started here, or nil.
func (c *Cell) Problem() error {
	if c == nil {
		return nil
	}
	return c.problem
}

// String says in a few words how the program is confined.
func (c *Cell) String() string {
	switch {
	case c.rules.off:
		return "off"
	case c.problem != nil:
		return c.problem.Error()
	}
	support := Supported()
	words := []string{fmt.Sprintf("landlock %d", support.Landlock), "seccomp", "network " + string(c.network())}
	if c.rules.Unix {
		words = append(words, "unix sockets")
	}
	return strings.Join(append(append(words, c.account.String()), support.Gaps...), ", ")
}

func (c *Cell) network() Network {
	if c.rules.Network == "" {
		return None
	}
	return c.rules.Network
}

// Home gives the program's private folder, made if need be.
func (c *Cell) Home() (string, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.home != "" {
		return c.home, nil
	}
	home, err := os.MkdirTemp("", "gatehouse-"+c.name+"-")
	if err != nil {
		return "", fmt.Errorf("making the program's folder: %w", err)
	}
	home = real(home)
	err = os.Mkdir(filepath.Join(home, "tmp"), 0o700)
	if err == nil {
		err = c.account.give(home, filepath.Join(home, "tmp"))
	}
	if err != nil {
		return "", errors.Join(fmt.Errorf("giving the program its folder: %w", err), os.RemoveAll(home))
	}
	c.home = home
	return home, nil
}

// Close removes the program's folder. The program must have ended.
func (c *Cell) Close() error {
	if c == nil {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.home == "" {
		return nil
	}
	err := os.RemoveAll(c.home)
	c.home = ""
	if err != nil {
		return fmt.Errorf("removing the program's folder: %w", err)
	}
	return nil
}

// Streams are a program's standard input, output and errors.
type Streams struct{ In, Out, Errs *os.File }

// Start starts the program in a process group of its own. environment is added to what programs inherit, HOME and TMPDIR.
// It must be called on a thread that lives until [Process.Wait] returns: the kernel kills the program with the thread that
// started it, so that no program outlives a gateway that was killed.
func (c *Cell) Start(environment []string, s Streams) (*Process, error) {
	if c.problem != nil {
		return nil, c.problem
	}
	home, err := c.Home()
	if err != nil {
		return nil, err
	}
	program, err := exec.LookPath(c.command[0])
	if err != nil {
		return nil, fmt.Errorf("finding the program: %w", err)
	}
	argv := append([]string{program}, c.command[1:]...)
	if !c.rules.off {
		argv = c.confined(home, program)
	}
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Dir, cmd.Stdin, cmd.Stdout, cmd.Stderr = home, s.In, s.Out, s.Errs
	cmd.Env = append(slices.Clone(c.sandbox.environ), "HOME="+home, "TMPDIR="+filepath.Join(home, "tmp"))
	cmd.Env = append(cmd.Env, environment...)
	p := newProcess(cmd)
	if c.rules.off {
		if err := cmd.Start(); err != nil {
			return nil, fmt.Errorf("starting %s: %w", c.command[0], err)
		}
		return p, nil
	}
	if err := p.begin(); err != nil {
		return nil, fmt.Errorf("starting %s: %w", c.command[0], err)
	}
	return p, nil
}

// confined is the command line of this binary that becomes the program.
func (c *Cell) confined(home, program string) []string {
	argv := []string{c.sandbox.self, verb, "--home", home, "--network", string(c.network())}
	for _, path := range c.sandbox.belongings(program, c.command[1:]) {
		argv = append(argv, "--own", path)
	}
	for _, path := range c.rules.Read {
		argv = append(argv, "--read", path)
	}
	for _, path := range c.rules.Write {
		argv = append(argv, "--write", path)
	}
	if c.rules.Unix {
		argv = append(argv, "--unix-sockets")
	}
	argv = append(argv, c.account.flags()...)
	argv = append(argv, "--", program)
	return append(argv, c.command[1:]...)
}
