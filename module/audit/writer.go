package audit

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"gatehouse/gate"
	"gatehouse/outcome"
)

const (
	maxGroup   = 256                  // rows in one transaction
	linger     = 5 * time.Millisecond // how long a group waits at most for the share of the calls under way that it wants
	groupTime  = 30 * time.Second     // for one transaction; SQLite does not heed it once it has begun
	lookTime   = 10 * time.Second     // for finding out what became of a COMMIT that broke off
	retryEvery = time.Second          // for what could not be written
)

// place is the end of the chain.
type place struct {
	id   gate.RowID
	n    int64
	hash [sha256.Size]byte
}

// entry is one row, or one intent, that waits for the writer.
type entry struct {
	*draft
	intent bool  // to be kept as an intent, not as a row
	ends   *held // the intent that the row ends
	holds  bool  // its call holds one use of each of row.Used, which end with the row
	left   bool  // a replica that is gone left it; nobody waits for it
	owed   bool  // the row of a call that was let through: it is written even if the disk is full

	// What it was decided with, where several processes write the log.
	compare bool
	chain   []gate.Link

	// Written by the writer before done is closed.
	id      gate.RowID
	n       int64
	body    string
	hash    [sha256.Size]byte
	err     error
	unclear bool // it is not known whether it was written
	done    chan struct{}
}

// writer owns all writes of the log. Its goroutine begins in begin and ends with close.
type writer struct {
	rows    rows
	uses    *uses
	budgets *budgets
	log     *slog.Logger
	queue   chan *entry
	stop    chan struct{} // closed by close
	ended   chan struct{} // closed when the goroutine has ended
	once    sync.Once

	tip     atomic.Pointer[place] // the end of the chain as last committed; the goroutine alone stores it
	failure atomic.Pointer[error] // why rows could not be written last time; nil: they could
	grown   grown
	room    *room

	underway atomic.Int64  // calls that were let through and have no row yet
	wanted   atomic.Int64  // how many the goroutine waits for; 0: it does not
	enough   chan struct{} // has room for one: so many are there

	// Where several processes write the log: this one's replica, made by begin, and what only it can hold.
	replica int64
	place   string

	segments segmenter

	// The goroutine's alone.
	vain   vain
	begun  began // where the live segment begins
	turn   int64 // the first id of the next month; zero: there is no row yet
	reach  int64 // until when the months have partitions, where they must; the next one has one too
	unsure bool  // what the database holds is not known: it is read again before anything is written
}

func newWriter(r rows, u *uses, b *budgets, place string, room *room, log *slog.Logger) *writer {
	return &writer{
		rows: r, uses: u, budgets: b, place: place, room: room, log: log,
		queue: make(chan *entry, 4*maxGroup), stop: make(chan struct{}), ended: make(chan struct{}),
		enough: make(chan struct{}, 1),
	}
}

// begin reads where the log ends, and loads what needs to know it; it turns the intents that it finds into rows, and starts
// the goroutine.
func (w *writer) begin(ctx context.Context, loaded func(context.Context) error) error {
	if err := w.rows.makeHead(ctx); err != nil {
		return fmt.Errorf("making the head: %w", err)
	}
	if err := w.load(ctx); err != nil {
		return err
	}
	last, head, err := w.rows.ends(ctx)
	if err != nil {
		return fmt.Errorf("reading the last row: %w", err)
	}
	if err := w.follows(ctx); err != nil {
		return err
	}
	if last != head {
		return fmt.Errorf("the log ends with row %s, number %d, and its head says row %s, number %d: run gatehouse audit verify",
			last.id, last.n, head.id, head.n)
	}
	if err := loaded(ctx); err != nil {
		return err
	}
	settle := w.settleAll
	if w.rows.shared() {
		if err := w.makeMonths(ctx); err != nil {
			return err
		}
		if w.replica, err = w.rows.register(ctx, w.place); err != nil {
			return fmt.Errorf("registering this replica: %w", err)
		}
		settle = w.settleAbandoned
	}
	if now := w.rows.db.Clock().Now().UnixMilli(); !w.rows.shared() && w.turn != 0 && now >= w.turn {
		w.turnOver(ctx, now)
	}
	err = settle(ctx)
	if errors.Is(err, errNoRoom) {
		err = settle(ctx) // there is the reserve now
	}
	if err != nil {
		return fmt.Errorf("writing rows for calls that were under way: %w", err)
	}
	w.note(w.room.begin())
	go w.run()
	return nil
}

