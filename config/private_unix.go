//go:build unix

package config

import (
	"errors"
	"fmt"
	"os"
	"syscall"
)

// openPrivate opens without following a link in the last step, and without waiting for a pipe's other end.
func openPrivate(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK|syscall.O_CLOEXEC, 0)
	if errors.Is(err, syscall.ELOOP) {
		return nil, errors.New("it is a link; name the file itself")
	}
	return f, err
}

// checkPrivate looks at the open file, so nobody can put another in its place between look and read.
func checkPrivate(f *os.File, forbidden os.FileMode) error {
	info, err := f.Stat()
	if err != nil {
		return err
	}
	owner, ok := info.Sys().(*syscall.Stat_t)
	switch {
	case !info.Mode().IsRegular():
		return errors.New("it is not a plain file")
	case info.Mode().Perm()&forbidden != 0:
		return fmt.Errorf("its mode %04o lets others in; make it 0600", info.Mode().Perm())
	case !ok || owner.Uid != 0 && int(owner.Uid) != os.Geteuid():
		return errors.New("it belongs to another user")
	}
	return nil
}
