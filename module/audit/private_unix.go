//go:build unix

package audit

import (
	"errors"
	"fmt"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// openPrivate opens a file of which nobody but us and root can read or write a byte: whoever can read the key signs heads
// as we do, and whoever can write it chooses what we sign with. A link in its place is refused, and so is what is not a
// regular file.
func openPrivate(file string) (*os.File, error) {
	f, err := os.OpenFile(file, os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if errors.Is(err, unix.ELOOP) || errors.Is(err, unix.EMLINK) {
		return nil, fmt.Errorf("%s is a symbolic link: put the file itself there", file)
	}
	if err != nil {
		return nil, err
	}
	if err := private(f); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

func private(f *os.File) error {
	info, err := f.Stat()
	if err != nil {
		return err
	}
	mode := info.Mode()
	if !mode.IsRegular() {
		return fmt.Errorf("%s is not a regular file", f.Name())
	}
	if mode != 0o600 && mode != 0o400 {
		return fmt.Errorf("%s has mode %04o, so others may have read it: it must be 0600 or 0400 (chmod 600 %s)", f.Name(), mode.Perm(), f.Name())
	}
	if owner, ok := info.Sys().(*syscall.Stat_t); ok && owner.Uid != 0 && int(owner.Uid) != os.Geteuid() {
		return fmt.Errorf("%s belongs to user %d, who can change it: it must belong to user %d, who runs this, or to root",
			f.Name(), owner.Uid, os.Geteuid())
	}
	return nil
}
