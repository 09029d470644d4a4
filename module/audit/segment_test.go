package audit_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"gatehouse/gate"
	"gatehouse/module/audit"
	"gatehouse/outcome"
	"gatehouse/store"
	"gatehouse/store/storetest"
)

// until lets the time of a bubble pass. A closed log costs nothing meanwhile; an open one ticks.
func until(year int, month time.Month, day, hour int) {
	time.Sleep(time.Until(time.Date(year, month, day, hour, 0, 0, 0, time.UTC)))
}

// monthly is a log of three segments, of 30 rows each, closed: audit-2000-01.db, audit-2000-02.db and the live one. A call
// was under way when each month ended.
func monthly(t *testing.T, source store.Source) (l *testLog) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		l = newLog(t, source, func(c *audit.Config) { c.HeadFile = filepath.Join(source.Dir, "head") })
		fill(l, 29)
		for _, next := range []time.Month{time.February, time.March} {
			l.close()
			until(2000, next, 0, 23)
			l.open()
			ticket, err := l.Admit(t.Context(), row(t, gate.Writes, outcome.Unknown), chain(0))
			if err != nil {
				t.Fatal(err)
			}
			l.record(row(t, gate.Reads, outcome.OK))
			until(2000, next, 1, 0)
			if _, err := l.Record(t.Context(), ticket, row(t, gate.Writes, outcome.OK)); err != nil {
				t.Fatal(err)
			}
			fill(l, 28)
		}
		l.record(row(t, gate.Reads, outcome.OK))
		l.close()
	})
	l.t = t
	t.Cleanup(l.close)
	return l
}

// copied is a copy of a closed log.
func (l *testLog) copied(t *testing.T) *testLog {
	t.Helper()
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS(l.source.Dir)); err != nil {
		t.Fatal(err)
	}
	c := &testLog{t: t, source: store.Source{Dir: dir}, sealer: l.sealer, config: l.config}
	c.config.KeyFile = filepath.Join(dir, "keys", "audit.json")
	c.config.HeadFile = ""
	if err := os.Chmod(c.config.KeyFile, 0o600); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.close)
	return c
}

func (l *testLog) path(name string) string { return filepath.Join(l.source.Dir, name) }

// segmentsOf are the files of a log's segments.
func (l *testLog) segmentsOf() []string {
	l.t.Helper()
	files, err := filepath.Glob(l.path("audit*.db*"))
	if err != nil {
		l.t.Fatal(err)
	}
	for i := range files {
		files[i] = filepath.Base(files[i])
	}
	return files
}

// TestEachMonthIsASegment: the first row of a month begins a new file, and nothing is lost or counted twice, the calls that
// were under way among it.
func TestEachMonthIsASegment(t *testing.T) {
	t.Parallel()
	source := storetest.SQLite(t)
	l := monthly(t, source)
	if files := l.segmentsOf(); !slices.Equal(files, []string{"audit-2000-01.db", "audit-2000-02.db", "audit.db"}) {
		t.Fatalf("the files are %v", files)
	}
	r := l.mustHold()
	if r.Rows != 90 || r.Opened != 90 || r.Segments != 2 || r.Begins != 0 || r.Closed {
		t.Errorf("%+v", r)
	}
	db := reader(t, source)
	rows, _, err := audit.Rows(t.Context(), db, l.sealer)
	if err != nil || len(rows) != 90 {
		t.Fatalf("%d rows, %v", len(rows), err)
	}
	for i, month := range []string{"2000-01", "2000-02"} {
		file := l.path("audit-" + month + ".db")
		if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v", month, info.Mode(), err)
		}
		if header := readFile(t, file)[18:20]; header != "\x01\x01" { // https://www.sqlite.org/fileformat.html: not in WAL mode
			t.Errorf("%s is not whole by itself: % x", month, header)
		}
		public, err := audit.ReadPublicKey(l.config.KeyFile)
		if err != nil {
			t.Fatal(err)
		}
		alone, err := audit.VerifyCopy(t.Context(), file, audit.VerifyOptions{Sealer: l.sealer, PublicKey: public})
		first := []int64{0, 31}[i]
		if err != nil || !alone.OK || !alone.Closed || alone.Begins != first || alone.Rows != []int64{30, 60}[i] || alone.Signed != alone.Rows {
			t.Errorf("%s alone: %+v, %v", month, alone, err)
		}
		last, next := rows[alone.Rows-1], rows[alone.Rows]
		if hash := sha256.Sum256([]byte(bodies(t, db)[alone.Rows-1])); next.Prev != hex.EncodeToString(hash[:]) || next.N != last.N+1 || next.Intent == "" {
			t.Errorf("%s: after %+v comes %+v", month, last, next)
		}
	}
	if err := db.Close(); err != nil { // a month is not closed while somebody reads its file
		t.Fatal(err)
	}
	l.open() // in another month: the third is closed at start
	if files := l.segmentsOf(); !slices.Contains(files, "audit-2000-03.db") {
		t.Errorf("the files are %v", files)
	}
	if c := l.Counts(child); c.Uses != 87 || c.Calls != 90 {
		t.Errorf("%+v", c)
	}
	kept, err := audit.SumsKept(t.Context(), l.DB())
	want, err2 := audit.SumsOfRows(t.Context(), l.DB())
	if err != nil || err2 != nil || fmt.Sprint(kept) != fmt.Sprint(want) {
		t.Errorf("sums %v, rows %v, %v, %v", kept, want, err, err2)
	}
	l.reopen() // nothing was written since: there is no empty segment
	l.record(row(t, gate.Reads, outcome.OK))
	l.close()
	if r := l.mustHold(); r.Rows != 91 || r.Segments != 3 {
		t.Errorf("%+v", r)
	}
}

