package promise_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"gatehouse/entry/socket"
)

// attempt is one thing that the intruder tries; nil is a success.
type attempt struct {
	what string
	try  func(target) error
}

// target is where the intruder looks.
type target struct {
	data, config, outside, work, listen string
	gateway                             int
}

// attempts are all of them, in the order of the table in docs/security.md.
var attempts = []attempt{
	{"read the master key", func(t target) error { return reads(t.data + "/keys/master.json") }},
	{"read the key that signs the log", func(t target) error { return reads(t.data + "/keys/audit.json") }},
	{"read the proof of the operator", func(t target) error { return reads(t.data + "/operator.key") }},
	{"read a database", readsDatabase},
	{"list the data folder", func(t target) error { _, err := os.ReadDir(t.data); return err }},
	{"read the configuration", func(t target) error { return reads(t.config) }},
	{"read a file of other programs", func(t target) error { return reads(t.outside) }},
	{"read the gateway's environment", func(t target) error { return reads(t.proc("environ")) }},
	{"open the gateway's memory", func(t target) error { return opens(t.proc("mem")) }},
	{"read the gateway's map of memory", func(t target) error { return reads(t.proc("maps")) }},
	{"read the gateway's command line", func(t target) error { return reads(t.proc("cmdline")) }},
	{"read the gateway's memory without a file", readsMemory},
	{"trace the gateway", traces},
	{"signal the gateway", func(t target) error { return syscall.Kill(t.gateway, 0) }},
	{"lower the gateway's limits", limits},
	{"connect to the operator's socket", func(t target) error { return dials("unix", t.data+"/operator.sock") }},
	{"be served on the operator's socket", served},
	{"connect by TCP", func(t target) error { return dials("tcp", t.listen) }},
	{"send by UDP", func(target) error { return dials("udp", "127.0.0.1:9") }},
	{"make sockets through a ring", ring},
	{"write beside its folders", func(t target) error { return writes(filepath.Dir(t.outside) + "/made") }},
	{"write to the data folder", func(t target) error { return writes(t.data + "/made") }},
	{"empty the log by its path", func(t target) error { return syscall.Truncate(t.outside, 0) }},
	{"read through a link in its folder", throughLink},
	{"link a file into its folder", func(t target) error { return os.Link(t.outside, t.work+"/hard") }},
	{"see what was not configured for it", environment},
	{"leave its process group", func(target) error { return syscall.Setpgid(0, 0) }},
	{"start a session of its own", startsSession},
	{"make namespaces of its own", func(target) error { return unix.Unshare(unix.CLONE_NEWUSER) }},
	{"become root again", func(target) error { return becomesRoot() }},
}

func (t target) proc(file string) string { return fmt.Sprintf("/proc/%d/%s", t.gateway, file) }

func reads(path string) error {
	_, err := os.ReadFile(path)
	return err
}

func opens(path string) error {
	f, err := os.Open(path)
	if err == nil {
		_ = f.Close()
	}
	return err
}

func writes(path string) error {
	if err := os.WriteFile(path, []byte("x"), 0o600); err != nil {
		return err
	}
	return os.Remove(path)
}

func readsDatabase(t target) error {
	for _, name := range []string{"audit", "people", "tokens", "upstream", "vault", "calls"} {
		if err := reads(t.data + "/" + name + ".db"); err == nil || !errors.Is(err, os.ErrPermission) {
			return err
		}
	}
	return os.ErrPermission
}

func readsMemory(t target) error {
	maps, own := make([]byte, 8), unix.Iovec{}
	own.Base = &maps[0]
	own.SetLen(8)
	_, err := unix.ProcessVMReadv(t.gateway, []unix.Iovec{own}, []unix.RemoteIovec{{Base: 1 << 12, Len: 8}}, 0)
	if errors.Is(err, unix.EFAULT) {
		return nil // it was let in, and nothing lies at that place
	}
	return err
}

// traces attaches in a process of its own: with its end the kernel lets go of the gateway.
func traces(t target) error {
	c := exec.Command(os.Args[0], "intrude", strconv.Itoa(t.gateway))
	var exit *exec.ExitError
	if err := c.Run(); errors.As(err, &exit) && exit.ExitCode() > 0 {
		return syscall.Errno(exit.ExitCode())
	} else if err != nil {
		return err
	}
	return nil
}

