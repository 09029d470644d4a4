//go:build !linux

package sandbox

import (
	"fmt"
	"runtime"
)

// Main is for Linux: elsewhere nothing asks for it. See there.
func Main(args []string) (status int, asked bool) {
	if len(args) < 2 || args[1] != verb {
		return 0, false
	}
	return 126, true
}

// Supported says that there is nothing to confine with.
func Supported() Support {
	return Support{Problem: fmt.Sprintf("there is no sandbox on %s", runtime.GOOS)}
}

// account is the user that a program runs as: here always our own.
type account struct{}

func accountFor(string, string) (account, error) { return account{}, ErrUnable }
func (account) String() string                   { return "the same user" }
func (account) give(...string) error             { return nil }
func (account) flags() []string                  { return nil }