// TestReadersSeeAllSegments: search, get, following and export give what stands in closed segments like what is in the live one.
func TestReadersSeeAllSegments(t *testing.T) {
	t.Parallel()
	source := storetest.SQLite(t)
	l := monthly(t, source)
	d := newDoor(t, source)
	all, _, err := audit.Rows(t.Context(), d.log.DB(), l.sealer)
	if err != nil {
		t.Fatal(err)
	}
	c := d.token(root, ada)
	var found []audit.Row
	for cursor := ""; ; {
		var page audit.Page
		if o := d.call(c, "audit.search", fmt.Sprintf(`{"limit":7,"tool":"note.write","cursor":%q}`, cursor), &page); o.Code != outcome.OK {
			t.Fatal(o.Code, o.Reason)
		}
		found = append(found, page.Rows...)
		if cursor = page.Cursor; cursor == "" {
			break
		}
	}
	slices.Reverse(found)
	same := func(what string, got []audit.Row) {
		t.Helper()
		if len(got) != 90 {
			t.Errorf("%s: %d rows", what, len(got))
		}
		for i, r := range got {
			if r.ID != all[i].ID {
				t.Errorf("%s: row %d is %s, want %s", what, i, r.ID, all[i].ID)
			}
		}
	}
	same("search", found)
	found = nil
	for after := "1-0"; len(found) < 90; {
		var page audit.Page
		if o := d.call(c, "audit.search", fmt.Sprintf(`{"limit":40,"tool":"note.write","after":%q}`, after), &page); o.Code != outcome.OK || len(page.Rows) == 0 {
			t.Fatal(o.Code, o.Reason)
		}
		found = append(found, page.Rows...)
		after = page.Cursor
	}
	same("following", found)
	for _, i := range []int{0, 29, 30, 59, 60, 89} {
		var w audit.Whole
		o := d.call(c, "audit.get", fmt.Sprintf(`{"id":%q}`, all[i].ID), &w)
		if o.Code != outcome.OK || w.Row.N != int64(i+1) || w.Payload.Reason != "because" {
			t.Errorf("get %s: %s, %+v", all[i].ID, o.Code, w)
		}
	}
	if o := d.call(c, "audit.get", `{"id":"948000000000-7"}`, nil); o.Code != outcome.NotFound {
		t.Errorf("a row that is nowhere: %s", o.Code)
	}
	var page audit.Page
	d.call(c, "audit.search", `{"limit":500,"from":"2000-01-31T00:00:00Z","to":"2000-02-02T00:00:00Z"}`, &page)
	if len(page.Rows) != 30 { // the last of January, and those of the first of February
		t.Errorf("%d rows in a range", len(page.Rows))
	}
	var e audit.Export
	if o := d.call(d.operator(), "audit.export", `{"to":"2001-01-01T00:00:00Z"}`, &e); o.Code != outcome.OK || e.Rows != 90 {
		t.Errorf("export: %s %+v", o.Code, e)
	}
	if o := d.call(d.operator(), "audit.export", `{"format":"sqlite"}`, &e); o.Code != outcome.OK {
		t.Fatalf("export: %s %s", o.Code, o.Reason)
	}
	public, err := audit.ReadPublicKey(l.config.KeyFile)
	if err != nil {
		t.Fatal(err)
	}
	r, err := audit.VerifyCopy(t.Context(), filepath.Join(source.Dir, e.File), audit.VerifyOptions{Sealer: l.sealer, PublicKey: public})
	if err != nil || !r.OK || r.Rows <= 90 || e.Rows != r.Rows || r.Opened != r.Rows || r.Begins != 0 || r.Closed {
		t.Errorf("the whole log as one file: %+v, %v", r, err)
	}
	if err := os.Rename(l.path("audit-2000-01.db"), filepath.Join(t.TempDir(), "x")); err != nil {
		t.Fatal(err)
	}
	if o := d.call(d.operator(), "audit.export", `{"format":"sqlite"}`, &e); o.Code != outcome.OK {
		t.Fatalf("export: %s %s", o.Code, o.Reason)
	}
	r, err = audit.VerifyCopy(t.Context(), filepath.Join(source.Dir, e.File), audit.VerifyOptions{Sealer: l.sealer, PublicKey: public})
	if err != nil || !r.OK || r.Begins != 31 || e.Rows != r.Rows-30 || r.Opened != e.Rows {
		t.Errorf("what is left of it as one file, %+v: %+v, %v", e, r, err)
	}
	var report audit.Report
	if o := d.call(d.operator(), "audit.verify", `{}`, &report); o.Code != outcome.OK || !report.OK || report.Segments != 2 {
		t.Errorf("verify: %s %+v", o.Code, report)
	}
}

