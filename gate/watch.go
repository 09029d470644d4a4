package gate

import (
	"context"
	"slices"
	"time"
)

// Event tells a socket or an open session what became of its caller.
type Event struct {
	Ended bool // the caller may no longer be here: close. No event follows
	Tools bool // the list of tools is another one
}

// changesRights are the modules whose calls may change who may do what.
var changesRights = map[string]bool{"people": true, "permissions": true, "tokens": true, "servers": true}

// Watch tells when a caller's rights change, until ctx ends. It is a service for streams that are open: each call is
// checked anew in any case. The channel is closed after Ended and when ctx ends.
func (g *Gate) Watch(ctx context.Context, c Caller) <-chan Event {
	events := make(chan Event, 1)
	wake := make(chan struct{}, 1)
	g.mu.Lock()
	g.watchers[wake] = struct{}{}
	g.mu.Unlock()
	go func() {
		defer close(events)
		defer func() {
			g.mu.Lock()
			delete(g.watchers, wake)
			g.mu.Unlock()
		}()
		g.watch(ctx, c, wake, events)
	}()
	return events
}

func (g *Gate) watch(ctx context.Context, c Caller, wake <-chan struct{}, events chan<- Event) {
	before := g.visible(ctx, c)
	for {
		s, err := g.standing(ctx, c)
		if err != nil {
			select {
			case events <- Event{Ended: true}:
			case <-ctx.Done():
			}
			return
		}
		if now := g.visible(ctx, c); !slices.Equal(before, now) {
			before = now
			select {
			case events <- Event{Tools: true}:
			case <-ctx.Done():
				return
			}
		}
		// The token's own end comes without anybody's call. An hour is the longest that a clock's step goes unnoticed.
		end := time.Hour
		if s.bearer != nil {
			end = min(end, max(time.Until(s.bearer.Ends), 0)+time.Millisecond)
		}
		timer := time.NewTimer(end)
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-g.closing:
			timer.Stop()
			select {
			case events <- Event{Ended: true}:
			case <-ctx.Done():
			}
			return
		case <-wake:
			timer.Stop()
		case <-timer.C:
		}
	}
}

// visible is what a list of tools would show, in short.
func (g *Gate) visible(ctx context.Context, c Caller) []string {
	offers, err := g.Tools(ctx, c)
	if err != nil {
		return nil
	}
	seen := make([]string, 0, len(offers))
	for _, o := range offers {
		one := o.Exported + " " + o.Input.String()
		if o.Asks {
			one += " asks"
		}
		seen = append(seen, one)
	}
	return seen
}

// tell wakes all watchers after a call that may have changed rights.
func (g *Gate) tell(p *passage) {
	if p.tool != nil && p.ticket.Admitted && p.tool.spec.Effect != Reads && changesRights[p.tool.module] {
		g.wake()
	}
}

func (g *Gate) wake() {
	g.mu.Lock()
	defer g.mu.Unlock()
	for w := range g.watchers {
		select {
		case w <- struct{}{}:
		default:
		}
	}
}
