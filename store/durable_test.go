package store_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"gatehouse/store"
	"gatehouse/store/storetest"
)

const (
	childDir  = "GATEHOUSE_STORE_CHILD_DIR"  // set: the test binary writes into this folder and ends
	childRows = "GATEHOUSE_STORE_CHILD_ROWS" // so many rows
)

// writeAsChild inserts rows one after the other, each durable before the next.
func writeAsChild(dir string) int {
	ctx := context.Background()
	rows, err := strconv.Atoi(os.Getenv(childRows))
	if err != nil {
		return 3
	}
	db, err := store.Open(ctx, store.Config{Source: store.Source{Dir: dir}, Name: "note", Migrations: notes(), Migrate: true})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 4
	}
	for i := range rows {
		if _, err := db.Insert(ctx, insertNote, fmt.Sprint(i), nil); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 5
		}
	}
	if err := db.Close(); err != nil {
		return 6
	}
	return 0
}

// TestEveryWriteIsSynced counts what the system is asked to sync (T26): a kill never shows that nothing was.
func TestEveryWriteIsSynced(t *testing.T) {
	t.Parallel()
	strace, err := exec.LookPath("strace")
	if err != nil {
		t.Skip("there is no strace here")
	}
	syncs := func(rows int) int {
		dir := t.TempDir()
		trace := filepath.Join(t.TempDir(), "trace")
		cmd := exec.CommandContext(t.Context(), strace, "-f", "-e", "trace=fsync,fdatasync", "-o", trace, os.Args[0])
		cmd.Env = append(os.Environ(), childDir+"="+dir, childRows+"="+strconv.Itoa(rows))
		if out, err := cmd.CombinedOutput(); err != nil {
			if strings.Contains(string(out), "ptrace") {
				t.Skipf("strace may not trace here: %s", out)
			}
			t.Fatalf("%v: %s", err, out)
		}
		text, err := os.ReadFile(trace)
		if err != nil {
			t.Fatal(err)
		}
		return strings.Count(string(text), "fsync(") + strings.Count(string(text), "fdatasync(")
	}
	const rows = 25
	none, some := syncs(0), syncs(rows)
	if some-none < rows {
		t.Errorf("%d rows were written with %d syncs more than none", rows, some-none)
	}
}

func TestPragmasHoldOnEveryConnection(t *testing.T) {
	t.Parallel()
	db := open(t, storetest.SQLite(t))
	ctx := t.Context()
	for _, tt := range []struct{ pragma, writer, reader string }{
		{"synchronous", "2", "2"},
		{"journal_mode", "wal", "wal"},
		{"busy_timeout", "5000", "5000"},
		{"trusted_schema", "0", "0"},
		{"query_only", "0", "1"},
		{"foreign_keys", "1", ""},
	} {
		var writer, reader string
		err := db.Tx(ctx, func(tx *store.Tx) error { return tx.Get(ctx, []any{&writer}, "PRAGMA "+tt.pragma) })
		if err != nil || writer != tt.writer {
			t.Errorf("%s of the writer is %q, want %q (%v)", tt.pragma, writer, tt.writer, err)
		}
		if err := db.Get(ctx, []any{&reader}, "PRAGMA "+tt.pragma); err != nil || tt.reader != "" && reader != tt.reader {
			t.Errorf("%s of a reader is %q, want %q (%v)", tt.pragma, reader, tt.reader, err)
		}
	}
}

func TestFilesAreOurs(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "data")
	db := open(t, store.Source{Dir: dir})
	if _, err := db.Insert(t.Context(), insertNote, "a", nil); err != nil {
		t.Fatal(err)
	}
	for file, want := range map[string]os.FileMode{
		".": 0o700, "note.db": 0o600, "note.db-wal": 0o600, "note.db-shm": 0o600,
	} {
		info, err := os.Stat(filepath.Join(dir, file))
		if err != nil || info.Mode().Perm() != want {
			t.Errorf("%s has mode %v, want %v (%v)", file, info.Mode().Perm(), want, err)
		}
	}
}
