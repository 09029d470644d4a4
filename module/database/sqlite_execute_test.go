package database_test

import (
	"context"
	"maps"
	"strings"
	"testing"
	"time"

	"gatehouse/canon"
	"gatehouse/module/database"
	"gatehouse/outcome"
)

func TestExecuteChangesRows(t *testing.T) {
	t.Parallel()
	s := openShop(t)
	for _, tt := range []struct {
		sql      string
		params   []any
		affected int64
		look     string
		want     string
	}{
		{"INSERT INTO orders (customer, total, note) VALUES (?, ?, ?)", []any{2, 5.5, "it's; --"}, 1, "SELECT note FROM orders WHERE total = 5.5", `[["it's; --"]]`},
		{"INSERT INTO orders (customer, big) VALUES ($1, $2) RETURNING id", []any{3, int64(9007199254740993)}, 1, "SELECT big FROM orders WHERE id = 6", `[[9007199254740993]]`},
		{"UPDATE orders SET total = total * 2 WHERE customer = 1;", nil, 2, "SELECT sum(total) FROM orders WHERE customer = 1", `[[39]]`},
		{"UPDATE orders SET total = 0 WHERE id = 99", nil, 0, "SELECT 1", `[[1]]`},
		{"DELETE FROM orders WHERE id = 3", nil, 1, "SELECT what FROM audit", `[["gone 3"]]`},
		{"WITH big AS (SELECT id FROM orders WHERE total >= 100) DELETE FROM orders WHERE id IN big", nil, 1, "SELECT count(*) FROM orders", `[[4]]`},
		{"INSERT INTO customers (id, name) VALUES (1, 'x') ON CONFLICT DO UPDATE SET name = 'Ann'", nil, 1, "SELECT name FROM customers WHERE id = 1", `[["Ann"]]`},
		{"REPLACE INTO audit SELECT 'a' UNION SELECT 'b'", nil, 2, "SELECT count(*) FROM audit", `[[4]]`},
	} {
		got, err := s.Execute(t.Context(), database.Args("other", tt.sql, tt.params...))
		if err != nil || got.Affected != tt.affected {
			t.Errorf("%s: %v %v, want %d", tt.sql, got, err, tt.affected)
		}
		seen, err := s.Query(t.Context(), database.Args("other", tt.look))
		if err != nil || rows(seen) != tt.want {
			t.Errorf("%s: after it %s gives %s %v, want %s", tt.sql, tt.look, rows(seen), err, tt.want)
		}
	}
}

func TestExecuteDoesNothingElse(t *testing.T) {
	t.Parallel()
	s := openShop(t)
	before := s.files(t)
	for _, sql := range []string{
		"SELECT 1", "VALUES (1)", "EXPLAIN DELETE FROM orders",
		"CREATE TABLE t (a)", "CREATE TEMP TABLE t (a)", "CREATE TABLE t AS SELECT 1", "DROP TABLE orders", "DROP TRIGGER seen", "DROP VIEW spent",
		"CREATE TRIGGER t AFTER INSERT ON orders BEGIN DELETE FROM audit; END", "ALTER TABLE orders RENAME TO o", "CREATE INDEX i ON orders (total)",
		"ATTACH '$DIR/shop.db' AS s", "ATTACH '$DIR/new.db' AS s", "VACUUM", "VACUUM INTO '$DIR/copy.db'",
		"PRAGMA writable_schema = 1", "PRAGMA foreign_keys = 0", "PRAGMA journal_mode = WAL", "PRAGMA user_version = 7",
		"BEGIN", "COMMIT", "ROLLBACK", "END", "SAVEPOINT a", "RELEASE a", "REINDEX", "ANALYZE",
		"INSERT INTO sqlite_schema VALUES ('table', 'x', 'x', 0, '')", "UPDATE sqlite_schema SET sql = ''", "DELETE FROM sqlite_sequence", "UPDATE sqlite_dbpage SET data = x''",
		"INSERT INTO audit VALUES (load_extension('x'))", "INSERT INTO audit VALUES (gatehouse_collect(1, 1))", "INSERT INTO audit SELECT file FROM pragma_database_list",
		"DELETE FROM audit; DELETE FROM orders", "DELETE FROM orders; COMMIT; DELETE FROM customers", "COMMIT; DELETE FROM orders",
		"INSERT INTO orders (customer) VALUES (77)",        // no such customer
		"INSERT INTO customers (id, name) VALUES (1, 'x')", // taken
		"INSERT INTO customers (id) VALUES (9)",            // no name
		"UPDATE customers SET id = id + (id < 3)",          // fails at the second row
		"DELETE FROM orders WHERE id = 1 / (SELECT abs(-9223372036854775808))",
	} {
		sql = strings.ReplaceAll(sql, "$DIR", s.dir)
		got, err := s.Execute(t.Context(), database.Args("other", sql))
		if code := outcome.Of(err); code != outcome.Blocked && code != outcome.Invalid {
			t.Errorf("%s: %v %v, want blocked or invalid", sql, got, err)
		}
		if got.Affected != 0 {
			t.Errorf("%s: affected %d", sql, got.Affected)
		}
	}
	_, err := s.Execute(t.Context(), database.Args("shop", "DELETE FROM orders"))
	s.wantCode(t, "on a reading connection", err, outcome.Blocked)
	if after := s.files(t); !maps.Equal(before, after) {
		t.Errorf("the files changed: %v, before %v", after, before)
	}
	if got, err := s.Execute(t.Context(), database.Args("other", "DELETE FROM orders WHERE id = 1")); err != nil || got.Affected != 1 {
		t.Errorf("after that: %v %v", got, err)
	}
}

