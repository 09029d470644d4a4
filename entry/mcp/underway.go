package mcp

import (
	"context"
	"sync"

	"gatehouse/wire"
)

// underway are the requests of one client that are not answered yet, so that the client can take them back. The zero value
// has none.
type underway struct {
	mu   sync.Mutex // guards all below
	byID map[string]*pending
}

// pending is one of them.
type pending struct {
	cancel    context.CancelFunc
	withdrawn bool // by the client, who then wants no answer
	tied      bool // to the connection: it is taken back when the client leaves
}

// begin enters a request; one that is tied ends with its connection. end takes it out and reports whether the client took
// it back meanwhile. free is false where the id is under way already.
func (u *underway) begin(ctx context.Context, id wire.ID, tied bool) (_ context.Context, end func() (withdrawn bool), free bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	key := id.String()
	if u.byID[key] != nil {
		return nil, nil, false
	}
	if u.byID == nil {
		u.byID = map[string]*pending{}
	}
	p := &pending{tied: tied}
	ctx, p.cancel = context.WithCancel(ctx)
	u.byID[key] = p
	return ctx, func() bool {
		u.mu.Lock()
		defer u.mu.Unlock()
		if delete(u.byID, key); len(u.byID) == 0 {
			u.byID = nil // an idle client costs no map
		}
		p.cancel()
		return p.withdrawn
	}, true
}

// cancel takes back the request that a notifications/cancelled names.
func (u *underway) cancel(f wire.Frame) {
	id, ok := f.Params.Lookup("/requestId")
	if !ok {
		return
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	if p := u.byID[id.String()]; p != nil {
		p.withdrawn = true
		p.cancel()
	}
}

// leave takes back the requests that are tied to the connection, which is gone.
func (u *underway) leave() {
	u.mu.Lock()
	defer u.mu.Unlock()
	for _, p := range u.byID {
		if p.tied {
			p.withdrawn = true
			p.cancel()
		}
	}
}

// count is how many there are.
func (u *underway) count() int {
	u.mu.Lock()
	defer u.mu.Unlock()
	return len(u.byID)
}
