package database_test

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"gatehouse/gatetest"
	"gatehouse/outcome"
	"gatehouse/store/storetest"
)

// postgresShop is a database of a throwaway PostgreSQL with a shop in it, its DSNs and a look at it past the gate.
type postgresShop struct {
	reader, writer, super string
	admin                 *pgx.Conn
}

const postgresSchema = `
CREATE TABLE customers (id int PRIMARY KEY GENERATED ALWAYS AS IDENTITY, name text NOT NULL, email text UNIQUE, born date, tags text[], extra jsonb);
CREATE TABLE orders (id bigserial PRIMARY KEY, customer int NOT NULL REFERENCES customers (id), total numeric(10,2), note text DEFAULT 'none', big bigint, raw bytea, at timestamptz);
CREATE INDEX by_customer ON orders (customer, (lower(note)));
CREATE VIEW spent AS SELECT customer, sum(total) AS total FROM orders GROUP BY customer;
CREATE TABLE secret (word text);
CREATE TABLE seen (what text);
CREATE FUNCTION evil() RETURNS int LANGUAGE sql AS $$ INSERT INTO seen VALUES ('evil') RETURNING 1 $$;
CREATE SEQUENCE numbers;
INSERT INTO customers (name, email, born, tags, extra) VALUES ('Ann O''Brien', 'ann@example.org', '2001-02-03', '{a,"b c",NULL}', '{"k": 1.50}'), ('Bob', NULL, NULL, NULL, NULL);
INSERT INTO orders (customer, total, note, big, raw, at) VALUES (1, 12.5, 'first', 9223372036854775807, '\x00ff', '2026-01-02 03:04:05.678901+00'), (1, 7, 'second; DELETE', -9223372036854775808, NULL, NULL), (2, 0.1, NULL, 9007199254740993, '', NULL);
INSERT INTO secret VALUES ('hunter2');
`

func openPostgresShop(t testing.TB) *postgresShop {
	t.Helper()
	source := storetest.Postgres(t)
	run, err := pgx.ParseConfig(source.Run.Reveal())
	if err != nil {
		t.Fatal(err)
	}
	s := &postgresShop{reader: source.Run.Reveal()}
	s.writer = strings.Replace(s.reader, "user="+run.User, "user=w"+run.User, 1)
	s.super = strings.Replace(s.reader, "user="+run.User, "user=admin", 1)
	if s.admin, err = pgx.Connect(t.Context(), s.super); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.admin.Close(background()) })
	s.do(t, postgresSchema)
	s.do(t, fmt.Sprintf(`
CREATE ROLE w%[1]s LOGIN;
GRANT SELECT ON customers, orders, spent TO %[1]s, w%[1]s;
GRANT INSERT, UPDATE, DELETE ON customers, orders, seen TO w%[1]s;
GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO %[1]s, w%[1]s;
GRANT INSERT ON seen TO %[1]s;`, run.User))
	return s
}

func (s *postgresShop) do(t testing.TB, script string) {
	t.Helper()
	if _, err := s.admin.Exec(background(), script); err != nil {
		t.Fatalf("%s: %v", script, err)
	}
}

// look gives one value, seen past the gate.
func (s *postgresShop) look(t testing.TB, query string) string {
	t.Helper()
	var value string
	if err := s.admin.QueryRow(background(), "SELECT ("+query+")::text").Scan(&value); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	return value
}

// house is a gateway with the shop as reader, as writer and as superuser.
func (s *postgresShop) house(t testing.TB) (*gatetest.House, gatetest.Person) {
	t.Helper()
	h := gatetest.Start(t, gatetest.Config{YAML: fmt.Sprintf(`
modules:
  database:
    connections:
      reader: {driver: postgres, dsn: %q}
      writer: {driver: postgres, dsn: %q, writable: true}
      super: {driver: postgres, dsn: %q, writable: true}
`, s.reader, s.writer, s.super)})
	return h, h.Person("ann", "database.query", "database.execute", "database.tables", "database.describe")
}

