//go:build linux && (amd64 || arm64)

package sandbox

import (
	"fmt"
	"unsafe"

	"golang.org/x/sys/unix"
)

// The filter of system calls closes what Landlock leaves open. Offsets are those of struct seccomp_data; arguments are
// compared by their lower half, because the kernel takes these as int or unsigned int.
const (
	offNumber = 0
	offArch   = 4
	offArgs   = 16
)

// never are calls that no confined program may make, by the reason.
var never = []uint32{
	// They would lead out of the process group, by which a program and its children are ended.
	unix.SYS_SETSID, unix.SYS_SETPGID,
	// A ring makes sockets behind the filter's back.
	unix.SYS_IO_URING_SETUP, unix.SYS_IO_URING_ENTER, unix.SYS_IO_URING_REGISTER,
	// In a namespace of its own a program is root and reaches much more of the kernel.
	unix.SYS_UNSHARE, unix.SYS_SETNS,
	// Keys that a session of the same user keeps in the kernel.
	unix.SYS_ADD_KEY, unix.SYS_REQUEST_KEY, unix.SYS_KEYCTL,
	// Memory and queues that programs of the same user share without a file.
	unix.SYS_SHMGET, unix.SYS_SHMAT, unix.SYS_SEMGET, unix.SYS_SEMOP, unix.SYS_MSGGET, unix.SYS_MSGSND, unix.SYS_MSGRCV, unix.SYS_MQ_OPEN,
	// Parts of the kernel that a server of tools has no use for.
	unix.SYS_BPF, unix.SYS_PERF_EVENT_OPEN, unix.SYS_USERFAULTFD, unix.SYS_OPEN_BY_HANDLE_AT,
}

// onlySelf are calls with which a program of the same user could slow or break another: the argument that names the
// process must be 0, which is the caller.
var onlySelf = []struct {
	call  uint32
	which int
}{
	{unix.SYS_PRLIMIT64, 0},
	{unix.SYS_SETPRIORITY, 1},
	{unix.SYS_IOPRIO_SET, 1},
	{unix.SYS_SCHED_SETAFFINITY, 0},
	{unix.SYS_SCHED_SETSCHEDULER, 0},
	{unix.SYS_SCHED_SETPARAM, 0},
	{unix.SYS_SCHED_SETATTR, 0},
}

const (
	allow     = uint32(unix.SECCOMP_RET_ALLOW)
	forbidden = uint32(unix.SECCOMP_RET_ERRNO) | uint32(unix.EPERM)
	missing   = uint32(unix.SECCOMP_RET_ERRNO) | uint32(unix.ENOSYS)
	// newNamespaces are the flags of clone that unshare has too.
	newNamespaces = unix.CLONE_NEWUSER | unix.CLONE_NEWNS | unix.CLONE_NEWPID | unix.CLONE_NEWNET | unix.CLONE_NEWIPC | unix.CLONE_NEWUTS | unix.CLONE_NEWCGROUP
)

type code []unix.SockFilter

func (c *code) add(op uint16, k uint32, yes, no uint8) {
	*c = append(*c, unix.SockFilter{Code: op, Jt: yes, Jf: no, K: k})
}

func (c *code) load(offset uint32) { c.add(unix.BPF_LD|unix.BPF_W|unix.BPF_ABS, offset, 0, 0) }
func (c *code) end(result uint32)  { c.add(unix.BPF_RET|unix.BPF_K, result, 0, 0) }

// unless passes over the next n instructions if the loaded word is not k.
func (c *code) unless(k uint32, n uint8) { c.add(unix.BPF_JMP|unix.BPF_JEQ|unix.BPF_K, k, 0, n) }

// when passes over the next n instructions if the loaded word is k.
func (c *code) when(k uint32, n uint8) { c.add(unix.BPF_JMP|unix.BPF_JEQ|unix.BPF_K, k, n, 0) }

func arg(n int) uint32 { return uint32(offArgs + 8*n) }

// filterFor is the whole filter. The number of the call is loaded wherever a rule begins.
func filterFor(n Network, unixSockets bool) code {
	var c code
	c.load(offArch)
	c.when(auditArch, 1)
	c.end(unix.SECCOMP_RET_KILL_PROCESS) // a program for another processor, whose numbers mean other calls
	c.load(offNumber)
	if foreignCalls != 0 {
		c.add(unix.BPF_JMP|unix.BPF_JGE|unix.BPF_K, foreignCalls, 0, 1)
		c.end(missing)
	}
	for _, call := range never {
		c.unless(call, 1)
		c.end(forbidden)
	}
	// The flags of clone3 lie in memory, where no filter looks; libraries take clone when there is none.
	c.unless(unix.SYS_CLONE3, 1)
	c.end(missing)
	c.unless(unix.SYS_CLONE, 4)
	c.load(arg(0))
	c.add(unix.BPF_JMP|unix.BPF_JSET|unix.BPF_K, newNamespaces, 0, 1)
	c.end(forbidden)
	c.end(allow)
	for _, one := range onlySelf {
		c.unless(one.call, 4)
		c.load(arg(one.which))
		c.when(0, 1)
		c.end(forbidden)
		c.end(allow)
	}
	c.sockets(n, unixSockets)
	c.end(allow)
	return c
}

// sockets lets the allowed families through. A pair of sockets is a pipe and reaches nobody.
func (c *code) sockets(n Network, unixSockets bool) {
	var families []uint32
	if n == Any {
		families = append(families, unix.AF_INET, unix.AF_INET6)
	}
	if unixSockets {
		families = append(families, unix.AF_UNIX)
	}
	c.unless(unix.SYS_SOCKET, uint8(2*len(families)+7))
	c.load(arg(0))
	for _, family := range families {
		c.unless(family, 1)
		c.end(allow)
	}
	// Libraries list the machine's addresses through this one before they look up a name.
	netlink := forbidden
	if n == Any {
		netlink = allow
	}
	c.unless(unix.AF_NETLINK, 4)
	c.load(arg(2))
	c.unless(unix.NETLINK_ROUTE, 1)
	c.end(netlink)
	c.end(forbidden)
	c.end(forbidden)
}

// filter puts the filter on this thread and what it becomes.
func filter(n Network, unixSockets bool) error {
	c := filterFor(n, unixSockets)
	p := unix.SockFprog{Len: uint16(len(c)), Filter: &c[0]}
	// By prctl and not by seccomp(2), which the filters of service managers tend to leave out.
	if err := unix.Prctl(unix.PR_SET_SECCOMP, unix.SECCOMP_MODE_FILTER, uintptr(unsafe.Pointer(&p)), 0, 0); err != nil {
		return fmt.Errorf("filtering system calls: %w", err)
	}
	return nil
}
