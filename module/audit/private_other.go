//go:build !unix

package audit

import (
	"fmt"
	"os"
)

// openPrivate opens the key file. Modes say nothing here: who may read it is up to the access list of its folder. A link
// in its place is refused.
func openPrivate(file string) (*os.File, error) {
	info, err := os.Lstat(file)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is not a regular file", file)
	}
	return os.Open(file)
}
