package sandbox

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// refused is the exit status of a start that did not come about, as of shells.
const refused = 126

// maxFiles bounds a program's open files.
const maxFiles = 4096

// report is the file in which the parent reads why the program was not started.
const report = 3

// order is what the parent wants: the command line after the word sandbox.
type order struct {
	home             string
	own, read, write list
	network          string
	unix             bool
	uid, gid         int
	argv             []string
}

type list []string

func (l *list) String() string         { return strings.Join(*l, " ") }
func (l *list) Set(value string) error { *l = append(*l, value); return nil }

// Main must be called first of all by every binary that uses this package, tests included, with os.Args. If the binary was
// started to confine a program it does so, becomes that program and does not return; else it returns false at once. It
// returns true with the exit status if the program could not be started.
func Main(args []string) (status int, asked bool) {
	if len(args) < 2 || args[1] != verb {
		return 0, false
	}
	err := become(args[2:])
	text := fmt.Sprint(err)
	if _, err := unix.Write(report, []byte(text)); err != nil {
		_, _ = io.WriteString(os.Stderr, text+"\n") // someone typed this command: there is no parent that reads
	}
	return refused, true
}

func parse(args []string) (o order, err error) {
	f := flag.NewFlagSet(verb, flag.ContinueOnError)
	f.SetOutput(io.Discard)
	f.StringVar(&o.home, "home", "", "")
	f.Var(&o.own, "own", "")
	f.Var(&o.read, "read", "")
	f.Var(&o.write, "write", "")
	f.StringVar(&o.network, "network", string(None), "")
	f.BoolVar(&o.unix, "unix-sockets", false, "")
	f.IntVar(&o.uid, "uid", -1, "")
	f.IntVar(&o.gid, "gid", -1, "")
	if err := f.Parse(args); err != nil {
		return o, fmt.Errorf("reading the command line: %w", err)
	}
	var n Network
	o.argv = f.Args()
	switch {
	case len(o.argv) == 0 || !filepath.IsAbs(o.argv[0]):
		return o, errors.New("the program must be an absolute path")
	case (o.uid < 0) != (o.gid < 0) || o.uid == 0 || o.gid == 0:
		return o, errors.New("--uid and --gid must be those of another user than root")
	}
	return o, n.UnmarshalText([]byte(o.network))
}

// become confines this process and puts the program in its place. The order matters: rules are made while root may still
// open what they name, the user changes while root may still do that, the filter comes last.
func become(args []string) error {
	// Capabilities, the filter and the signal at the parent's end are the thread's; the thread that calls exec stays.
	runtime.LockOSThread()
	o, err := parse(args)
	if err != nil {
		return err
	}
	parent := os.Getppid()
	if err := bound(); err != nil {
		return err
	}
	if err := restrict(o); err != nil {
		return err
	}
	if err := o.dropPrivileges(); err != nil {
		return err
	}
	// A change of the user takes the signal away.
	if err := unix.Prctl(unix.PR_SET_PDEATHSIG, uintptr(unix.SIGKILL), 0, 0, 0); err != nil {
		return fmt.Errorf("asking to end with the gateway: %w", err)
	}
	if os.Getppid() != parent {
		return errors.New("the gateway has ended")
	}
	if err := o.reachable(); err != nil {
		return err
	}
	if err := filter(Network(o.network), o.unix); err != nil {
		return err
	}
	return fmt.Errorf("becoming the program: %w", syscall.Exec(o.argv[0], o.argv, os.Environ()))
}

// bound sets limits and sees to it that no open file gets into the program.
func bound() error {
	unix.Umask(0o077)
	if err := syscall.Setrlimit(syscall.RLIMIT_CORE, &syscall.Rlimit{}); err != nil {
		return fmt.Errorf("forbidding core files: %w", err)
	}
	var now syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &now); err != nil {
		return fmt.Errorf("reading the limit of open files: %w", err)
	}
	now.Max = min(now.Max, maxFiles)
	now.Cur = now.Max
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &now); err != nil {
		return fmt.Errorf("bounding open files: %w", err)
	}
	if err := unix.CloseRange(3, ^uint(0)>>1, unix.CLOSE_RANGE_CLOEXEC); err != nil {
		return fmt.Errorf("closing files: %w", err)
	}
	return nil
}

// dropPrivileges takes the other user if there is one, and all capabilities away, for this thread and what it becomes.
func (o order) dropPrivileges() error {
	if os.Geteuid() == 0 {
		for c := range uintptr(64) {
			if err := unix.Prctl(unix.PR_CAPBSET_DROP, c, 0, 0, 0); err != nil && !errors.Is(err, unix.EINVAL) {
				return fmt.Errorf("giving up capability %d: %w", c, err)
			}
		}
	}
	if o.uid > 0 {
		if err := syscall.Setgroups(nil); err != nil {
			return fmt.Errorf("leaving the groups: %w", err)
		}
		if err := syscall.Setresgid(o.gid, o.gid, o.gid); err != nil {
			return fmt.Errorf("taking the group %d: %w", o.gid, err)
		}
		if err := syscall.Setresuid(o.uid, o.uid, o.uid); err != nil {
			return fmt.Errorf("taking the user %d: %w", o.uid, err)
		}
	}
	if err := unix.Prctl(unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0); err != nil {
		return fmt.Errorf("giving up ambient capabilities: %w", err)
	}
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var now, none [2]unix.CapUserData
	if err := unix.Capget(&header, &now[0]); err != nil {
		return fmt.Errorf("reading capabilities: %w", err)
	}
	if now == none {
		return nil // a service manager may have forbidden even the call that gives nothing up
	}
	if err := unix.Capset(&header, &none[0]); err != nil {
		return fmt.Errorf("giving up capabilities: %w", err)
	}
	return nil
}

// reachable tells in words what the program's user may not do with a path of the rules, before the program fails over it.
func (o order) reachable() error {
	who := "the user that the program runs as (" + strconv.Itoa(os.Getuid()) + ")"
	if err := unix.Access(o.argv[0], unix.X_OK); err != nil {
		return fmt.Errorf("%s cannot be run by %s: %w", o.argv[0], who, err)
	}
	for _, path := range append(o.read, o.write...) {
		if err := unix.Access(path, unix.R_OK); err != nil {
			return fmt.Errorf("%s cannot be read by %s: %w; let that user read it, or name another with sandbox.user", path, who, err)
		}
	}
	for _, path := range o.write {
		if err := unix.Access(path, unix.W_OK); err != nil {
			return fmt.Errorf("%s cannot be written by %s: %w; give it to that user, or name another with sandbox.user", path, who, err)
		}
	}
	return nil
}

// pin opens a path in which no link may stand, so that it is still the one that was checked, and gives a path to the very
// file that is open.
func pin(path string) (string, error) {
	fd, err := unix.Openat2(unix.AT_FDCWD, path, &unix.OpenHow{Flags: unix.O_PATH | unix.O_CLOEXEC, Resolve: unix.RESOLVE_NO_SYMLINKS | unix.RESOLVE_NO_MAGICLINKS})
	switch {
	case errors.Is(err, unix.ELOOP):
		return "", fmt.Errorf("a link stands in %s where there was none when the gateway started: restart the gateway if that is meant", path)
	case errors.Is(err, fs.ErrNotExist):
		return "", fmt.Errorf("%s of the sandbox's rules does not exist", path)
	case err != nil:
		return "", fmt.Errorf("opening %s: %w", path, err)
	}
	return "/proc/self/fd/" + strconv.Itoa(fd), nil
}
