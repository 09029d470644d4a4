package database_test

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	_ "modernc.org/sqlite"

	"gatehouse/module"
	"gatehouse/module/database"
	"gatehouse/outcome"
)

// shop is a folder with a database, another one beside it, and the module that may read both and write one.
type shop struct {
	dir string
	*database.Module
}

const schema = `
CREATE TABLE customers (id INTEGER PRIMARY KEY, name TEXT NOT NULL, email TEXT, born DATE, seen DATETIME, vip BOOLEAN DEFAULT 0);
CREATE TABLE orders (id INTEGER PRIMARY KEY AUTOINCREMENT, customer INTEGER NOT NULL REFERENCES customers (id), total NUMERIC, note TEXT, big INTEGER, raw BLOB);
CREATE UNIQUE INDEX by_email ON customers (email);
CREATE INDEX by_customer ON orders (customer, total);
CREATE VIEW spent AS SELECT customer, sum(total) AS total FROM orders GROUP BY customer;
CREATE VIEW bad AS SELECT load_extension('x') AS x;
CREATE TABLE audit (what TEXT);
CREATE TRIGGER seen AFTER DELETE ON orders BEGIN INSERT INTO audit VALUES ('gone ' || old.id); END;
INSERT INTO customers VALUES (1, 'Ann O''Brien', 'ann@example.org', '2001-02-03', '2026-01-02 03:04:05', 1), (2, 'Bob', NULL, '1999-12-31', NULL, 0), (3, 'Żółć', 'z@example.org', 'unknown', 1767323045, 0);
INSERT INTO orders VALUES (1, 1, 12.5, 'first', 9223372036854775807, x'00ff'), (2, 1, 7, 'second; DELETE', -9223372036854775808, NULL), (3, 2, 0.1, NULL, 9007199254740993, x''), (4, 3, 100, 'x', 0, NULL);
`

func openShop(t testing.TB) *shop {
	t.Helper()
	dir := t.TempDir()
	for _, name := range []string{"shop.db", "other.db"} {
		fill(t, filepath.Join(dir, name), schema)
	}
	return &shop{dir, open(t, dir, map[string]database.Connection{
		"shop":  {Driver: "sqlite", DSN: filepath.Join(dir, "shop.db")},
		"other": {Driver: "sqlite", DSN: filepath.Join(dir, "other.db"), Writable: true},
	})}
}

func fill(t testing.TB, file, script string) {
	t.Helper()
	db, err := sql.Open("sqlite", file)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.ExecContext(t.Context(), script); err != nil {
		t.Fatalf("filling %s: %v", file, err)
	}
}

func kit(dir string) module.Kit {
	return module.Kit{Name: "database", Data: filepath.Join(dir, "data"), Log: slog.New(slog.DiscardHandler)}.Ready()
}

func open(t testing.TB, dir string, connections map[string]database.Connection) *database.Module {
	t.Helper()
	m, err := database.New(t.Context(), kit(dir), database.Config{Connections: connections})
	if err != nil {
		t.Fatalf("starting: %v", err)
	}
	t.Cleanup(func() {
		if err := m.Close(); err != nil {
			t.Errorf("closing: %v", err)
		}
	})
	return m
}

// files gives the name and the SHA-256 of everything in the folder.
func (s *shop) files(t testing.TB) map[string][32]byte {
	t.Helper()
	all := map[string][32]byte{}
	err := filepath.WalkDir(s.dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		all[strings.TrimPrefix(path, s.dir)] = sha256.Sum256(b)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// wantCode checks the code of an error and that it names neither the folder nor the file.
func (s *shop) wantCode(t testing.TB, what string, err error, want ...outcome.Code) {
	t.Helper()
	ok := false
	for _, w := range want {
		ok = ok || outcome.Of(err) == w
	}
	if !ok {
		t.Errorf("%s: %v, want %v", what, err, want)
	}
	if reason := outcome.Explain(err).Reason; err != nil && (strings.Contains(reason, s.dir) || strings.Contains(reason, ".db")) {
		t.Errorf("%s: the reason names a file: %s", what, reason)
	}
}

func background() context.Context { return context.Background() }
