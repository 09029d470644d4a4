package store_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"gatehouse/outcome"
	"gatehouse/store"
	"gatehouse/store/storetest"
)

// TestIDsOfTwoReplicas has two handles with clocks of their own insert into one table: every id is taken once, and lies
// in the second in which it was made.
func TestIDsOfTwoReplicas(t *testing.T) {
	t.Parallel()
	storetest.Engines(t, func(t *testing.T, source store.Source) {
		handles := []*store.DB{open(t, source), open(t, source)}
		const each = 150
		var wg sync.WaitGroup
		for w, db := range handles {
			wg.Go(func() {
				for i := range each {
					before := time.Now().Unix()
					id, err := db.Insert(t.Context(), insertNote, fmt.Sprint(w, "-", i), nil)
					if err != nil {
						t.Error(err)
						return
					}
					if id/1000 < before || id/1000 > time.Now().Unix() {
						t.Errorf("id %d was made between %d and %d", id, before, time.Now().Unix())
					}
				}
			})
		}
		wg.Wait()
		if n := count(t, handles[0], "note"); n != 2*each {
			t.Errorf("%d rows, want %d", n, 2*each)
		}
	})
}

// TestSkewedReplicas: the clocks of two replicas are 5 s off, one to either side, and both write as fast as they can. They go
// by the server's clock: every id is taken once and lies in the second in which it was made, and what both call now is
// the same (T29).
func TestSkewedReplicas(t *testing.T) {
	t.Parallel()
	source := storetest.Postgres(t)
	var handles []*store.DB
	for _, by := range []time.Duration{5 * time.Second, -5 * time.Second} {
		handles = append(handles, open(t, source, func(c *store.Config) { store.Skew(c, by) }))
	}
	// What a connection finds out about the server's clock is as good as the time that the question took.
	const blur = 200 * time.Millisecond
	each := 200
	if os.Getenv("GATEHOUSE_SOAK") == "1" {
		each = 10_000
	}
	var wg sync.WaitGroup
	for w, db := range handles {
		wg.Go(func() {
			for i := range each {
				before := time.Now().Add(-blur).Unix()
				id, err := db.Insert(t.Context(), insertNote, fmt.Sprint(w, "-", i), nil)
				if err != nil {
					t.Error(err)
					return
				}
				if after := time.Now().Add(blur).Unix(); id/1000 < before || id/1000 > after {
					t.Errorf("replica %d: id %d was made between %d and %d", w, id, before, after)
				}
				if off := time.Until(db.Clock().Now()).Abs(); off > blur {
					t.Fatalf("replica %d is %s beside the server's clock", w, off)
				}
			}
		})
	}
	wg.Wait()
	if n := count(t, handles[0], "note"); n != 2*each {
		t.Errorf("%d rows, want %d", n, 2*each)
	}
}

// TestTakenIDsAreStepped restarts a clock within one millisecond, so that all that it gives first are taken.
func TestTakenIDsAreStepped(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		first, second := open(t, store.Source{Dir: dir}), open(t, store.Source{Dir: dir})
		for i := range 300 {
			if _, err := first.Insert(t.Context(), insertNote, fmt.Sprint("first ", i), nil); err != nil {
				t.Fatal(err)
			}
		}
		id, err := second.Insert(t.Context(), insertNote, "second", nil)
		if want := time.Now().UnixMilli() + 300; err != nil || id != want {
			t.Errorf("id %d, want %d (%v)", id, want, err)
		}
	})
}

func TestAnInsertMustStepOverTakenIDs(t *testing.T) {
	t.Parallel()
	db := open(t, storetest.SQLite(t))
	if _, err := db.Insert(t.Context(), `INSERT INTO note (id, version, name) VALUES ($1, 1, $2)`, "a"); err == nil {
		t.Error("it does not say what to do when the id is taken, and is run")
	}
}

// TestAWriterElsewhere is T6 for a file that another process holds: unavailable after the busy time, nothing written.
func TestAWriterElsewhere(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		db, other := open(t, store.Source{Dir: dir}), open(t, store.Source{Dir: dir})
		err := other.Tx(t.Context(), func(tx *store.Tx) error {
			if _, err := db.Insert(t.Context(), insertNote, "a", nil); !errors.Is(err, outcome.Unavailable) {
				t.Errorf("Insert: %v", err)
			}
			if err := db.Tx(t.Context(), func(*store.Tx) error { return nil }); !errors.Is(err, outcome.Unavailable) {
				t.Errorf("Tx: %v", err)
			}
			return db.Ping(t.Context()) // reading goes on
		})
		if err != nil {
			t.Error(err)
		}
		if _, err := db.Insert(t.Context(), insertNote, "a", nil); err != nil {
			t.Errorf("after it: %v", err)
		}
	})
}

func TestWhatCannotBeRead(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "note.db"), bytes.Repeat([]byte("no database "), 1000), 0o600); err != nil {
		t.Fatal(err)
	}
	c := store.Config{Source: store.Source{Dir: dir}, Name: "note", Migrations: notes(), Migrate: true}
	if _, err := store.Open(t.Context(), c); !errors.Is(err, outcome.Unavailable) {
		t.Errorf("a file that is no database: %v", err)
	}
	c.Source = store.Source{Dir: filepath.Join(dir, "note.db", "below")}
	if _, err := store.Open(t.Context(), c); !errors.Is(err, outcome.Unavailable) {
		t.Errorf("a folder that is a file: %v", err)
	}
}

func TestAServerThatIsNotThere(t *testing.T) {
	t.Parallel()
	source := storetest.Postgres(t)
	c := store.Config{Source: source, Name: "note", Migrations: notes()}
	if _, err := store.Open(t.Context(), c); !errors.Is(err, store.ErrBehind) {
		t.Errorf("a schema that is not there: %v", err)
	}
	c.Source.Run = storetest.Nowhere(t)
	if _, err := store.Open(t.Context(), c); !errors.Is(err, outcome.Unavailable) {
		t.Errorf("a server that is not there: %v", err)
	}
}
