package promise_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"gatehouse/app"
	"gatehouse/config"
	"gatehouse/outcome"
	"gatehouse/store"
	"gatehouse/store/storetest"
)

// TestPromise_P7_TheLogOnlyGrows: the database itself refuses to change or drop a row, whoever asks (T19).
func TestPromise_P7_TheLogOnlyGrows(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "")
	ann := w.Person("ann", "ledger.read")
	for _, d := range w.Doors() {
		d.Call(ann.Token.Text, "ledger.read", `{"text":"a"}`)
	}
	before := w.Rows()
	db := w.database("audit")
	for _, statement := range w.changesOfTheLog() {
		if _, err := db.ExecContext(t.Context(), statement); err == nil {
			t.Errorf("the database takes %s", statement)
		}
	}
	if after := w.Rows(); len(after) != len(before) {
		t.Errorf("%d rows, before %d", len(after), len(before))
	}
	if r := verify(t, w.Data, ""); !r.OK {
		t.Errorf("the log does not hold: %s", r.Fault)
	}
}

// TestPromise_P7_VerifyFindsIt: whoever has the disk in their hands and knows the format can change the log, and offline
// verification names the first row that is wrong.
func TestPromise_P7_VerifyFindsIt(t *testing.T) {
	t.Parallel()
	head := filepath.Join(t.TempDir(), "head")
	w := newWorld(t, fmt.Sprintf("audit: {head_file: %q}\n", head))
	ann := w.Person("ann", "ledger.read", "ledger.write")
	work := func() {
		for range 3 {
			for _, d := range w.Doors() {
				d.Call(ann.Token.Text, "ledger.write", `{"text":"a"}`)
				d.Call(ann.Token.Text, "ledger.destroy", `{}`)
			}
		}
	}
	work()
	w.Close()
	older := w.copyOf(t)
	w.Restart()
	work()
	w.Close() // which signs the last head
	kept, err := os.ReadFile(head)
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name   string
		change []string
		head   bool  // a head that was kept elsewhere is at hand
		want   int64 // number of the first row that is wrong; 0: it holds; -1: at the end
	}{
		{name: "untouched", want: 0},
		{name: "untouched, with a head kept elsewhere", head: true, want: 0},
		{name: "a refusal made a success", change: []string{`UPDATE log SET outcome = 'ok', body = replace(body, '"outcome":"not_allowed"', '"outcome":"ok"') WHERE n = 6 AND outcome = 'not_allowed'`}, want: 6},
		{name: "a column alone", change: []string{`UPDATE log SET person = 7 WHERE n = 9`}, want: 9},
		{name: "hashed anew", change: []string{`UPDATE log SET body = replace(body, '"count":1', '"count":2') WHERE n = 9`, "rehash 9"}, want: 10},
		{name: "a row taken out", change: []string{`DELETE FROM log WHERE n = 9`}, want: 10},
		{name: "a row taken out, and the rest counted anew", change: []string{`DELETE FROM log WHERE n = 9`, `UPDATE log SET n = n - 1 WHERE n > 9`}, want: 9},
		{name: "a payload changed", change: []string{`UPDATE payload SET sealed = zeroblob(length(sealed)) WHERE (id, seq) = (SELECT id, seq FROM log WHERE n = 9)`}, want: 9},
		{name: "a payload gone", change: []string{`DELETE FROM payload WHERE (id, seq) = (SELECT id, seq FROM log WHERE n = 9)`}, want: 9},
		{name: "the tail cut", change: []string{`DELETE FROM log WHERE n > 20`}, want: -1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			dir := w.copyOf(t)
			tamper(t, dir, tt.change)
			text := ""
			if tt.head {
				text = string(kept)
			}
			r := verify(t, dir, text)
			switch {
			case r.OK != (tt.want == 0):
				t.Errorf("holds %v (%s), %s; %d payloads opened (%s)", r.OK, r.Fault, r.Vouches, r.Opened, r.Sealed)
			case tt.want > 0 && r.Fault.N != tt.want:
				t.Errorf("names row number %d (%s), want %d", r.Fault.N, r.Fault, tt.want)
			case tt.want > 0 && r.Fault.Row == "":
				t.Errorf("names no row: %s", r.Fault)
			}
		})
	}
	// An older copy, with its own heads, is a good log: that its tail is missing only a head that was kept elsewhere tells.
	if r := verify(t, older, ""); !r.OK {
		t.Errorf("an older copy does not hold: %s", r.Fault)
	}
	if r := verify(t, older, string(kept)); r.OK {
		t.Errorf("an older copy holds beside a newer head: %s", r.Vouches)
	}
}

// verify is what gatehouse audit verify does.
func verify(t *testing.T, dir, head string) app.LogReport {
	t.Helper()
	file := config.Default(dir)
	file.Store = storeBeside(filepath.Dir(dir))
	r, err := app.VerifyLog(context.Background(), file, app.Kept{Head: head}, nil)
	if err != nil {
		t.Fatalf("verifying %s: %v", dir, err)
	}
	return r
}

// copyOf copies the closed data folder, and the database that it is for.
func (w *world) copyOf(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "data")
	if err := os.CopyFS(dir, os.DirFS(w.Data)); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(filepath.Join(dir, "keys", "master.json"), 0o600); err != nil { // copying opens it to everybody
		t.Fatal(err)
	}
	if w.shared() {
		keepLogins(t, filepath.Dir(dir), storetest.Copy(t, w.source))
	}
	return dir
}

