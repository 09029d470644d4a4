package database_test

import (
	"context"
	"database/sql"
	"fmt"
	"maps"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gatehouse/canon"
	"gatehouse/module/database"
	"gatehouse/outcome"
)

// rows writes a result as one line.
func rows(r database.Rows) string {
	v, err := canon.From(r.Rows)
	if err != nil {
		return err.Error()
	}
	return v.String()
}

func TestHonestQueries(t *testing.T) {
	t.Parallel()
	s := openShop(t)
	for _, tt := range []struct {
		sql    string
		params []any
		want   string
	}{
		{"SELECT 1 AS one", nil, `[[1]]`},
		{"select count(*) from orders", nil, `[[4]]`},
		{"SELECT name FROM customers WHERE name = 'Ann O''Brien'", nil, `[["Ann O'Brien"]]`},
		{"SELECT id FROM orders WHERE total BETWEEN 1 AND 20 AND note IN ('first','b') -- cheap ones", nil, `[[1]]`},
		{"SELECT customer, count(DISTINCT id) FROM orders GROUP BY customer HAVING count(*) > 1", nil, `[[1,2]]`},
		{"SELECT id FROM customers WHERE email LIKE '%@example.org' OR 1=2 ORDER BY id DESC", nil, `[[3],[1]]`},
		{"SELECT json_group_array(id) FROM orders WHERE note <> 'x'", nil, `[["[1,2]"]]`},
		{"SELECT id FROM (SELECT id, row_number() OVER (PARTITION BY customer ORDER BY total DESC) rn FROM orders) t WHERE rn = 1 ORDER BY id", nil, `[[1],[3],[4]]`},
		{"SELECT id FROM orders WHERE note = 'second; DELETE' /* harmless; literal */", nil, `[[2]]`},
		{"SELECT strftime('%Y', born) y, count(*) FROM customers WHERE id < 3 GROUP BY y ORDER BY y", nil, `[["1999",1],["2001",1]]`},
		{"SELECT c.id FROM customers c WHERE EXISTS (SELECT 1 FROM orders o WHERE o.customer = c.id AND o.total > 50)", nil, `[[3]]`},
		{"SELECT group_concat(id, ',') FROM (SELECT id FROM orders ORDER BY total)", nil, `[["3,2,1,4"]]`},
		{"SELECT CAST(id AS TEXT) || '-' || name FROM customers WHERE id = 2", nil, `[["2-Bob"]]`},
		{"WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 4) SELECT i FROM n", nil, `[[1],[2],[3],[4]]`},
		{"WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i FROM n LIMIT 2", nil, `[[1],[2]]`},
		{"SELECT a.id, b.id FROM orders a JOIN customers b ON a.customer = b.id ORDER BY a.id", nil, `[[1,1],[2,1],[3,2],[4,3]]`},
		{"VALUES (1, 'a'), (2, 'b')", nil, `[[1,"a"],[2,"b"]]`},
		{"SELECT * FROM spent ORDER BY total", nil, `[[2,0.1],[1,19.5],[3,100]]`},
		{"SELECT name FROM customers WHERE id = $1", []any{2}, `[["Bob"]]`},
		{"SELECT $2, $1, $2", []any{"a", 1.5}, `[[1.5,"a",1.5]]`},
		{"SELECT ?, ?", []any{nil, true}, `[[null,1]]`},
		{"SELECT ?2, ?1", []any{1, 2}, `[[2,1]]`},
		{"SELECT '$1', \"name\" FROM customers WHERE id = $1", []any{1}, `[["$1","Ann O'Brien"]]`},
		{"SELECT big FROM orders ORDER BY id", nil, `[[9223372036854775807],[-9223372036854775808],[9007199254740993],[0]]`},
		{"SELECT raw FROM orders ORDER BY id LIMIT 3", nil, `[[{"base64":"AP8="}],[null],[{"base64":""}]]`},
		{"SELECT born, seen, vip FROM customers ORDER BY id", nil, `[["2001-02-03","2026-01-02 03:04:05",1],["1999-12-31",null,0],["unknown",1767323045,0]]`},
		{"SELECT hex(?)", []any{map[string]string{"base64": "AP8="}}, `[["00FF"]]`},
		{"SELECT name FROM sqlite_schema WHERE type = 'view' ORDER BY name", nil, `[["bad"],["spent"]]`},
		{"SELECT value FROM json_each('[1,2]')", nil, `[[1],[2]]`},
		{"SELECT 9e999, -9e999, 1e300", nil, `[["Inf","-Inf",1e+300]]`},
		{"SELECT 1;", nil, `[[1]]`},
		{"SELECT 1 ; -- that is all", nil, `[[1]]`},
		{"SELECT 1 -- that is all", nil, `[[1]]`},
		{"SELECT id FROM orders WHERE 0", nil, `[]`},
		{"SELECT id FROM orders UNION SELECT id FROM customers ORDER BY 1 DESC LIMIT 2", nil, `[[4],[3]]`},
		{"SELECT 'a' || char(0) || 'b'", nil, `[["a\u0000b"]]`},
		{"SELECT CAST(x'ff41' AS TEXT)", nil, `[["�A"]]`},
		{"SELECT $1 -> '$.a', json_extract($1, '$.b')", []any{`{"a":1,"b":"x"}`}, `[["1","x"]]`},
	} {
		got, err := s.Query(t.Context(), database.Args("shop", tt.sql, tt.params...))
		if err != nil {
			t.Errorf("%s: %v", tt.sql, err)
		} else if rows(got) != tt.want {
			t.Errorf("%s: %s, want %s", tt.sql, rows(got), tt.want)
		}
	}
	if got, err := s.Query(t.Context(), database.Args("shop", "EXPLAIN QUERY PLAN SELECT * FROM orders WHERE customer = ?", 1)); err != nil || len(got.Rows) != 1 {
		t.Errorf("EXPLAIN: %v %v", got, err)
	}
}

