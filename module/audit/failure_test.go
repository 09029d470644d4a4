package audit_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"reflect"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"gatehouse/gate"
	"gatehouse/module/audit"
	"gatehouse/outcome"
	"gatehouse/store"
	"gatehouse/store/storetest"
)

// breakIt takes a table away, so that nothing can be written, and gives the way to put it back.
func breakIt(t *testing.T, source store.Source) (repair func()) {
	t.Helper()
	do := func(from, to string) {
		t.Helper()
		if !source.Run.IsZero() {
			if err := storetest.Admin(t, source, fmt.Sprintf("ALTER TABLE audit.%s RENAME TO %s", from, to)); err != nil {
				t.Fatal(err)
			}
			return
		}
		db := raw(t, filepath.Join(source.Dir, "audit.db"))
		if _, err := db.Exec(fmt.Sprintf("ALTER TABLE %s RENAME TO %s", from, to)); err != nil {
			t.Fatal(err)
		}
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
	}
	do("head", "taken")
	return func() { do("taken", "head") }
}

// eventually waits for what the writer does on its own.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	for !ok() {
		if time.Now().After(deadline) {
			t.Fatalf("it did not come to this: %s", what)
		}
		time.Sleep(20 * time.Millisecond) // the database is real, and so is its time
	}
}

func TestNothingIsLostWhenTheLogCannotBeWritten(t *testing.T) {
	t.Parallel()
	storetest.Engines(t, func(t *testing.T, source store.Source) {
		l := newLog(t, source)
		ctx := t.Context()
		running, err := l.Admit(ctx, row(t, gate.Writes, outcome.Unknown), chain(3))
		if err != nil {
			t.Fatal(err)
		}
		reading, err := l.Admit(ctx, row(t, gate.Reads, outcome.Unknown), chain(3))
		if err != nil {
			t.Fatal(err)
		}
		repair := breakIt(t, source)
		if _, err := l.Record(ctx, gate.Ticket{}, row(t, gate.Reads, outcome.OK)); !errors.Is(err, outcome.Unavailable) {
			t.Errorf("a row that cannot be written: %v", err)
		}
		if l.Err() == nil {
			t.Error("it is ready although it cannot write")
		}
		if _, err := l.Record(ctx, running, row(t, gate.Writes, outcome.OK)); !errors.Is(err, outcome.Unavailable) {
			t.Errorf("the row of a call that ran: %v", err)
		}
		if got := l.Counts(child).Uses; got != 2 {
			t.Errorf("%d uses while one call has no row and one reads, want 2", got)
		}
		if _, err := l.Record(ctx, reading, row(t, gate.Reads, outcome.OK)); !errors.Is(err, outcome.Unavailable) {
			t.Errorf("the row of a call that read: %v", err)
		}
		if got := l.Counts(child).Uses; got != 1 {
			t.Errorf("%d uses after the read was not answered, want 1", got)
		}
		repair()
		eventually(t, "the intent became a row", func() bool { n, err := l.OpenIntents(ctx); return err == nil && n == 0 })
		eventually(t, "it is ready again", func() bool { return l.Err() == nil })
		if _, err := l.Record(ctx, gate.Ticket{}, row(t, gate.Reads, outcome.OK)); err != nil {
			t.Errorf("after the repair: %v", err)
		}
		if got := l.Counts(child).Uses; got != 1 {
			t.Errorf("%d uses after the repair, want 1", got)
		}
		l.close()
		l.mustHold()
		rows, payloads, err := audit.Rows(ctx, reader(t, source), l.sealer)
		if err != nil || len(rows) != 2 {
			t.Fatalf("%d rows, %v", len(rows), err)
		}
		if r := rows[0]; r.Outcome != "unknown" || r.Rule != "crash" || r.Intent == "" || len(r.Used) != 2 || payloads[0].Arguments.IsZero() {
			t.Errorf("the row of the call that ran is %+v with %+v", r, payloads[0])
		}
	})
}

func TestIntentsBecomeUnknownRowsAtStart(t *testing.T) {
	t.Parallel()
	storetest.Engines(t, func(t *testing.T, source store.Source) {
		l := newLog(t, source)
		ctx := t.Context()
		ids := map[int64]bool{}
		for range 300 { // more than one group
			ticket, err := l.Admit(ctx, row(t, gate.Destroys, outcome.Unknown), chain(0))
			if err != nil {
				t.Fatal(err)
			}
			ids[ticket.Intent] = true
		}
		if len(ids) != 300 {
			t.Errorf("%d different tickets of 300", len(ids))
		}
		l.sealer.setDown(true) // the vault is not asked: what was sealed with the intent stays as it is
		l.reopen()
		l.sealer.setDown(false)
		if got := l.Counts(root).Uses; got != 300 {
			t.Errorf("%d uses after the start, want 300", got)
		}
		l.close()
		if r := l.mustHold(); r.Rows != 300 || r.Intents != 0 || r.Opened != 300 {
			t.Errorf("after the start: %+v", r)
		}
		l.open()
		if n, err := l.OpenIntents(ctx); n != 0 || err != nil {
			t.Errorf("%d intents are left, %v", n, err)
		}
	})
}