func TestPostgresQueries(t *testing.T) {
	t.Parallel()
	s := openPostgresShop(t)
	_, ann := s.house(t)
	for _, tt := range []struct{ sql, params, want string }{
		{"SELECT 1 AS one", "", `{"columns":[{"name":"one","type":"integer"}],"rows":[[1]]}`},
		{"SELECT count(*) FROM orders;", "", `[[3]]`},
		{"/* a /* nested */ comment */ -- and one more\n SELECT name FROM customers WHERE id = $1", "1", `[["Ann O'Brien"]]`},
		{"SELECT id FROM orders WHERE note = 'second; DELETE' -- DELETE", "", `[[2]]`},
		{"SELECT big FROM orders ORDER BY id", "", `[[9223372036854775807],[-9223372036854775808],[9007199254740993]]`},
		{"SELECT total FROM orders ORDER BY id", "", `[[12.5],[7],[0.1]]`},
		{"SELECT 123456789012345678901234567890.123456789::numeric, 'NaN'::numeric, 'Infinity'::float8, 0.1::float8, 1e300::float8", "", `[[1.23456789012345678901234567890123456789e+29,"NaN","Infinity",0.1,1e+300]]`},
		{"SELECT repeat('9', 200)::numeric", "", `[["` + strings.Repeat("9", 200) + `"]]`},
		{"SELECT raw FROM orders ORDER BY id", "", `[[{"base64":"AP8="}],[null],[{"base64":""}]]`},
		{"SELECT at FROM orders WHERE id = 1", "", `[["2026-01-02 03:04:05.678901+00"]]`},
		{"SELECT born, tags, extra FROM customers ORDER BY id", "", `[["2001-02-03",["a","b c",null],{"k":1.5}],[null,null,null]]`},
		{"SELECT '{{1,2},{3,NULL}}'::int[], '[2:3]={7,8}'::int[], '{}'::text[], ARRAY['\"', '\\', 'NULL', '', '{']", "", `[[[[1,2],[3,null]],[7,8],[],["\"","\\","NULL","","{"]]]`},
		{`SELECT '{"a":1,"a":2}'::json, '[1e2]'::json, true, NULL`, "", `[["{\"a\":1,\"a\":2}",[100],true,null]]`},
		{"SELECT $1::int + $2, $3::text, $4::bytea, $5::bool, $6::numeric", `1,2,"x",{"base64":"AP8="},true,12345678901234567890.5`, `[[3,"x",{"base64":"AP8="},true,12345678901234567890.5]]`},
		{"SELECT id FROM customers WHERE name = $1 OR email = $2 LIMIT $3", `"Bob",null,5`, `[[2]]`},
		{"SELECT id FROM customers WHERE id = ANY($1)", `"{1,2}"`, `[[1],[2]]`},
		{"VALUES (1, 'a'), (2, 'b')", "", `[[1,"a"],[2,"b"]]`},
		{"TABLE spent", "", `[1,19.5]`},
		{"WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i FROM n LIMIT 2", "", `[[1],[2]]`},
		{"(SELECT 1) UNION (SELECT 2) ORDER BY 1", "", `[[1],[2]]`},
		{"EXPLAIN SELECT * FROM orders WHERE customer = $1", "1", `QUERY PLAN`},
		{"explain (costs off, format json) select 1", "", `"QUERY PLAN"`},
		{"SELECT 1 WHERE false", "", `"rows":[]`},
	} {
		got := ann.Call("database.query", fmt.Sprintf(`{"connection":"reader","sql":%q,"params":[%s]}`, tt.sql, tt.params))
		if got.Code != outcome.OK || !strings.Contains(got.Result.String(), tt.want) {
			t.Errorf("%s: %s (%s) %s, want %s", tt.sql, got.Code, got.Reason, got.Result, tt.want)
		}
	}
}

