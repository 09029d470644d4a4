package store_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"gatehouse/outcome"
	"gatehouse/store"
)

// TestADayOfIDs has one row each half minute and ten bursts that need several seconds: P12 on every id.
func TestADayOfIDs(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		clock := store.NewClock()
		last, end := int64(0), time.Now().Add(24*time.Hour)
		for i := 0; time.Now().Before(end); i++ {
			rows := 1
			if i%288 == 0 {
				rows = 2500
			}
			for range rows {
				id, err := clock.NewID(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				if id <= last || id/1000 != time.Now().Unix() {
					t.Fatalf("id %d after %d, at %d", id, last, time.Now().UnixMilli())
				}
				last = id
			}
			time.Sleep(30 * time.Second)
		}
	})
}

// TestManyInsertsAtOnce is T29's 20,000, all asked for in one second, on the real driver.
func TestManyInsertsAtOnce(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		db := open(t, store.Source{Dir: dir})
		begin := time.Now()
		var wg sync.WaitGroup
		for w := range 20 {
			wg.Go(func() {
				for i := range 50 {
					err := db.Tx(t.Context(), func(tx *store.Tx) error {
						for j := range 20 {
							id, err := tx.Insert(t.Context(), insertNote, fmt.Sprint(w, i, j), nil)
							if err != nil {
								return err
							}
							if id/1000 != time.Now().Unix() {
								return fmt.Errorf("id %d was given at %d", id, time.Now().UnixMilli())
							}
						}
						return nil
					})
					if err != nil {
						t.Error(err)
						return
					}
				}
			})
		}
		wg.Wait()
		if took := time.Since(begin); took < 19*time.Second || took > 21*time.Second {
			t.Errorf("20,000 ids of a thousand a second took %s", took)
		}
		var n int
		if err := db.Get(t.Context(), []any{&n}, `SELECT count(*) FROM note`); err != nil || n != 20_000 {
			t.Errorf("%d rows, %v", n, err)
		}
	})
}

// fakeTime is a clock that can be set, beside one that cannot.
type fakeTime struct {
	wall   int64
	steady time.Duration
}

func (f *fakeTime) read() (int64, time.Duration) { return f.wall, f.steady }
func (f *fakeTime) pass(d time.Duration)         { f.wall += d.Milliseconds(); f.steady += d }
func (f *fakeTime) set(d time.Duration)          { f.wall += d.Milliseconds() }

func TestClockThatIsSetBack(t *testing.T) {
	t.Parallel()
	now := &fakeTime{wall: 1_763_871_234_567}
	clock := store.NewClockBy(now.read)
	var log bytes.Buffer
	clock.Log = slog.New(slog.NewTextHandler(&log, nil))
	newID := func() int64 {
		id, err := clock.NewID(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return id
	}
	first := newID()
	if first != 1_763_871_234_567 {
		t.Errorf("the first id is %d", first)
	}

	now.pass(time.Hour)
	now.set(-time.Second)
	later := newID()
	if log.Len() != 0 {
		t.Errorf("an hour and a step of a second are logged: %s", &log)
	}

	now.set(-10 * time.Second)
	if id := newID(); id != later+1 {
		t.Errorf("after a step back: %d, want %d", id, later+1)
	}
	if !strings.Contains(log.String(), "step=-10s") {
		t.Errorf("a step of 10 s is not logged: %s", &log)
	}
	if err := clock.Err(); err != nil || clock.Skew() < 9*time.Second {
		t.Errorf("10 s behind: %v, %v", clock.Skew(), err)
	}

	now.set(-2 * time.Minute)
	if err := clock.Err(); !errors.Is(err, outcome.Unavailable) {
		t.Errorf("two minutes behind: %v", err)
	}
	for range 1000 { // what is left of the second may be given; then it would have to wait for two minutes
		if id, err := clock.NewID(t.Context()); err != nil {
			if !errors.Is(err, outcome.Unavailable) {
				t.Error(err)
			}
			break
		} else if id/1000 != later/1000 {
			t.Fatalf("%d is in a later second than any that the clock showed", id)
		}
	}
	now.pass(3 * time.Minute)
	if id := newID(); id != now.wall {
		t.Errorf("after catching up: %d, want %d", id, now.wall)
	}
	if err := clock.Err(); err != nil {
		t.Error(err)
	}
}

func TestWaitingForASecondEndsWithTheContext(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		clock := store.NewClock()
		clock.Resume(time.Now().UnixMilli()/1000*1000+999, 0)
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		if id, err := clock.NewID(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%d, %v", id, err)
		}
	})
}

func TestKeysOfALogOnlyRise(t *testing.T) {
	t.Parallel()
	now := &fakeTime{wall: 5000}
	clock := store.NewClockBy(now.read)
	clock.Log = slog.New(slog.DiscardHandler)
	clock.Resume(5000, 7)
	clock.Resume(4000, 99) // a lower one changes nothing
	for _, tt := range []struct {
		name string
		step time.Duration
		id   int64
		seq  int
	}{
		{"after the stored last", 0, 5000, 8},
		{"the same millisecond", 0, 5000, 9},
		{"a later one", time.Millisecond, 5001, 0},
		{"the clock goes back", -3 * time.Second, 5001, 1},
		{"and catches up", 3 * time.Second, 5001, 2},
		{"and goes on", time.Second, 6001, 0},
	} {
		now.set(tt.step)
		if id, seq := clock.Next(); id != tt.id || seq != tt.seq {
			t.Errorf("%s: %d-%d, want %d-%d", tt.name, id, seq, tt.id, tt.seq)
		}
	}
	if id, seq := clock.NextAt(5500); id != 6001 || seq != 1 {
		t.Errorf("a lower clock: %d-%d", id, seq)
	}
	if id, seq := clock.NextAt(7000); id != 7000 || seq != 0 {
		t.Errorf("a higher clock: %d-%d", id, seq)
	}
}