// TestSegmentsThatAreMovedAway: at the old end that is the administrator's right, and said; anywhere else it is found.
func TestSegmentsThatAreMovedAway(t *testing.T) {
	t.Parallel()
	whole := monthly(t, storetest.SQLite(t))
	kept := readFile(t, whole.path("head"))
	for _, tt := range []struct {
		name   string
		away   []string
		begins int64
		says   string
	}{
		{"none", nil, 0, ""},
		{"the oldest", []string{"audit-2000-01.db"}, 31, ""},
		{"the two oldest", []string{"audit-2000-01.db", "audit-2000-02.db"}, 61, ""},
		{"one in the middle", []string{"audit-2000-02.db"}, 0, "the rows 31 to 60 are missing"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			l := whole.copied(t)
			for _, name := range tt.away {
				if err := os.Remove(l.path(name)); err != nil {
					t.Fatal(err)
				}
			}
			for _, head := range []string{"", kept} {
				r := l.check(head)
				if r.OK != (tt.says == "") || !strings.Contains(r.Fault.Problem, tt.says) || tt.says == "" && (r.Begins != tt.begins || r.Rows != 90) {
					t.Errorf("%+v", r)
				}
				if moved := strings.Contains(r.Vouches, fmt.Sprintf("begins at row %d here", tt.begins)); tt.says == "" && moved != (tt.begins > 0) {
					t.Errorf("it vouches: %s", r.Vouches)
				}
				if tt.says == "" && (r.Kept == 90) != (head != "") {
					t.Errorf("a kept head: %+v", r)
				}
			}
			l.open() // rows are written all the same
			l.record(row(t, gate.Reads, outcome.OK))
			if c := l.Counts(child); c.Calls != 91 {
				t.Errorf("%+v", c)
			}
			l.close()
			if r := l.check(""); r.OK != (tt.says == "") {
				t.Errorf("%+v", r)
			}
		})
	}
	t.Run("the live one", func(t *testing.T) {
		l := whole.copied(t)
		if err := os.Remove(l.path("audit.db")); err != nil {
			t.Fatal(err)
		}
		if _, err := audit.Verify(t.Context(), audit.VerifyOptions{Source: l.source}); err == nil {
			t.Error("it verifies")
		}
		if err := l.tryOpen(); err == nil || !strings.Contains(err.Error(), "audit verify") {
			t.Errorf("a new log was begun beside closed segments: %v", err)
		}
	})
}

