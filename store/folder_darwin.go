package store

import "golang.org/x/sys/unix"

// networkFileSystem names the file system that dir is on if it is not a local one (MNT_LOCAL is not set).
func networkFileSystem(dir string) (string, error) {
	var s unix.Statfs_t
	if err := unix.Statfs(dir, &s); err != nil {
		return "", err
	}
	if s.Flags&unix.MNT_LOCAL != 0 {
		return "", nil
	}
	return unix.ByteSliceToString(s.Fstypename[:]), nil
}
