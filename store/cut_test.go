package store_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"gatehouse/store"
	"gatehouse/store/storetest"
)

// two are two modules with the same tables.
func two() []store.Schema {
	return []store.Schema{
		{Name: "note", Migrations: notes(), AppendOnly: []string{"row"}},
		{Name: "other", Migrations: notes(), AppendOnly: []string{"row"}},
	}
}

func named(name string) func(*store.Config) { return func(c *store.Config) { c.Name = name } }

// grow writes rows one after the other into both databases, the first one always ahead, until ctx ends: so many for each
// time that more says so, or a slow copy would grow the next one.
func grow(ctx context.Context, t *testing.T, more <-chan int, first, second *store.DB) {
	t.Helper()
	for n, last := 1, 0; ctx.Err() == nil; n++ {
		for n > last {
			select {
			case rows := <-more:
				last += rows
			case <-ctx.Done():
				return
			}
		}
		for _, db := range []*store.DB{first, second} {
			if _, err := db.Exec(context.WithoutCancel(ctx), insertRow, n, 0, n, "x"); err != nil {
				t.Error(err)
				return
			}
		}
	}
}

// slow is a context that is slow to ask, so that what a cut does step by step takes long enough for others to come between.
type slow struct{ context.Context }

func (s slow) Done() <-chan struct{} {
	<-time.After(time.Millisecond)
	return s.Context.Done()
}

// TestACutIsOneMomentOfAllDatabases: no row is in the second database of a copy that is not in the first, and the first is
// never more than the row that was under way ahead.
func TestACutIsOneMomentOfAllDatabases(t *testing.T) {
	t.Parallel()
	storetest.Engines(t, func(t *testing.T, source store.Source) {
		first, second := open(t, source), open(t, source, named("other"))
		ctx, stop := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		more := make(chan int, 20)
		wg.Go(func() { grow(ctx, t, more, first, second) })
		var longest time.Duration
		seen := 0
		for range 20 {
			more <- 100
			<-time.After(time.Millisecond) // the cut comes in the midst of them
			cut, err := store.TakeCut(slow{t.Context()}, source, two(), []*store.DB{second, first})
			if err != nil {
				t.Fatal(err)
			}
			<-time.After(2 * time.Millisecond) // writing goes on
			to := t.TempDir()
			for _, name := range cut.Names() {
				if err := cut.Copy(t.Context(), name, filepath.Join(to, name+".db")); err != nil {
					t.Fatal(err)
				}
			}
			longest = max(longest, cut.Held())
			if err := cut.Close(); err != nil {
				t.Error(err)
			}
			a, b := count(t, open(t, store.Source{Dir: to}), "row"), count(t, open(t, store.Source{Dir: to}, named("other")), "row")
			if a != b && a != b+1 {
				t.Errorf("%d rows in the first database and %d in the second", a, b)
			}
			if b < seen {
				t.Errorf("a later cut has %d rows, and there were %d", b, seen)
			}
			seen = b
			if entries, err := os.ReadDir(to); err != nil || len(entries) > 6 { // two files and what opening them made
				t.Errorf("%v %v", entries, err)
			}
		}
		stop()
		wg.Wait()
		if seen == 0 {
			t.Error("nothing was written between the cuts: the test shows nothing")
		}
		t.Logf("writers waited %s at most", longest)
	})
}

// TestACutHoldsNothingThatWasDeleted: what a file still has in free pages is in no copy.
func TestACutHoldsNothingThatWasDeleted(t *testing.T) {
	t.Parallel()
	source := storetest.SQLite(t)
	db := open(t, source)
	canary := bytes.Repeat([]byte("canary-4711 "), 2000)
	id, err := db.Insert(t.Context(), insertNote, "gone", canary)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := db.Exec(t.Context(), `DELETE FROM note WHERE id = $1`, id); err != nil {
		t.Fatal(err)
	}
	cut, err := store.TakeCut(t.Context(), source, two(), []*store.DB{db})
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "note.db")
	if err := cut.Copy(t.Context(), "note", file); err != nil {
		t.Fatal(err)
	}
	if err := cut.Copy(t.Context(), "none", file+"2"); err == nil {
		t.Error("a database that is not there was copied")
	}
	if err := cut.Close(); err != nil {
		t.Error(err)
	}
	text, err := os.ReadFile(file)
	if err != nil || bytes.Contains(text, []byte("canary-4711")) {
		t.Errorf("the copy holds what was deleted (%v)", err)
	}
	if entries, err := os.ReadDir(filepath.Dir(file)); err != nil || len(entries) != 1 {
		t.Errorf("the copy left %v (%v)", entries, err)
	}
}

// TestACutDoesNotWaitForEver: a writer that waits for another database while it has its own turn is let through.
func TestACutDoesNotWaitForEver(t *testing.T) {
	t.Parallel()
	source := storetest.SQLite(t)
	first, second := open(t, source), open(t, source, named("other"))
	inside, done := make(chan struct{}), make(chan error, 1)
	go func() {
		done <- first.Tx(t.Context(), func(tx *store.Tx) error {
			close(inside)
			<-time.After(100 * time.Millisecond) // now the cut holds the second and waits for the first
			_, err := second.Exec(t.Context(), insertRow, 1, 0, 1, "x")
			return err
		})
	}()
	<-inside
	cut, err := store.TakeCut(t.Context(), source, two(), []*store.DB{second, first})
	if err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
	if err := cut.Close(); err != nil {
		t.Error(err)
	}
}