// TestVerifyFindsWhatWasChangedInAClosedSegment: a closed file is as safe as the live one.
func TestVerifyFindsWhatWasChangedInAClosedSegment(t *testing.T) {
	t.Parallel()
	whole := monthly(t, storetest.SQLite(t))
	in := func(file string, texts ...string) func(*testing.T, *testLog) {
		return func(t *testing.T, l *testLog) {
			i := &intruder{t: t}
			for _, text := range texts {
				i.doIn(raw(t, l.path(file)), text)
			}
		}
	}
	rename := func(names ...string) func(*testing.T, *testLog) {
		return func(t *testing.T, l *testLog) {
			for i := 0; i < len(names); i += 2 {
				if err := os.Rename(l.path(names[i]), l.path(names[i+1])); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	const jan, feb, mar = "audit-2000-01.db", "audit-2000-02.db", "audit-2000-03.db"
	for _, tt := range []struct {
		name    string
		do      func(*testing.T, *testLog)
		n       int64
		segment string
		says    string
	}{
		{"a row", in(jan, `UPDATE log SET body = replace(body, '"count":1', '"count":2') WHERE n = 7`), 7, "2000-01", "it was changed"},
		{"a column", in(feb, `UPDATE log SET outcome = 'denied' WHERE n = 40`), 40, "2000-02", "a column says something else"},
		{"a row that is gone", in(feb, `DELETE FROM log WHERE n = 40`), 41, "2000-02", "rows are missing"},
		{"the first row of a segment", in(feb, `DELETE FROM log WHERE n = 31`), 32, "2000-02", "rows are missing"},
		{"the tail of a closed segment", in(feb, `DELETE FROM log WHERE n > 50`, `DELETE FROM payload WHERE NOT EXISTS (SELECT 1 FROM log WHERE log.id = payload.id AND log.seq = payload.seq)`), 0, "", "the rows 51 to 60 are missing"},
		{"the tail of the oldest", in(jan, `DELETE FROM log WHERE n > 20`, `DELETE FROM payload WHERE NOT EXISTS (SELECT 1 FROM log WHERE log.id = payload.id AND log.seq = payload.seq)`), 0, "2000-02", "the rows 21 to 30 are missing"},
		{"a payload", in(jan, `DELETE FROM payload WHERE (id, seq) = (SELECT id, seq FROM log WHERE n = 7)`), 7, "2000-01", "its payload is missing"},
		{"a payload without a row", in(jan, `INSERT INTO payload VALUES (5, 5, x'00')`), 0, "2000-01", "no such row"},
		{"segments in each other's place", rename(jan, "x", feb, jan, "x", feb), 0, "2000-02", "does not say where it begins"},
		{"two closed segments in each other's place", func(t *testing.T, l *testLog) {
			l.reopen() // which closes the third
			l.close()
			rename(feb, "x", mar, feb, "x", mar)(t, l)
		}, 0, "2000-02", "the rows 31 to 60 are missing"},
		{"a segment twice", func(t *testing.T, l *testLog) {
			if err := os.WriteFile(l.path("audit-1999-12.db"), []byte(readFile(t, l.path(jan))), 0o600); err != nil {
				t.Fatal(err)
			}
		}, 0, "2000-01", "does not say where it begins"},
		{"a closed segment as the live one", rename(feb, "audit.db"), 0, "", "closed"},
		{"no file of ours", func(t *testing.T, l *testLog) {
			if err := os.WriteFile(l.path(jan), []byte("x"), 0o600); err != nil {
				t.Fatal(err)
			}
		}, 0, "2000-01", "cannot be opened"},
		{"a trigger", func(t *testing.T, l *testLog) {
			if _, err := raw(t, l.path(jan)).Exec(`DROP TRIGGER log_delete`); err != nil {
				t.Fatal(err)
			}
		}, 0, "2000-01", "no trigger refuses every DELETE"},
		{"the counters of a beginning", in(feb, `UPDATE segment_use SET uses = uses - 1`), 30, "2000-02", "the counters with which"},
		{"the beginning of a segment", in(feb, `UPDATE segment SET last_seq = last_seq + 1`), 30, "2000-02", "after another row"},
		{"the tree of a beginning", in("audit.db", `UPDATE segment SET edge = zeroblob(length(edge))`), 60, "", "another history"},
		{"no beginning", in("audit.db", `DELETE FROM segment`), 0, "", "does not say where it begins"},
		{"the beginning cut and written down as moved away", func(t *testing.T, l *testLog) {
			if err := os.Remove(l.path(jan)); err != nil {
				t.Fatal(err)
			}
			in(feb, `DELETE FROM log WHERE n < 40`, `DELETE FROM payload WHERE NOT EXISTS (SELECT 1 FROM log WHERE log.id = payload.id AND log.seq = payload.seq)`,
				`INSERT INTO segment SELECT id + 1, n, id, seq, hash, zeroblob(128), (SELECT signed FROM segment) FROM log WHERE n = 40`,
				`DELETE FROM log WHERE n = 40`, `DELETE FROM payload WHERE NOT EXISTS (SELECT 1 FROM log WHERE log.id = payload.id AND log.seq = payload.seq)`)(t, l)
		}, 0, "2000-02", "cannot be read"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			l := whole.copied(t)
			tt.do(t, l)
			r := l.check("")
			if r.OK || r.Fault.N != tt.n || r.Fault.Segment != tt.segment || !strings.Contains(r.Fault.Problem, tt.says) {
				t.Errorf("found %+v, want row %d of %q and %q", r.Fault, tt.n, tt.segment, tt.says)
			}
		})
	}
	// What a moved-away segment left behind is vouched for by what was signed when the next one began.
	for _, tt := range []struct{ name, do, says string }{
		{"the counters", `UPDATE segment_use SET calls = calls + 1`, "began with something else"},
		{"the sums", `UPDATE day_sum SET calls = calls + 1 WHERE day = (SELECT min(day) FROM day_sum)`, "began with something else"},
		{"the last row", `UPDATE segment SET hash = zeroblob(32)`, "began with something else"},
		{"the signature", `UPDATE segment SET signed = replace(signed, 'rows 30', 'rows 29')`, "signature"},
		{"the number", `UPDATE segment SET n = 29, edge = zeroblob(128)`, "rows are missing"},
	} {
		t.Run("moved away, and "+tt.name, func(t *testing.T) {
			t.Parallel()
			l := whole.copied(t)
			if err := os.Remove(l.path(jan)); err != nil {
				t.Fatal(err)
			}
			in(feb, tt.do)(t, l)
			if r := l.check(""); r.OK || !strings.Contains(r.Fault.Problem, tt.says) {
				t.Errorf("%+v", r.Fault)
			}
		})
	}
}

// TestRotationThatACrashEnds: at whichever step, the next start finishes it or undoes it, and nothing is lost.
func TestRotationThatACrashEnds(t *testing.T) {
	t.Parallel()
	whole := monthly(t, storetest.SQLite(t))
	const closed, live, next = "audit-2000-02.db", "audit.db", "audit.next.db"
	for _, tt := range []struct {
		name     string
		do       func(t *testing.T, l *testLog)
		rows     int64
		segments int64
	}{
		{"the new file is half made", func(t *testing.T, l *testLog) {
			for _, end := range []string{"", "-wal", "-journal"} {
				if err := os.WriteFile(l.path(next+end), []byte("half"), 0o600); err != nil {
					t.Fatal(err)
				}
			}
		}, 90, 3},
		{"the new file is made", func(t *testing.T, l *testLog) {
			move(t, l, live, next)
			move(t, l, closed, live)
			if _, err := raw(t, l.path(live)).Exec(`DROP TRIGGER log_closed; DROP TRIGGER payload_closed`); err != nil {
				t.Fatal(err)
			}
		}, 60, 2},
		{"the old file has its new name", func(t *testing.T, l *testLog) { move(t, l, live, next) }, 90, 3},
		{"both have, and the closed one is not sealed", func(t *testing.T, l *testLog) {
			if _, err := raw(t, l.path(closed)).Exec(`DROP TRIGGER log_closed; DROP TRIGGER payload_closed`); err != nil {
				t.Fatal(err)
			}
		}, 90, 3},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			l := whole.copied(t)
			tt.do(t, l)
			if r := l.mustHold(); r.Rows != tt.rows { // before anything is settled
				t.Errorf("%+v", r)
			}
			l.open()
			l.record(row(t, gate.Reads, outcome.OK))
			l.close()
			if _, err := os.Stat(l.path(next)); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("%s is still there: %v", next, err)
			}
			if r := l.mustHold(); r.Rows != tt.rows+1 || r.Segments != tt.segments {
				t.Errorf("%+v", r)
			}
		})
	}
}

