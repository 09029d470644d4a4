package promise_test

import (
	"database/sql"
	"encoding/hex"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"gatehouse/secret"
	"gatehouse/store"
	"gatehouse/store/storetest"
)

// shared reports whether the world's databases are one PostgreSQL, not files.
func (w *world) shared() bool { return !w.source.Run.IsZero() }

// database opens one of the house's databases past the gateway: a file as somebody with the disk in their hands, a schema
// of PostgreSQL as its owner.
func (w *world) database(module string) *sql.DB {
	w.t.Helper()
	if w.shared() {
		return openSchema(w.t, w.source.Owner, module, "")
	}
	return openFile(w.t, filepath.Join(w.Data, module+".db"))
}

// databases are all of them, by the name of their module.
func (w *world) databases() map[string]*sql.DB {
	w.t.Helper()
	all := map[string]*sql.DB{}
	if !w.shared() {
		files, err := filepath.Glob(filepath.Join(w.Data, "*.db"))
		if err != nil {
			w.t.Fatal(err)
		}
		for _, file := range files {
			all[strings.TrimSuffix(filepath.Base(file), ".db")] = openFile(w.t, file)
		}
		return all
	}
	for _, schema := range column(w.t, openSchema(w.t, w.source.Owner, "public", ""),
		`SELECT nspname FROM pg_namespace WHERE nspname NOT LIKE 'pg\_%' AND nspname NOT IN ('information_schema', 'public')`) {
		all[schema] = w.database(schema)
	}
	return all
}

// openSchema connects to a schema, and becomes a role if one is named.
func openSchema(t *testing.T, dsn secret.Text, schema, role string) *sql.DB {
	t.Helper()
	db, err := sql.Open("pgx", dsn.Reveal()+" search_path="+schema)
	if err != nil {
		t.Fatal(err)
	}
	db.SetMaxOpenConns(1)
	t.Cleanup(func() { _ = db.Close() })
	if role != "" {
		if _, err := db.ExecContext(t.Context(), `SET ROLE "`+role+`"`); err != nil {
			t.Fatal(err)
		}
	}
	return db
}

