//go:build unix

package main

import (
	"fmt"
	"syscall"
	"time"
)

// processTime is the CPU that this process used so far, its own and the system's.
func processTime() (time.Duration, error) {
	var r syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &r); err != nil {
		return 0, fmt.Errorf("asking for the time of this process: %w", err)
	}
	return time.Duration(r.Utime.Nano() + r.Stime.Nano()), nil
}
