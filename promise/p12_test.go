package promise_test

import (
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"gatehouse/gatetest"
)

// TestPromise_P12_TimeIsTheID: under load, every row of every store has a key that says in which second it was made. Twenty
// thousand rows in one store, clocks that step and two replicas are tested in store (T29).
func TestPromise_P12_TimeIsTheID(t *testing.T) {
	t.Parallel()
	began := time.Now()
	w := newWorld(t, "limits: {calls_per_minute: 1000000}\n")
	ann := w.Person("ann", "ledger.read", "ledger.write", "tokens.issue")
	var mu sync.Mutex // guards seen
	seen := map[string]bool{}
	var all sync.WaitGroup
	doors := w.Doors()
	for i := range 12 {
		all.Go(func() {
			d := doors[i%len(doors)]
			for n := range 25 {
				before := time.Now()
				var got gatetest.Reply
				switch {
				case n%5 == 0:
					got = d.Call(ann.Token.Text, "tokens.issue", `{"agent":"child","tools":[]}`)
				case n%5 == 1 && d.Name() == "rest": // kept results have rows too
					w.post(ann.Token.Text, "ledger.write", `{}`, strconv.Itoa(i*100+n))
					continue
				case n%2 == 0:
					got = d.Call(ann.Token.Text, "ledger.write", `{}`)
				default:
					got = d.Call(ann.Token.Text, "ledger.read", `{}`)
				}
				text, _, _ := strings.Cut(got.ID, "-")
				id, err := strconv.ParseInt(text, 10, 64)
				if second := id / 1000; err != nil || second < before.Unix() || second > time.Now().Unix() {
					t.Errorf("the row %s was made in second %d to %d", got.ID, before.Unix(), time.Now().Unix())
				}
				mu.Lock()
				if seen[got.ID] {
					t.Errorf("two rows are called %s", got.ID)
				}
				seen[got.ID] = true
				mu.Unlock()
			}
		})
	}
	all.Wait()
	w.Close()
	w.checkKeys(began)
}

// checkKeys looks at the primary key of every table of every store.
func (w *world) checkKeys(began time.Time) {
	t := w.t
	t.Helper()
	// Tables whose rows are not made but belong to a row of another table, by its key.
	borrowed := map[string]string{
		"audit token_use":   "one counter for each token, by the token's id",
		"audit day_sum":     "sums by day, person, agent and tool",
		"audit segment_use": "counters as they stood when a segment began, by the segment's id and the token's",
	}
	tables, checked := 0, 0
	for module, db := range w.databases() {
		for table, key := range w.keys(db, module) {
			name := module + " " + table
			if borrowed[name] != "" || table == "gatehouse_migration" {
				continue
			}
			tables++
			if key != "id" {
				t.Errorf("%s has the key %s", name, key)
				continue
			}
			var n, outside int
			err := db.QueryRowContext(t.Context(), `SELECT count(*), count(*) FILTER (WHERE id / 1000 NOT BETWEEN $1 AND $2) FROM `+table, began.Unix(), time.Now().Unix()).Scan(&n, &outside)
			if err != nil || outside != 0 {
				t.Errorf("%s: %d of %d keys are not of the time in which their rows were made (%v)", name, outside, n, err)
			}
			checked += n
		}
	}
	if tables < 7 || checked < 300 {
		t.Errorf("looked at %d rows of %d tables: the search looks in the wrong place", checked, tables)
	}
}
