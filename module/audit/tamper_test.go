package audit_test

import (
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"strings"
	"testing"

	"modernc.org/sqlite"

	"gatehouse/canon"
	"gatehouse/gate"
	"gatehouse/module/audit"
	"gatehouse/outcome"
	"gatehouse/store"
	"gatehouse/store/storetest"
)

// intruder is someone who can write the database past the gateway, triggers or not.
type intruder struct {
	t      *testing.T
	source store.Source
	lite   *sql.DB   // nil on PostgreSQL
	closed []*sql.DB // the files of closed segments
}

func newIntruder(t *testing.T, source store.Source) *intruder {
	t.Helper()
	in := &intruder{t: t, source: source}
	if source.Run.IsZero() {
		in.lite = raw(t, filepath.Join(source.Dir, "audit.db"))
		files, err := filepath.Glob(filepath.Join(source.Dir, "audit-*.db"))
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			in.closed = append(in.closed, raw(t, file))
		}
	}
	return in
}

// raw opens a SQLite file on one connection, without any of our rules.
func raw(t *testing.T, file string) *sql.DB {
	t.Helper()
	u := url.URL{Scheme: "file", Path: filepath.ToSlash(file), RawQuery: "_pragma=busy_timeout(5000)"}
	db := sql.OpenDB(connector{&sqlite.Driver{}, u.String()})
	db.SetMaxOpenConns(1)
	t.Cleanup(func() { _ = db.Close() })
	return db
}

// do runs a statement in all files of the log with the triggers out of the way, and puts them back.
func (in *intruder) do(text string) {
	in.t.Helper()
	if in.lite == nil {
		err := storetest.Admin(in.t, in.source, "SET search_path = audit; SET session_replication_role = replica; "+text)
		if err != nil {
			in.t.Fatalf("%s: %v", text, err)
		}
		return
	}
	for _, lite := range append([]*sql.DB{in.lite}, in.closed...) {
		in.doIn(lite, text)
	}
}

func (in *intruder) doIn(lite *sql.DB, text string) {
	in.t.Helper()
	var names, texts []string
	rows, err := lite.Query(`SELECT name, sql FROM sqlite_schema WHERE type = 'trigger'`)
	if err != nil {
		in.t.Fatal(err)
	}
	for rows.Next() {
		var name, text string
		if err := rows.Scan(&name, &text); err != nil {
			in.t.Fatal(err)
		}
		names, texts = append(names, "DROP TRIGGER "+name), append(texts, text)
	}
	if err := rows.Err(); err != nil {
		in.t.Fatal(err)
	}
	for _, s := range append(append(names, text), texts...) {
		if _, err := lite.Exec(s); err != nil {
			in.t.Fatalf("%s: %v", s, err)
		}
	}
}

// blob is a literal of bytes.
func (in *intruder) blob(b []byte) string {
	if in.lite == nil {
		return `'\x` + hex.EncodeToString(b) + `'`
	}
	return `x'` + hex.EncodeToString(b) + `'`
}

func quote(s string) string { return "'" + strings.ReplaceAll(s, "'", "''") + "'" }

// forge changes a row and hashes it again, and with it all that follow if rest is set.
func (in *intruder) forge(l *testLog, n int64, rest bool, change func(map[string]any)) (last [32]byte) {
	in.t.Helper()
	type stored struct {
		n    int64
		body string
	}
	var all []stored
	db := reader(in.t, l.source)
	err := db.All(in.t.Context(), func(scan func(...any) error) error {
		var s stored
		err := scan(&s.n, &s.body)
		all = append(all, s)
		return err
	}, `SELECT n, body FROM log ORDER BY n`)
	if err != nil {
		in.t.Fatal(err)
	}
	for _, s := range all {
		if s.n < n || s.n > n && !rest {
			continue
		}
		v, err := canon.ParseObject([]byte(s.body))
		if err != nil {
			in.t.Fatal(err)
		}
		m := map[string]any{}
		for name, member := range v.Members {
			m[name] = member
		}
		if s.n == n {
			change(m)
		} else {
			m["prev"] = hex.EncodeToString(last[:])
		}
		body := value(in.t, m).String()
		last = sha256.Sum256([]byte(body))
		in.do(fmt.Sprintf(`UPDATE log SET body = %s, hash = %s WHERE n = %d`, quote(body), in.blob(last[:]), s.n))
	}
	return last
}

