package audit

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// occupy takes up room for a file, without writing it where the file system can do that.
func occupy(f *os.File, size int64) error {
	for {
		err := unix.Fallocate(int(f.Fd()), 0, 0, size)
		switch {
		case errors.Is(err, unix.EINTR):
		case errors.Is(err, unix.EOPNOTSUPP):
			return write(f, size)
		default:
			return err
		}
	}
}

// roomLeft is how many bytes we may still write in a folder, without quotas.
func roomLeft(dir string) (left int64, known bool) {
	var s unix.Statfs_t
	if err := unix.Statfs(dir, &s); err != nil {
		return 0, false
	}
	return int64(s.Bavail) * s.Bsize, true
}
