package audit

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"gatehouse/gate"
	"gatehouse/outcome"
	"gatehouse/store"
)

const (
	// leaseFor is how long a replica that says nothing counts as alive.
	leaseFor = 15 * time.Second
	// renewEvery is how often a replica says something.
	renewEvery = 2 * time.Second
)

// errSettled is for the row of a call whose intent is not there any more: this replica was silent for so long that
// another one took it for gone and wrote that nobody knows how the call ended.
var errSettled = outcome.Unavailable.Because("the call took so long to be written down that its outcome stands as unknown in the log")

// errAlive is for the row of a call that seemed to be left, and is not.
var errAlive = errors.New("the call is still under way, or has its row")

// attemptShared writes a group to a log that several processes write. Whoever was decided with something older than the
// tables hold, or has no use left, is refused; the others are written.
func (w *writer) attemptShared(group []*entry) error {
	ctx, cancel := context.WithTimeout(context.Background(), groupTime)
	defer cancel()
	var after end
	var taken []*entry
	var f facts
	added := map[gate.TokenID]*Count{}
	err := w.rows.locked(ctx, func(tx *store.Tx, before end) (err error) {
		if f, err = ask(ctx, tx, w.replica, before.given.ID, questionsOf(group, w.budgets.perDay)); err != nil {
			return err
		}
		if taken = f.judge(group); len(taken) == 0 {
			return nil
		}
		after = before.chain(f.now, taken)
		if after.id.ID >= w.turn {
			if err := w.beginMonth(ctx, tx, before, after); err != nil {
				return err
			}
		}
		for _, e := range taken {
			if !e.intent {
				tally(added, &e.row, e.id.ID)
			}
		}
		if err := w.keepLease(ctx, tx, f); err != nil {
			return err
		}
		if err := after.append(ctx, tx, w.replica, taken); err != nil {
			return err
		}
		if err := addCounts(ctx, tx, added); err != nil {
			return err
		}
		return addSums(ctx, tx, sumUp(taken))
	})
	if outcome.Of(err) == outcome.Unknown && len(taken) > 0 {
		err = w.look(taken, err)
	}
	if err != nil {
		return err
	}
	w.uses.know(f.known)
	w.budgets.know(f)
	if len(taken) == 0 {
		return nil
	}
	grew := after.n > w.last().n
	w.tip.Store(&after.place)
	if after.id.ID >= w.turn {
		w.setTurn(after.place)
	}
	w.rows.db.Clock().Resume(after.id.ID, int(after.id.Seq))
	w.uses.commit(taken, added)
	w.budgets.commit(taken)
	if grew {
		w.grown.tell()
	}
	return nil
}

// questionsOf gathers what a group depends on; perDay is what a person may spend on a day.
func questionsOf(group []*entry, perDay gate.Money) questions {
	persons, tokens, limited := map[int64]bool{}, map[int64]bool{}, map[int64]bool{}
	payers, purses := map[int64]bool{}, map[int64]bool{}
	q := questions{perDay: perDay}
	for _, e := range group {
		if e.compare {
			persons[int64(e.row.Person)] = true
			for _, link := range e.chain {
				tokens[int64(link.Token)] = true
			}
		}
		for _, link := range e.chain {
			if link.MaxUses > 0 {
				limited[int64(link.Token)] = true
			}
			if link.Budget > 0 && e.concernsMoney() {
				purses[int64(link.Token)] = true
			}
		}
		if perDay > 0 && e.row.Person != 0 && e.concernsMoney() {
			payers[int64(e.row.Person)] = true
		}
		if e.ends != nil {
			q.ids, q.seqs = append(q.ids, e.ends.key.ID), append(q.seqs, int64(e.ends.key.Seq))
		}
	}
	q.persons, q.tokens = slices.Collect(maps.Keys(persons)), slices.Collect(maps.Keys(tokens))
	q.limited = slices.Collect(maps.Keys(limited))
	q.payers, q.purses = slices.Collect(maps.Keys(payers)), slices.Collect(maps.Keys(purses))
	return q
}