// A deadline in the midst of a change leaves nothing of it, and the connection usable.
func TestDeadlineUndoesAChange(t *testing.T) {
	t.Parallel()
	s := openShop(t)
	before := s.files(t)
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	_, err := s.Execute(ctx, database.Args("other", "INSERT INTO audit WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i FROM n"))
	s.wantCode(t, "endless insert", err, outcome.Timeout)
	if after := s.files(t); !maps.Equal(before, after) {
		t.Errorf("the files changed: %v, before %v", after, before)
	}
	if got, err := s.Execute(t.Context(), database.Args("other", "DELETE FROM orders")); err != nil || got.Affected != 4 {
		t.Errorf("after that: %v %v", got, err)
	}
}

func TestTablesAndDescribe(t *testing.T) {
	t.Parallel()
	s := openShop(t)
	list, err := s.List(t.Context(), `{"connection":"shop"}`)
	v, _ := canon.From(list)
	const tables = `{"tables":[{"kind":"table","name":"audit"},{"kind":"view","name":"bad"},{"kind":"table","name":"customers"},{"kind":"table","name":"orders"},{"kind":"view","name":"spent"}]}`
	if err != nil || v.String() != tables {
		t.Errorf("tables: %s %v, want %s", v, err, tables)
	}
	for _, tt := range []struct{ table, want string }{
		{"ORDERS", `{"columns":[{"name":"id","primary_key":1,"type":"INTEGER"},{"name":"customer","required":true,"type":"INTEGER"},{"name":"total","type":"NUMERIC"},` +
			`{"name":"note","type":"TEXT"},{"name":"big","type":"INTEGER"},{"name":"raw","type":"BLOB"}],` +
			`"foreign_keys":[{"column":"customer","references":"id","table":"customers"}],"indexes":[{"columns":["customer","total"],"name":"by_customer"}],"kind":"table","name":"orders"}`},
		{"spent", `{"columns":[{"name":"customer","type":"INTEGER"},{"name":"total"}],"foreign_keys":[],"indexes":[],"kind":"view","name":"spent"}`},
	} {
		got, err := s.Describe(t.Context(), `{"connection":"shop","table":"`+tt.table+`"}`)
		v, _ := canon.From(got)
		if err != nil || v.String() != tt.want {
			t.Errorf("%s: %s %v, want %s", tt.table, v, err, tt.want)
		}
	}
	for _, table := range []string{"nowhere", "", "orders; DROP TABLE orders", "orders'"} {
		_, err := s.Describe(t.Context(), `{"connection":"shop","table":"`+table+`"}`)
		s.wantCode(t, "describe "+table, err, outcome.NotFound)
	}
}
