package audit_test

import (
	"fmt"
	"io/fs"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"gatehouse/gate"
	"gatehouse/module/audit"
	"gatehouse/outcome"
	"gatehouse/store"
	"gatehouse/store/storetest"
)

// partitioned is a log on PostgreSQL of 90 rows of the year 2000, and nothing of this month yet.
func partitioned(t *testing.T) *testLog {
	t.Helper()
	source := storetest.Postgres(t)
	versions(t, source)
	lite := monthly(t, store.Source{Dir: source.Dir})
	if _, err := store.Move(t.Context(), source.Dir, source, []store.Schema{audit.Schema()}); err != nil {
		t.Fatal(err)
	}
	l := &testLog{t: t, source: source, sealer: lite.sealer, config: lite.config}
	t.Cleanup(l.close)
	return l
}

// asOwner asks the database as its owner.
func asOwner(t *testing.T, source store.Source, text string) error {
	t.Helper()
	return storetest.Owner(t, source, "SET search_path = audit; "+text)
}

// TestEachMonthIsAPartition: the first row of a month, whichever replica writes it, begins a segment, once; detached
// months at the old end are said, and a missing one at the new end is found.
func TestEachMonthIsAPartition(t *testing.T) {
	t.Parallel()
	l := partitioned(t)
	l.open()
	other := &testLog{t: t, source: l.source, sealer: l.sealer, config: l.config}
	other.open()
	defer other.close()
	var wg sync.WaitGroup
	for _, replica := range []*testLog{l, other} {
		for range 8 {
			wg.Go(func() { replica.record(row(t, gate.Reads, outcome.OK)) })
		}
	}
	wg.Wait()
	var begun, before, now int64
	err := l.DB().Get(t.Context(), []any{&begun, &before, &now}, `SELECT (SELECT count(*) FROM segment), count(*) FILTER (WHERE tableoid::regclass::text = 'log_before'),
		count(*) FILTER (WHERE tableoid::regclass::text = 'log_' || to_char(now() AT TIME ZONE 'UTC', 'YYYY_MM')) FROM log`)
	if err != nil || begun != 3 || before != 90 || now != 16 {
		t.Errorf("%d beginnings, %d rows before and %d in this month, %v", begun, before, now, err)
	}
	if r := l.mustHold(); r.Rows != 106 || r.Begins != 0 {
		t.Errorf("%+v", r)
	}
	if c := l.Counts(child); c.Calls != 106 {
		t.Errorf("%+v", c)
	}
	l.reopen()
	l.record(row(t, gate.Reads, outcome.OK))
	const away = `ALTER TABLE log DETACH PARTITION log_before; ALTER TABLE payload DETACH PARTITION payload_before; CREATE SCHEMA archive;
		ALTER TABLE log_before SET SCHEMA archive; ALTER TABLE payload_before SET SCHEMA archive`
	if err := asOwner(t, l.source, away); err != nil {
		t.Fatal(err)
	}
	if r := l.mustHold(); r.Rows != 107 || r.Begins != 91 || !strings.Contains(r.Vouches, "begins at row 91 here") {
		t.Errorf("%+v", r)
	}
	l.record(row(t, gate.Reads, outcome.OK))
	l.reopen()
	if r := l.mustHold(); r.Rows != 108 {
		t.Errorf("%+v", r)
	}
	if err := storetest.Admin(t, l.source, `UPDATE audit.day_sum SET calls = calls + 1 WHERE day < 1000000000000`); err != nil {
		t.Fatal(err)
	}
	if r := l.check(""); r.OK || !strings.Contains(r.Fault.Problem, "began with something else") {
		t.Errorf("changed sums of months that were moved away: %+v", r.Fault)
	}
	l.close()
	other.close()
	month := time.Now().UTC().Format("2006_01")
	if err := asOwner(t, l.source, fmt.Sprintf(`ALTER TABLE log DETACH PARTITION log_%s; ALTER TABLE log_%[1]s SET SCHEMA archive`, month)); err != nil {
		t.Fatal(err)
	}
	if r := l.check(""); r.OK {
		t.Errorf("without the newest month: %+v", r)
	}
}