func move(t *testing.T, l *testLog, from, to string) {
	t.Helper()
	if err := os.Rename(l.path(from), l.path(to)); err != nil {
		t.Fatal(err)
	}
}

// TestMonthThatCannotBeClosed: somebody reads the file and stays, or its name is taken. Rows are written all the same.
func TestMonthThatCannotBeClosed(t *testing.T) {
	t.Parallel()
	for _, what := range []string{"a reader", "a name"} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			source := storetest.SQLite(t)
			var l *testLog
			synctest.Test(t, func(t *testing.T) {
				l = newLog(t, source)
				fill(l, 5)
				l.close()
				until(2000, time.February, 0, 23)
				l.open()
				end := func() {}
				if what == "a name" {
					if err := os.Mkdir(filepath.Join(source.Dir, "audit-2000-01.db"), 0o700); err != nil {
						t.Fatal(err)
					}
				} else {
					db := raw(t, filepath.Join(source.Dir, "audit.db"))
					other, err := db.Begin()
					if err != nil {
						t.Fatal(err)
					}
					var n int
					if err := other.QueryRow(`SELECT count(*) FROM log`).Scan(&n); err != nil {
						t.Fatal(err)
					}
					end = func() { _ = errors.Join(other.Rollback(), db.Close()) }
				}
				until(2000, time.February, 1, 0)
				fill(l, 5)
				end()
				l.close()
				until(2000, time.March, 1, 0)
				l.open()
				fill(l, 5)
				l.close()
			})
			l.t = t
			if files := l.segmentsOf(); !slices.Contains(files, "audit-2000-02.db") {
				t.Errorf("%v", files)
			}
			if r := l.mustHold(); r.Rows != 15 || r.Segments != 1 {
				t.Errorf("%+v", r)
			}
		})
	}
}

