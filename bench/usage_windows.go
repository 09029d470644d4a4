package main

import (
	"fmt"
	"syscall"
	"time"
)

// processTime is the CPU that this process used so far, its own and the system's.
func processTime() (time.Duration, error) {
	process, err := syscall.GetCurrentProcess()
	if err != nil {
		return 0, fmt.Errorf("asking for this process: %w", err)
	}
	var created, exited, kernel, user syscall.Filetime
	if err := syscall.GetProcessTimes(process, &created, &exited, &kernel, &user); err != nil {
		return 0, fmt.Errorf("asking for the time of this process: %w", err)
	}
	return time.Duration(ticks(kernel)+ticks(user)) * 100, nil // a tick is 100 ns
}

func ticks(t syscall.Filetime) int64 { return int64(t.HighDateTime)<<32 | int64(t.LowDateTime) }
