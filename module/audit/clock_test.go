package audit_test

import (
	"fmt"
	"os"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"gatehouse/gate"
	"gatehouse/module/audit"
	"gatehouse/outcome"
	"gatehouse/store/storetest"
)

// TestClockThatGoesBackBreaksNothing: in a bubble the clock stands at the year 2000. A log that was begun today goes on
// after its last row, says that it is not ready, and verifies.
func TestClockThatGoesBackBreaksNothing(t *testing.T) {
	t.Parallel()
	source := storetest.SQLite(t)
	l := newLog(t, source)
	fill(l, 5)
	l.close()
	var last gate.RowID
	synctest.Test(t, func(t *testing.T) {
		back := &testLog{t: t, source: source, sealer: l.sealer, config: l.config}
		back.open()
		if back.Err() == nil {
			t.Error("it is ready with a clock that is years behind")
		}
		fill(back, 5)
		last = back.record(row(t, gate.Reads, outcome.OK))
		back.close()
	})
	l.open()
	if next := l.record(row(t, gate.Reads, outcome.OK)); next.ID <= last.ID || last.Seq < 5 {
		t.Errorf("row %s follows %s", next, last)
	}
	l.close()
	if r := l.mustHold(); r.Rows != 12 {
		t.Errorf("%d rows, want 12", r.Rows)
	}
}

// TestManyInsertsOfTwoReplicas: two replicas write rows to one log as fast as they can. Each key says in which second its row
// was made, keys and numbers rise, and the one chain holds (T29).
func TestManyInsertsOfTwoReplicas(t *testing.T) {
	t.Parallel()
	source := storetest.Postgres(t)
	logs := []*testLog{newLog(t, source), newLog(t, source)}
	each, writers := 25, 40
	if os.Getenv("GATEHOUSE_SOAK") == "1" {
		each = 500 // 20,000 rows
	}
	var mu sync.Mutex // guards seen
	seen := map[gate.RowID]bool{}
	var all sync.WaitGroup
	for i := range writers {
		all.Go(func() {
			last := gate.RowID{}
			for range each {
				before := time.Now().Unix()
				id, err := logs[i%2].Record(t.Context(), gate.Ticket{}, row(t, gate.Reads, outcome.OK))
				if err != nil {
					t.Error(err)
					return
				}
				if second := id.ID / 1000; second < before || second > time.Now().Unix() {
					t.Errorf("row %s was made between %d and %d", id, before, time.Now().Unix())
				}
				if id.ID < last.ID || id.ID == last.ID && id.Seq <= last.Seq {
					t.Errorf("row %s follows %s", id, last)
				}
				last = id
				mu.Lock()
				if seen[id] {
					t.Errorf("two rows are called %s", id)
				}
				seen[id] = true
				mu.Unlock()
			}
		})
	}
	all.Wait()
	for _, l := range logs {
		l.close()
	}
	if r := logs[0].mustHold(); r.Rows != int64(writers*each) {
		t.Errorf("%d rows, want %d", r.Rows, writers*each)
	}
}

// TestClockOfTheServerThatGoesBack: the newest key is ahead of the server's clock, as after a step of that clock. Both
// replicas go on after it, in its second, until the clock has caught up.
func TestClockOfTheServerThatGoesBack(t *testing.T) {
	t.Parallel()
	source := storetest.Postgres(t)
	logs := []*testLog{newLog(t, source), newLog(t, source)}
	logs[0].record(row(t, gate.Reads, outcome.OK))
	ahead := time.Now().Add(2 * time.Second).UnixMilli()
	if err := storetest.Owner(t, source, fmt.Sprintf(`UPDATE audit.head SET given_id = %d, given_seq = 3`, ahead)); err != nil {
		t.Fatal(err)
	}
	for i := range 6 {
		if id := logs[i%2].record(row(t, gate.Reads, outcome.OK)); id.ID != ahead || id.Seq != int32(4+i) {
			t.Errorf("row %s, want %d-%d", id, ahead, 4+i)
		}
	}
	time.Sleep(time.Until(time.UnixMilli(ahead).Add(50 * time.Millisecond)))
	if id := logs[1].record(row(t, gate.Reads, outcome.OK)); id.ID <= ahead || id.Seq != 0 {
		t.Errorf("row %s when the clock has caught up with %d", id, ahead)
	}
	for _, l := range logs {
		l.close()
	}
	logs[0].mustHold()
}

// TestManyRowsInOneMillisecond: in a bubble time stands still while calls run. The ids stay in their second (P12), and the
// numbers go on.
func TestManyRowsInOneMillisecond(t *testing.T) {
	t.Parallel()
	source := storetest.SQLite(t)
	synctest.Test(t, func(t *testing.T) {
		l := newLog(t, source)
		for range 2 {
			now := time.Now().Unix()
			for range 1200 {
				if id := l.record(row(t, gate.Reads, outcome.OK)); id.ID/1000 != now {
					t.Fatalf("row %s in second %d", id, now)
				}
			}
			time.Sleep(24 * time.Hour)
		}
		l.close()
		report, err := audit.Verify(t.Context(), audit.VerifyOptions{Source: source, Sealer: l.sealer})
		if err != nil || !report.OK || report.Rows != 2400 {
			t.Errorf("%+v, %v", report, err)
		}
	})
}
