package gate

import (
	"context"
	"sync/atomic"
	"time"

	"gatehouse/outcome"
)

// stopGrace is how long calls that were told to end have to write their rows.
const stopGrace = 10 * time.Second

// inside counts the calls that are under way, so that a stop can wait for them.
type inside struct {
	n        atomic.Int64
	stopping atomic.Bool
	empty    chan struct{} // has room for one: the last call has left while the gate stops

	stopped context.Context // ends the handlers that still run
	stop    context.CancelFunc
}

func newInside() *inside {
	i := &inside{empty: make(chan struct{}, 1)}
	i.stopped, i.stop = context.WithCancel(context.Background())
	return i
}

// enter counts a call in. Once the gate stops it is an error, and the call must leave all the same.
func (i *inside) enter() error {
	i.n.Add(1)
	if i.stopping.Load() {
		return outcome.Unavailable.Because("the gateway is stopping; try again when it is back")
	}
	return nil
}

func (i *inside) leave() {
	if i.n.Add(-1) == 0 && i.stopping.Load() {
		select {
		case i.empty <- struct{}{}:
		default:
		}
	}
}

// wait returns when no call is under way; false: ctx ended before.
func (i *inside) wait(ctx context.Context) bool {
	for i.n.Load() > 0 {
		select {
		case <-i.empty:
		case <-ctx.Done():
			return i.n.Load() == 0
		}
	}
	return true
}

// Running is the number of calls under way.
func (g *Gate) Running() int { return int(g.calls.n.Load()) }

// Stop refuses the calls that come from now on and waits for those under way. When ctx ends before they do, their
// handlers are told to end, so that their rows say cancelled, or unknown where something may have happened; for that
// they have ten more seconds. It gives the number of calls that had not ended by then. Close comes after it.
func (g *Gate) Stop(ctx context.Context) (left int) {
	g.calls.stopping.Store(true)
	if g.calls.wait(ctx) {
		return 0
	}
	g.calls.stop()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopGrace)
	defer cancel()
	g.calls.wait(ctx)
	return g.Running()
}
