package audit_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"gatehouse/gate"
	"gatehouse/module/audit"
	"gatehouse/outcome"
	"gatehouse/store"
	"gatehouse/store/storetest"
)

// spend makes one call that costs price, with effects or without, and reports whether it was admitted.
func (l *testLog) spend(ctx context.Context, person gate.PersonID, price gate.Money, effect gate.Effect, chain ...gate.Link) error {
	r := row(l.t, effect, outcome.OK)
	r.Person, r.Price, r.Chain = person, price, chain
	ticket, err := l.Admit(ctx, r, chain)
	if err == nil {
		_, err = l.Record(ctx, ticket, r)
	}
	return err
}

func budgetOf(token gate.TokenID, budget gate.Money) gate.Link {
	return gate.Link{Token: token, Budget: budget}
}

// TestBudgetsAreSpentExactly: of many calls at once as many are let through as the budget reaches for, and after a start
// none more.
func TestBudgetsAreSpentExactly(t *testing.T) {
	t.Parallel()
	storetest.Engines(t, func(t *testing.T, source store.Source) {
		l := newLog(t, source, func(c *audit.Config) { c.PerDay = 1000 })
		for _, tt := range []struct {
			name   string
			person gate.PersonID
			chain  []gate.Link
			want   int64
		}{
			{"a token's own", 11, []gate.Link{budgetOf(101, 70)}, 7},
			{"its parent's", 12, []gate.Link{budgetOf(102, 900), budgetOf(103, 50)}, 5},
			{"what the sister left", 12, []gate.Link{budgetOf(104, 900), budgetOf(103, 80)}, 3},
			{"the person's day", 13, []gate.Link{budgetOf(105, 0)}, 100},
			{"without a token", 14, nil, 100},
			{"a price that does not divide it", 15, []gate.Link{budgetOf(106, 79)}, 7},
		} {
			var admitted atomic.Int64
			var all sync.WaitGroup
			for i := range 150 {
				all.Go(func() {
					effect := []gate.Effect{gate.Reads, gate.Writes}[i%2]
					switch err := l.spend(t.Context(), tt.person, 10, effect, tt.chain...); {
					case err == nil:
						admitted.Add(1)
					case !errors.Is(err, outcome.Limited):
						t.Errorf("%s: %v", tt.name, err)
					}
				})
			}
			all.Wait()
			if admitted.Load() != tt.want {
				t.Errorf("%s: %d calls were let through, want %d", tt.name, admitted.Load(), tt.want)
			}
			l.reopen()
			if err := l.spend(t.Context(), tt.person, 10, gate.Reads, tt.chain...); !errors.Is(err, outcome.Limited) {
				t.Errorf("%s: one more after a start: %v", tt.name, err)
			}
			if err := l.Affords(t.Context(), tt.person, 10, tt.chain); !errors.Is(err, outcome.Limited) {
				t.Errorf("%s: affords one more: %v", tt.name, err)
			}
			if err := l.spend(t.Context(), tt.person, 0, gate.Reads, tt.chain...); err != nil {
				t.Errorf("%s: what costs nothing: %v", tt.name, err)
			}
		}
		compareSums(t, l.DB())
	})
}

// TestBudgetsOfTwoReplicas: of many calls at once on two replicas, each of which knows nothing of the other, as many have
// rows as the budget reaches for. What only reads is found out at its row, and decided again.
func TestBudgetsOfTwoReplicas(t *testing.T) {
	t.Parallel()
	source := storetest.Postgres(t)
	day := func(c *audit.Config) { c.PerDay = 1000 }
	logs := []*testLog{newLog(t, source, day), newLog(t, source, day)}
	for _, tt := range []struct {
		name   string
		person gate.PersonID
		chain  []gate.Link
		want   int64
	}{
		{"a token's own", 11, []gate.Link{budgetOf(101, 70)}, 7},
		{"its parent's", 12, []gate.Link{budgetOf(102, 900), budgetOf(103, 50)}, 5},
		{"what the sister left", 12, []gate.Link{budgetOf(104, 900), budgetOf(103, 80)}, 3},
		{"the person's day", 13, []gate.Link{budgetOf(105, 0)}, 100},
		{"without a token", 14, nil, 100},
		{"a price that does not divide it", 15, []gate.Link{budgetOf(106, 79)}, 7},
	} {
		var spent atomic.Int64
		var all sync.WaitGroup
		for i := range 150 {
			all.Go(func() {
				effect := []gate.Effect{gate.Reads, gate.Writes}[i/2%2]
				for range 200 {
					switch err := logs[i%2].spend(t.Context(), tt.person, 10, effect, tt.chain...); {
					case errors.Is(err, gate.ErrStale) && effect == gate.Reads:
						continue
					case err == nil:
						spent.Add(1)
					case !errors.Is(err, outcome.Limited):
						t.Errorf("%s: %v", tt.name, err)
					}
					return
				}
				t.Errorf("%s: decided again for ever", tt.name)
			})
		}
		all.Wait()
		if spent.Load() != tt.want {
			t.Errorf("%s: %d calls have rows, want %d", tt.name, spent.Load(), tt.want)
		}
		for i, l := range logs {
			if err := l.spend(t.Context(), tt.person, 10, gate.Writes, tt.chain...); !errors.Is(err, outcome.Limited) {
				t.Errorf("%s: one more on replica %d: %v", tt.name, i, err)
			}
			if err := l.Affords(t.Context(), tt.person, 10, tt.chain); !errors.Is(err, outcome.Limited) {
				t.Errorf("%s: replica %d was told, and affords one more: %v", tt.name, i, err)
			}
			if err := l.spend(t.Context(), tt.person, 0, gate.Reads, tt.chain...); err != nil {
				t.Errorf("%s: what costs nothing: %v", tt.name, err)
			}
		}
	}
	compareSums(t, logs[0].DB())
}

