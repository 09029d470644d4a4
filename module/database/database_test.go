package database_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"go.uber.org/goleak"

	"gatehouse/config"
	"gatehouse/module/database"
	"gatehouse/outcome"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestConnectionsThatDoNotStart(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, "data"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(filepath.Join(dir, "data"), filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name, driver, dsn, want string
	}{
		{"shop", "sqlite", filepath.Join(dir, "shop.db"), ""},
		{"shop", "oracle", "shop.db", `the driver "oracle" is unknown; there are sqlite, postgres, mysql`},
		{"shop", "", "shop.db", "is unknown"},
		{"shop", "sqlite", "", "dsn is missing"},
		{"shop", "sqlite", "file:" + dir + "/shop.db", "plain path"},
		{"shop", "sqlite", dir + "/file:shop.db", "plain path"},
		{"shop", "sqlite", dir + "/shop.db?mode=rwc", "plain path"},
		{"shop", "sqlite", ":memory:", "plain path"},
		{"shop", "sqlite", filepath.Join(dir, "data", "audit.db"), "data folder"},
		{"shop", "sqlite", filepath.Join(dir, "link", "audit.db"), "data folder"},
		{"shop", "sqlite", filepath.Join(dir, "x", "..", "data", "audit.db"), "data folder"},
		{"Shop", "sqlite", "shop.db", "a name is"},
		{"a.b", "sqlite", "shop.db", "a name is"},
	} {
		m, err := database.New(t.Context(), kit(dir), database.Config{Connections: map[string]database.Connection{tt.name: {Driver: tt.driver, DSN: tt.dsn}}})
		if err == nil {
			if err := m.Close(); err != nil {
				t.Error(err)
			}
		}
		if (tt.want == "") != (err == nil) || err != nil && !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s %s %s: %v, want %q", tt.name, tt.driver, tt.dsn, err, tt.want)
		}
	}
}

func TestConfigurationFile(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := filepath.Join(dir, "gatehouse.yaml")
	if err := os.WriteFile(file, []byte("modules:\n  database:\n    connections:\n      shop: {driver: sqlite, dsn: shop.db}\n      more: {driver: sqlite, dsn: sub/more.db, writable: true}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := config.Load(file)
	if err != nil {
		t.Fatal(err)
	}
	var cfg database.Config
	if err := f.Modules["database"].Decode(&cfg); err != nil {
		t.Fatal(err)
	}
	want := map[string]database.Connection{
		"shop": {Driver: "sqlite", DSN: filepath.Join(dir, "shop.db")},
		"more": {Driver: "sqlite", DSN: filepath.Join(dir, "sub", "more.db"), Writable: true},
	}
	if fmt.Sprint(cfg.Connections) != fmt.Sprint(want) {
		t.Errorf("read %v, want %v", cfg.Connections, want)
	}
}

// database.execute is only there for those who can use it.
func TestToolsFollowTheConnections(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for writable, want := range map[bool]int{false: 3, true: 4} {
		m := open(t, dir, map[string]database.Connection{"shop": {Driver: "sqlite", DSN: filepath.Join(dir, "shop.db"), Writable: writable}})
		if got := len(m.Tools()); got != want {
			t.Errorf("writable %v: %d tools, want %d", writable, got, want)
		}
	}
}

func TestFilesThatAreNotThere(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, "data"), 0o700); err != nil {
		t.Fatal(err)
	}
	late := filepath.Join(dir, "late.db")
	link := filepath.Join(dir, "link.db")
	noise := filepath.Join(dir, "noise.db")
	if err := os.WriteFile(noise, []byte(strings.Repeat("no database ", 500)), 0o600); err != nil {
		t.Fatal(err)
	}
	s := &shop{dir, open(t, dir, map[string]database.Connection{
		"late": {Driver: "sqlite", DSN: late, Writable: true}, "link": {Driver: "sqlite", DSN: link},
		"folder": {Driver: "sqlite", DSN: t.TempDir()}, "noise": {Driver: "sqlite", DSN: noise},
	})}
	for _, name := range []string{"late", "link", "folder", "noise"} {
		_, err := s.Query(t.Context(), database.Args(name, "SELECT * FROM t"))
		s.wantCode(t, name, err, outcome.Upstream)
		_, err = s.List(t.Context(), `{"connection":"`+name+`"}`)
		s.wantCode(t, name+" tables", err, outcome.Upstream)
	}
	_, err := s.Execute(t.Context(), database.Args("late", "DELETE FROM t"))
	s.wantCode(t, "execute", err, outcome.Upstream)
	if _, err := os.Stat(late); !os.IsNotExist(err) {
		t.Errorf("the file was made: %v", err)
	}
	_, err = s.Query(t.Context(), database.Args("nobody", "SELECT 1"))
	s.wantCode(t, "unknown connection", err, outcome.NotFound)
	if reason := outcome.Explain(err).Reason; !strings.Contains(reason, "folder (SQLite), late (SQLite), link (SQLite), noise (SQLite)") {
		t.Errorf("unknown connection: %q does not name those that there are", reason)
	}

	fill(t, late, "CREATE TABLE t (a); INSERT INTO t VALUES (7)")
	if got, err := s.Query(t.Context(), database.Args("late", "SELECT a FROM t")); err != nil || rows(got) != "[[7]]" {
		t.Errorf("once it is there: %v %v", got, err)
	}
	// A link that appears later must not open what may not be configured.
	secret := filepath.Join(dir, "data", "vault.db")
	fill(t, secret, "CREATE TABLE t (a); INSERT INTO t VALUES ('secret')")
	if err := os.Symlink(secret, link); err != nil {
		t.Fatal(err)
	}
	_, err = s.Query(t.Context(), database.Args("link", "SELECT a FROM t"))
	s.wantCode(t, "link into the data folder", err, outcome.Upstream)
}