// tamper changes a copy with the triggers out of the way, and puts them back, since without them the log is not even opened.
// "rehash N" gives row N the hash of its new text.
func tamper(t *testing.T, dir string, changes []string) {
	t.Helper()
	if s := storeBeside(filepath.Dir(dir)); !s.PostgresOwnerDSN.IsZero() {
		owner, err := s.PostgresOwnerDSN.Read()
		if err != nil {
			t.Fatal(err)
		}
		tamperWithTables(t, store.Source{Owner: owner}, changes)
		return
	}
	tamperWithFile(t, filepath.Join(dir, "audit.db"), changes)
}

func tamperWithFile(t *testing.T, file string, changes []string) {
	t.Helper()
	db := openFile(t, file)
	rows, err := db.QueryContext(t.Context(), `SELECT name, sql FROM sqlite_schema WHERE type = 'trigger' ORDER BY name`)
	if err != nil {
		t.Fatal(err)
	}
	var drop, restore []string
	for rows.Next() {
		var name, text string
		if err := rows.Scan(&name, &text); err != nil {
			t.Fatal(err)
		}
		drop, restore = append(drop, "DROP TRIGGER "+name), append(restore, text)
	}
	if err := rows.Err(); err != nil || len(drop) == 0 {
		t.Fatal(drop, err)
	}
	for _, change := range slices.Concat(drop, changes, restore) {
		if n, ok := strings.CutPrefix(change, "rehash "); ok {
			body := ""
			if err := db.QueryRowContext(t.Context(), `SELECT body FROM log WHERE n = `+n).Scan(&body); err != nil {
				t.Fatal(err)
			}
			sum := sha256.Sum256([]byte(body))
			change = `UPDATE log SET hash = x'` + hex.EncodeToString(sum[:]) + `' WHERE n = ` + n
		}
		res, err := db.ExecContext(t.Context(), change)
		if err != nil {
			t.Fatalf("%s: %v", change, err)
		}
		if n, err := res.RowsAffected(); slices.Contains(changes, change) && (err != nil || n == 0) {
			t.Fatalf("%s changed %d rows (%v)", change, n, err)
		}
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestPromise_P7_PayloadsStay: whoever asks, the database removes no payload of the last day and changes none, nobody but the
// job calls audit.prune, and a range that somebody wrote down to hide what is gone is found.
func TestPromise_P7_PayloadsStay(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "")
	ann := w.Person("ann", "ledger.read")
	for _, d := range w.Doors() {
		d.Call(ann.Token.Text, "ledger.read", `{"text":"a"}`)
		if r := d.Call(ann.Token.Text, "audit.prune", `{"before":2,"from":1}`); r.Code != outcome.NotAllowed {
			t.Errorf("%s: audit.prune is %s", d.Title(), r.Code)
		}
	}
	if o := w.TryOperate("audit.prune", map[string]int64{"before": 2, "from": 1}); o.Code != outcome.NotAllowed {
		t.Errorf("the operator: audit.prune is %s", o.Code)
	}
	db := w.database("audit")
	changes := []string{
		`DELETE FROM payload WHERE id = (SELECT min(id) FROM payload)`, `UPDATE payload SET sealed = zeroblob(3)`,
		`REPLACE INTO payload SELECT id, seq, zeroblob(3) FROM payload`,
	}
	intent := `INSERT INTO intent SELECT id, seq, '{"job":"x","pruned":{"before":' || before_ms || ',"from":0},"tool":"audit.prune"}', x'00' FROM pruned`
	if w.shared() {
		changes = []string{
			`DELETE FROM payload WHERE id = (SELECT min(id) FROM payload)`, `UPDATE payload SET sealed = ''`, `TRUNCATE payload`,
			`INSERT INTO payload SELECT id, seq, '' FROM payload ON CONFLICT (id, seq) DO UPDATE SET sealed = ''`,
		}
		// Of a replica that lives, or another would make a row of it.
		intent = `INSERT INTO intent (id, seq, body, sealed, replica)
			SELECT id, seq, '{"job":"x","pruned":{"before":' || before_ms || ',"from":0},"tool":"audit.prune"}', '', (SELECT max(id) FROM replica) FROM pruned`
	}
	for _, s := range changes {
		if _, err := db.ExecContext(t.Context(), s); err == nil {
			t.Errorf("the database takes %s", s)
		}
	}
	// Not even with a range and an intent that name them all.
	for _, s := range []string{
		`INSERT INTO pruned SELECT max(id) + 864000000, 0, 0, max(id) + 1 FROM log`,
		intent,
	} {
		if _, err := db.ExecContext(t.Context(), s); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := db.ExecContext(t.Context(), `DELETE FROM payload`); err == nil {
		t.Error("payloads of today go")
	}
	if _, err := db.ExecContext(t.Context(), `DELETE FROM intent`); err != nil {
		t.Fatal(err)
	}
	w.Close()
	dir := w.copyOf(t)
	tamper(t, dir, []string{`DELETE FROM payload WHERE (id, seq) = (SELECT id, seq FROM log WHERE n = 2)`})
	if r := verify(t, dir, ""); r.OK || !strings.Contains(r.Fault.Problem, "no row says so") {
		t.Errorf("a payload is gone in a range that no row names: %v, %s", r.OK, r.Fault)
	}
}
