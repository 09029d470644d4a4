package audit

import (
	"context"
	"fmt"
	"sync"
	"time"

	"gatehouse/gate"
	"gatehouse/outcome"
)

// budgets is the one place where money is taken, compared with what may be spent, and given back. What was spent is read
// from the log's own sums at start and counted on with each group, so that a budget is spent when the rows say so; what
// calls under way will cost is held until their rows are durable. Where several processes write the log, it compares once
// more in the transaction that takes: see [facts.poor].
type budgets struct {
	perDay gate.Money // of one person; 0: not limited

	mu         sync.Mutex                   // guards all below
	byToken    map[gate.TokenID]gate.Money  // spent with a token and its children, as the database has it
	day        int64                        // the first millisecond of the day of byPerson
	byPerson   map[gate.PersonID]gate.Money // spent on that day
	heldToken  map[gate.TokenID]gate.Money  // by calls that have no row yet
	heldPerson map[gate.PersonID]gate.Money
	// Held by calls under way on other replicas, as last seen.
	tokenElsewhere  map[gate.TokenID]gate.Money
	personElsewhere map[gate.PersonID]gate.Money
}

func newBudgets(perDay gate.Money) *budgets {
	return &budgets{
		perDay: perDay, byToken: map[gate.TokenID]gate.Money{}, byPerson: map[gate.PersonID]gate.Money{},
		heldToken: map[gate.TokenID]gate.Money{}, heldPerson: map[gate.PersonID]gate.Money{},
		tokenElsewhere: map[gate.TokenID]gate.Money{}, personElsewhere: map[gate.PersonID]gate.Money{},
	}
}

// Affords implements gate.Log. It binds nothing: Admit compares again.
func (m *Module) Affords(_ context.Context, person gate.PersonID, price gate.Money, chain []gate.Link) error {
	b := m.budgets
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.affordsLocked(person, price, chain)
}

var errTokenSpent = outcome.Limited.Because("the token's budget does not reach for this call, and does not fill up again; " +
	"ask the person behind you for a new token")

// affordsLocked compares. What is held counts for today whenever its call began: its row is not written yet.
func (b *budgets) affordsLocked(person gate.PersonID, price gate.Money, chain []gate.Link) error {
	for _, link := range chain {
		if link.Budget > 0 && plus(b.byToken[link.Token], b.heldToken[link.Token], b.tokenElsewhere[link.Token], price) > link.Budget {
			return errTokenSpent
		}
	}
	if b.perDay <= 0 || person == 0 {
		return nil
	}
	now := time.Now()
	b.turnLocked(dayOf(now.UnixMilli()))
	if plus(b.byPerson[person], b.heldPerson[person], b.personElsewhere[person], price) > b.perDay {
		return errDaySpent(b.day, now)
	}
	return nil
}

// errDaySpent refuses a call of a person whose day, named by its first millisecond, is spent.
func errDaySpent(spent int64, now time.Time) error {
	resets := time.UnixMilli(spent + day).UTC()
	err := outcome.Limited.Because("the budget of this person for today does not reach for this call; it begins anew at %s",
		resets.Format(time.RFC3339))
	err.RetryAfter = max(resets.Sub(now), time.Second)
	return err
}

// plus adds up without wrapping around.
func plus(amounts ...gate.Money) (sum gate.Money) {
	for _, a := range amounts {
		sum = min(sum+min(a, mostMoney), mostMoney)
	}
	return sum
}

// turnLocked begins another day. There is no way back: ids do not go back either.
func (b *budgets) turnLocked(to int64) {
	if to > b.day {
		b.day = to
		clear(b.byPerson)
	}
}

// take compares and takes in one step, so that two calls cannot both spend what is left.
func (b *budgets) take(r *gate.Row, chain []gate.Link) error {
	if r.Price <= 0 {
		return nil
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if err := b.affordsLocked(r.Person, r.Price, chain); err != nil {
		return err
	}
	for _, link := range chain {
		b.heldToken[link.Token] += r.Price
	}
	b.heldPerson[r.Person] += r.Price
	return nil
}

// giveBack ends what a call held that will have no row.
func (b *budgets) giveBack(person gate.PersonID, price gate.Money, tokens []gate.TokenID) {
	if price <= 0 {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.giveBackLocked(person, price, tokens)
}

func (b *budgets) giveBackLocked(person gate.PersonID, price gate.Money, tokens []gate.TokenID) {
	for _, token := range tokens {
		if b.heldToken[token] -= price; b.heldToken[token] <= 0 {
			delete(b.heldToken, token)
		}
	}
	if b.heldPerson[person] -= price; b.heldPerson[person] <= 0 {
		delete(b.heldPerson, person)
	}
}

// commit counts what a group of rows cost, and ends what their calls held, in one step: nothing is free in between.
func (b *budgets) commit(group []*entry) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, e := range group {
		if e.intent || e.row.Price <= 0 {
			continue
		}
		for _, token := range e.row.Used {
			b.byToken[token] = plus(b.byToken[token], e.row.Price)
		}
		b.turnLocked(dayOf(e.id.ID))
		b.byPerson[e.row.Person] = plus(b.byPerson[e.row.Person], e.row.Price)
		if e.holds {
			b.giveBackLocked(e.row.Person, e.row.Price, e.row.Used)
		}
	}
}

// know takes over what all replicas together have spent with some tokens, and for some persons on a day.
func (b *budgets) know(f facts) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for token, s := range f.tokenSpent {
		b.byToken[token], b.tokenElsewhere[token] = s.counted, s.elsewhere
	}
	if len(f.daySpent) > 0 {
		b.turnLocked(f.day)
	}
	for person, s := range f.daySpent {
		if b.personElsewhere[person] = s.elsewhere; f.day == b.day {
			b.byPerson[person] = s.counted
		}
	}
}

// load takes over what the database has counted: of tokens in all, and of persons on the day of the last row.
func (b *budgets) load(counts map[gate.TokenID]*Count, day int64, spent map[gate.PersonID]gate.Money) {
	b.mu.Lock()
	defer b.mu.Unlock()
	clear(b.byToken)
	clear(b.tokenElsewhere) // may be among what is counted by now
	clear(b.personElsewhere)
	for token, c := range counts {
		if c.Cost > 0 {
			b.byToken[token] = c.Cost
		}
	}
	if day >= b.day {
		b.day, b.byPerson = day, spent
	}
}

// loadBudgets reads what was spent: of tokens in all, and of persons on the day of the last row.
func (w *writer) loadBudgets(ctx context.Context, counts map[gate.TokenID]*Count) error {
	today := dayOf(w.last().id.ID)
	spent, err := w.rows.spent(ctx, today)
	if err != nil {
		return fmt.Errorf("reading what was spent: %w", err)
	}
	w.budgets.load(counts, today, spent)
	return nil
}
