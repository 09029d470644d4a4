package audit_test

import (
	"errors"
	"sync"
	"testing"
	"time"

	"gatehouse/gate"
	"gatehouse/module/audit"
	"gatehouse/outcome"
	"gatehouse/store"
	"gatehouse/store/storetest"
)

func TestCallIsAdmittedAndRecorded(t *testing.T) {
	t.Parallel()
	storetest.Engines(t, func(t *testing.T, source store.Source) {
		l := newLog(t, source)
		began := time.Now()
		ticket, err := l.Admit(t.Context(), row(t, gate.Writes, outcome.Unknown), chain(1))
		if err != nil || !ticket.Admitted || ticket.Intent == 0 || len(ticket.Uses) != 2 {
			t.Fatalf("Admit: %+v, %v", ticket, err)
		}
		if err := l.Left(t.Context(), chain(1)); !errors.Is(err, outcome.Limited) {
			t.Errorf("Left after the only use: %v", err)
		}
		if got, err := l.Admit(t.Context(), row(t, gate.Reads, outcome.Unknown), chain(1)); !errors.Is(err, outcome.Limited) || got.Admitted {
			t.Errorf("a second use of one: %+v, %v", got, err)
		}
		id, err := l.Record(t.Context(), ticket, row(t, gate.Writes, outcome.OK))
		if err != nil || id.ID < began.UnixMilli() || id.ID > time.Now().UnixMilli() {
			t.Fatalf("Record: %v, %v", id, err)
		}
		if _, err := l.Record(t.Context(), ticket, row(t, gate.Writes, outcome.OK)); err == nil {
			t.Error("a ticket was good for two rows")
		}
		rows, _, err := audit.Rows(t.Context(), l.DB(), l.sealer)
		if err != nil || len(rows) != 1 || rows[0].Intent == "" || len(rows[0].Used) != 2 || rows[0].Outcome != "ok" {
			t.Errorf("the log holds %+v, %v", rows, err)
		}
		for _, again := range []bool{false, true} {
			if again {
				l.reopen()
			}
			c, r := l.Counts(child), l.Counts(root)
			if c.Calls != 1 || c.Uses != 1 || c.LastAddress != "192.0.2.7" || c.LastUsed.UnixMilli() != id.ID {
				t.Errorf("reopened %v: the child has %+v", again, c)
			}
			if r.Calls != 0 || r.Uses != 1 || !r.LastUsed.IsZero() {
				t.Errorf("reopened %v: the root has %+v", again, r)
			}
		}
	})
}

// TestEveryWaiterHasItsRow: the row of whoever was answered is there, and the numbers are dense.
func TestEveryWaiterHasItsRow(t *testing.T) {
	t.Parallel()
	storetest.Engines(t, func(t *testing.T, source store.Source) {
		l := newLog(t, source)
		const callers, each = 64, 10
		var mu sync.Mutex
		seen := map[gate.RowID]bool{}
		var wg sync.WaitGroup
		for range callers {
			wg.Go(func() {
				for range each {
					id, err := l.Record(t.Context(), gate.Ticket{}, row(t, gate.Reads, outcome.OK))
					if err != nil {
						t.Error(err)
						return
					}
					mu.Lock()
					if seen[id] {
						t.Errorf("row %s was given twice", id)
					}
					seen[id] = true
					mu.Unlock()
				}
			})
		}
		wg.Wait()
		l.reopen()
		if got := l.Counts(child).Calls; got != callers*each {
			t.Errorf("%d calls were counted, want %d", got, callers*each)
		}
	})
}
