package audit_test

import (
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"gatehouse/gate"
	"gatehouse/outcome"
	"gatehouse/store/storetest"
)

// TestGroupsWaitForThoseUnderWay: a row waits for a share of the calls that are under way, no longer than until they are
// there, never long, and not time and again in vain; the row of one of a few waits for nobody. The time is a bubble's, in
// which only waiting takes any.
func TestGroupsWaitForThoseUnderWay(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name           string
		admitted, ends int           // how many are let through, and how many of those end at once
		pause          time.Duration // before the last of them
		least, most    time.Duration // that the first takes
	}{
		{"alone", 1, 1, 0, 0, 0},
		{"one of a few", 15, 1, 0, 0, 0},
		{"a whole share", 64, 8, 0, 0, 0},
		{"others are slow", 64, 1, 0, 5 * time.Millisecond, 5 * time.Millisecond},
		{"the last one comes soon", 24, 3, time.Millisecond, time.Millisecond, time.Millisecond},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			source := storetest.SQLite(t)
			synctest.Test(t, func(t *testing.T) {
				l := newLog(t, source)
				var tickets []gate.Ticket
				for range tt.admitted {
					ticket, err := l.Admit(t.Context(), row(t, gate.Reads, outcome.OK), nil)
					if err != nil {
						t.Fatal(err)
					}
					tickets = append(tickets, ticket)
				}
				end := func(i int) {
					if _, err := l.Record(t.Context(), tickets[i], row(t, gate.Reads, outcome.OK)); err != nil {
						t.Error(err)
					}
				}
				began := time.Now()
				var took time.Duration
				var all sync.WaitGroup
				for i := range tt.ends {
					if i == tt.ends-1 {
						time.Sleep(tt.pause)
					}
					all.Go(func() {
						end(i)
						if i == 0 {
							took = time.Since(began)
						}
					})
				}
				all.Wait()
				if took < tt.least || took > tt.most {
					t.Errorf("the first row took %s, want %s to %s", took, tt.least, tt.most)
				}
				if tt.least == 0 {
					return
				}
				began = time.Now()
				for i := tt.ends; i < tt.ends+16; i++ { // nobody comes beside them, one after the other
					if i < len(tickets) {
						end(i)
					}
				}
				if took := time.Since(began); took > 25*time.Millisecond {
					t.Errorf("sixteen rows waited %s in vain", took)
				}
			})
		})
	}
}