// concernsMoney reports whether an entry costs something, or was refused and perhaps with numbers that are not true any more.
func (e *entry) concernsMoney() bool {
	return e.row.Price > 0 || e.row.Outcome == outcome.Limited.String()
}

// judge sorts out whom a group must not hold, says so in their err, and gives the others. It adds what they take to uses.
func (f facts) judge(group []*entry) (taken []*entry) {
	for _, e := range group {
		if e.err = f.object(e); e.err != nil {
			continue
		}
		if e.takes() {
			for _, token := range e.row.Used {
				f.uses[token]++
				f.tokenSpent[token].add(e.row.Price)
			}
			f.daySpent[e.row.Person].add(e.row.Price)
		}
		taken = append(taken, e)
	}
	return taken
}

// takes reports whether an entry takes the uses that it names: an intent does, and a row whose call had none.
func (e *entry) takes() bool { return e.intent || e.holds && e.ends == nil }

// object says why an entry cannot be written; nil: it can.
func (f facts) object(e *entry) error {
	if e.ends != nil {
		lives, there := f.intents[e.ends.key]
		switch {
		case e.left && (!there || lives):
			return errAlive
		case !e.left && !there:
			return errSettled
		}
	}
	if e.compare && !f.holds(e) {
		return gate.ErrStale
	}
	if !e.takes() {
		return nil
	}
	for _, link := range e.chain {
		if link.MaxUses <= 0 || !slices.Contains(e.row.Used, link.Token) || f.uses[link.Token] < link.MaxUses {
			continue
		}
		if e.intent {
			return errNoUseLeft
		}
		return gate.ErrStale // a read that another replica's call was faster than: it is decided again, and then refused
	}
	if err := f.poor(e); err != nil && e.intent {
		return err
	} else if err != nil {
		return gate.ErrStale
	}
	return nil
}

// poor says whose budget does not reach for an entry; nil: all do. What was not asked for reaches for nothing.
func (f facts) poor(e *entry) error {
	if e.row.Price <= 0 {
		return nil
	}
	for _, link := range e.chain {
		if link.Budget > 0 && slices.Contains(e.row.Used, link.Token) && !f.tokenSpent[link.Token].leaves(e.row.Price, link.Budget) {
			return errTokenSpent
		}
	}
	if f.perDay > 0 && e.row.Person != 0 && !f.daySpent[e.row.Person].leaves(e.row.Price, f.perDay) {
		return errDaySpent(f.day, time.UnixMilli(f.now))
	}
	return nil
}

// spending is what was spent of a budget.
type spending struct {
	counted   gate.Money // by rows
	elsewhere gate.Money // held by calls under way on other replicas
	gone      gate.Money // counted, held by calls under way on any replica, and taken by those of a group that were judged
}

func (s *spending) add(price gate.Money) {
	if s != nil {
		s.gone = plus(s.gone, price)
	}
}

func (s *spending) leaves(price, budget gate.Money) bool {
	return s != nil && plus(s.gone, price) <= budget
}

// holds reports whether an entry was decided with what the tables hold. A person or token that is not there holds nothing.
func (f facts) holds(e *entry) bool {
	if e.row.Person != 0 && e.row.MapVersion != 0 && f.persons[e.row.Person] != e.row.MapVersion {
		return false
	}
	for _, link := range e.chain {
		if t := f.tokens[link.Token]; t.version != link.Version || t.ends <= f.now {
			return false
		}
	}
	return true
}

// chain gives every entry its key by the database's clock, and every row its number and its hash.
func (e end) chain(now int64, group []*entry) end {
	for _, x := range group {
		if now > e.given.ID {
			e.given = gate.RowID{ID: now}
		} else {
			e.given.Seq++
		}
		x.id = e.given
		if x.intent {
			x.body = string(x.draft.body(x.id, 0, [sha256.Size]byte{}))
			continue
		}
		e.n++
		body := x.draft.body(x.id, e.n, e.hash)
		e.id, e.hash = x.id, sha256.Sum256(body)
		x.n, x.body, x.hash = e.n, string(body), e.hash
	}
	return e
}