// TestRefusedCallsSpendNothing: neither what was refused, nor what could not be written.
func TestRefusedCallsSpendNothing(t *testing.T) {
	t.Parallel()
	l := newLog(t, storetest.SQLite(t), func(c *audit.Config) { c.PerDay = 100 })
	link := []gate.Link{{Token: child, Budget: 100, MaxUses: 1}}
	for range 5 {
		if err := l.spend(t.Context(), ada, 101, gate.Writes, link...); !errors.Is(err, outcome.Limited) {
			t.Fatal(err)
		}
	}
	if used := l.Counts(child).Uses; used != 0 {
		t.Errorf("what was too dear took %d uses", used)
	}
	l.sealer.setDown(true)
	for range 5 {
		if err := l.spend(t.Context(), ada, 100, gate.Writes, link...); !errors.Is(err, outcome.Unavailable) {
			t.Fatal(err)
		}
	}
	l.sealer.setDown(false)
	if err := l.spend(t.Context(), ada, 100, gate.Writes, link...); err != nil {
		t.Error(err)
	}
	if err := l.spend(t.Context(), ada, 1, gate.Writes, budgetOf(root, 100)); !errors.Is(err, outcome.Limited) {
		t.Errorf("the day's budget was spent: %v", err)
	}
	link = []gate.Link{{Token: root, MaxUses: 1}} // a use that is not left spends nothing
	if err := l.spend(t.Context(), bob, 50, gate.Writes, link...); err != nil {
		t.Error(err)
	}
	for range 5 {
		if err := l.spend(t.Context(), bob, 50, gate.Writes, link...); !errors.Is(err, outcome.Limited) {
			t.Error(err)
		}
	}
	if err := l.spend(t.Context(), bob, 50, gate.Writes); err != nil {
		t.Error(err)
	}
}

// TestADaysBudgetBeginsAnew at midnight, UTC, and whoever is refused is told when. A call that began the day before and
// has no row yet counts for today.
func TestADaysBudgetBeginsAnew(t *testing.T) {
	t.Parallel()
	source := storetest.SQLite(t)
	synctest.Test(t, func(t *testing.T) {
		l := newLog(t, source, func(c *audit.Config) { c.PerDay = 100 })
		time.Sleep(22 * time.Hour)
		if err := l.spend(t.Context(), ada, 60, gate.Reads); err != nil {
			t.Fatal(err)
		}
		err := l.Affords(t.Context(), ada, 60, nil)
		told := outcome.Explain(err)
		if told.Code != outcome.Limited || !strings.Contains(told.Reason, "2000-01-02T00:00:00Z") || told.RetryAfter.Round(time.Minute) != 2*time.Hour {
			t.Errorf("refused with %v after %s", err, told.RetryAfter)
		}
		late := row(t, gate.Writes, outcome.OK)
		late.Price = 40
		ticket, err := l.Admit(t.Context(), late, nil)
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(told.RetryAfter)
		if err := l.spend(t.Context(), ada, 61, gate.Reads); !errors.Is(err, outcome.Limited) {
			t.Errorf("61 beside 40 under way: %v", err)
		}
		if err := l.spend(t.Context(), ada, 60, gate.Reads); err != nil {
			t.Errorf("on the next day: %v", err)
		}
		if _, err := l.Record(t.Context(), ticket, late); err != nil {
			t.Error(err)
		}
		if err := l.spend(t.Context(), ada, 1, gate.Reads); !errors.Is(err, outcome.Limited) {
			t.Errorf("the next day's budget was spent: %v", err)
		}
		l.reopen()
		if err := l.spend(t.Context(), ada, 1, gate.Reads); !errors.Is(err, outcome.Limited) {
			t.Errorf("after a start: %v", err)
		}
		l.close()
	})
}

// TestWhatIsLostHoldsItsMoney: a call whose row could not be written keeps its money until the row is there.
func TestWhatIsLostHoldsItsMoney(t *testing.T) {
	t.Parallel()
	l := newLog(t, storetest.SQLite(t))
	r := row(t, gate.Writes, outcome.OK)
	r.Price = 70
	link := budgetOf(child, 100)
	ticket, err := l.Admit(t.Context(), r, []gate.Link{link})
	if err != nil {
		t.Fatal(err)
	}
	l.sealer.setDown(true)
	if _, err := l.Record(t.Context(), ticket, r); err == nil {
		t.Error("recorded with the vault down")
	}
	l.sealer.setDown(false)
	for range 100 { // while it is lost, and when it became a row
		if err := l.Affords(t.Context(), ada, 31, []gate.Link{link}); !errors.Is(err, outcome.Limited) {
			t.Fatal(err)
		}
		time.Sleep(time.Millisecond)
	}
	if err := l.Affords(t.Context(), ada, 30, []gate.Link{link}); err != nil {
		t.Error(err)
	}
	if n, err := l.OpenIntents(t.Context()); n != 0 || err != nil {
		t.Errorf("%d intents, %v", n, err)
	}
}