// load reads the end of the chain and the counters.
func (w *writer) load(ctx context.Context) error {
	tip, err := w.rows.head(ctx)
	if err != nil {
		return fmt.Errorf("reading the head: %w", err)
	}
	counts, err := w.rows.counts(ctx)
	if err != nil {
		return fmt.Errorf("reading the counters: %w", err)
	}
	begun, err := latest(ctx, w.rows.db)
	if err != nil {
		return err
	}
	w.rows.db.Clock().Resume(tip.id.ID, int(tip.id.Seq))
	w.setBegun(begun)
	w.tip.Store(&tip)
	w.setTurn(tip)
	w.uses.load(counts)
	return w.loadBudgets(ctx, counts)
}

// setTurn works out when the next segment begins.
func (w *writer) setTurn(tip place) {
	if w.turn = 0; tip.n > 0 {
		w.turn = monthAfter(tip.id.ID)
	}
}

// last is the end of the chain as last committed.
func (w *writer) last() place { return *w.tip.Load() }

// err says why rows cannot be written now.
func (w *writer) err() error {
	if err := w.failure.Load(); err != nil {
		return *err
	}
	select {
	case <-w.stop:
		return errClosed
	default:
		return nil
	}
}

var errClosed = outcome.Unavailable.Because("the log is closed")

// write hands an entry to the goroutine and waits until it is durable.
func (w *writer) write(ctx context.Context, e *entry) error {
	select {
	case <-w.stop:
		return errClosed
	default:
	}
	select {
	case w.queue <- e:
	case <-w.stop:
		return errClosed
	case <-ctx.Done():
		return ctx.Err()
	}
	if wanted := w.wanted.Load(); wanted > 0 && int64(len(w.queue)) >= wanted {
		select {
		case w.enough <- struct{}{}:
		default:
		}
	}
	select {
	case <-e.done:
		return e.err
	case <-w.ended:
	}
	select { // it may have been the last one
	case <-e.done:
		return e.err
	default:
		return errClosed
	}
}

// close writes what is queued and ends the goroutine.
func (w *writer) close() {
	w.once.Do(func() { close(w.stop) })
	<-w.ended
}

func (w *writer) run() {
	defer close(w.ended)
	retry := time.NewTicker(retryEvery)
	defer retry.Stop()
	var renew <-chan time.Time
	if w.rows.shared() {
		ticker := time.NewTicker(renewEvery)
		defer ticker.Stop()
		renew = ticker.C
	}
	for {
		select {
		case e := <-w.queue:
			w.writeGroup(w.collect(e))
		case <-w.uses.wake:
			w.mend()
		case <-renew:
			w.beat()
		case <-retry.C:
			if w.unsure || w.failure.Load() != nil || len(w.uses.losses()) > 0 {
				w.mend()
			}
		case <-w.stop:
			w.drain()
			w.lastWords()
			return
		}
	}
}

// drain writes what was queued before the close.
func (w *writer) drain() {
	for {
		select {
		case e := <-w.queue:
			w.writeGroup(w.collect(e))
		default:
			return
		}
	}
}

// share is which part of the calls under way a group wants to hold before it is written, as a divisor. A commit costs
// nearly the same for one row and for many; who waits for others must be sure that they are on their way, so that a call
// that is alone, or one of a few, waits for none.
const share = 8

// collect takes those who wait into one group.
func (w *writer) collect(first *entry) []*entry {
	group := w.waiting(append(make([]*entry, 0, 64), first))
	more := min(w.underway.Load()/share, maxGroup) - int64(len(group))
	if more <= 0 || w.vain.skip() {
		return group
	}
	w.await(more)
	n := len(group)
	group = w.waiting(group)
	w.vain.note(len(group) == n)
	return group
}

// vain counts the waits in which nobody came: where many slow calls are under way, a quick one must not wait for them each
// time. After each it lets twice as many groups go without a wait.
type vain struct{ waits, left int }

func (v *vain) skip() bool {
	if v.left == 0 {
		return false
	}
	v.left--
	return true
}

func (v *vain) note(nobody bool) {
	if !nobody {
		*v = vain{}
		return
	}
	v.waits = min(v.waits+1, 7)
	v.left = 1 << v.waits
}