// TestClockThatWasAheadAtTheTurn: a segment that was begun with a clock that was ahead takes no row of an older month, so
// that no two segments share one.
func TestClockThatWasAheadAtTheTurn(t *testing.T) {
	t.Parallel()
	source := storetest.SQLite(t)
	l := newLog(t, source)
	synctest.Test(t, func(t *testing.T) {
		back := &testLog{t: t, source: source, sealer: l.sealer, config: l.config}
		l.close()
		back.open()
		fill(back, 5)
		back.close()
	})
	l.open() // today: January 2000 is closed
	l.close()
	synctest.Test(t, func(t *testing.T) {
		back := &testLog{t: t, source: source, sealer: l.sealer, config: l.config}
		back.open()
		if id := back.record(row(t, gate.Reads, outcome.OK)); id.ID < time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC).UnixMilli() {
			t.Errorf("row %s is older than its segment", id)
		}
		back.close()
	})
	if r := l.mustHold(); r.Rows != 6 || r.Segments != 1 {
		t.Errorf("%+v", r)
	}
}

// TestPruneRemovesFromClosedSegments: payloads go from closed files too, when their time is over, and the files refuse as before.
func TestPruneRemovesFromClosedSegments(t *testing.T) {
	t.Parallel()
	source := storetest.SQLite(t)
	l := monthly(t, source)
	d := newDoor(t, source)
	d.log.record(row(t, gate.Reads, outcome.OK)) // the log's own time goes on with its rows
	if code, called := d.prune(); code != outcome.OK || !called {
		t.Fatal(code, called)
	}
	if n := d.count("payload"); n != 2 {
		t.Errorf("%d payloads stay", n)
	}
	if n := d.count("log"); n != 92 {
		t.Errorf("%d rows", n)
	}
	if n := d.count("intent"); n != 0 {
		t.Errorf("%d intents stay", n)
	}
	if r := d.log.mustHold(); r.Ended != 90 || r.Opened != 2 {
		t.Errorf("%+v", r)
	}
	if _, called := d.prune(); called {
		t.Error("it is called although there is nothing to do")
	}
	public, err := audit.ReadPublicKey(l.config.KeyFile)
	if err != nil {
		t.Fatal(err)
	}
	for _, month := range []string{"2000-01", "2000-02"} {
		r, err := audit.VerifyCopy(t.Context(), l.path("audit-"+month+".db"), audit.VerifyOptions{Sealer: l.sealer, PublicKey: public})
		if err != nil || !r.OK || r.Ended != 30 || !r.Closed {
			t.Errorf("%s alone: %+v, %v", month, r, err)
		}
	}
	db, err := d.log.DB().OpenClosed(t.Context(), "2000-02", true)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	for _, s := range []string{
		`DELETE FROM log`, `UPDATE log SET person = 5`, `INSERT INTO log SELECT id + 1, seq, n + 1, person, agent, tool, outcome, body, hash FROM log WHERE n = 60`,
		`INSERT INTO payload (id, seq, sealed) VALUES (5, 0, x'00')`, `UPDATE segment SET n = 7`, `DELETE FROM segment_use`, `DROP TRIGGER log_closed`, `DELETE FROM pruned`,
	} {
		if _, err := db.Exec(t.Context(), s); err == nil {
			t.Errorf("a closed segment takes %s", s)
		}
	}
	only, err := d.log.DB().OpenClosed(t.Context(), "2000-02", false)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = only.Close() }()
	if _, err := only.Exec(t.Context(), `DELETE FROM intent`); err == nil {
		t.Error("a file that was opened to read was written")
	}
}

