package store

import (
	"fmt"
	"os"
	"strings"
	"syscall"
)

// FolderIdentity names a folder so that no other one has the same name, on this machine or another, until the machine
// starts again: who holds the folder's lock knows that whoever had the name before is gone. Empty: it cannot be told.
func FolderIdentity(dir string) string {
	boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return ""
	}
	info, err := os.Stat(dir)
	if err != nil {
		return ""
	}
	s, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return ""
	}
	return fmt.Sprintf("%s %d %d", strings.TrimSpace(string(boot)), s.Dev, s.Ino)
}
