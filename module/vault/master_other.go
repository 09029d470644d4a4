//go:build !unix

package vault

import (
	"fmt"
	"os"
)

// openPrivate opens the master file. Modes say nothing here: who may read it is up to the access list of its folder. A
// link in its place is refused.
func openPrivate(file string) (*os.File, error) {
	info, err := os.Lstat(file)
	if err != nil {
		return nil, fmt.Errorf("looking at the master key file: %w", err)
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("the master key file %s is not a regular file", file)
	}
	f, err := os.Open(file)
	if err != nil {
		return nil, fmt.Errorf("opening the master key file: %w", err)
	}
	return f, nil
}

func privateFolder(string) error { return nil }

// syncFolder has nothing to do: a folder cannot be synced here.
func syncFolder(string) error { return nil }