func TestSealerThatFailsRefusesCalls(t *testing.T) {
	t.Parallel()
	l := newLog(t, storetest.SQLite(t))
	ctx := t.Context()
	ticket, err := l.Admit(ctx, row(t, gate.Writes, outcome.Unknown), chain(2))
	if err != nil {
		t.Fatal(err)
	}
	l.sealer.setDown(true)
	if _, err := l.Admit(ctx, row(t, gate.Writes, outcome.Unknown), chain(2)); !errors.Is(err, outcome.Unavailable) {
		t.Errorf("Admit: %v", err)
	}
	if got := l.Counts(child).Uses; got != 1 {
		t.Errorf("%d uses are taken, want 1", got)
	}
	if _, err := l.Record(ctx, ticket, row(t, gate.Writes, outcome.OK)); !errors.Is(err, outcome.Unavailable) {
		t.Errorf("Record: %v", err)
	}
	// Its intent was sealed while the vault was there: the call gets its row all the same.
	eventually(t, "the intent became a row", func() bool { n, err := l.OpenIntents(ctx); return err == nil && n == 0 })
	l.sealer.setDown(false)
	l.close()
	if r := l.mustHold(); r.Rows != 1 {
		t.Errorf("%d rows, want 1", r.Rows)
	}
}

// TestNothingIsKeptOfAPersonWhoseKeyIsGone: the row is written, its payload is empty.
func TestNothingIsKeptOfAPersonWhoseKeyIsGone(t *testing.T) {
	t.Parallel()
	l := newLog(t, storetest.SQLite(t))
	l.record(row(t, gate.Reads, outcome.OK))
	l.sealer.forget(ada)
	l.record(row(t, gate.Reads, outcome.NotAllowed))
	l.close()
	if r := l.mustHold(); r.Rows != 2 || r.Forgotten != 1 || r.Opened != 1 {
		t.Errorf("%+v", r)
	}
	db := reader(t, l.source)
	var sealed []byte
	err := db.Get(t.Context(), []any{&sealed}, `SELECT p.sealed FROM payload p JOIN log l ON l.id = p.id AND l.seq = p.seq WHERE l.n = 2`)
	if err != nil || len(sealed) == 0 {
		t.Fatal(err)
	}
	if want := fmt.Sprintf("sealed for %d", 0); string(sealed[:len(want)]) != want {
		t.Errorf("it was %.20q", sealed)
	}
	_, payloads, err := audit.Rows(t.Context(), db, l.sealer)
	if err != nil || len(payloads) != 2 || !reflect.DeepEqual(payloads[1], audit.Payload{Forgotten: true}) {
		t.Errorf("kept %+v, %v", payloads, err)
	}
}

func TestClosedLogRefuses(t *testing.T) {
	t.Parallel()
	l := newLog(t, storetest.SQLite(t))
	m := l.Module
	l.close()
	if _, err := m.Record(t.Context(), gate.Ticket{}, row(t, gate.Reads, outcome.OK)); !errors.Is(err, outcome.Unavailable) {
		t.Errorf("Record: %v", err)
	}
	if _, err := m.Admit(t.Context(), row(t, gate.Writes, outcome.OK), nil); !errors.Is(err, outcome.Unavailable) {
		t.Errorf("Admit: %v", err)
	}
	if m.Err() == nil {
		t.Error("a closed log is ready")
	}
	if err := m.Close(); err != nil {
		t.Errorf("closing again: %v", err)
	}
}

// TestCloseAnswersEveryone: whoever waits while the log is closed has a row, or is told that there is none.
func TestCloseAnswersEveryone(t *testing.T) {
	t.Parallel()
	l := newLog(t, storetest.SQLite(t))
	var mu sync.Mutex
	acknowledged := 0
	var wg sync.WaitGroup
	for range 64 {
		wg.Go(func() {
			for {
				_, err := l.Module.Record(context.Background(), gate.Ticket{}, row(t, gate.Reads, outcome.OK))
				if err != nil {
					if !errors.Is(err, outcome.Unavailable) {
						t.Error(err)
					}
					return
				}
				mu.Lock()
				acknowledged++
				mu.Unlock()
			}
		})
	}
	m := l.Module
	eventually(t, "some rows", func() bool { return l.Counts(child).Calls > 200 })
	if err := m.Close(); err != nil {
		t.Error(err)
	}
	wg.Wait()
	l.close()
	if r := l.mustHold(); r.Rows != int64(acknowledged) {
		t.Errorf("%d rows, %d were answered", r.Rows, acknowledged)
	}
}