// keepLease sees to it that what a group begins is under a lease that runs.
func (w *writer) keepLease(ctx context.Context, tx *store.Tx, f facts) error {
	if f.lease-f.now > leaseFor.Milliseconds()/3 {
		return nil
	}
	_, err := tx.Exec(ctx, renewLease, w.replica, f.now+leaseFor.Milliseconds(), w.place)
	return err
}

const renewLease = `INSERT INTO replica (id, until, place) VALUES ($1, $2, $3) ON CONFLICT (id) DO UPDATE SET until = excluded.until`

// beat renews this replica's lease, follows what others wrote, and settles what replicas that are gone left under way.
func (w *writer) beat() {
	ctx, cancel := context.WithTimeout(context.Background(), groupTime)
	defer cancel()
	tip, left, err := w.rows.renew(ctx, w.replica, w.place)
	if err == nil && tip.n > w.last().n {
		w.tip.Store(&tip)
		w.grown.tell()
	}
	if err == nil && left > 0 {
		err = w.settleAbandoned(ctx)
	}
	if err != nil {
		w.note(err)
	}
	if err := w.makeMonths(ctx); err != nil { // there is a month left to do it in
		w.log.Warn("the next month of the log has no partition yet", "error", err)
	}
}

// makeMonths sees to it that this month and the next have partitions.
func (w *writer) makeMonths(ctx context.Context) error {
	now := w.rows.db.Clock().Now().UnixMilli()
	if now < w.reach {
		return nil
	}
	if _, err := w.rows.db.Exec(ctx, makeMonths); err != nil {
		return fmt.Errorf("making the next month's partitions: %w", err)
	}
	w.reach = monthAfter(now)
	return nil
}

// beginMonth writes where a segment begins, if the first row of a group is the first of its month. The head is held, so one
// replica does so.
func (w *writer) beginMonth(ctx context.Context, tx *store.Tx, before, after end) error {
	if before.n == 0 || after.id.ID < monthAfter(before.id.ID) {
		return nil
	}
	t, err := w.segments.upTo(ctx, tx, before.place)
	if err != nil {
		return err
	}
	b, _, _, err := w.segments.begin(ctx, tx, before.place, t, after.id.ID)
	if err != nil {
		return err
	}
	return b.insert(ctx, tx)
}

// settleAbandoned turns what replicas that are gone left under way into rows whose outcome is unknown. Each becomes one
// row: who comes second finds no intent.
func (w *writer) settleAbandoned(ctx context.Context) error {
	for {
		intents, err := w.rows.abandoned(ctx)
		if err != nil || len(intents) == 0 {
			return err
		}
		keys := slices.SortedFunc(maps.Keys(intents), compareKeys)
		group := make([]*entry, 0, len(keys))
		for _, key := range keys {
			e, err := intents[key].unknown(key)
			if err != nil {
				return fmt.Errorf("intent %s: %w", key, err)
			}
			e.left = true
			group = append(group, e)
		}
		if err := w.commit(group); err != nil {
			return err
		}
		if !slices.ContainsFunc(group, func(e *entry) bool { return e.err == nil }) {
			return nil // somebody else was faster with all of them
		}
	}
}

func compareKeys(a, b gate.RowID) int {
	if a.ID != b.ID {
		return int(max(-1, min(1, a.ID-b.ID)))
	}
	return int(a.Seq - b.Seq)
}

// Turn reports whether a job that one replica does for all is this one's to do now. Where there is one process it always is.
func (m *Module) Turn(ctx context.Context, job string, every time.Duration) (bool, error) {
	if !m.rows.shared() {
		return true, nil
	}
	mine, err := m.rows.due(ctx, job, every.Milliseconds(), m.writer.replica)
	if err != nil {
		return false, fmt.Errorf("asking whose turn the job %s is: %w", job, err)
	}
	return mine, nil
}

// resign gives the lease back, so that others need not wait for its end to settle what this replica left under way.
func (w *writer) resign() error {
	if !w.rows.shared() {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), lookTime)
	defer cancel()
	if err := w.rows.resign(ctx, w.replica); err != nil {
		return fmt.Errorf("ending the lease of this replica: %w", err)
	}
	return nil
}