// await returns when so many wait in the queue, but after linger at the latest. The goroutine is woken once, not for each
// that comes.
func (w *writer) await(more int64) {
	w.wanted.Store(more)
	defer w.wanted.Store(0)
	select {
	case <-w.enough: // said too late for the last wait
	default:
	}
	if int64(len(w.queue)) >= more { // they came before it was said
		return
	}
	timer := time.NewTimer(linger)
	defer timer.Stop()
	select {
	case <-w.enough:
	case <-timer.C:
	case <-w.stop:
	}
}

// waiting adds all who are in the queue.
func (w *writer) waiting(group []*entry) []*entry {
	for len(group) < maxGroup {
		select {
		case e := <-w.queue:
			group = append(group, e)
		default:
			return group
		}
	}
	return group
}

// writeGroup writes one group and answers everyone in it.
func (w *writer) writeGroup(group []*entry) {
	if w.unsure {
		w.mend()
	}
	if w.unsure {
		w.answer(group, *w.failure.Load())
		return
	}
	if w.room.full.Load() {
		if group = w.turnAway(group); len(group) == 0 {
			return
		}
	}
	err := w.commit(group)
	if errors.Is(err, errNoRoom) && !w.unsure {
		if group = w.turnAway(group); len(group) == 0 { // those who run have the reserve now
			return
		}
		err = w.commit(group)
	}
	apart := outcome.Of(err) == outcome.Internal || errors.Is(err, errNoRoom)
	if apart && len(group) > 1 && !w.unsure {
		// Something in the group is not fit to be written, or all of it is too much. It must not take the others with it.
		for _, e := range group {
			w.answer([]*entry{e}, w.commit([]*entry{e}))
		}
		return
	}
	w.answer(group, err)
}

func (w *writer) answer(group []*entry, err error) {
	if err != nil && outcome.Of(err) != outcome.Unavailable {
		err = outcome.Unavailable.From(err, reasonUnwritable)
	}
	for _, e := range group {
		if err != nil {
			e.err = err
		}
		close(e.done)
	}
}

// commit writes a group in one transaction. When it returns nil the group is durable, and counted, but for entries that
// have an error of their own; after any other error nothing of it is there, unless w.unsure is set.
func (w *writer) commit(group []*entry) error {
	var err error
	for range 3 {
		if err = w.attempt(group); outcome.Of(err) != outcome.Conflict {
			break
		}
		// Another process wrote in between: go on where it ended.
		ctx, cancel := context.WithTimeout(context.Background(), groupTime)
		loading := w.load(ctx)
		cancel()
		if loading != nil {
			err = loading
			break
		}
	}
	err = w.lacking(err)
	w.note(err)
	return err
}

// note keeps the last failure for readiness, and logs when it comes and goes.
func (w *writer) note(err error) {
	was := w.failure.Load()
	if err == nil {
		if w.room.full.Load() {
			return // what was written may have come from the reserve
		}
		if was != nil {
			w.failure.Store(nil)
			w.log.Info("the log can be written again")
		}
		return
	}
	if was == nil {
		w.log.Error("the log cannot be written", "error", err)
	}
	coded := err
	if !errors.Is(err, errNoRoom) {
		coded = outcome.Unavailable.From(err, reasonUnwritable)
	}
	w.failure.Store(&coded)
}

func (w *writer) attempt(group []*entry) error {
	if w.rows.shared() {
		return w.attemptShared(group)
	}
	ctx, cancel := context.WithTimeout(context.Background(), groupTime)
	defer cancel()
	before := w.last()
	after := w.chain(before, group)
	if after.id.ID >= w.turn {
		w.turnOver(ctx, after.id.ID)
		after = w.chain(before, group) // with keys of the new month
	}
	added := map[gate.TokenID]*Count{}
	for _, e := range group {
		if !e.intent {
			tally(added, &e.row, e.id.ID)
		}
	}
	err := w.rows.write(ctx, before, after, group, added)
	if outcome.Of(err) == outcome.Unknown {
		err = w.look(group, err)
	}
	if err != nil {
		return err
	}
	w.tip.Store(&after)
	w.uses.commit(group, added)
	w.budgets.commit(group)
	if after.n > before.n {
		w.grown.tell()
	}
	return nil
}

// chain gives every entry its key, and every row its number and its hash.
func (w *writer) chain(at place, group []*entry) place {
	clock := w.rows.db.Clock()
	for _, e := range group {
		id, seq := clock.Next()
		e.id = gate.RowID{ID: id, Seq: int32(seq)}
		if e.intent {
			e.body = string(e.draft.body(e.id, 0, [sha256.Size]byte{}))
			continue
		}
		at.n++
		body := e.draft.body(e.id, at.n, at.hash)
		at.id, at.hash = e.id, sha256.Sum256(body)
		e.n, e.body, e.hash = at.n, string(body), at.hash
	}
	return at
}