// A database that another program holds in WAL mode can be read, and its last commit is seen.
func TestDatabaseInUse(t *testing.T) {
	t.Parallel()
	s := openShop(t)
	db := filepath.Join(s.dir, "shop.db")
	fill(t, db, "PRAGMA journal_mode = WAL; INSERT INTO audit VALUES ('one')")
	for i := range 3 {
		fill(t, db, "INSERT INTO audit VALUES ('more')")
		got, err := s.Query(t.Context(), database.Args("shop", "SELECT count(*) FROM audit"))
		if err != nil || rows(got) != fmt.Sprintf("[[%d]]", i+2) {
			t.Errorf("after %d: %s %v", i, rows(got), err)
		}
	}
}

// Rows of calls that run at the same time are never mixed up.
func TestManyAtOnce(t *testing.T) {
	t.Parallel()
	s := openShop(t)
	var group sync.WaitGroup
	for i := range 16 {
		group.Go(func() {
			for range 20 {
				got, err := s.Query(t.Context(), database.Args("shop", "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 50) SELECT $1, i FROM n", i))
				if err != nil || len(got.Rows) != 50 || got.Rows[49][0].String() != fmt.Sprint(i) || got.Rows[49][1].String() != "50" {
					t.Errorf("call %d: %d rows, %v", i, len(got.Rows), err)
				}
			}
		})
	}
	group.Wait()
}

func TestWideResults(t *testing.T) {
	t.Parallel()
	s := openShop(t)
	for _, n := range []int{1, 126, 127, 400, 500} {
		got, err := s.Query(t.Context(), database.Args("shop", "SELECT "+strings.TrimSuffix(strings.Repeat("1,", n), ",")))
		if err != nil || len(got.Columns) != n || len(got.Rows[0]) != n {
			t.Errorf("%d columns: %d, %v", n, len(got.Columns), err)
		}
	}
	_, err := s.Query(t.Context(), database.Args("shop", "SELECT "+strings.Repeat("1,", 500)+"1"))
	s.wantCode(t, "501 columns", err, outcome.Invalid)
	_, err = s.Query(t.Context(), database.Args("shop", "SELECT '"+strings.Repeat("x", database.MaxSQL)+"'"))
	s.wantCode(t, "long statement", err, outcome.Invalid)
}