// reader is a handle of the log's own kind.
func reader(t *testing.T, source store.Source) *store.DB {
	t.Helper()
	db, err := store.Open(t.Context(), store.Config{Source: source, Name: "audit", Migrations: audit.Migrations, AppendOnly: []string{"log"}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db
}

// filled is a closed log of 30 rows, of which every second had an intent.
func filled(t *testing.T, source store.Source) *testLog {
	t.Helper()
	l := newLog(t, source)
	fill(l, 30)
	l.close()
	return l
}

func fill(l *testLog, rows int) {
	l.t.Helper()
	for i := range rows {
		effect := gate.Reads
		if i%2 == 0 {
			effect = gate.Writes
		}
		ticket, err := l.Admit(l.t.Context(), row(l.t, effect, outcome.Unknown), chain(0))
		if err != nil {
			l.t.Fatal(err)
		}
		if _, err := l.Record(l.t.Context(), ticket, row(l.t, effect, outcome.OK)); err != nil {
			l.t.Fatal(err)
		}
	}
}

// check verifies the log from outside.
func (l *testLog) check(head string) audit.Report {
	l.t.Helper()
	public, err := audit.ReadPublicKey(l.config.KeyFile)
	if err != nil {
		l.t.Fatal(err)
	}
	r, err := audit.Verify(l.t.Context(), audit.VerifyOptions{Source: l.source, Sealer: l.sealer, Head: head, PublicKey: public})
	if err != nil {
		l.t.Fatalf("Verify: %v", err)
	}
	return r
}

func (l *testLog) mustHold() audit.Report {
	l.t.Helper()
	r := l.check("")
	if !r.OK {
		l.t.Fatalf("the log does not hold: %s", r.Fault)
	}
	return r
}

func TestVerifyFindsWhatWasChanged(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		do   func(*intruder, *testLog)
		n    int64 // of the row that is named; 0: none is
		says string
	}{
		{"nothing", func(*intruder, *testLog) {}, 0, ""},
		{"a row", func(in *intruder, _ *testLog) {
			in.do(`UPDATE log SET body = replace(body, '"outcome":"ok"', '"outcome":"no"') WHERE n = 7`)
		}, 7, "its hash does not fit"},
		{"a hash", func(in *intruder, _ *testLog) {
			in.do(`UPDATE log SET hash = ` + in.blob(make([]byte, 32)) + ` WHERE n = 7`)
		}, 7, "its hash does not fit"},
		{"a column", func(in *intruder, _ *testLog) { in.do(`UPDATE log SET tool = 'note.read' WHERE n = 7`) }, 7, "a column says something else"},
		{"another column", func(in *intruder, _ *testLog) { in.do(`UPDATE log SET person = 5 WHERE n = 7`) }, 7, "a column says something else"},
		{"a row and its hash", func(in *intruder, l *testLog) {
			in.forge(l, 7, false, func(m map[string]any) { m["outcome"] = "denied" })
			in.do(`UPDATE log SET outcome = 'denied' WHERE n = 7`)
		}, 8, "hashed again"},
		{"a row and all that follow, with the head, under the old signature", func(in *intruder, l *testLog) {
			last := in.forge(l, 7, true, func(m map[string]any) { m["address"] = "203.0.113.9" })
			in.do(`UPDATE head SET hash = ` + in.blob(last[:]))
		}, 30, "the signed head says"},
		{"a row in another form", func(in *intruder, l *testLog) {
			var body string
			if err := reader(in.t, l.source).Get(in.t.Context(), []any{&body}, `SELECT body FROM log WHERE n = 30`); err != nil {
				in.t.Fatal(err)
			}
			body = strings.Replace(body, `{`, `{ `, 1)
			hash := sha256.Sum256([]byte(body))
			in.do(fmt.Sprintf(`UPDATE log SET body = %s, hash = %s WHERE n = 30`, quote(body), in.blob(hash[:])))
		}, 30, "not in canonical form"},
		{"a row of a later format", func(in *intruder, l *testLog) {
			in.forge(l, 30, true, func(m map[string]any) { m["format"] = 2 })
		}, 30, "format 2"},
		{"a row that is gone", func(in *intruder, _ *testLog) {
			in.do(`DELETE FROM log WHERE n = 7`)
		}, 8, "rows are missing"},
		{"the first row that is gone", func(in *intruder, _ *testLog) {
			in.do(`DELETE FROM log WHERE n = 1`)
		}, 2, "rows are missing"},
		{"two rows in each other's place", func(in *intruder, _ *testLog) {
			in.do(`UPDATE log SET body = (SELECT body FROM log AS o WHERE o.n = 15 - log.n), hash = (SELECT hash FROM log AS o WHERE o.n = 15 - log.n)
				WHERE n IN (7, 8)`)
		}, 7, "hashed again"},
		{"the tail cut, with the head left", func(in *intruder, _ *testLog) {
			in.do(`DELETE FROM log WHERE n > 20`)
		}, 0, "the tail is cut: the head says that there are 30 rows"},
		{"the tail and the head cut, under the old signature", func(in *intruder, l *testLog) {
			in.cut(20)
		}, 0, "the tail is cut: the signed head says that there are 30 rows"},
		{"all rows gone", func(in *intruder, _ *testLog) { in.do(`DELETE FROM log`) }, 0, "the tail is cut"},
		{"a row put in behind the head", func(in *intruder, _ *testLog) {
			in.do(`UPDATE head SET n = 29, last_id = (SELECT id FROM log WHERE n = 29), last_seq = (SELECT seq FROM log WHERE n = 29),
				hash = (SELECT hash FROM log WHERE n = 29)`)
		}, 0, "rows behind the head"},
		{"the head", func(in *intruder, _ *testLog) { in.do(`UPDATE head SET last_seq = last_seq + 1`) }, 30, "the head says"},
		{"the head gone", func(in *intruder, _ *testLog) { in.do(`DELETE FROM head`) }, 0, "the head is missing"},
		{"the signed head gone", func(in *intruder, _ *testLog) { in.do(`UPDATE head SET signed = ''`) }, 0, "the signed head is missing"},
		{"the signed head", func(in *intruder, _ *testLog) {
			in.do(`UPDATE head SET signed = replace(signed, 'rows 30', 'rows 29')`)
		}, 0, "signature"},
		{"a payload", func(in *intruder, _ *testLog) {
			in.do(`UPDATE payload SET sealed = ` + in.blob([]byte("x")) + ` WHERE id = (SELECT id FROM log WHERE n = 7) AND seq = (SELECT seq FROM log WHERE n = 7)`)
		}, 7, "its payload was changed"},
		{"a payload that is gone", func(in *intruder, _ *testLog) {
			in.do(`DELETE FROM payload WHERE id = (SELECT id FROM log WHERE n = 7) AND seq = (SELECT seq FROM log WHERE n = 7)`)
		}, 7, "its payload is missing"},
		{"a payload beside another row", func(in *intruder, _ *testLog) {
			in.do(`UPDATE payload SET sealed = (SELECT p.sealed FROM payload p JOIN log l ON p.id = l.id AND p.seq = l.seq WHERE l.n = 8)
				WHERE id = (SELECT id FROM log WHERE n = 7) AND seq = (SELECT seq FROM log WHERE n = 7)`)
		}, 7, "its payload was changed, or belongs to another row"},
		{"a payload without a row", func(in *intruder, _ *testLog) {
			in.do(`INSERT INTO payload (id, seq, sealed) VALUES (5, 5, ` + in.blob([]byte("x")) + `)`)
		}, 0, "no such row"},
		{"a counter", func(in *intruder, _ *testLog) {
			in.do(fmt.Sprintf(`UPDATE token_use SET uses = uses - 1 WHERE token = %d`, child))
		}, 0, "the counters of token"},
		{"a counter that is gone", func(in *intruder, _ *testLog) {
			in.do(fmt.Sprintf(`DELETE FROM token_use WHERE token = %d`, root))
		}, 0, "the counters of token"},
		{"a counter without rows", func(in *intruder, _ *testLog) {
			in.do(`INSERT INTO token_use (token, calls, uses, last_ms, last_address) VALUES (9, 1, 1, 1, '')`)
		}, 0, "the counters of token 9"},
		{"a cost", func(in *intruder, _ *testLog) {
			in.do(fmt.Sprintf(`UPDATE token_use SET cost = 0 WHERE token = %d`, child))
		}, 0, "the counters of token"},
		{"a sum", func(in *intruder, _ *testLog) { in.do(`UPDATE day_sum SET cost = cost - 1`) }, 0, "the sums of"},
		{"a sum that is gone", func(in *intruder, _ *testLog) { in.do(`DELETE FROM day_sum`) }, 0, "the sums of"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			storetest.Engines(t, func(t *testing.T, source store.Source) {
				l := filled(t, source)
				in := newIntruder(t, source)
				tt.do(in, l)
				r := l.check("")
				if tt.says == "" {
					if !r.OK || r.Rows != 30 || r.Opened != 30 || r.Signed != 30 || r.Fault != (audit.Fault{}) {
						t.Errorf("a log that nobody touched: %+v", r)
					}
					return
				}
				if r.OK || r.Fault.N != tt.n || !strings.Contains(r.Fault.Problem, tt.says) || (r.Fault.Row == "") != (tt.n == 0) {
					t.Errorf("found %+v, want row number %d and %q", r.Fault, tt.n, tt.says)
				}
			})
		})
	}
}