// trace ends with the number of the error.
func trace(pid string) {
	runtime.LockOSThread()
	n, err := strconv.Atoi(pid)
	if err != nil {
		os.Exit(255)
	}
	_, _, errno := unix.RawSyscall6(unix.SYS_PTRACE, unix.PTRACE_SEIZE, uintptr(n), 0, 0, 0, 0)
	os.Exit(int(errno))
}

func limits(t target) error {
	var now unix.Rlimit
	if err := unix.Prlimit(t.gateway, unix.RLIMIT_NOFILE, nil, &now); err != nil {
		return err
	}
	return unix.Prlimit(t.gateway, unix.RLIMIT_NOFILE, &now, nil)
}

func dials(network, address string) error {
	c, err := (&net.Dialer{}).DialContext(context.Background(), network, address)
	if err == nil {
		_ = c.Close()
	}
	return err
}

func served(t target) error {
	c, err := socket.Dial(context.Background(), t.data, func(ctx context.Context, path string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", path)
	})
	if err == nil {
		_ = c.Close()
	}
	return err
}

func ring(target) error {
	var parameters [120]byte
	_, _, errno := unix.Syscall(unix.SYS_IO_URING_SETUP, 4, uintptr(unsafe.Pointer(&parameters[0])), 0)
	if errno != 0 {
		return errno
	}
	return nil
}

func throughLink(t target) error {
	link := t.work + "/link"
	_ = os.Remove(link)
	if err := os.Symlink(t.outside, link); err != nil {
		return errors.New("no link could be made, so nothing was tried: " + err.Error())
	}
	return reads(link)
}

func environment(target) error {
	allowed := strings.Fields("PATH LANG HOME TMPDIR DATA CONFIG OUTSIDE WORK LISTEN")
	for _, line := range os.Environ() {
		if name, _, _ := strings.Cut(line, "="); !slices.Contains(allowed, name) {
			return nil
		}
	}
	return os.ErrNotExist
}

// startsSession leaves a program behind that the end of the group would not reach.
func startsSession(target) error {
	c := exec.Command("/bin/true")
	c.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	return c.Run()
}

func becomesRoot() error {
	if err := syscall.Setuid(0); err != nil {
		return err
	}
	if err := unix.Mount("none", "/mnt", "tmpfs", 0, ""); err != nil {
		return err
	}
	return unix.Unmount("/mnt", 0)
}

// intrude tries everything, notes what came of it, and leaves a child behind.
func intrude() {
	if len(os.Args) == 3 {
		trace(os.Args[2])
	}
	t := target{
		os.Getenv("DATA"), os.Getenv("CONFIG"), os.Getenv("OUTSIDE"), os.Getenv("WORK"), os.Getenv("LISTEN"), os.Getppid(),
	}
	for end := time.Now().Add(30 * time.Second); opens(t.work+"/begin") != nil && time.Now().Before(end); {
		time.Sleep(5 * time.Millisecond) // until the gateway is all there
	}
	got := map[string]string{}
	for _, a := range attempts {
		got[a.what] = refusal(a.try(t))
	}
	got["home"] = os.Getenv("HOME")
	left := exec.Command("sleep", "1000")
	if err := left.Start(); err != nil {
		got["child"] = err.Error()
	} else {
		got["child"] = strconv.Itoa(left.Process.Pid)
	}
	if status, err := os.ReadFile("/proc/self/status"); err == nil {
		got["status"] = string(status)
	}
	b, err := json.Marshal(got)
	if err == nil {
		err = os.WriteFile(t.work+"/report.new", b, 0o644)
	}
	if err = errors.Join(err, os.Rename(t.work+"/report.new", t.work+"/report")); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	_, _ = io.Copy(io.Discard, os.Stdin)
	os.Exit(0)
}

// refusal is one word or two for the table.
func refusal(err error) string {
	switch {
	case err == nil:
		return "done"
	case errors.Is(err, syscall.EPERM):
		return "not permitted"
	case errors.Is(err, os.ErrPermission):
		return "permission denied"
	case errors.Is(err, syscall.EXDEV):
		return "cross-device link"
	case errors.Is(err, os.ErrNotExist):
		return "nothing there"
	}
	return err.Error()
}
