package upstream

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strconv"

	"gatehouse/canon"
	"gatehouse/wire"
)

// The ways in which a request gets no proper answer.
var (
	errUnsent     = errors.New("it could not be sent")
	errLost       = errors.New("the program ended before it answered")
	errTooLong    = fmt.Errorf("the answer is longer than %d MiB", maxLine>>20)
	errUnreadable = errors.New("the answer is not strict JSON-RPC 2.0")
)

// answer is what became of a request.
type answer struct {
	result canon.Value
	err    error // a *wire.Error where the server answered with one
}

// request sends one request and waits for its answer. errUnsent: nothing was sent. A *wire.Error is the server's own. Any
// other error, the context's among them, means that it was sent and that nobody knows what became of it.
func (p *process) request(ctx context.Context, method, params string) (canon.Value, error) {
	id, got := p.expect()
	defer p.unexpect(id)
	select {
	case p.out <- wire.AppendRequest(nil, wire.IntID(id), method, params):
	case <-ctx.Done():
		return canon.Value{}, fmt.Errorf("%w: %w", errUnsent, ctx.Err())
	case <-p.ending:
		return canon.Value{}, fmt.Errorf("%w: %w", errUnsent, p.cause)
	}
	select {
	case a := <-got:
		return a.result, a.err
	case <-ctx.Done():
		p.note(wire.AppendNotification(nil, "notifications/cancelled", `{"reason":"nobody waits any more","requestId":`+strconv.FormatInt(id, 10)+`}`))
		return canon.Value{}, fmt.Errorf("waiting for the answer to %s: %w", method, ctx.Err())
	}
}

// open sends a request that stays open; its answers are dropped.
func (p *process) open(method, params string) {
	id, _ := p.expect()
	p.note(wire.AppendRequest(nil, wire.IntID(id), method, params))
}

func (p *process) expect() (id int64, got <-chan answer) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.last++
	c := make(chan answer, 1)
	if p.waiting == nil {
		c <- answer{err: errLost} // all is over
		return p.last, c
	}
	p.waiting[p.last] = c
	return p.last, c
}

func (p *process) unexpect(id int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.waiting, id)
}

// deliver gives an answer to whoever waits for it; ok is false if nobody does.
func (p *process) deliver(id int64, a answer) (ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	c, ok := p.waiting[id]
	if ok {
		delete(p.waiting, id)
		c <- a
	}
	return ok
}

// forget tells all who wait that no answer comes any more.
func (p *process) forget() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range p.waiting {
		c <- answer{err: errLost}
	}
	p.waiting = nil
}

// Where the writers of servers in use put the id of an answer: first, or last.
var (
	idFirst = regexp.MustCompile(`^\s*\{\s*(?:"jsonrpc"\s*:\s*"[^"]{0,9}"\s*,\s*)?"id"\s*:\s*([0-9]{1,18})\s*,`)
	idLast  = regexp.MustCompile(`[,{]\s*"id"\s*:\s*([0-9]{1,18})\s*(?:,\s*"jsonrpc"\s*:\s*"[^"]{0,9}"\s*)?\}\s*$`)
)

// answered guesses which request a line answers that cannot be read as a whole. A server that misleads it ends its own
// calls only, which it can do in any case.
func answered(first, last []byte) (id int64, ok bool) {
	const far = 256
	first, last = first[:min(len(first), far)], last[max(0, len(last)-far):]
	m := idFirst.FindSubmatch(first)
	if m == nil {
		m = idLast.FindSubmatch(last)
	}
	if m == nil {
		return 0, false
	}
	id, err := strconv.ParseInt(string(m[1]), 10, 64)
	return id, err == nil
}