// cut removes everything behind row n, and makes the rest of the database agree, as far as that can be done without the key.
func (in *intruder) cut(n int) {
	in.t.Helper()
	at := func(column string) string { return fmt.Sprintf("(SELECT %s FROM log WHERE n = %d)", column, n) }
	in.do(fmt.Sprintf(`DELETE FROM log WHERE n > %d`, n))
	in.do(`DELETE FROM payload WHERE NOT EXISTS (SELECT 1 FROM log WHERE log.id = payload.id AND log.seq = payload.seq)`)
	in.do(`UPDATE head SET n = ` + at("n") + `, last_id = ` + at("id") + `, last_seq = ` + at("seq") + `, hash = ` + at("hash"))
	in.do(`DELETE FROM checkpoint`)
	in.do(fmt.Sprintf(`UPDATE token_use SET uses = %d, cost = %d`, n, 1500*n))
	in.do(fmt.Sprintf(`UPDATE day_sum SET calls = %d, cost = %d, bytes_in = %d, bytes_out = %d, took_us = %d`, n, 1500*n, 20*n, 30*n, 1234*n))
	in.do(fmt.Sprintf(`UPDATE token_use SET calls = %d, last_ms = %s WHERE token = %d`, n, at("id"), child))
}

// TestCutTailIsFoundByAHeadKeptElsewhere: whoever also kept an older signed head can cut the log back to it, and only a head
// that lies elsewhere tells.
func TestCutTailIsFoundByAHeadKeptElsewhere(t *testing.T) {
	t.Parallel()
	storetest.Engines(t, func(t *testing.T, source store.Source) {
		headFile := filepath.Join(t.TempDir(), "head")
		l := newLog(t, source, func(c *audit.Config) { c.HeadFile = headFile })
		fill(l, 20)
		l.close()
		older := readFile(t, headFile)
		l.open()
		fill(l, 10)
		l.close()
		kept := readFile(t, headFile)
		in := newIntruder(t, source)
		in.cut(20)
		in.do(`UPDATE head SET signed = ` + quote(older))
		if r := l.check(""); !r.OK || !strings.Contains(r.Vouches, "only a head or a checkpoint that was kept elsewhere") || r.Signed != 20 {
			t.Errorf("without a head it says %+v", r)
		}
		if r := l.check(older); !r.OK || r.Kept != 20 {
			t.Errorf("with the older head it says %+v", r)
		}
		r := l.check(kept)
		if r.OK || !strings.Contains(r.Fault.Problem, "the tail is cut: the head that was kept elsewhere says that there are 30 rows") {
			t.Errorf("with the newer head it says %+v", r)
		}
		public, err := audit.ReadPublicKey(l.config.KeyFile)
		if err != nil {
			t.Fatal(err)
		}
		forged := strings.Replace(older, "rows 20", "rows 19", 1)
		_, err = audit.Verify(t.Context(), audit.VerifyOptions{Source: source, Head: forged, PublicKey: public})
		if err == nil {
			t.Error("a head that was changed was taken for a kept one")
		}
	})
}