// column reads the one column that a query gives.
func column(t *testing.T, db *sql.DB, query string, args ...any) (all []string) {
	t.Helper()
	rows, err := db.QueryContext(t.Context(), query, args...)
	if err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	defer rows.Close()
	for rows.Next() {
		var s sql.NullString
		if err := rows.Scan(&s); err != nil {
			t.Fatal(err)
		}
		all = append(all, s.String)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return all
}

// runLogin is the name of the login with which the gateway works.
func runLogin(t *testing.T, source store.Source) string {
	t.Helper()
	return column(t, openSchema(t, source.Run, "public", ""), `SELECT session_user`)[0]
}

// searchTables searches every row of every table for needles: as text, as the bytes that a BYTEA holds, and as the hexadecimal
// digits in which a dump writes those. Numbers of keys may stand there.
func (w *world) searchTables(needles map[string]string) {
	w.t.Helper()
	searched, found := 0, false
	for module, db := range w.databases() {
		for _, table := range column(w.t, db, `SELECT table_name FROM information_schema.tables WHERE table_schema = $1`, module) {
			for _, row := range column(w.t, db, `SELECT CAST(t AS TEXT) FROM "`+table+`" AS t`) {
				searched += len(row)
				found = found || strings.Contains(row, "ledger.read")
				for needle, what := range needles {
					if what != "the number of a permission key" && (strings.Contains(row, needle) || strings.Contains(row, hex.EncodeToString([]byte(needle)))) {
						w.t.Errorf("%s.%s holds %s: %q", module, table, what, needle)
					}
				}
			}
		}
	}
	if !found || searched < 10_000 {
		w.t.Errorf("searched %d bytes of tables: the search looks in the wrong place", searched)
	}
}

// tamperWithTables changes a copy as whoever owns the server can, with no trigger in the way.
func tamperWithTables(t *testing.T, source store.Source, changes []string) {
	t.Helper()
	db := openSchema(t, storetest.Superuser(t, source), "audit", "")
	if _, err := db.ExecContext(t.Context(), `SET session_replication_role = replica`); err != nil {
		t.Fatal(err)
	}
	for _, change := range changes {
		change = strings.ReplaceAll(change, "zeroblob(length(sealed))", "decode(repeat('00', length(sealed)), 'hex')")
		if n, ok := strings.CutPrefix(change, "rehash "); ok {
			change = `UPDATE log SET hash = sha256(convert_to(body, 'UTF8')) WHERE n = ` + n
		}
		res, err := db.ExecContext(t.Context(), change)
		if err != nil {
			t.Fatalf("%s: %v", change, err)
		}
		if n, err := res.RowsAffected(); err != nil || n == 0 {
			t.Fatalf("%s changed %d rows (%v)", change, n, err)
		}
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
}

// changesOfTheLog are statements that change or drop a row of the log, on either engine.
func (w *world) changesOfTheLog() []string {
	all := []string{
		`UPDATE log SET outcome = 'ok'`, `UPDATE log SET id = id + 1`, `DELETE FROM log`, `DELETE FROM log WHERE n = 1`,
		`INSERT INTO log SELECT id + 1000000000000, seq, n + 7, person, agent, tool, outcome, body, hash FROM log WHERE n = 1`,
		`INSERT INTO log SELECT id, seq + 1, n, person, agent, tool, outcome, body, hash FROM log WHERE n = 1`,
	}
	if w.shared() {
		return append(all, `TRUNCATE log`, `TRUNCATE log, payload, head`, `INSERT INTO log SELECT * FROM log WHERE n = 1`,
			`INSERT INTO log SELECT * FROM log WHERE n = 1 ON CONFLICT (id, seq) DO UPDATE SET outcome = 'ok'`,
			`MERGE INTO log USING (SELECT 1 AS n) AS s ON log.n = s.n WHEN MATCHED THEN DELETE`)
	}
	return append(all,
		`REPLACE INTO log SELECT * FROM log WHERE n = 1`, `INSERT OR REPLACE INTO log SELECT * FROM log WHERE n = 2`,
		`INSERT INTO log SELECT * FROM log WHERE n = 1 ON CONFLICT DO UPDATE SET outcome = 'ok'`)
}

// TestPromise_P7_TheRunLoginCannotChangeTheLog: neither by the role that writes it, nor by that of another module, nor by
// itself, and it cannot take away what keeps it from it (T19).
func TestPromise_P7_TheRunLoginCannotChangeTheLog(t *testing.T) {
	t.Parallel()
	w := newReplicas(t, "")
	w.Person("ann", "ledger.read").MustCall("ledger.read", `{"text":"a"}`)
	before := len(w.Rows())
	login := runLogin(t, w.source)
	attacks := append(w.changesOfTheLog(),
		`DELETE FROM payload`, `UPDATE payload SET sealed = ''`, `TRUNCATE payload`, `DELETE FROM pruned`,
		`ALTER TABLE log DISABLE TRIGGER ALL`, `DROP TRIGGER log_only_grows ON log`, `DROP TABLE log`, `DROP TABLE payload`,
		`ALTER TABLE log RENAME TO gone`, `ALTER TABLE log DROP COLUMN body`, `DROP SCHEMA audit CASCADE`,
		`CREATE OR REPLACE FUNCTION log_only_grows() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'`,
		`CREATE RULE r AS ON INSERT TO log DO INSTEAD NOTHING`, `SET session_replication_role = replica`,
		`CREATE TRIGGER mine BEFORE INSERT ON log FOR EACH ROW EXECUTE FUNCTION log_only_grows()`)
	for _, role := range []string{"", login + "_audit", login + "_people", login + "_vault"} {
		db := openSchema(t, w.source.Run, "audit", role)
		for _, attack := range attacks {
			if _, err := db.ExecContext(t.Context(), attack); err == nil {
				t.Errorf("as %q: the database takes %s", role, attack)
			}
		}
		reads := role == login+"_audit"
		if _, err := db.ExecContext(t.Context(), `SELECT count(*) FROM log`); (err == nil) != reads {
			t.Errorf("as %q: reading the log: %v", role, err)
		}
	}
	if after := w.Rows(); len(after) != before {
		t.Errorf("%d rows, before %d", len(after), before)
	}
	w.Close()
	if r := verify(t, w.Data, ""); !r.OK {
		t.Errorf("the log does not hold: %s", r.Fault)
	}
}

// keys gives the table and the first column of the primary key of every table of a module's database.
func (w *world) keys(db *sql.DB, module string) map[string]string {
	w.t.Helper()
	all := map[string]string{}
	query := `SELECT m.name || ' ' || c.name FROM sqlite_schema m, pragma_table_info(m.name) c
		WHERE m.type = 'table' AND c.pk = 1 AND m.name NOT LIKE 'sqlite_%' AND $1 <> ''`
	if w.shared() {
		query = `SELECT c.relname || ' ' || a.attname FROM pg_index i JOIN pg_class c ON c.oid = i.indrelid
			JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = i.indkey[0]
			WHERE i.indisprimary AND c.relnamespace = CAST(CAST($1 AS TEXT) AS regnamespace)`
	}
	for _, line := range column(w.t, db, query, module) {
		table, key, _ := strings.Cut(line, " ")
		all[table] = key
	}
	return all
}

// versioned gives the tables of a module's database that have a version, and how many triggers of each look at it.
func (w *world) versioned(db *sql.DB, module string) map[string]int {
	w.t.Helper()
	tables := `SELECT m.name FROM sqlite_schema m, pragma_table_info(m.name) c WHERE m.type = 'table' AND c.name = 'version' AND $1 <> ''`
	triggers := `SELECT tbl_name FROM sqlite_schema WHERE type = 'trigger' AND sql LIKE '%version must rise by one%' AND $1 <> ''`
	if w.shared() {
		tables = `SELECT table_name FROM information_schema.columns NATURAL JOIN information_schema.tables
			WHERE column_name = 'version' AND table_type = 'BASE TABLE' AND table_schema = $1`
		triggers = `SELECT c.relname FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid JOIN pg_proc p ON p.oid = t.tgfoid
			WHERE p.prosrc LIKE '%version must rise by one%' AND t.tgenabled = 'O' AND c.relnamespace = CAST(CAST($1 AS TEXT) AS regnamespace)`
	}
	look := column(w.t, db, triggers, module)
	all := map[string]int{}
	for _, table := range column(w.t, db, tables, module) {
		if table != "gatehouse_migration" {
			all[table] = len(slices.DeleteFunc(slices.Clone(look), func(t string) bool { return t != table }))
		}
	}
	return all
}

// text makes a key of two columns as the log shows it.
func (w *world) rowOutcome(db *sql.DB, id string) (code string, err error) {
	at, seq, _ := strings.Cut(id, "-")
	err = db.QueryRowContext(w.t.Context(), `SELECT outcome FROM log WHERE id = $1 AND seq = $2`, at, seq).Scan(&code)
	if err != nil {
		err = fmt.Errorf("the row %s: %w", id, err)
	}
	return code, err
}
