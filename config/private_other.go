//go:build !unix

package config

import (
	"errors"
	"os"
)

func openPrivate(path string) (*os.File, error) { return os.Open(path) }

// checkPrivate cannot judge permissions here: Windows keeps them in access lists, which Go's file modes do not show.
func checkPrivate(f *os.File, _ os.FileMode) error {
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() {
		return errors.New("it is not a plain file")
	}
	return nil
}
