package demo_test

import (
	"database/sql"
	"flag"
	"os"
	"path/filepath"
	"testing"

	_ "modernc.org/sqlite"
)

var update = flag.Bool("update", false, "make shop.db anew from shop.sql")

// TestTheShopIsMadeFromItsSQL: the file that the demo brings along holds exactly what shop.sql says.
func TestTheShopIsMadeFromItsSQL(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("shop.sql")
	if err != nil {
		t.Fatal(err)
	}
	fresh := filepath.Join(t.TempDir(), "shop.db")
	db := open(t, fresh)
	if _, err := db.ExecContext(t.Context(), "PRAGMA page_size = 1024"); err != nil {
		t.Fatal(err)
	}
	if _, err := db.ExecContext(t.Context(), string(text)); err != nil {
		t.Fatal(err)
	}
	if *update {
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
		b, err := os.ReadFile(fresh)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile("shop.db", b, 0o600); err != nil {
			t.Fatal(err)
		}
		return
	}
	if got, want := dump(t, open(t, "file:shop.db?mode=ro")), dump(t, db); got != want {
		t.Errorf("shop.db is not what shop.sql makes: run go test ./demo -update\n got %s\nwant %s", got, want)
	}
}

func open(t *testing.T, dsn string) *sql.DB {
	t.Helper()
	db, err := sql.Open("sqlite", dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db
}

// dump is the schema and all rows as text.
func dump(t *testing.T, db *sql.DB) string {
	t.Helper()
	all := ""
	for _, query := range []string{
		"SELECT group_concat(sql, ';') FROM (SELECT sql FROM sqlite_schema ORDER BY name)",
		"SELECT group_concat(concat_ws('|', id, name, email, phone, iban, born), ';') FROM customer",
		"SELECT group_concat(concat_ws('|', id, title, price_cents, stock), ';') FROM product",
		"SELECT group_concat(concat_ws('|', id, customer, product, quantity, day), ';') FROM sale",
	} {
		var one string
		if err := db.QueryRowContext(t.Context(), query).Scan(&one); err != nil {
			t.Fatalf("%s: %v", query, err)
		}
		all += one + "\n"
	}
	return all
}