// TestPayloadsOfClosedSegmentsStay: beside a call of the job nothing goes.
func TestPayloadsOfClosedSegmentsStay(t *testing.T) {
	t.Parallel()
	source := storetest.SQLite(t)
	l := monthly(t, source)
	l.open()
	db, err := l.DB().OpenClosed(t.Context(), "2000-02", true)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	for _, s := range []string{
		`DELETE FROM payload`, `UPDATE payload SET sealed = x'00'`, `REPLACE INTO payload SELECT id, seq, x'00' FROM payload`,
	} {
		if _, err := db.Exec(t.Context(), s); err == nil {
			t.Errorf("a closed segment takes %s", s)
		}
	}
}

// TestMonthsPass is the property behind all this: whatever months pass, with calls under way, restarts and segments that are
// moved away, nothing is lost or counted twice, and the log verifies.
func TestMonthsPass(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		dir, err := os.MkdirTemp(t.TempDir(), "log")
		if err != nil {
			rt.Fatal(err)
		}
		steps := rapid.SliceOfN(rapid.SampledFrom([]string{"read", "write", "write", "end", "end", "month", "hours", "restart", "years"}), 1, 25).Draw(rt, "steps")
		if problem := passMonths(t, dir, steps); problem != "" {
			rt.Fatal(problem)
		}
	})
}

