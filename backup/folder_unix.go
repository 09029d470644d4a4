//go:build unix

package backup

import (
	"errors"
	"os"
)

// SyncFolder makes what was renamed, added or removed in a folder durable.
func SyncFolder(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
