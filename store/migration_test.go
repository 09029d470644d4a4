package store_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/fstest"

	"gatehouse/store"
	"gatehouse/store/storetest"
)

func more(name, text string) fstest.MapFS {
	files := notes()
	for _, folder := range []string{"sqlite/", "postgres/"} {
		files[folder+name] = &fstest.MapFile{Data: []byte("-- +goose Up\n" + text + "\n")}
	}
	return files
}

func TestWhatIsNotOursDoesNotOpen(t *testing.T) {
	t.Parallel()
	edited := notes()
	edited["sqlite/0001_note.sql"] = &fstest.MapFile{Data: []byte(noteSQLite + "-- edited\n")}
	edited["postgres/0001_note.sql"] = &fstest.MapFile{Data: []byte(notePostgres + "-- edited\n")}
	newer := more("0002_more.sql", "CREATE TABLE extra (id BIGINT PRIMARY KEY);")
	for _, tt := range []struct {
		name        string
		first, then fstest.MapFS
		migrate     bool
		want        error
	}{
		{"the same", notes(), notes(), true, nil},
		{"the same, only looked at", notes(), notes(), false, nil},
		{"made by a newer one", newer, notes(), true, store.ErrNewer},
		{"made by a newer one, only looked at", newer, notes(), false, store.ErrNewer},
		{"an edited file", notes(), edited, true, store.ErrChanged},
		{"an edited file, only looked at", notes(), edited, false, store.ErrChanged},
		{"behind", notes(), newer, true, nil},
		{"behind, only looked at", notes(), newer, false, store.ErrBehind},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			storetest.Engines(t, func(t *testing.T, source store.Source) {
				db, err := store.Open(t.Context(), store.Config{Source: source, Name: "note", Migrations: tt.first, Migrate: true})
				if err != nil {
					t.Fatal(err)
				}
				if err := db.Close(); err != nil {
					t.Fatal(err)
				}
				db, err = store.Open(t.Context(), store.Config{Source: source, Name: "note", Migrations: tt.then, Migrate: tt.migrate})
				if !errors.Is(err, tt.want) {
					t.Errorf("Open: %v, want %v", err, tt.want)
				}
				if err == nil {
					if _, err := db.Insert(t.Context(), insertNote, "a", nil); err != nil {
						t.Error(err)
					}
					if err := db.Close(); err != nil {
						t.Error(err)
					}
				}
			})
		})
	}
}

func TestWithoutMigrateNothingIsMade(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "data")
	_, err := store.Open(t.Context(), store.Config{Source: store.Source{Dir: dir}, Name: "note", Migrations: notes()})
	if !errors.Is(err, store.ErrBehind) {
		t.Errorf("Open: %v", err)
	}
	if _, err := os.Stat(dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the folder was made: %v", err)
	}
}

func TestACopyIsMadeBeforeMigrating(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	source := store.Source{Dir: dir}
	db := open(t, source)
	if _, err := db.Insert(t.Context(), insertNote, "before", nil); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	// A migration that fails changes nothing, and may be mended and tried again.
	broken := more("0002_more.sql", "DELETE FROM note; CREATE TABLE note (id BIGINT);")
	if _, err := store.Open(t.Context(), store.Config{Source: source, Name: "note", Migrations: broken, Migrate: true}); err == nil {
		t.Error("a broken migration went through")
	}
	newer := more("0002_more.sql", "DELETE FROM note;")
	if n := count(t, open(t, source, func(c *store.Config) { c.Migrations = newer }), "note"); n != 0 {
		t.Errorf("%d notes after the migration", n)
	}
	aside := filepath.Join(dir, "note.before-0002.db")
	info, err := os.Stat(aside)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("%v, %v", info, err)
	}
	old := t.TempDir()
	if err := os.Rename(aside, filepath.Join(old, "note.db")); err != nil {
		t.Fatal(err)
	}
	if n := count(t, open(t, store.Source{Dir: old}), "note"); n != 1 {
		t.Errorf("%d notes in the copy", n)
	}
}

func TestReplicasThatStartTogether(t *testing.T) {
	t.Parallel()
	source := storetest.Postgres(t)
	var wg sync.WaitGroup
	for range 6 {
		wg.Go(func() {
			db, err := store.Open(t.Context(), store.Config{Source: source, Name: "note", Migrations: notes(), Migrate: true, AppendOnly: []string{"row"}})
			if err != nil {
				t.Error(err)
				return
			}
			if err := db.Close(); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
}

func TestAMigrationMustNotLeaveDanglingRows(t *testing.T) {
	t.Parallel()
	source := storetest.SQLite(t)
	files := more("0002_more.sql", "INSERT INTO tag (id, note) VALUES (1, 99);")
	for range 2 { // the second time too: it was undone
		_, err := store.Open(t.Context(), store.Config{Source: source, Name: "note", Migrations: files, Migrate: true})
		if err == nil || !strings.Contains(err.Error(), "tag refers") {
			t.Errorf("Open: %v", err)
		}
	}
	if n := count(t, open(t, source), "tag"); n != 0 {
		t.Errorf("%d tags", n)
	}
}

func TestMigrationsAreNamedInOrder(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"0003_gap.sql", "2_short.sql", "0002_Big.sql", "0001_twice.sql", "readme.md"} {
		source := storetest.SQLite(t)
		_, err := store.Open(t.Context(), store.Config{Source: source, Name: "note", Migrations: more(name, "SELECT 1;"), Migrate: true})
		if err == nil || !strings.Contains(err.Error(), name) && name != "0001_twice.sql" {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := os.Stat(filepath.Join(source.Dir, "note.db")); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s: a file was made all the same", name)
		}
	}
	for _, name := range []string{"", "../x", "Note", "a b", "1a", strings.Repeat("a", 41)} {
		if _, err := store.Open(t.Context(), store.Config{Source: storetest.SQLite(t), Name: name, Migrations: notes(), Migrate: true}); err == nil {
			t.Errorf("a module named %q", name)
		}
	}
}
