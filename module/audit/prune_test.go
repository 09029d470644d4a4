package audit_test

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"gatehouse/gate"
	"gatehouse/module/audit"
	"gatehouse/outcome"
	"gatehouse/store"
	"gatehouse/store/storetest"
)

// oldDoor is a gate over a log of 1,200 rows that were written in the year 2000 and 30 that were written now.
func oldDoor(t *testing.T, source store.Source) *door {
	t.Helper()
	lite := source
	if !source.Run.IsZero() {
		lite = store.Source{Dir: source.Dir}
	}
	synctest.Test(t, func(t *testing.T) {
		l := newLog(t, lite)
		for range 12 {
			fill(l, 100)
			time.Sleep(time.Hour)
		}
		l.close()
	})
	if !source.Run.IsZero() {
		versions(t, source)
		if _, err := store.Move(t.Context(), lite.Dir, source, []store.Schema{audit.Schema()}); err != nil {
			t.Fatal(err)
		}
	}
	d := newDoor(t, source)
	fill(d.log, 30)
	return d
}

// prune does what the job does.
func (d *door) prune() (outcome.Code, bool) {
	d.t.Helper()
	job := d.log.Jobs()[0]
	args, err := job.Arguments(d.t.Context())
	if err != nil {
		d.t.Fatal(err)
	}
	if args.IsZero() {
		return 0, false
	}
	return d.gate.Call(d.t.Context(), d.gate.Job("audit prune"), gate.Request{Tool: job.Tool, Canonical: args}).Code, true
}

func (d *door) count(table string) (n int64) {
	d.t.Helper()
	err := audit.EachSegment(d.t.Context(), d.log.DB(), func(db *store.DB) error {
		var here int64
		err := db.Get(d.t.Context(), []any{&here}, `SELECT count(*) FROM `+table)
		n += here
		return err
	})
	if err != nil {
		d.t.Fatal(err)
	}
	return n
}

// TestPruneRemovesWhatIsOldAndNothingElse: rows stay, the log holds, one row names the range, and a second run finds nothing.
func TestPruneRemovesWhatIsOldAndNothingElse(t *testing.T) {
	t.Parallel()
	storetest.Engines(t, func(t *testing.T, source store.Source) {
		d := oldDoor(t, source)
		rows, _, err := audit.Rows(t.Context(), d.log.DB(), d.log.sealer)
		if err != nil {
			t.Fatal(err)
		}
		if code, called := d.prune(); code != outcome.OK || !called {
			t.Fatal(code, called)
		}
		if n := d.count("payload"); n != 31 { // those of today, and the job's own
			t.Errorf("%d payloads stay", n)
		}
		if n := d.count("log"); n != 1231 {
			t.Errorf("%d rows", n)
		}
		if r := d.log.mustHold(); r.Ended != 1200 || r.Opened != 31 {
			t.Errorf("%+v", r)
		}
		all := bodies(t, d.log.DB())
		first, _ := gate.ParseRowID(rows[0].ID)
		if last := all[len(all)-1]; !strings.Contains(last, fmt.Sprintf(`"from":%d}`, first.ID)) || !strings.Contains(last, `"tool":"audit.prune"`) ||
			!strings.Contains(last, `"intent":"`) {
			t.Errorf("the job's row is %s", last)
		}
		if _, called := d.prune(); called {
			t.Error("it is called although there is nothing to do")
		}
		w := audit.Whole{}
		c := d.token(root, ada)
		if o := d.call(c, "audit.get", fmt.Sprintf(`{"id":%q}`, rows[3].ID), &w); o.Code != outcome.OK ||
			!strings.Contains(w.Withheld, "its time was over, and it was removed on 20") {
			t.Errorf("%s %q", o.Code, w.Withheld)
		}
	})
}

// TestPruneIsForItsJob: nobody else calls it, and it takes no range of payloads that are still kept.
func TestPruneIsForItsJob(t *testing.T) {
	t.Parallel()
	d := oldDoor(t, storetest.SQLite(t))
	d.admin[ada] = true
	for _, c := range []gate.Caller{d.operator(), d.token(root, ada)} {
		if o := d.call(c, "audit.prune", `{"before":2,"from":1}`, nil); o.Code != outcome.NotAllowed {
			t.Errorf("%s", o.Code)
		}
	}
	for _, args := range []string{
		fmt.Sprintf(`{"from":1,"before":%d}`, time.Now().Add(-89*24*time.Hour).UnixMilli()), `{"from":5,"before":5}`, `{"from":-1,"before":5}`, `{}`,
	} {
		o := d.gate.Call(t.Context(), d.gate.Job("audit prune"), gate.Request{Tool: "audit.prune", Arguments: []byte(args)})
		if o.Code != outcome.Invalid {
			t.Errorf("%s: %s", args, o.Code)
		}
	}
	if n := d.count("pruned"); n != 0 {
		t.Errorf("%d ranges were written down", n)
	}
	d.log.mustHold()
}

