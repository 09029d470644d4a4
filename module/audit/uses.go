package audit

import (
	"maps"
	"slices"
	"sync"
	"time"

	"gatehouse/gate"
	"gatehouse/outcome"
)

// Count is what the log has counted for a token.
type Count struct {
	Calls       int64     // rows of calls that arrived with it, the refused ones too
	Uses        int64     // calls of it and of its children that were let through, those under way included
	LastUsed    time.Time // zero: never
	LastAddress string
	Cost        gate.Money // of the calls that Uses counts
}

// held is an intent whose call has no row yet.
type held struct {
	key  gate.RowID // of the intent
	uses []gate.TokenID
	// dispatched: the handler may have run, so the intent becomes a row. Otherwise it was refused for want of an answer from
	// the database, and only goes.
	dispatched bool
	person     gate.PersonID // whose budget is held, and how much of it and of those of uses
	price      gate.Money
}

// uses is the one place where uses are taken, compared with their limit and counted.
type uses struct {
	mu     sync.Mutex              // guards all below
	counts map[gate.TokenID]*Count // as the database has it
	taken  map[gate.TokenID]int64  // by calls that have no row yet
	// By calls under way on other replicas, as last seen. The log compares again in its transaction.
	elsewhere map[gate.TokenID]int64
	open      map[int64]*held      // the intents of calls under way, by the number in their ticket
	last      int64                // the last number given to a ticket
	lost      map[gate.RowID]*held // intents whose row could not be written: they go or become rows when that is possible
	wake      chan struct{}        // has room for one: something was lost
}

func newUses() *uses {
	return &uses{
		counts: map[gate.TokenID]*Count{}, taken: map[gate.TokenID]int64{}, elsewhere: map[gate.TokenID]int64{}, open: map[int64]*held{},
		lost: map[gate.RowID]*held{}, wake: make(chan struct{}, 1),
	}
}

var errNoUseLeft = outcome.Limited.Because("no use of the token is left; ask the person behind you for a new one")

// leftLocked reports whether every link has a use left.
func (u *uses) leftLocked(chain []gate.Link) error {
	for _, link := range chain {
		if link.MaxUses <= 0 {
			continue
		}
		n := u.taken[link.Token] + u.elsewhere[link.Token]
		if c := u.counts[link.Token]; c != nil {
			n += c.Uses
		}
		if n >= link.MaxUses {
			return errNoUseLeft
		}
	}
	return nil
}

func (u *uses) left(chain []gate.Link) error {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.leftLocked(chain)
}

// take compares and takes in one step, so that two calls cannot both take the last use.
func (u *uses) take(chain []gate.Link) ([]gate.TokenID, error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if err := u.leftLocked(chain); err != nil {
		return nil, err
	}
	taken := make([]gate.TokenID, len(chain))
	for i, link := range chain {
		taken[i] = link.Token
		u.taken[link.Token]++
	}
	return taken, nil
}

func (u *uses) giveBack(ids []gate.TokenID) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.giveBackLocked(ids)
}

func (u *uses) giveBackLocked(ids []gate.TokenID) {
	for _, id := range ids {
		if u.taken[id]--; u.taken[id] <= 0 {
			delete(u.taken, id)
		}
	}
}

// hold remembers the intent of a call under way and gives the number for its ticket.
func (u *uses) hold(h *held) int64 {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.last++
	u.open[u.last] = h
	return u.last
}

// end takes an intent out of those under way; nil if there is none of that number.
func (u *uses) end(number int64) *held {
	u.mu.Lock()
	defer u.mu.Unlock()
	h := u.open[number]
	delete(u.open, number)
	return h
}

// lose hands an intent over to the writer, which sees to it as soon as the database can be written. What was dispatched
// keeps its uses until then.
func (u *uses) lose(h *held) {
	u.mu.Lock()
	u.lost[h.key] = h
	u.mu.Unlock()
	select {
	case u.wake <- struct{}{}:
	default:
	}
}

// losses gives what was lost and not yet seen to.
func (u *uses) losses() []*held {
	u.mu.Lock()
	defer u.mu.Unlock()
	return slices.Collect(maps.Values(u.lost))
}

// found forgets a loss that was seen to: its row, if there is one, is counted, or the intent was never there.
func (u *uses) found(h *held) {
	u.mu.Lock()
	defer u.mu.Unlock()
	delete(u.lost, h.key)
	if h.dispatched {
		u.giveBackLocked(h.uses)
	}
}

// load takes over what the database has counted.
func (u *uses) load(counts map[gate.TokenID]*Count) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.counts = counts
	clear(u.elsewhere) // may be among what is counted by now
}

// know takes over what all replicas together have used of some tokens.
func (u *uses) know(known map[gate.TokenID]useFact) {
	u.mu.Lock()
	defer u.mu.Unlock()
	for id, f := range known {
		if u.counts[id] == nil {
			u.counts[id] = &Count{}
		}
		u.counts[id].Uses, u.elsewhere[id] = f.counted, f.elsewhere
	}
}

// commit counts what a group of rows added, and ends what their calls held, in one step: no use is free in between.
func (u *uses) commit(group []*entry, added map[gate.TokenID]*Count) {
	u.mu.Lock()
	defer u.mu.Unlock()
	for id, a := range added {
		c := u.counts[id]
		if c == nil {
			c = &Count{}
			u.counts[id] = c
		}
		c.add(a)
	}
	for _, e := range group {
		if e.holds {
			u.giveBackLocked(e.row.Used)
		}
	}
}

func (c *Count) add(a *Count) {
	c.Calls += a.Calls
	c.Uses += a.Uses
	c.Cost = min(c.Cost+a.Cost, mostMoney)
	if !a.LastUsed.IsZero() {
		c.LastUsed, c.LastAddress = a.LastUsed, a.LastAddress
	}
}

func (u *uses) count(id gate.TokenID) (c Count) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if known := u.counts[id]; known != nil {
		c = *known
	}
	c.Uses += u.taken[id]
	return c
}

// underWay is how many uses calls of this process hold that have no row yet.
func (u *uses) underWay(id gate.TokenID) int64 {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.taken[id]
}

// tally adds a row to what is counted of tokens.
func tally(counts map[gate.TokenID]*Count, r *Row, id int64) {
	of := func(token gate.TokenID) *Count {
		c := counts[token]
		if c == nil {
			c = &Count{}
			counts[token] = c
		}
		return c
	}
	if r.Token != 0 {
		c := of(r.Token)
		c.Calls += r.Count
		c.LastUsed, c.LastAddress = time.UnixMilli(id).UTC(), r.Address
	}
	for _, token := range r.Used {
		c := of(token)
		c.Uses++
		c.Cost = min(c.Cost+r.Price, mostMoney)
	}
}