func passMonths(t *testing.T, dir string, steps []string) (problem string) {
	synctest.Test(t, func(t *testing.T) {
		l := newLog(t, store.Source{Dir: dir})
		var open []gate.Ticket
		var uses, calls, rows int64
		restart := func(pass func()) {
			l.close()
			pass()
			for _, ticket := range open {
				if ticket.Intent == 0 {
					uses--
				} else {
					calls++
					rows++
				}
			}
			open = nil
			l.open()
		}
		for _, step := range steps {
			switch step {
			case "read", "write":
				effect := map[string]gate.Effect{"read": gate.Reads, "write": gate.Writes}[step]
				ticket, err := l.Admit(t.Context(), row(t, effect, outcome.Unknown), chain(0))
				if err != nil {
					problem = err.Error()
					return
				}
				open, uses = append(open, ticket), uses+1
			case "end":
				if len(open) == 0 {
					l.record(row(t, gate.Reads, outcome.NotAllowed))
				} else {
					if _, err := l.Record(context.Background(), open[0], row(t, gate.Writes, outcome.OK)); err != nil {
						problem = err.Error()
						return
					}
					open = open[1:]
				}
				calls, rows = calls+1, rows+1
			case "month": // the log is open while it passes
				left := time.Until(time.Date(time.Now().Year(), time.Now().Month()+1, 1, 0, 0, 0, 0, time.UTC))
				if left > 2*time.Hour {
					restart(func() { time.Sleep(left - time.Hour) })
					left = time.Hour
				}
				time.Sleep(left)
			case "hours":
				time.Sleep(time.Hour)
			case "restart":
				restart(func() {})
			case "years":
				restart(func() { time.Sleep(400 * 24 * time.Hour) })
			}
			if c := l.Counts(child); c.Uses != uses || c.Calls != calls {
				problem = fmt.Sprintf("after %s: %+v, want %d uses, %d calls", step, c, uses, calls)
				return
			}
		}
		restart(func() {})
		l.close()
		r, err := audit.Verify(t.Context(), audit.VerifyOptions{Source: l.source, Sealer: l.sealer})
		if err != nil || !r.OK || r.Rows != rows {
			problem = fmt.Sprintf("%d rows: %+v, %v", rows, r, err)
			return
		}
		closed, _ := filepath.Glob(filepath.Join(dir, "audit-*.db"))
		for _, file := range closed { // one by one they go, the oldest first
			if err := os.Remove(file); err != nil {
				problem = err.Error()
				return
			}
			if r, err := audit.Verify(t.Context(), audit.VerifyOptions{Source: l.source, Sealer: l.sealer}); err != nil || !r.OK || r.Begins == 0 {
				problem = fmt.Sprintf("without %s: %+v, %v", filepath.Base(file), r, err)
				return
			}
		}
	})
	return problem
}

// TestMonthTurnsWhileTheLogIsRead: whoever walks the log in that moment misses no row and sees none twice.
func TestMonthTurnsWhileTheLogIsRead(t *testing.T) {
	t.Parallel()
	source := storetest.SQLite(t)
	synctest.Test(t, func(t *testing.T) {
		l := newLog(t, source)
		l.close()
		until(2000, time.February, 0, 23)
		l.open()
		fill(l, 1200)
		turn := func(to time.Month) func() {
			return sync.OnceFunc(func() {
				until(2000, to, 1, 0)
				l.record(row(t, gate.Reads, outcome.OK))
			})
		}
		l.sealer.opening = turn(time.February) // in the first page of three
		r, err := l.VerifyNow(t.Context())
		if err != nil || !r.OK || r.Rows != 1201 || r.Opened != 1201 || r.Segments != 1 {
			t.Errorf("%+v, %v", r, err)
		}
		l.sealer.opening = nil
		l.close()
		until(2000, time.March, 0, 23)
		l.open()
		found, err := l.FollowWhile(t.Context(), turn(time.March))
		if err != nil || len(found) != 1202 {
			t.Fatalf("%d rows, %v", len(found), err)
		}
		for i, r := range found {
			if r.N != int64(i+1) {
				t.Fatalf("row %d has number %d", i, r.N)
			}
		}
		l.close()
		if len(l.segmentsOf()) != 3 {
			t.Errorf("%v", l.segmentsOf())
		}
	})
}

// TestCallUnderWayWhenTheMonthTurns and the process ends: its row says so, in the new month.
func TestCallUnderWayWhenTheMonthTurns(t *testing.T) {
	t.Parallel()
	source := storetest.SQLite(t)
	synctest.Test(t, func(t *testing.T) {
		l := newLog(t, source)
		l.close()
		until(2000, time.February, 0, 23)
		l.open()
		if _, err := l.Admit(t.Context(), row(t, gate.Writes, outcome.Unknown), chain(0)); err != nil {
			t.Fatal(err)
		}
		l.record(row(t, gate.Reads, outcome.OK))
		until(2000, time.February, 1, 0)
		l.record(row(t, gate.Reads, outcome.OK))
		if n, err := l.OpenIntents(t.Context()); err != nil || n != 1 {
			t.Errorf("%d calls are under way, %v", n, err)
		}
		l.reopen()
		rows, _, err := audit.Rows(t.Context(), l.DB(), l.sealer)
		if err != nil || len(rows) != 3 || rows[2].Outcome != "unknown" || rows[2].Rule != "crash" || l.Counts(child).Uses != 1 {
			t.Errorf("%+v, %v", rows, err)
		}
		l.close()
	})
}
