//go:build !unix

package config

import (
	"io/fs"
	"os"
)

// keepOwner does nothing: a new file has its folder's access list here.
func keepOwner(*os.File, fs.FileInfo) error { return nil }

// syncFolder does nothing: folders cannot be synced here.
func syncFolder(string) error { return nil }
