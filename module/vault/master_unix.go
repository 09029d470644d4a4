//go:build unix

package vault

import (
	"errors"
	"fmt"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// openPrivate opens a file of which nobody but us and root can read or write a byte. A link in its place is refused, or
// whoever may write to the folder could choose which file is read; so is what is not a regular file.
func openPrivate(file string) (*os.File, error) {
	f, err := os.OpenFile(file, os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if errors.Is(err, unix.ELOOP) || errors.Is(err, unix.EMLINK) {
		return nil, fmt.Errorf("the master key file %s is a symbolic link: name the file that it leads to", file)
	}
	if err != nil {
		return nil, fmt.Errorf("opening the master key file: %w", err)
	}
	if err := private(f); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

func private(f *os.File) error {
	info, err := f.Stat()
	if err != nil {
		return fmt.Errorf("looking at the master key file: %w", err)
	}
	if !info.Mode().IsRegular() {
		return fmt.Errorf("the master key file %s is not a regular file", f.Name())
	}
	if mode := info.Mode(); mode != 0o600 && mode != 0o400 {
		return fmt.Errorf("the master key file %s has mode %04o, so others may have read it: it must be 0600 or 0400 (chmod 600 %s)",
			f.Name(), mode.Perm(), f.Name())
	}
	if owner, ok := info.Sys().(*syscall.Stat_t); ok && owner.Uid != 0 && int(owner.Uid) != os.Geteuid() {
		return fmt.Errorf("the master key file %s belongs to user %d, who can change it: it must belong to user %d, who runs this, or to root",
			f.Name(), owner.Uid, os.Geteuid())
	}
	return nil
}

// privateFolder refuses a folder in which others could put another file in the place of ours.
func privateFolder(folder string) error {
	info, err := os.Stat(folder)
	if err != nil {
		return fmt.Errorf("looking at the folder of the master key file: %w", err)
	}
	if info.Mode().Perm()&0o022 != 0 {
		return fmt.Errorf("others may write to %s, the folder of the master key file (mode %04o): make it private (chmod 700 %s)",
			folder, info.Mode().Perm(), folder)
	}
	return nil
}

// syncFolder makes the name of a new file durable.
func syncFolder(folder string) error {
	f, err := os.Open(folder)
	if err != nil {
		return fmt.Errorf("syncing the folder of the master key file: %w", err)
	}
	if err := errors.Join(f.Sync(), f.Close()); err != nil {
		return fmt.Errorf("syncing the folder of the master key file: %w", err)
	}
	return nil
}