// TestPayloadsStayUntilTheirTimeIsOver: the log's own handle cannot remove a payload beside the job (T19), nor change one,
// nor write down or change ranges as it likes.
func TestPayloadsStayUntilTheirTimeIsOver(t *testing.T) {
	t.Parallel()
	storetest.Engines(t, func(t *testing.T, source store.Source) {
		d := oldDoor(t, source)
		if code, _ := d.prune(); code != outcome.OK {
			t.Fatal(code)
		}
		in := newIntruder(t, source)
		var intent gate.RowID
		if err := d.log.DB().Get(t.Context(), []any{&intent.ID, &intent.Seq}, `SELECT id, seq FROM pruned`); err != nil {
			t.Fatal(err)
		}
		refused := []string{
			`DELETE FROM payload`, `UPDATE payload SET sealed = sealed`, `UPDATE pruned SET from_ms = 0`, `DELETE FROM pruned`,
			`DELETE FROM payload WHERE id = (SELECT max(id) FROM payload)`,
		}
		if in.lite != nil {
			refused = append(refused, `REPLACE INTO payload SELECT id, seq, zeroblob(3) FROM payload`, `REPLACE INTO pruned SELECT id, seq, 0, 1 FROM pruned`,
				`INSERT INTO pruned VALUES (5, 0, 0, 1)`)
		}
		for _, s := range refused {
			if _, err := d.log.DB().Exec(t.Context(), s); err == nil {
				t.Errorf("the database takes %s", s)
			}
		}
		// A range that no intent names lets nothing go; one that an intent names, nothing of the last day.
		all := fmt.Sprintf(`VALUES (%d, 0, 0, 4102444800000)`, time.Now().UnixMilli()+1e9)
		if _, err := d.log.DB().Exec(t.Context(), `INSERT INTO pruned (id, seq, from_ms, before_ms) `+all); err != nil {
			t.Fatal(err)
		}
		if _, err := d.log.DB().Exec(t.Context(), `DELETE FROM payload`); err == nil {
			t.Error("a range that no intent names lets payloads go")
		}
		_, err := d.log.DB().Exec(t.Context(), `INSERT INTO intent (id, seq, body, sealed) SELECT id, seq,
			'{"job":"x","pruned":{"before":4102444800000,"from":0},"tool":"audit.prune"}', `+in.blob([]byte("x"))+` FROM pruned ORDER BY id DESC LIMIT 1`)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := d.log.DB().Exec(t.Context(), `DELETE FROM payload`); err == nil {
			t.Error("payloads of today go")
		}
	})
}

// TestVerifyFindsPayloadsThatAreGone: outside the ranges, in a range that no row names, and in one that is too young.
func TestVerifyFindsPayloadsThatAreGone(t *testing.T) {
	t.Parallel()
	storetest.Engines(t, func(t *testing.T, source store.Source) {
		for _, tt := range []struct {
			name, says string
			pruned     bool
			do         []string
		}{
			{"pruned", "", true, nil},
			{"an old one", "payload is missing", false, []string{`DELETE FROM payload WHERE id = (SELECT id FROM log WHERE n = 7)`}},
			{"one of today beside a range", "payload is missing", true, []string{`DELETE FROM payload WHERE (id, seq) = (SELECT id, seq FROM log WHERE n = 1210)`}},
			{"a range put in", "no row says so", false, []string{
				`INSERT INTO pruned (id, seq, from_ms, before_ms) VALUES (1763871234567, 0, 0, 1000000000000)`, `DELETE FROM payload WHERE id < 1000000000000`,
			}},
			{"a range made larger", "no row says so", true, []string{`UPDATE pruned SET from_ms = 0`}},
			{"a range that is gone", "payload is missing", true, []string{`DELETE FROM pruned`}},
		} {
			t.Run(tt.name, func(t *testing.T) {
				own := storetest.SQLite(t)
				if !source.Run.IsZero() {
					own = storetest.Postgres(t)
				}
				d := oldDoor(t, own)
				if tt.pruned {
					if code, _ := d.prune(); code != outcome.OK {
						t.Fatal(code)
					}
				}
				d.log.close()
				in := newIntruder(t, own)
				for _, s := range tt.do {
					in.do(s)
				}
				if r := d.log.check(""); r.OK != (tt.says == "") || !strings.Contains(r.Fault.Problem, tt.says) {
					t.Errorf("%v: %s", r.OK, r.Fault)
				}
			})
		}
	})
}

// TestPruneThatACrashEnds: what was removed lies in a range that the intent names, and the row that is made of it.
func TestPruneThatACrashEnds(t *testing.T) {
	t.Parallel()
	storetest.Engines(t, func(t *testing.T, source store.Source) {
		d := oldDoor(t, source)
		args, err := d.log.Jobs()[0].Arguments(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		r := row(t, gate.Destroys, outcome.Unknown)
		r.Tool, r.Job, r.Person, r.Agent, r.Token, r.Ancestors, r.Payload.Arguments = "audit.prune", "audit prune", 0, "", 0, nil, args
		if _, err := d.log.Admit(t.Context(), r, nil); err != nil {
			t.Fatal(err)
		}
		if n, err := d.log.PruneOnce(t.Context(), args); err != nil || n != 500 {
			t.Fatal(n, err)
		}
		if got := d.log.mustHold(); got.Ended != 500 || got.Intents != 1 { // under way: the intent names the range
			t.Errorf("%+v", got)
		}
		if source.Run.IsZero() {
			d.log.reopen()
			if got := d.log.mustHold(); got.Ended != 500 || got.Intents != 0 {
				t.Errorf("%+v", got)
			}
			all := bodies(t, d.log.DB())
			if last := all[len(all)-1]; !strings.Contains(last, `"outcome":"unknown"`) || !strings.Contains(last, `"pruned":{"before":`) {
				t.Errorf("the row is %s", last)
			}
		}
	})
}
