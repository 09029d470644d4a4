package promise_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// TestPromise_P7_SegmentsOnlyGrow: months of the log that are closed, each in a file of its own, are as safe as the live one: the
// database refuses to change them, and verification finds what was changed, cut, swapped or taken away, and tells from that
// what was moved away by right.
func TestPromise_P7_SegmentsOnlyGrow(t *testing.T) {
	t.Parallel()
	if onReplicas {
		t.Skip("on PostgreSQL months are partitions, and no test can make the server's months pass: module/audit tries them, TestPartitionsOnlyGrow")
	}
	var w *world
	outside := t
	synctest.Test(t, func(t *testing.T) {
		w = newWorld(t, "")
		for i, name := range []string{"ann", "ben", "cyd"} { // tokens do not live as long as months
			ann := w.Person(name, "ledger.read", "ledger.write")
			for _, d := range w.Doors() {
				d.Call(ann.Token.Text, "ledger.write", `{"text":"a"}`)
				d.Call(ann.Token.Text, "ledger.destroy", `{}`)
			}
			w.Close()
			if i < 2 {
				time.Sleep(31 * 24 * time.Hour)
				w.Restart()
			}
		}
		w.Data = w.copyOf(outside) // the bubble's own folder goes with it
	})
	const january, february = "audit-2000-01.db", "audit-2000-02.db"
	db := openFile(outside, filepath.Join(w.Data, february))
	var first, last int64
	if err := db.QueryRowContext(t.Context(), `SELECT min(n), max(n) FROM log`).Scan(&first, &last); err != nil || first < 10 || last < first+10 {
		t.Fatal(first, last, err)
	}
	for _, statement := range []string{
		`UPDATE log SET outcome = 'ok'`, `DELETE FROM log`, `REPLACE INTO log SELECT * FROM log WHERE n = 20`,
		`INSERT INTO log SELECT id + 1, 0, n + 1, person, agent, tool, outcome, body, hash FROM log ORDER BY n DESC LIMIT 1`,
		`DELETE FROM payload`, `UPDATE payload SET sealed = zeroblob(3)`, `UPDATE segment SET n = 0`, `DELETE FROM segment`, `DELETE FROM segment_use`,
	} {
		if _, err := db.ExecContext(t.Context(), statement); err == nil {
			t.Errorf("a closed segment takes %s", statement)
		}
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	gone := func(dir, name string) error { return os.Remove(filepath.Join(dir, name)) }
	change := func(name string, texts ...string) func(t *testing.T, dir string) error {
		return func(t *testing.T, dir string) error { tamperWithFile(t, filepath.Join(dir, name), texts); return nil }
	}
	const stray = `DELETE FROM payload WHERE NOT EXISTS (SELECT 1 FROM log WHERE log.id = payload.id AND log.seq = payload.seq)`
	for _, tt := range []struct {
		name string
		do   func(t *testing.T, dir string) error
		says string // empty: it holds
	}{
		{"untouched", func(*testing.T, string) error { return nil }, ""},
		{"the oldest moved away", func(_ *testing.T, dir string) error { return gone(dir, january) }, ""},
		{"one in the middle taken away", func(_ *testing.T, dir string) error { return gone(dir, february) }, "a closed segment was taken away"},
		{"a row changed", change(january, `UPDATE log SET body = replace(body, '"count":1', '"count":2') WHERE n = 5`), "it was changed"},
		{"a row taken out", change(february, `DELETE FROM log WHERE n = (SELECT min(n) + 3 FROM log)`), "rows are missing"},
		{"the tail of a closed one cut", change(february, `DELETE FROM log WHERE n > (SELECT max(n) - 5 FROM log)`, stray), "its tail was cut"},
		{"two in each other's place", func(_ *testing.T, dir string) error {
			for _, name := range [][2]string{{january, "x"}, {february, january}, {"x", february}} {
				if err := os.Rename(filepath.Join(dir, name[0]), filepath.Join(dir, name[1])); err != nil {
					return err
				}
			}
			return nil
		}, "does not say where it begins"},
		{"the oldest moved away, and what the next began with changed", func(t *testing.T, dir string) error {
			tamperWithFile(t, filepath.Join(dir, february), []string{`UPDATE segment_use SET uses = uses - 1`})
			tamperWithFile(t, filepath.Join(dir, "audit.db"), []string{`UPDATE token_use SET uses = uses - 1 WHERE token IN (SELECT token FROM segment_use)`})
			return gone(dir, january)
		}, "began with something else"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			dir := w.copyOf(t)
			if err := tt.do(t, dir); err != nil {
				t.Fatal(err)
			}
			if r := verify(t, dir, ""); r.OK != (tt.says == "") || !strings.Contains(r.Fault.String(), tt.says) {
				t.Errorf("holds %v (%s), %s", r.OK, r.Fault, r.Vouches)
			}
		})
	}
}
