//go:build !unix

package backup

// SyncFolder does nothing: a folder cannot be synced here.
func SyncFolder(string) error { return nil }
