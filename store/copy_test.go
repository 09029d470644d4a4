package store_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"gatehouse/outcome"
	"gatehouse/store"
	"gatehouse/store/storetest"
)

// TestCopyWhileOthersWrite copies in the middle of writing: every transaction is whole in the copy, or not there.
func TestCopyWhileOthersWrite(t *testing.T) {
	t.Parallel()
	source := storetest.SQLite(t)
	db := open(t, source)
	to := t.TempDir()
	file := filepath.Join(to, "note.db")
	var wg sync.WaitGroup
	started := make(chan struct{})
	wg.Go(func() {
		for i := range 60 {
			err := db.Tx(t.Context(), func(tx *store.Tx) error {
				for j := range 3 {
					if _, err := tx.Exec(t.Context(), insertRow, i, j, 3*i+j+1, fmt.Sprint(i, j)); err != nil {
						return err
					}
				}
				return nil
			})
			if err != nil {
				t.Error(err)
			}
			if i == 5 {
				close(started)
			}
		}
	})
	<-started
	if err := store.Copy(t.Context(), filepath.Join(source.Dir, "note.db"), file); err != nil {
		t.Fatal(err)
	}
	wg.Wait()
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info, err)
	}
	if n := count(t, open(t, store.Source{Dir: to}), "row"); n%3 != 0 || n < 18 {
		t.Errorf("%d rows in the copy", n)
	}
	if err := store.Copy(t.Context(), filepath.Join(source.Dir, "note.db"), file); !errors.Is(err, fs.ErrExist) {
		t.Errorf("over a file that is there: %v", err)
	}
	none := filepath.Join(to, "none.db")
	if err := store.Copy(t.Context(), filepath.Join(to, "missing.db"), none); !errors.Is(err, outcome.Unavailable) {
		t.Errorf("of nothing: %v", err)
	}
	if _, err := os.Stat(none); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("what failed leaves a file: %v", err)
	}
}