// The order of rows is the statement's, also where our aggregate stands around it: the driver alone is the oracle.
func TestOrderIsKept(t *testing.T) {
	t.Parallel()
	s := openShop(t)
	db, err := sql.Open("sqlite", filepath.Join(s.dir, "shop.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	const many = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 900) "
	for _, query := range []string{
		many + "SELECT i FROM n ORDER BY (i * 7919) % 1009",
		many + "SELECT i FROM n ORDER BY (i * 7919) % 1009 DESC LIMIT 300 OFFSET 50",
		many + "SELECT DISTINCT i % 50 FROM n ORDER BY 1 DESC",
		many + "SELECT i % 7, count(*) FROM n GROUP BY 1 ORDER BY 2, 1 DESC",
		many + "SELECT i FROM n WHERE i % 2 UNION ALL SELECT -i FROM n WHERE i < 5",
		many + "SELECT * FROM (SELECT i FROM n ORDER BY (i * 31) % 101, i) WHERE i % 3 = 0",
		many + "SELECT i, sum(i) OVER (ORDER BY (i * 31) % 101, i) FROM n",
	} {
		got, err := s.Query(t.Context(), strings.TrimSuffix(database.Args("shop", query), "}")+`,"max_rows":1000}`)
		if err != nil {
			t.Errorf("%s: %v", query, err)
			continue
		}
		i := 0
		oracle, err := db.QueryContext(t.Context(), query)
		if err != nil {
			t.Fatal(err)
		}
		for ; oracle.Next(); i++ {
			columns, _ := oracle.Columns()
			values := make([]any, len(columns))
			for j := range values {
				values[j] = new(int64)
			}
			if err := oracle.Scan(values...); err != nil {
				t.Fatal(err)
			}
			for j, v := range values {
				if got.Rows[i][j].String() != fmt.Sprint(*v.(*int64)) {
					t.Fatalf("%s: row %d column %d is %s, want %d", query, i, j, got.Rows[i][j], *v.(*int64))
				}
			}
		}
		if oracle.Close() != nil || i != len(got.Rows) {
			t.Errorf("%s: %d rows, want %d", query, len(got.Rows), i)
		}
	}
}

func TestColumns(t *testing.T) {
	t.Parallel()
	s := openShop(t)
	got, err := s.Query(t.Context(), database.Args("shop", "SELECT id, born, total + 1 AS more, c.id FROM orders o JOIN customers c USING (id) LIMIT 1"))
	v, _ := canon.From(got.Columns)
	const want = `[{"name":"id","type":"INTEGER"},{"name":"born","type":"DATE"},{"name":"more"},{"name":"id","type":"INTEGER"}]`
	if err != nil || v.String() != want {
		t.Errorf("columns: %s %v, want %s", v, err, want)
	}
}

// hostile are statements of which none may be carried out by a reading tool.
var hostile = []string{
	"INSERT INTO orders (id, customer) VALUES (9, 1)",
	"UPDATE orders SET total = 0",
	"DELETE FROM orders",
	"REPLACE INTO orders (id, customer) VALUES (1, 1)",
	"WITH x AS (SELECT 1) INSERT INTO orders (id, customer) SELECT 9, 1 FROM x",
	"WITH x AS (SELECT 1) DELETE FROM orders RETURNING id",
	"INSERT INTO customers (id, name) VALUES (1, 'x') ON CONFLICT DO UPDATE SET name = 'x' RETURNING *",
	"CREATE TABLE t AS SELECT * FROM customers",
	"CREATE TEMP TABLE t (a)",
	"CREATE TEMP VIEW v AS SELECT 1",
	"CREATE VIEW v AS SELECT 1",
	"CREATE INDEX i ON orders (total)",
	"CREATE VIRTUAL TABLE f USING fts5(a)",
	"CREATE TEMP TRIGGER t AFTER INSERT ON orders BEGIN SELECT 1; END",
	"DROP TABLE orders",
	"DROP VIEW spent",
	"ALTER TABLE orders ADD COLUMN x",
	"ATTACH 'other.db' AS o",
	"ATTACH '$DIR/other.db' AS o",
	"ATTACH '$DIR/other.db' AS o; INSERT INTO o.orders (id, customer) VALUES (9, 1)",
	"ATTACH 'file:$DIR/new.db?mode=rwc' AS o",
	"DETACH main",
	"VACUUM",
	"VACUUM INTO '$DIR/copy.db'",
	"PRAGMA query_only = 0",
	"PRAGMA query_only = 0; INSERT INTO orders (id, customer) VALUES (9, 1)",
	"PRAGMA writable_schema = 1",
	"PRAGMA journal_mode = WAL",
	"PRAGMA user_version = 7",
	"PRAGMA database_list",
	"SELECT * FROM pragma_database_list",
	"SELECT * FROM pragma_query_only",
	"SELECT * FROM pragma_table_list",
	"SELECT * FROM orders, pragma_index_list('orders')",
	"SELECT file FROM pragma_database_list()",
	"SELECT load_extension('x')",
	"SELECT x FROM bad",
	"SELECT readfile('/etc/passwd')",
	"SELECT writefile('$DIR/x', 'x')",
	"SELECT edit('x')",
	"SELECT fts3_tokenizer('simple')",
	"SELECT length(zeroblob(1000000000))",
	"SELECT randomblob(1000000000)",
	"SELECT sqlite_log(1, 'x')",
	"SELECT * FROM sqlite_dbpage",
	"UPDATE sqlite_schema SET sql = ''",
	"DELETE FROM sqlite_sequence",
	"BEGIN",
	"BEGIN IMMEDIATE",
	"COMMIT",
	"ROLLBACK",
	"SAVEPOINT a",
	"END",
	"REINDEX",
	"ANALYZE",
	"EXPLAIN DELETE FROM orders",
	"SELECT 1; SELECT 2",
	"SELECT 1; DELETE FROM orders",
	"SELECT 1 /* x */ ; /* y */ DELETE FROM orders --",
	"SELECT 1; -- x\nDELETE FROM orders",
	"; DELETE FROM orders",
	"SELECT 1) SELECT 2 --",
	"SELECT 1) SELECT gatehouse_collect(1, 1) --",
	"SELECT gatehouse_collect(1, 1)",
	"SELECT gatehouse_collect()",
	"SELECT GATEHOUSE_COLLECT(1, 'x') FROM orders",
	"SELECT * FROM gatehouse_rows",
	"SELECT * INTO backup FROM customers",
	"COPY customers TO '/tmp/x'",
	"SELECT pg_sleep(10)",
	"SELECT * FROM nothing",
	"SELECT \"nothing\" FROM orders",
	"SELEC 1",
	"",
	"  -- nothing\n",
	"/* open",
	"SELECT 'open",
	"SELECT :name",
	"SELECT @name",
	"SELECT $name",
	"SELECT ?, $1",
	"SELECT $0",
	"SELECT ?999999999999",
	"EXPLAIN",
}

func TestHostileQueriesAreRefused(t *testing.T) {
	t.Parallel()
	s := openShop(t)
	before := s.files(t)
	for _, query := range hostile {
		query = strings.ReplaceAll(query, "$DIR", s.dir)
		for _, connection := range []string{"shop", "other"} {
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
			got, err := s.Query(ctx, database.Args(connection, query))
			cancel()
			if err == nil {
				t.Errorf("%s: went through: %s", query, rows(got))
				continue
			}
			if code := outcome.Of(err); code != outcome.Blocked && code != outcome.Invalid {
				t.Errorf("%s: %v, want blocked or invalid", query, err)
			}
		}
	}
	if after := s.files(t); !maps.Equal(before, after) {
		t.Errorf("the files changed: %v, before %v", after, before)
	}
}

// What is refused for what it does, and not for how it is written, says so.
func TestRefusalsSayWhy(t *testing.T) {
	t.Parallel()
	s := openShop(t)
	for _, tt := range []struct {
		sql, want string
		code      outcome.Code
	}{
		{"DELETE FROM orders", "only reading", outcome.Blocked},
		{"PRAGMA query_only = 0", "pragmas", outcome.Blocked},
		{"SELECT * FROM pragma_database_list", "pragmas", outcome.Blocked},
		{"ATTACH 'x' AS x", "other files", outcome.Blocked},
		{"BEGIN", "transactions", outcome.Blocked},
		{"SELECT load_extension('x')", "load_extension", outcome.Blocked},
		{"SELECT 1; SELECT 2", "one at a time", outcome.Invalid},
		{"SELECT * FROM nowhere", "no such table: nowhere", outcome.Invalid},
		{"SELECT $1", "takes 1, but there are 0", outcome.Invalid},
		{"SELECT printf('%.2000000c', 'x')", "larger than 1 MiB", outcome.Invalid},
	} {
		_, err := s.Query(t.Context(), database.Args("shop", tt.sql))
		s.wantCode(t, tt.sql, err, tt.code)
		if reason := outcome.Explain(err).Reason; !strings.Contains(reason, tt.want) {
			t.Errorf("%s: %q, want %q in it", tt.sql, reason, tt.want)
		}
	}
}

// A deadline ends a statement at any row, not only before the first: the driver alone would run the second for ever.
func TestDeadlineEndsEndlessStatements(t *testing.T) {
	t.Parallel()
	s := openShop(t)
	const endless = "(WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n)"
	for _, query := range []string{
		"SELECT " + endless,
		"SELECT 1 UNION ALL SELECT " + endless,
		"SELECT id FROM orders WHERE id < 2 OR total < " + endless,
		"WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i FROM n ORDER BY i",
		"SELECT a.id FROM orders a, orders b, orders c, orders d, orders e, orders f, orders g, orders h, orders i, orders j, orders k, orders l, orders m, orders n WHERE a.total + n.total < -1",
	} {
		ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
		began := time.Now()
		_, err := s.Query(ctx, database.Args("shop", query))
		cancel()
		s.wantCode(t, query, err, outcome.Timeout)
		if took := time.Since(began); took > 5*time.Second {
			t.Errorf("%s: took %s", query, took)
		}
	}
	if got, err := s.Query(t.Context(), database.Args("shop", "SELECT 1")); err != nil || rows(got) != "[[1]]" {
		t.Errorf("after that: %v %v", got, err)
	}
}

func TestResultsAreBounded(t *testing.T) {
	t.Parallel()
	s := openShop(t)
	const many = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) "
	for _, tt := range []struct {
		name, sql, more string
		rows            int
		note            string
	}{
		{"default", many + "SELECT i FROM n", "", 100, "more than 100 rows"},
		{"asked", many + "SELECT i FROM n", `,"max_rows":7`, 7, "more than 7 rows"},
		{"exactly", many + "SELECT i FROM n LIMIT 7", `,"max_rows":7`, 7, ""},
		{"bytes", many + "SELECT printf('%.30000c', 'x') FROM n", `,"max_rows":1000`, 34, "1 MiB"},
		{"cell", "SELECT printf('%.100000c', 'x'), 1", "", 1, "cut to 64 KiB: 1"},
		{"bytes of a cell", "SELECT CAST(printf('%.100000c', 'x') AS BLOB)", "", 1, "cut to 64 KiB: 1"},
		{"not UTF-8", "SELECT CAST(x'ff' AS TEXT)", "", 1, "not UTF-8"},
	} {
		got, err := s.Query(t.Context(), strings.TrimSuffix(database.Args("shop", tt.sql), "}")+tt.more+"}")
		if err != nil || len(got.Rows) != tt.rows || !strings.Contains(got.Note, tt.note) || (tt.note == "") != (got.Note == "") {
			t.Errorf("%s: %d rows, note %q, %v; want %d, %q", tt.name, len(got.Rows), got.Note, err, tt.rows, tt.note)
		}
		v, _ := canon.From(got)
		if v.Len() > 1<<20+4096 {
			t.Errorf("%s: %d bytes", tt.name, v.Len())
		}
	}
	for _, most := range []string{"-1", "1001"} {
		_, err := s.Query(t.Context(), strings.TrimSuffix(database.Args("shop", "SELECT 1"), "}")+`,"max_rows":`+most+"}")
		s.wantCode(t, "max_rows "+most, err, outcome.Invalid)
	}
}

func TestParamsAreExactOrRefused(t *testing.T) {
	t.Parallel()
	s := openShop(t)
	for _, tt := range []struct{ param, want string }{
		{`9223372036854775807`, `[[9223372036854775807,"integer"]]`},
		{`-9223372036854775808`, `[[-9223372036854775808,"integer"]]`},
		{`0.1`, `[[0.1,"real"]]`},
		{`1.0`, `[[1,"integer"]]`},
		{`1e300`, `[[1e+300,"real"]]`},
		{`"é"`, `[["é","text"]]`},
		{`"a\u0000b"`, `[["a\u0000b","text"]]`},
		{`true`, `[[1,"integer"]]`},
		{`null`, `[[null,"null"]]`},
		{`{"base64":""}`, `[[{"base64":""},"blob"]]`},
		{`9223372036854775808`, ``},
		{`12345678901234567890`, ``},
		{`0.12345678901234567890123`, ``},
		{`[1]`, ``},
		{`{"a":1}`, ``},
		{`{"base64":"***"}`, ``},
		{`{"base64":"AP8=","more":1}`, ``},
	} {
		got, err := s.Query(t.Context(), `{"connection":"shop","sql":"SELECT $1, typeof($1)","params":[`+tt.param+`]}`)
		if tt.want != "" {
			if err != nil || rows(got) != tt.want {
				t.Errorf("%s: %s %v, want %s", tt.param, rows(got), err, tt.want)
			}
			continue
		}
		s.wantCode(t, tt.param, err, outcome.Invalid)
		if faults := outcome.Explain(err).Faults; len(faults) != 1 || faults[0].Path != "/params/0" {
			t.Errorf("%s: faults %v, want /params/0", tt.param, faults)
		}
	}
}
