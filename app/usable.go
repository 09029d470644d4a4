package app

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"gatehouse/outcome"
)

const (
	restoringDir = "restoring"  // in a data folder: a restore began and did not end
	movedFile    = "moved.json" // in a data folder: its databases are in PostgreSQL now
)

// hinted is an error with what to do about it.
type hinted struct {
	error
	hint string
}

// Hint says what to do.
func (h hinted) Hint() string  { return h.hint }
func (h hinted) Unwrap() error { return h.error }

// usable refuses a data folder that must not be worked on.
func (a *App) usable() error {
	if there(a.file.Data, restoringDir) {
		return hinted{
			outcome.Conflict.Because("a restore into the data folder %s did not end", a.file.Data),
			"run gatehouse restore again: it begins anew by itself",
		}
	}
	if a.file.Store.PostgresDSN.IsZero() && there(a.file.Data, movedFile) {
		return hinted{
			outcome.Conflict.Because("the databases of the data folder %s were moved to PostgreSQL", a.file.Data),
			"name the configuration whose store.postgres_dsn_env leads there, with --config; to go back to the old state for good, remove " +
				filepath.Join(a.file.Data, movedFile),
		}
	}
	return nil
}

// there reports whether a data folder holds a file. What cannot be told counts as there.
func there(data, name string) bool {
	_, err := os.Lstat(filepath.Join(data, name))
	return !errors.Is(err, fs.ErrNotExist)
}
