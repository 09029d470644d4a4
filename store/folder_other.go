//go:build unix && !linux && !darwin

package store

// networkFileSystem cannot tell here.
func networkFileSystem(string) (string, error) { return "", nil }
