//go:build !linux

package app

// harden does nothing: only on Linux does Gatehouse keep other processes of the same user out of its memory.
func harden() error { return nil }
