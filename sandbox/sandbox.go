// Package sandbox starts programs that are not trusted: MCP servers over stdio, which are other people's. It must never
// hand over more of our environment than it was told, start what it could not confine, or let a program read the data
// folder; where this system cannot confine, a program is started only if its rules say off.
//
// A program is started through this binary once more: `gatehouse sandbox … PROGRAM`, see [Main]. That process confines
// itself and then becomes the program, so nothing stays between. What confines it, on Linux:
//
//   - Landlock: it reads the folders of the system, what belongs to it and what its rules name, and writes to a private
//     folder and what its rules name. Signals, ptrace and /proc of other processes are out of its reach.
//   - seccomp: no sockets but those that its rules allow, no way out of its process group, no new namespaces, no key
//     rings, no shared memory, no limits or priorities of other processes.
//   - no_new_privs, no capabilities, bounded open files, no core files, and no open file of ours.
//   - a user of its own, where Gatehouse runs as root.
//
// Files: a folder gatehouse-NAME-… in the system's temporary folder for each program: its HOME, its TMPDIR and the place
// where it starts, removed by [Cell.Close].
//
// Sources: kernel.org, userspace-api/landlock and userspace-api/seccomp_filter; landlock(7), seccomp(2), proc(5).
package sandbox

import (
	"errors"
	"fmt"
	"os"
	"slices"
)

// verb is the argument that makes this binary confine itself.
const verb = "sandbox"

// ErrUnable is why no program is started on a system that cannot confine it.
var ErrUnable = errors.New("programs cannot be confined here")

// Network says which sockets a program may make.
type Network string

// The networks.
const (
	None Network = "none" // no sockets at all
	Any  Network = "any"  // IPv4 and IPv6, to wherever the machine itself reaches
)

// UnmarshalText reads none or any.
func (n *Network) UnmarshalText(text []byte) error {
	switch *n = Network(text); *n {
	case None, Any:
		return nil
	}
	return fmt.Errorf("network %q: it is none (no sockets) or any (IPv4 and IPv6); to allow single addresses, use the system's packet filter", string(text))
}

// Rules is what a configuration says of one program. The zero value confines most: nothing to read or write but what every
// program may, no network.
type Rules struct {
	Read    []string `yaml:"read,path"`    // files and folders
	Write   []string `yaml:"write,path"`   // files and folders, to read as well
	Network Network  `yaml:"network"`      // left out: none
	Unix    bool     `yaml:"unix_sockets"` // sockets of this machine too: whoever may reach the one of a container service is root
	User    User     `yaml:"user"`         // a name or number, or same; left out: one of its own where Gatehouse runs as root, else the same

	off bool // written as the word off in the place of all others: not confined at all
}

// IsZero reports whether nothing was said.
func (r Rules) IsZero() bool {
	return !r.off && r.Read == nil && r.Write == nil && r.Network == "" && !r.Unix && r.User == ""
}

// UnmarshalText reads off.
func (r *Rules) UnmarshalText(text []byte) error {
	if string(text) != "off" {
		return fmt.Errorf("sandbox is off, or the fields read, write, network, unix_sockets and user")
	}
	r.off = true
	return nil
}

// User is a name, a number, or same.
type User string

// UnmarshalText takes any text: whether there is such a user is looked up where it is needed.
func (u *User) UnmarshalText(text []byte) error {
	*u = User(text)
	return nil
}

// Config says what holds for all programs.
type Config struct {
	Protected []string // files and folders that no program may reach: the data folder, the configuration, keys
	Environ   []string // all that programs inherit, as NAME=value
}

// Sandbox starts programs. It is safe for concurrent use.
type Sandbox struct {
	self      string // this binary
	protected []string
	environ   []string
}

// New finds this binary, which must call [Main] first of all.
func New(c Config) (*Sandbox, error) {
	// A binary that does not call Main would run in the place of each program, and start them all again.
	if len(os.Args) > 1 && os.Args[1] == verb {
		return nil, errors.New("this program was started to confine another one, but does not call sandbox.Main")
	}
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("finding this program: %w", err)
	}
	s := &Sandbox{self: self, environ: slices.Clone(c.Environ)}
	for _, path := range c.Protected {
		if path != "" {
			s.protected = append(s.protected, real(path))
		}
	}
	return s, nil
}

// Support is what this system can do.
type Support struct {
	Landlock int      // the version of the kernel's interface; 0: none
	Problem  string   // why no program can be confined; empty: they can
	Gaps     []string // what is not stopped although programs are confined
}