func TestStartRefusesALogThatDoesNotEndWhereItsHeadSays(t *testing.T) {
	t.Parallel()
	storetest.Engines(t, func(t *testing.T, source store.Source) {
		l := filled(t, source)
		newIntruder(t, source).do(`DELETE FROM log WHERE n > 20`)
		if err := l.tryOpen(); err == nil || !strings.Contains(err.Error(), "audit verify") {
			t.Errorf("a log with a cut tail was opened: %v", err)
		}
	})
}

// TestLogOnlyGrows is T19: whatever the application's own handle can be made to run, no row is changed or dropped.
func TestLogOnlyGrows(t *testing.T) {
	t.Parallel()
	storetest.Engines(t, func(t *testing.T, source store.Source) {
		l := newLog(t, source)
		fill(l, 10)
		const columns = `(id, seq, n, person, agent, tool, outcome, body, hash)`
		const again = `SELECT id, seq, n, 5, agent, tool, outcome, body, hash FROM log WHERE n = 3`
		texts := []string{
			`UPDATE log SET person = 5`, `UPDATE log SET person = 5 WHERE n = 3`, `DELETE FROM log`, `DELETE FROM log WHERE n = 3`,
			`INSERT INTO log ` + columns + ` ` + again, `INSERT INTO log ` + columns + ` ` + again + ` ON CONFLICT (id, seq) DO UPDATE SET person = 5`,
			`INSERT INTO log ` + columns + ` SELECT id + 1, seq, n, 5, agent, tool, outcome, body, hash FROM log WHERE n = 3`,
			`INSERT INTO log ` + columns + ` SELECT id + 1, seq, n + 2, 5, agent, tool, outcome, body, hash FROM log WHERE n = 10`,
			`DROP TABLE log`, `ALTER TABLE log ADD COLUMN more TEXT`, `ALTER TABLE log RENAME TO gone`, `DROP INDEX log_person`,
		}
		if source.Run.IsZero() {
			texts = append(texts, `REPLACE INTO log `+columns+` `+again, `INSERT OR REPLACE INTO log `+columns+` `+again,
				`INSERT OR REPLACE INTO log `+columns+` SELECT id + 1, seq, n, 5, agent, tool, outcome, body, hash FROM log WHERE n = 3`,
				`UPDATE OR REPLACE log SET n = 4 WHERE n = 3`, `DROP TRIGGER log_next`, `DROP TRIGGER log_update`, `DROP TRIGGER log_delete`,
				`PRAGMA writable_schema = 1`, `UPDATE sqlite_schema SET sql = ''`, `DELETE FROM sqlite_schema`, `ATTACH ':memory:' AS other`,
				`PRAGMA recursive_triggers = 0`, `VACUUM`, `CREATE TRIGGER x AFTER INSERT ON log BEGIN DELETE FROM log; END`, `PRAGMA user_version = 9`,
				`CREATE TEMP TRIGGER x AFTER INSERT ON head BEGIN DELETE FROM log; END`)
		} else {
			texts = append(texts, `TRUNCATE log`, `DROP TRIGGER log_only_grows ON log`, `ALTER TABLE log DISABLE TRIGGER ALL`,
				`SET session_replication_role = replica`, `DROP FUNCTION log_only_grows CASCADE`, `DROP SCHEMA audit CASCADE`,
				`CREATE OR REPLACE FUNCTION log_only_grows() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'`,
				`CREATE RULE x AS ON INSERT TO log DO INSTEAD NOTHING`)
		}
		db := l.DB()
		for _, text := range texts {
			n, err := db.Exec(t.Context(), text)
			if err == nil && (n > 0 || !strings.HasPrefix(text, "INSERT OR IGNORE")) {
				t.Errorf("%s: %d rows, and no error", text, n)
			}
			if errors.Is(err, outcome.Unavailable) {
				t.Errorf("%s: %v", text, err)
			}
		}
		l.reopen()
		if r := l.mustHold(); r.Rows != 10 {
			t.Errorf("%d rows are left of 10", r.Rows)
		}
	})
}

// TestVerifyRefusesALogWithoutItsTriggers: a table that could be changed since the last look vouches for nothing.
func TestVerifyRefusesALogWithoutItsTriggers(t *testing.T) {
	t.Parallel()
	storetest.Engines(t, func(t *testing.T, source store.Source) {
		filled(t, source)
		if source.Run.IsZero() {
			if _, err := raw(t, filepath.Join(source.Dir, "audit.db")).Exec(`DROP TRIGGER log_update`); err != nil {
				t.Fatal(err)
			}
		} else if err := storetest.Admin(t, source, `DROP TRIGGER log_only_grows ON audit.log`); err != nil {
			t.Fatal(err)
		}
		_, err := audit.Verify(t.Context(), audit.VerifyOptions{Source: source})
		if err == nil || !strings.Contains(err.Error(), "UPDATE") {
			t.Errorf("Verify: %v", err)
		}
	})
}