func TestLastUseIsTakenOnce(t *testing.T) {
	t.Parallel()
	for _, effect := range []gate.Effect{gate.Reads, gate.Writes} {
		t.Run(effect.String(), func(t *testing.T) {
			t.Parallel()
			l := newLog(t, storetest.SQLite(t))
			const limit, callers = 7, 100
			var mu sync.Mutex
			ran := 0
			var wg sync.WaitGroup
			for range callers {
				wg.Go(func() {
					ticket, err := l.Admit(t.Context(), row(t, effect, outcome.Unknown), chain(limit))
					if errors.Is(err, outcome.Limited) {
						return
					}
					if err == nil {
						_, err = l.Record(t.Context(), ticket, row(t, effect, outcome.OK))
					}
					if err != nil {
						t.Error(err)
					}
					mu.Lock()
					ran++
					mu.Unlock()
				})
			}
			wg.Wait()
			if ran != limit || l.Counts(child).Uses != limit {
				t.Errorf("%d calls ran and %d uses are counted, want %d", ran, l.Counts(child).Uses, limit)
			}
		})
	}
}

// TestRowThatCannotBeStoredTakesNoOtherWithIt: those who stand in one group with it get their rows.
func TestRowThatCannotBeStoredTakesNoOtherWithIt(t *testing.T) {
	t.Parallel()
	l := newLog(t, storetest.Postgres(t))
	var wg sync.WaitGroup
	for i := range 64 {
		wg.Go(func() {
			r := row(t, gate.Reads, outcome.OK)
			if i%8 == 0 {
				r.Tool = "a\x00b" // PostgreSQL stores no such text
				if err := l.WriteUnclean(t.Context(), r); !errors.Is(err, outcome.Unavailable) {
					t.Errorf("a text that cannot be stored: %v", err)
				}
				return
			}
			if _, err := l.Record(t.Context(), gate.Ticket{}, r); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	eventually(t, "it is ready again", func() bool { return l.Err() == nil })
	strange := row(t, gate.Reads, outcome.NotAllowed)
	strange.Tool = "a\x00b" // as a client may send it
	l.record(strange)
	l.close()
	if r := l.mustHold(); r.Rows != 57 {
		t.Errorf("%d rows, want 57", r.Rows)
	}
}

// TestCommitmentsTellNothing: equal payloads have different commitments.
func TestCommitmentsTellNothing(t *testing.T) {
	t.Parallel()
	l := newLog(t, storetest.SQLite(t))
	same := row(t, gate.Reads, outcome.OK)
	l.record(same)
	l.record(same)
	l.close()
	rows, _, err := audit.Rows(t.Context(), reader(t, l.source), l.sealer)
	if err != nil || len(rows) != 2 || rows[0].Commitment == rows[1].Commitment {
		t.Errorf("%+v, %v", rows, err)
	}
}

// TestCloseWritesWhatWaits: those who stood in the queue when the log was closed get their rows.
func TestCloseWritesWhatWaits(t *testing.T) {
	t.Parallel()
	for i := range 8 { // whether the queue or the close is seen first is chance
		t.Run(fmt.Sprint(i), closeWhileTheyWait)
	}
}

func closeWhileTheyWait(t *testing.T) {
	t.Parallel()
	l := newLog(t, storetest.SQLite(t))
	db := raw(t, filepath.Join(l.source.Dir, "audit.db"))
	if _, err := db.Exec("BEGIN IMMEDIATE"); err != nil {
		t.Fatal(err)
	}
	m := l.Module
	var wg sync.WaitGroup
	var answered, refused atomic.Int64
	eventually(t, "the writer waits for the database, and some wait for the writer", func() bool {
		wg.Go(func() {
			if _, err := m.Record(context.Background(), gate.Ticket{}, row(t, gate.Reads, outcome.OK)); err != nil {
				refused.Add(1) // it came after the end
			} else {
				answered.Add(1)
			}
		})
		return m.Queued() >= 5
	})
	wg.Go(func() {
		if err := m.Close(); err != nil {
			t.Error(err)
		}
	})
	eventually(t, "it is closed", func() bool { return m.Err() != nil })
	if _, err := db.Exec("ROLLBACK"); err != nil {
		t.Fatal(err)
	}
	wg.Wait()
	l.close()
	if r := l.mustHold(); r.Rows != answered.Load() || refused.Load() >= 5 {
		t.Errorf("%d rows; %d were answered, %d refused", r.Rows, answered.Load(), refused.Load())
	}
}
