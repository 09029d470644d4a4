//go:build !linux

package promise_test

// intrude is for Linux, where programs are confined.
func intrude() {}
