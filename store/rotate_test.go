package store_test

import (
	"context"
	"database/sql"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"

	"gatehouse/outcome"
	"gatehouse/store"
	"gatehouse/store/storetest"
)

// turn closes the file of rows as a month; the new one begins with the last row alone.
func turn(t *testing.T, db *store.DB, month string) error {
	t.Helper()
	return db.Rotate(t.Context(), month, func(from, into *store.Tx) error {
		var id, seq, n int64
		if err := from.Get(t.Context(), []any{&id, &seq, &n}, `SELECT id, seq, n FROM row ORDER BY id DESC, seq DESC LIMIT 1`); err != nil {
			return err
		}
		_, err := into.Exec(t.Context(), insertRow, id, seq, n, "carried")
		return err
	})
}

func closing(c *store.Config) {
	c.Closing = `DROP TRIGGER IF EXISTS row_closed; CREATE TRIGGER row_closed BEFORE INSERT ON row BEGIN SELECT RAISE(ABORT, 'closed'); END;`
}

// TestRotateGoesOnInANewFile: under the same handle, while others read; the closed file is whole, and only what is meant can be done to it.
func TestRotateGoesOnInANewFile(t *testing.T) {
	t.Parallel()
	source := storetest.SQLite(t)
	db := open(t, source, closing)
	ctx, cancel := context.WithCancel(t.Context())
	var readers sync.WaitGroup
	for range 4 {
		readers.Go(func() {
			for ctx.Err() == nil {
				var n int64
				if err := db.Get(t.Context(), []any{&n}, `SELECT count(*) FROM row`); err != nil {
					t.Error(err)
				}
			}
		})
	}
	for i, month := range []string{"2026-10", "2026-11"} {
		for n := range 3 {
			if _, err := db.Exec(t.Context(), insertRow, 10*i+n+2, 0, 2*i+n+1+i, "x"); err != nil {
				t.Fatal(i, n, err)
			}
		}
		if err := turn(t, db, month); err != nil {
			t.Fatal(err)
		}
	}
	cancel()
	readers.Wait()
	if months, err := db.Closed(); err != nil || !slices.Equal(months, []string{"2026-10", "2026-11"}) {
		t.Errorf("closed are %v, %v", months, err)
	}
	var count int
	if err := db.Get(t.Context(), []any{&count}, `SELECT count(*) FROM row`); err != nil || count != 1 {
		t.Errorf("%d rows, %v", count, err)
	}
	for _, end := range []string{"-wal", "-shm", "-journal"} {
		if _, err := os.Stat(filepath.Join(source.Dir, "note-2026-10.db"+end)); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("there is a %s: %v", end, err)
		}
	}
	for _, write := range []bool{false, true} {
		closed, err := db.OpenClosed(t.Context(), "2026-10", write)
		if err != nil {
			t.Fatal(err)
		}
		if err := closed.Get(t.Context(), []any{&count}, `SELECT count(*) FROM row`); err != nil || count != 3 {
			t.Errorf("%d rows, %v", count, err)
		}
		if _, err := closed.Exec(t.Context(), insertRow, 99, 0, 4, "x"); err == nil {
			t.Error("a closed file takes a row")
		}
		if _, err := closed.Exec(t.Context(), `INSERT INTO note (id, version, name) VALUES (1, 1, 'x')`); (err == nil) != write {
			t.Errorf("opened to write %v: %v", write, err)
		}
		if err := closed.Close(); err != nil {
			t.Error(err)
		}
	}
	for _, month := range []string{"2026-12", "../x", ""} {
		if _, err := db.OpenClosed(t.Context(), month, false); !errors.Is(err, outcome.NotFound) {
			t.Errorf("%q: %v", month, err)
		}
	}
	if err := turn(t, db, "2026-11"); !errors.Is(err, fs.ErrExist) {
		t.Errorf("a name that is taken: %v", err)
	}
	if err := turn(t, db, "../../x"); err == nil {
		t.Error("a month that is a path")
	}
}

