package socket

import (
	"net"
	"os"
	"strconv"

	"golang.org/x/sys/unix"

	"gatehouse/gate"
)

// peerOf asks the kernel who is at the other end. It is for the log, not for rights.
func peerOf(c net.Conn) gate.Peer {
	u, ok := c.(*net.UnixConn)
	if !ok {
		return gate.Peer{}
	}
	raw, err := u.SyscallConn()
	if err != nil {
		return gate.Peer{}
	}
	var p gate.Peer
	err = raw.Control(func(fd uintptr) {
		cred, err := unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED)
		if err == nil {
			p.UID, p.PID = int(cred.Uid), int(cred.Pid)
		}
	})
	if err != nil || p.PID == 0 {
		return gate.Peer{}
	}
	if p.Program, err = os.Readlink("/proc/" + strconv.Itoa(p.PID) + "/exe"); err != nil {
		p.Program = "" // it ended already, or is not ours to see
	}
	return p
}

// shorten gives a path to the folder that is short enough for a socket's name (107 bytes), whatever the folder's own.
func shorten(dir string) (short string, done func(), err error) {
	if len(dir)+len(socketFile) < 100 {
		return dir, func() {}, nil
	}
	f, err := os.Open(dir)
	if err != nil {
		return "", nil, err
	}
	return "/proc/self/fd/" + strconv.Itoa(int(f.Fd())), func() { _ = f.Close() }, nil
}