// What agents may try: each is refused, and nothing of it is left. $PID is another session's.
var hostileToServers = []string{
	"INSERT INTO seen VALUES ('x')", "UPDATE orders SET total = 0", "DELETE FROM orders", "TRUNCATE orders",
	"WITH x AS (INSERT INTO seen VALUES ('x') RETURNING 1) SELECT * FROM x", "WITH x AS (DELETE FROM orders RETURNING *) SELECT * FROM x",
	"SELECT evil()", "SELECT nextval('numbers')", "SELECT setval('numbers', 100)",
	"DO $$ BEGIN INSERT INTO seen VALUES ('x'); END $$", "CALL evil()", "EXPLAIN ANALYZE DELETE FROM orders", "EXPLAIN (ANALYZE) SELECT evil()", "EXPLAIN ANALYZE SELECT evil()",
	"EXPLAIN (COSTS OFF, ANALYZE ON) SELECT 1", "EXPLAIN /* */ ANALYZE SELECT 1", "EXPLAIN (COSTS OFF) ANALYZE SELECT 1", "EXPLAIN VERBOSE ANALYZE SELECT 1", "EXPLAIN INSERT INTO seen VALUES ('x')",
	"EXPLAIN (COSTS/*)*/OFF,ANALYZE) SELECT evil()", "EXPLAIN EXECUTE x", "EXPLAIN",
	"SET default_transaction_read_only = off", "SET TRANSACTION READ WRITE", "SET SESSION CHARACTERISTICS AS TRANSACTION READ WRITE", "RESET ALL",
	"COMMIT", "ROLLBACK", "BEGIN", "END", "ABORT", "SAVEPOINT a", "PREPARE TRANSACTION 'x'", "ROLLBACK; INSERT INTO seen VALUES ('x')",
	"SELECT 1; COMMIT; INSERT INTO seen VALUES ('x')", "SELECT 1; INSERT INTO seen VALUES ('x')", "SELECT 1; SELECT 2", "; INSERT INTO seen VALUES ('x')",
	"SELECT 1 FOR UPDATE; COMMIT", "SELECT * FROM orders FOR UPDATE", "SELECT * FROM orders FOR SHARE", "SELECT * INTO stolen FROM orders", "CREATE TABLE t AS SELECT 1", "CREATE TEMP TABLE t (a int)",
	"CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1'", "ALTER TABLE orders RENAME TO o", "DROP TABLE orders", "DROP VIEW spent", "GRANT ALL ON orders TO public", "COMMENT ON TABLE orders IS 'x'",
	"COPY orders TO PROGRAM 'touch $DIR/program'", "COPY orders TO '$DIR/copied'", "COPY orders FROM '/etc/passwd'", "COPY orders TO STDOUT", "COPY (SELECT evil()) TO STDOUT",
	"LOCK TABLE orders", "LISTEN x", "NOTIFY x", "UNLISTEN *", "VACUUM", "ANALYZE", "CLUSTER", "REINDEX TABLE orders", "CHECKPOINT", "DISCARD ALL", "LOAD 'x'",
	"PREPARE p AS INSERT INTO seen VALUES ('x')", "EXECUTE p", "DECLARE d CURSOR WITH HOLD FOR SELECT 1", "FETCH 1 FROM gatehouse", "CLOSE gatehouse", "MOVE 1 FROM gatehouse",
	"SELECT pg_read_file('/etc/passwd')", "SELECT pg_read_binary_file('/etc/passwd')", "SELECT pg_ls_dir('/')", "SELECT lo_import('/etc/passwd')", "SELECT lo_export(1, '$DIR/large')",
	"SELECT rolpassword FROM pg_authid", "SELECT * FROM pg_shadow", "SELECT * FROM secret", "SELECT query_to_xml('SELECT * FROM secret', true, true, '')",
	"SELECT query_to_xml('INSERT INTO seen VALUES (''x'') RETURNING 1', true, true, '')", "SELECT set_config('role', 'admin', true), query_to_xml('SELECT pg_read_file(''/etc/passwd'')', true, true, '')",
	"SELECT set_config('transaction_read_only', 'off', true), query_to_xml('INSERT INTO seen VALUES (''x'') RETURNING 1', true, true, '')",
	"SELECT pg_reload_conf()", "SELECT pg_switch_wal()", "SELECT pg_rotate_logfile()",
	"SELECT 1) ; INSERT INTO seen VALUES ('x'); --", "SELECT 1 WITH HOLD", "SCROLL CURSOR FOR SELECT 1", "", ";", "-- nothing", "/* open", "SELECT 'open", "SELECT $1", "SELECT $2, $1", "\\! touch $DIR/meta",
}

