package store

import (
	"bufio"
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// networks are the magic numbers of file systems whose bytes are elsewhere: linux/magic.h, statfs(2).
var networks = map[uint32]string{
	0x6969:     "nfs",
	0x517b:     "smb",
	0xff534d42: "cifs",
	0xfe534d42: "smb2",
	0x01021997: "9p",
	0x00c36400: "ceph",
	0x5346414f: "afs",
	0x6b414653: "kafs",
	0x73757245: "coda",
	0x564c:     "ncp",
	0x0bd00bd0: "lustre",
	0x47504653: "gpfs",
	0x19830326: "beegfs",
	0x01161970: "gfs2",
	0x7461636f: "ocfs2",
	0x786f4256: "vboxsf",
	0xbacbacbc: "vmhgfs",
}

const fuseMagic = 0x65735546

// localFuse are the file systems in user space that keep their bytes on a disk here; every other one is taken to be far.
var localFuse = map[string]bool{"fuseblk": true, "fuse.fuse-overlayfs": true}

// networkFileSystem names the network file system that dir is on; "" is a local one.
func networkFileSystem(dir string) (string, error) {
	var s unix.Statfs_t
	if err := unix.Statfs(dir, &s); err != nil {
		return "", err
	}
	if uint32(s.Type) != fuseMagic {
		return networks[uint32(s.Type)], nil
	}
	name, err := mountedAs(dir)
	if err != nil || localFuse[name] {
		return "", err
	}
	return name, nil
}

// mountedAs finds the type of the file system of dir in /proc/self/mountinfo, by its device (proc_pid_mountinfo(5)).
func mountedAs(dir string) (string, error) {
	var st unix.Stat_t
	if err := unix.Stat(dir, &st); err != nil {
		return "", err
	}
	f, err := os.Open("/proc/self/mountinfo")
	if err != nil {
		return "", err
	}
	defer func() { _ = f.Close() }()
	device := fmt.Sprintf("%d:%d", unix.Major(uint64(st.Dev)), unix.Minor(uint64(st.Dev))) //nolint:unconvert // on some processors Dev is shorter
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		mount, kind, ok := strings.Cut(lines.Text(), " - ")
		if fields := strings.Fields(mount); ok && len(fields) > 2 && fields[2] == device {
			kind, _, _ = strings.Cut(kind, " ")
			return kind, nil
		}
	}
	return "fuse", lines.Err()
}