// look finds out what became of a COMMIT of which the database said nothing. If that cannot be found out in time, nothing
// more is written before it is.
func (w *writer) look(group []*entry, cause error) error {
	ctx, cancel := context.WithTimeout(context.Background(), lookTime)
	defer cancel()
	for wait := 10 * time.Millisecond; ; wait = min(2*wait, time.Second) {
		there, err := w.rows.has(ctx, group[len(group)-1])
		if err == nil && there {
			return nil
		}
		if err == nil {
			return outcome.Unavailable.From(cause, reasonUnwritable)
		}
		select {
		case <-time.After(wait):
			continue
		case <-ctx.Done():
		case <-w.stop:
		}
		w.unsure = true
		for _, e := range group {
			e.unclear = true
		}
		return outcome.Unavailable.From(errors.Join(cause, err), reasonUnwritable)
	}
}

// mend sees to what could not be written before, as soon as it can be.
func (w *writer) mend() {
	ctx, cancel := context.WithTimeout(context.Background(), groupTime)
	defer cancel()
	var err error
	if w.unsure {
		if err = w.load(ctx); err == nil {
			w.unsure = false
		}
	}
	if err == nil {
		err = w.settle(ctx, w.uses.losses())
	}
	if err == nil && w.failure.Load() != nil {
		err = w.lacking(w.rows.probe(ctx))
	}
	if err == nil && w.room.full.Load() {
		err = w.relieve(ctx)
	}
	w.note(err)
}

// settleAll turns every intent into a row whose outcome is unknown: at start nothing is under way.
func (w *writer) settleAll(ctx context.Context) error {
	intents, err := w.rows.intents(ctx)
	if err != nil {
		return err
	}
	group := make([]*entry, 0, len(intents))
	for key, i := range intents {
		w.rows.db.Clock().Resume(key.ID, int(key.Seq))
		e, err := i.unknown(key)
		if err != nil {
			return fmt.Errorf("intent %s: %w", key, err)
		}
		group = append(group, e)
	}
	for len(group) > 0 {
		n := min(len(group), maxGroup)
		if err := w.commit(group[:n]); err != nil {
			return err
		}
		group = group[n:]
	}
	return nil
}

// settle does the same for the intents that were lost since, and removes those whose call was never started.
func (w *writer) settle(ctx context.Context, lost []*held) error {
	if len(lost) == 0 {
		return nil
	}
	intents, err := w.rows.intents(ctx)
	if err != nil {
		return err
	}
	for _, h := range lost {
		i, there := intents[h.key]
		switch {
		case there && h.dispatched:
			e, err := i.unknown(h.key)
			if err == nil {
				err = w.commit([]*entry{e})
			}
			if err != nil {
				return fmt.Errorf("intent %s: %w", h.key, err)
			}
		case there:
			if err := w.rows.dropIntent(ctx, h.key); err != nil {
				return fmt.Errorf("removing intent %s: %w", h.key, err)
			}
		}
		w.uses.found(h)
		if h.dispatched {
			w.budgets.giveBack(h.person, h.price, h.uses)
		}
	}
	return nil
}

// stored is an intent as the database holds it.
type stored struct {
	body   string
	sealed []byte
}

// unknown makes the row of a call of which nobody knows how it ended. The payload stays as it was sealed with the intent.
func (i stored) unknown(key gate.RowID) (*entry, error) {
	row, err := parseRow(i.body)
	if err != nil {
		return nil, err
	}
	row.Outcome, row.Rule, row.Intent = outcome.Unknown.String(), "crash", key.String()
	return &entry{draft: newDraft(row, i.sealed), ends: &held{key: key}, done: make(chan struct{})}, nil
}

// grown tells those who follow the log that it grew.
type grown struct {
	mu sync.Mutex
	ch chan struct{} // closed by the next row; nil while nobody waits
}

// next is closed when a row was written after the call.
func (g *grown) next() <-chan struct{} {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.ch == nil {
		g.ch = make(chan struct{})
	}
	return g.ch
}

func (g *grown) tell() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.ch != nil {
		close(g.ch)
		g.ch = nil
	}
}
