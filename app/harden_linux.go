package app

import (
	"fmt"
	"syscall"

	"golang.org/x/sys/unix"
)

// harden keeps other processes of the same user out of this one's memory, and its memory out of core files: the keys are
// in there. It lasts as long as the process.
func harden() error {
	if err := unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0); err != nil {
		return fmt.Errorf("closing this process to others: %w", err)
	}
	if err := syscall.Setrlimit(syscall.RLIMIT_CORE, &syscall.Rlimit{}); err != nil {
		return fmt.Errorf("forbidding core files: %w", err)
	}
	return nil
}