// TestRotateGivesUp: for whoever reads and stays, a cut among them, and for an error of who carries. The handle goes on as it was.
func TestRotateGivesUp(t *testing.T) {
	t.Parallel()
	source := storetest.SQLite(t)
	db := open(t, source)
	if _, err := db.Exec(t.Context(), insertRow, 2, 0, 1, "x"); err != nil {
		t.Fatal(err)
	}
	unchanged := func(what string, err, want error) {
		t.Helper()
		if !errors.Is(err, want) {
			t.Errorf("%s: %v", what, err)
		}
		if entries, err := filepath.Glob(filepath.Join(source.Dir, "note[.\\-]*.db*")); err != nil || len(entries) != 0 {
			t.Errorf("%s: it leaves %v, %v", what, entries, err)
		}
		var count int
		if err := db.Get(t.Context(), []any{&count}, `SELECT count(*) FROM row WHERE what = 'x'`); err != nil || count == 0 {
			t.Errorf("%s: %d rows, %v", what, count, err)
		}
	}
	mine := errors.New("mine")
	unchanged("an error", db.Rotate(t.Context(), "2026-11", func(_, into *store.Tx) error {
		_, err := into.Exec(t.Context(), insertRow, 2, 0, 1, "y")
		return errors.Join(err, mine)
	}), mine)
	cut, err := store.TakeCut(t.Context(), source, nil, []*store.DB{db})
	if err != nil {
		t.Fatal(err)
	}
	unchanged("a cut", db.Rotate(t.Context(), "2026-11", func(_, _ *store.Tx) error {
		t.Error("a new file is made although a cut keeps the old one")
		return nil
	}), store.ErrInUse)
	if err := cut.Close(); err != nil {
		t.Fatal(err)
	}
	elsewhere := otherReader(t, filepath.Join(source.Dir, "note.db"))
	unchanged("a reader elsewhere", turn(t, db, "2026-11"), store.ErrInUse)
	if err := elsewhere(); err != nil {
		t.Fatal(err)
	}
	err = db.All(t.Context(), func(func(...any) error) error {
		unchanged("a reader of the handle", turn(t, db, "2026-11"), store.ErrInUse)
		return nil
	}, `SELECT n FROM row`)
	if err != nil {
		t.Fatal(err)
	}
	if err := turn(t, db, "2026-11"); err != nil {
		t.Errorf("when all have gone: %v", err)
	}
}

// otherReader reads a file and stays.
func otherReader(t *testing.T, file string) (end func() error) {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+file)
	if err != nil {
		t.Fatal(err)
	}
	tx, err := db.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	var n int
	if err := tx.QueryRowContext(t.Context(), `SELECT count(*) FROM row`).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return func() error { return errors.Join(tx.Rollback(), db.Close()) }
}

// TestSettleEndsARotation: what a crash left is finished where the new file is complete, and undone where it need not be.
func TestSettleEndsARotation(t *testing.T) {
	t.Parallel()
	for _, finished := range []bool{true, false} {
		source := storetest.SQLite(t)
		db := open(t, source)
		if _, err := db.Exec(t.Context(), insertRow, 2, 0, 1, "x"); err != nil {
			t.Fatal(err)
		}
		if err := turn(t, db, "2026-11"); err != nil {
			t.Fatal(err)
		}
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
		path := func(name string) string { return filepath.Join(source.Dir, name) }
		if err := os.Rename(path("note.db"), path("note.next.db")); err != nil {
			t.Fatal(err)
		}
		if !finished {
			if err := os.Rename(path("note-2026-11.db"), path("note.db")); err != nil {
				t.Fatal(err)
			}
		}
		s := store.Schema{Name: "note", Migrations: notes(), AppendOnly: []string{"row"}}
		if st, err := s.Status(t.Context(), source); err != nil || !st.There {
			t.Errorf("before it is settled: %+v, %v", st, err)
		}
		if err := store.Settle(source.Dir, []store.Schema{s}); err != nil {
			t.Fatal(err)
		}
		if _, err := os.Stat(path("note.next.db")); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("the new file stays: %v", err)
		}
		again := open(t, source)
		var what string
		if err := again.Get(t.Context(), []any{&what}, `SELECT what FROM row`); err != nil || (what == "carried") != finished {
			t.Errorf("finished %v: %q, %v", finished, what, err)
		}
	}
}