// filled has rows of every kind in both modules.
func filled(t *testing.T, source store.Source) {
	t.Helper()
	for _, name := range []string{"note", "other"} {
		db := open(t, source, named(name))
		id, err := db.Insert(t.Context(), insertNote, name+" \u00e4\u2603", []byte{0, 1, 255})
		if err != nil {
			t.Fatal(err)
		}
		if err := db.Update(t.Context(), updateNote, []byte("y"), id, 1); err != nil {
			t.Fatal(err)
		}
		if _, err := db.Insert(t.Context(), insertNote, "empty", nil); err != nil {
			t.Fatal(err)
		}
		if _, err := db.Exec(t.Context(), `INSERT INTO tag (id, note) VALUES ($1, $2)`, 7, id); err != nil {
			t.Fatal(err)
		}
		for n := range 500 {
			if _, err := db.Exec(t.Context(), insertRow, n/3, n%3, n+1, "x"); err != nil {
				t.Fatal(err)
			}
		}
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// content is all that a database holds, as text.
func content(t *testing.T, db *store.DB) string {
	t.Helper()
	var b bytes.Buffer
	for _, q := range []string{`SELECT id, version, name, body FROM note ORDER BY id`, `SELECT id, note, 0, 0 FROM tag ORDER BY id`, `SELECT id, seq, n, what FROM row ORDER BY id, seq`} {
		err := db.All(t.Context(), func(scan func(...any) error) error {
			var w, x int64
			var y any
			var z any
			if err := scan(&w, &x, &y, &z); err != nil {
				return err
			}
			_, err := fmt.Fprintf(&b, "%d %d %s %s\n", w, x, y, z)
			return err
		}, q)
		if err != nil {
			t.Fatal(err)
		}
	}
	return b.String()
}

// TestRowsMoveAsTheyAre from SQLite to PostgreSQL and back, and what stands there is never written over.
func TestRowsMoveAsTheyAre(t *testing.T) {
	t.Parallel()
	lite, post := storetest.SQLite(t), storetest.Postgres(t)
	filled(t, lite)
	moved, err := store.Move(t.Context(), lite.Dir, post, two())
	if err != nil {
		t.Fatal(err)
	}
	if moved["note"] != 503 || moved["other"] != 503 {
		t.Errorf("%v rows were moved", moved)
	}
	if _, err := store.Move(t.Context(), lite.Dir, post, two()); !isNotEmpty(err) {
		t.Errorf("into schemas with rows: %v", err)
	}
	cut, err := store.TakeCut(t.Context(), post, two(), nil)
	if err != nil {
		t.Fatal(err)
	}
	back := t.TempDir()
	for _, name := range cut.Names() {
		if err := cut.Copy(t.Context(), name, filepath.Join(back, name+".db")); err != nil {
			t.Fatal(err)
		}
	}
	if err := cut.Close(); err != nil {
		t.Error(err)
	}
	for _, name := range []string{"note", "other"} {
		a, b, c := content(t, open(t, lite, named(name))), content(t, open(t, post, named(name))), content(t, open(t, store.Source{Dir: back}, named(name)))
		if a != b || a != c || len(a) < 1000 {
			t.Errorf("%s is not what it was: %d, %d and %d bytes", name, len(a), len(b), len(c))
		}
	}
}

// TestAMoveIsWholeOrNothing: one table in the way, in the last schema, and nothing is in the first.
func TestAMoveIsWholeOrNothing(t *testing.T) {
	t.Parallel()
	lite, post := storetest.SQLite(t), storetest.Postgres(t)
	filled(t, lite)
	other := open(t, post, named("other"))
	if _, err := other.Insert(t.Context(), insertNote, "in the way", nil); err != nil {
		t.Fatal(err)
	}
	if _, err := store.Move(t.Context(), lite.Dir, post, two()); !isNotEmpty(err) {
		t.Errorf("Move: %v", err)
	}
	if n := count(t, open(t, post), "row"); n != 0 {
		t.Errorf("%d rows were moved all the same", n)
	}
}

// TestAMoveLosesNoColumn: two forms of a schema that differ are refused, unless the difference is named.
func TestAMoveLosesNoColumn(t *testing.T) {
	t.Parallel()
	lite, post := storetest.SQLite(t), storetest.Postgres(t)
	filled(t, lite)
	differ := notes()
	differ["postgres/0001_note.sql"].Data = append(differ["postgres/0001_note.sql"].Data,
		[]byte("ALTER TABLE note ADD COLUMN host TEXT NOT NULL DEFAULT '';\nCREATE TABLE lease (id BIGINT PRIMARY KEY);\nINSERT INTO lease VALUES (1);\n")...)
	s := store.Schema{Name: "note", Migrations: differ, AppendOnly: []string{"row"}}
	if _, err := store.Move(t.Context(), lite.Dir, post, []store.Schema{s}); err == nil || !bytes.Contains([]byte(err.Error()), []byte("lease")) {
		t.Errorf("a table that is on one engine only: %v", err)
	}
	s.Shared = []string{"lease"}
	if _, err := store.Move(t.Context(), lite.Dir, post, []store.Schema{s}); err == nil || !bytes.Contains([]byte(err.Error()), []byte("host")) {
		t.Errorf("a column that is on one engine only: %v", err)
	}
	s.Shared = []string{"lease", "note.host"}
	s.Settle = []string{`UPDATE note SET host = 'settled', version = version + 1 WHERE name = 'empty'`}
	if _, err := store.Move(t.Context(), lite.Dir, post, []store.Schema{s}); err != nil {
		t.Error(err)
	}
	var host string
	db := open(t, post, func(c *store.Config) { c.Migrations = differ })
	if err := db.Get(t.Context(), []any{&host}, `SELECT host FROM note WHERE name = 'empty'`); err != nil || host != "settled" {
		t.Errorf("%q %v", host, err)
	}
}

func isNotEmpty(err error) bool {
	return err != nil && bytes.Contains([]byte(err.Error()), []byte("has rows already"))
}