// TestPartitionsOnlyGrow: also when they are addressed directly, by the role that writes the log and by one with more rights.
func TestPartitionsOnlyGrow(t *testing.T) {
	t.Parallel()
	l := partitioned(t)
	l.open()
	l.record(row(t, gate.Reads, outcome.OK))
	month := time.Now().UTC().Format("2006_01")
	for _, part := range []string{"before", month} {
		for _, text := range []string{
			`UPDATE log_%s SET person = 5`, `DELETE FROM log_%s`, `UPDATE payload_%s SET sealed = ''`, `DELETE FROM payload_%s`,
			`INSERT INTO log_%s SELECT id + 1, seq, n, person, agent, tool, outcome, body, hash FROM log WHERE n = 50`, `SELECT count(*) FROM log_%s`,
		} {
			if _, err := l.DB().Exec(t.Context(), fmt.Sprintf(text, part)); err == nil {
				t.Errorf("the log's role may %s", fmt.Sprintf(text, part))
			}
		}
		for _, text := range []string{
			`UPDATE log_%s SET person = 5`, `DELETE FROM log_%s`, `TRUNCATE log_%s`, `UPDATE payload_%s SET sealed = ''`, `DELETE FROM payload_%s`, `TRUNCATE payload_%s`,
			`INSERT INTO log_%s SELECT id + 1, seq, n, person, agent, tool, outcome, body, hash FROM log WHERE n = 50`,
			`INSERT INTO log_%s SELECT id + 1, seq, n + 5, person, agent, tool, outcome, body, hash FROM log ORDER BY n DESC LIMIT 1`,
		} {
			if err := asOwner(t, l.source, fmt.Sprintf(text, part)); err == nil || !strings.Contains(err.Error(), "only") && !strings.Contains(err.Error(), "stays") {
				t.Errorf("the owner may %s: %v", fmt.Sprintf(text, part), err)
			}
		}
	}
	for _, text := range []string{
		`CREATE TABLE x (id BIGINT)`, `SELECT log_next()`, `ALTER TABLE log DETACH PARTITION log_before`, `DROP TABLE log_before`,
	} {
		if _, err := l.DB().Exec(t.Context(), text); err == nil {
			t.Errorf("the log's role may %s", text)
		}
	}
	var before, after, public int64
	count := func(n *int64) {
		t.Helper()
		if err := l.DB().Get(t.Context(), []any{n}, `SELECT count(*) FROM pg_inherits`); err != nil {
			t.Fatal(err)
		}
	}
	count(&before)
	if _, err := l.DB().Exec(t.Context(), `SELECT make_months()`); err != nil {
		t.Error(err)
	}
	if count(&after); before != after {
		t.Errorf("%d partitions became %d", before, after)
	}
	if err := l.DB().Get(t.Context(), []any{&public}, `SELECT count(*) FROM pg_proc p, aclexplode(COALESCE(p.proacl, acldefault('f', p.proowner))) a
		WHERE p.pronamespace = 'audit'::regnamespace AND a.grantee = 0`); err != nil || public != 0 {
		t.Errorf("everybody may call %d functions, %v", public, err)
	}
	l.close()
	if err := storetest.Admin(t, l.source, `DROP TRIGGER log_only_grows ON audit.log_before`); err != nil {
		t.Fatal(err)
	}
	if _, err := audit.Verify(t.Context(), audit.VerifyOptions{Source: l.source}); err == nil || !strings.Contains(err.Error(), "UPDATE of the partition log_before") {
		t.Errorf("a partition without its trigger: %v", err)
	}
}

// TestPartitionsAreMadeWhereTheyAreMissing: months in which nobody ran anything are made up for.
func TestPartitionsAreMadeWhereTheyAreMissing(t *testing.T) {
	t.Parallel()
	l := partitioned(t)
	next := time.Now().UTC().AddDate(0, 0, 1-time.Now().UTC().Day()).AddDate(0, 1, 0)
	for _, month := range []time.Time{time.Now().UTC(), next} {
		for _, table := range []string{"log", "payload"} {
			if err := asOwner(t, l.source, fmt.Sprintf(`DROP TABLE IF EXISTS %s_%s`, table, month.Format("2006_01"))); err != nil {
				t.Fatal(err)
			}
		}
	}
	l.open()
	l.record(row(t, gate.Reads, outcome.OK))
	if r := l.mustHold(); r.Rows != 91 {
		t.Errorf("%+v", r)
	}
}

// TestTablesBecomePartitionsAsTheyAre: a log of an older Gatehouse is not written anew.
func TestTablesBecomePartitionsAsTheyAre(t *testing.T) {
	t.Parallel()
	source := storetest.Postgres(t)
	versions(t, source)
	older := fstest.MapFS{}
	err := fs.WalkDir(audit.Migrations, ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || strings.Contains(path, "_partition.sql") {
			return err
		}
		text, err := fs.ReadFile(audit.Migrations, path)
		older[path] = &fstest.MapFile{Data: text}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	lite := monthly(t, store.Source{Dir: source.Dir})
	schema := audit.Schema()
	schema.Migrations, schema.Prepare, schema.Calls = older, nil, nil
	if _, err := store.Move(t.Context(), source.Dir, source, []store.Schema{schema}); err != nil {
		t.Fatal(err)
	}
	files := func(log, payload string) (text string) {
		t.Helper()
		db, err := store.Open(t.Context(), store.Config{Source: source, Name: "audit", Migrations: older})
		if err != nil {
			db, err = store.Open(t.Context(), store.Config{Source: source, Name: "audit", Migrations: audit.Migrations})
		}
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = db.Close() }()
		if err := db.Get(t.Context(), []any{&text}, `SELECT pg_relation_filenode($1::text::regclass)::text || ' ' || pg_relation_filenode($2::text::regclass)::text`, log, payload); err != nil {
			t.Fatal(err)
		}
		return text
	}
	before := files("log", "payload")
	l := &testLog{t: t, source: source, sealer: lite.sealer, config: lite.config}
	t.Cleanup(l.close)
	l.open()
	if after := files("log_before", "payload_before"); after != before {
		t.Errorf("the files %s became %s", before, after)
	}
	l.record(row(t, gate.Reads, outcome.OK))
	if r := l.mustHold(); r.Rows != 91 || r.Opened != 91 {
		t.Errorf("%+v", r)
	}
}
