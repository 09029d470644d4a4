package gate

import (
	"context"
	"hash/maphash"
	"time"

	"gatehouse/outcome"
)

// Event tells an open stream or socket what became of its caller.
type Event struct {
	Ended       bool // the caller may no longer be here: close. No event follows
	Unavailable bool // with Ended: only because it cannot be found out, or because the gate closes
	Tools       bool // the list of tools is another one
}

// changesRights are the modules whose calls may change who may do what.
var changesRights = map[string]bool{"people": true, "permissions": true, "tokens": true, "servers": true}

// longestLook is the longest that a step of the clock goes unnoticed.
const longestLook = time.Hour

// Watch is one open stream or socket that hears what becomes of its caller.
type Watch struct {
	gate *Gate
	from viewpoint
	tell func(Event)
	list uint64 // what was seen when the list was last told of; once entered, the watching goroutine's alone
}

// viewpoint is all that what a caller sees depends on. Watches that share one are looked after by one look.
type viewpoint struct {
	caller Caller // without what it says of itself
	module string
}

// view is what is seen from a viewpoint.
type view struct {
	list  uint64    // stands for the list of tools
	ends  time.Time // of the token; zero: never
	ended Event     // zero: the caller may be here
}

// watches are all of a gate. One goroutine looks after all of them, so that ten thousand idle sockets cost nothing but the
// memory of their entries. What is not said otherwise is guarded by the gate's mu.
type watches struct {
	all   map[*Watch]struct{}
	epoch uint64        // counts what may have changed a view
	next  time.Time     // when the goroutine looks without being woken
	woken chan struct{} // has room for one wake-up; more would say the same
	seed  maphash.Seed
}

func newWatches() watches {
	return watches{all: map[*Watch]struct{}{}, woken: make(chan struct{}, 1), seed: maphash.MakeSeed()}
}

// Watch tells when a caller's rights end, and when the list of the tools that the caller is shown changes, until
// [Watch.Stop]. module narrows the list to one module's tools; empty is all. It is a service for streams that are open: each
// call is checked anew in any case. tell is called by one goroutine for all watches, so it must not block; it may be called
// once more while Stop returns.
func (g *Gate) Watch(c Caller, module string, tell func(Event)) *Watch {
	c.agent, c.origin = "", Origin{Address: c.origin.Address}
	w := &Watch{gate: g, tell: tell, from: viewpoint{c, module}}
	g.mu.Lock()
	epoch := g.watches.epoch
	g.mu.Unlock()
	v := g.look(w.from)
	w.list = v.list
	g.mu.Lock()
	defer g.mu.Unlock()
	g.watches.all[w] = struct{}{}
	// What changed between the look and the entry would go unheard, and so would an end that comes before the next look.
	if v.ended.Ended || epoch != g.watches.epoch || !v.ends.IsZero() && v.ends.Before(g.watches.next) {
		g.watches.rouse()
	}
	return w
}

// Stop ends the watch.
func (w *Watch) Stop() {
	w.gate.mu.Lock()
	defer w.gate.mu.Unlock()
	delete(w.gate.watches.all, w)
}

func (w *watches) rouse() {
	select {
	case w.woken <- struct{}{}:
	default:
	}
}

// wake has all watches looked after, since rights or tools may have changed.
func (g *Gate) wake() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.watches.epoch++
	g.watches.rouse()
}

// tell wakes all watches after a call that may have changed rights.
func (g *Gate) tell(p *passage) {
	if p.tool != nil && p.ticket.Admitted && p.tool.spec.Effect != Reads && changesRights[p.tool.module] {
		g.wake()
	}
}

// RightsChanged has all watches looked after: another process has changed who may do what.
func (g *Gate) RightsChanged() { g.wake() }

// watch looks after all watches until the gate closes.
func (g *Gate) watch() {
	for {
		timer := time.NewTimer(time.Until(g.lookAround()))
		select {
		case <-g.closing:
			timer.Stop()
			for _, w := range g.entered() {
				w.tell(Event{Ended: true, Unavailable: true})
			}
			return
		case <-g.watches.woken:
			timer.Stop()
		case <-timer.C:
		}
	}
}

// entered gives the watches that there are now.
func (g *Gate) entered() []*Watch {
	g.mu.Lock()
	defer g.mu.Unlock()
	all := make([]*Watch, 0, len(g.watches.all))
	for w := range g.watches.all {
		all = append(all, w)
	}
	return all
}

// lookAround tells every watch what is new to it, those first whose caller is gone, and gives the time of the next look:
// the end of a token comes without anybody's call.
func (g *Gate) lookAround() time.Time {
	all := g.entered()
	views := make(map[viewpoint]view, min(len(all), 1000))
	next := time.Now().Add(longestLook)
	changed := all[:0]
	for _, w := range all {
		v, seen := views[w.from]
		if !seen {
			v = g.look(w.from)
			views[w.from] = v
			// The token is good at its last moment; the look is after it.
			if end := v.ends.Add(time.Millisecond); !v.ends.IsZero() && end.Before(next) {
				next = end
			}
		}
		switch {
		case v.ended.Ended:
			w.Stop()
			w.tell(v.ended)
		case v.list != w.list:
			w.list = v.list
			changed = append(changed, w)
		}
	}
	for _, w := range changed {
		w.tell(Event{Tools: true})
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.watches.next = next
	return next
}

// look asks the same question as a call does, and puts the list of tools into one number.
func (g *Gate) look(from viewpoint) view {
	s, err := g.standing(context.Background(), from.caller)
	if err != nil {
		return view{ended: Event{Ended: true, Unavailable: outcome.Of(err) != outcome.NotAllowed}}
	}
	var v view
	if s.bearer != nil {
		v.ends = s.bearer.Ends
	}
	var h maphash.Hash
	h.SetSeed(g.watches.seed)
	for _, t := range g.catalogue.Load().tools {
		if from.module != "" && t.module != from.module {
			continue
		}
		if _, _, ok := s.may(from.caller, t); ok {
			// The definition stands for everything that a list shows of a tool.
			_, _ = h.WriteString(t.exported)
			_, _ = h.WriteString(t.definition)
		}
	}
	v.list = h.Sum64()
	return v
}