// Statements that may end well, since what they do ends with the connection.
var harmless = []string{
	"SELECT pg_advisory_lock(42)", "SELECT pg_notify('x', 'y')", "SELECT set_config('default_transaction_read_only', 'off', false)", "SELECT set_config('statement_timeout', '0', false)",
	"SELECT set_config('search_path', 'pg_temp', false)", "SELECT set_config('bytea_output', 'escape', false)", "SELECT txid_current()", "SELECT setseed(0.5)", "SELECT lo_create(7)", "SELECT lo_from_bytea(7, 'x')",
}

// onlyRightsStop picks what a superuser could do in a read-only transaction or a cursor.
func onlyRightsStop(sql string) bool {
	return strings.Contains(sql, "pg_") || strings.Contains(sql, "lo_") || strings.Contains(sql, "COPY") || strings.Contains(sql, "secret")
}

func TestPostgresRefusesWhatIsNotReading(t *testing.T) {
	t.Parallel()
	s := openPostgresShop(t)
	h, ann := s.house(t)
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	state := func() string {
		return s.look(t, `SELECT array[(SELECT count(*) FROM seen), (SELECT count(*) FROM orders), (SELECT sum(total) FROM orders), (SELECT last_value FROM numbers),
			(SELECT count(*) FROM pg_class WHERE relnamespace = 'public'::regnamespace), (SELECT count(*) FROM pg_largeobject_metadata), (SELECT count(*) FROM pg_locks WHERE locktype = 'advisory')]`)
	}
	before := state()
	for _, sql := range hostileToServers {
		sql = strings.ReplaceAll(sql, "$DIR", dir)
		for _, connection := range []string{"reader", "super"} {
			if connection == "super" && !onlyRightsStop(sql) {
				continue
			}
			got := ann.Call("database.query", fmt.Sprintf(`{"connection":%q,"sql":%q}`, connection, sql))
			if got.Code != outcome.Blocked && got.Code != outcome.Invalid || strings.Contains(got.Result.String(), "root:") || strings.Contains(got.Result.String(), "hunter2") {
				t.Errorf("%s: %s: %s (%s) %s", connection, sql, got.Code, got.Reason, got.Result)
			}
			if connection == "super" && sql == "SELECT pg_read_file('/etc/passwd')" && !strings.Contains(got.Reason, "superuser") {
				t.Errorf("a superuser is refused for another reason: %s", got.Reason)
			}
		}
		if now := state(); now != before {
			t.Fatalf("%s left something behind: %s, before %s", sql, now, before)
		}
	}
	for _, sql := range harmless {
		if got := ann.Call("database.query", fmt.Sprintf(`{"connection":"reader","sql":%q}`, sql)); got.Code != outcome.OK {
			t.Errorf("%s: %s (%s)", sql, got.Code, got.Reason)
		}
	}
	if got := ann.MustCall("database.query", `{"connection":"reader","sql":"SELECT current_setting('default_transaction_read_only'), '\\x00'::bytea"}`); !strings.Contains(got.String(), `[["off",{"base64":"AA=="}]]`) {
		t.Errorf("a setting was left behind: %s", got)
	}
	if now := state(); now != before {
		t.Errorf("something is left behind: %s, before %s", now, before)
	}
	if files, err := os.ReadDir(dir); err != nil || len(files) > 0 {
		t.Errorf("files were written: %v %v", files, err)
	}
	if rows := h.Rows(); len(rows) < len(hostileToServers) {
		t.Errorf("%d rows in the log", len(rows))
	}
}
