package audit_test

import (
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
