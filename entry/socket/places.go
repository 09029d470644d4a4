package socket

import (
	"errors"
	"net"
	"slices"
	"sync"

	"gatehouse/outcome"
)

// places holds the open connections. Those that proved nothing yet have places of their own, so that a program that only
// connects cannot keep the operator out: where they are full, a newcomer takes the place of the oldest of them.
type places struct {
	inside    sync.WaitGroup // one for each connection between enter and leave
	mu        sync.Mutex     // guards the rest
	closed    bool
	strangers []net.Conn // oldest first
	proven    map[net.Conn]struct{}
}

// errPushedOut is the end of a connection that proved nothing while others came.
var errPushedOut = errors.New("a newer connection took its place before it proved to be the operator's")

// enter takes a connection that proved nothing yet; false: the places are closed.
func (p *places) enter(c net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return false
	}
	if len(p.strangers) == maxStrangers {
		_ = p.strangers[0].Close() // whoever serves it sees that, and leaves
		p.strangers = slices.Delete(p.strangers, 0, 1)
	}
	p.strangers = append(p.strangers, c)
	p.inside.Add(1) // under the lock: close comes before or after
	return true
}

// prove gives a connection a place among the proven ones: outcome.Limited if there is none.
func (p *places) prove(c net.Conn) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	i := slices.Index(p.strangers, c)
	if i < 0 {
		return errPushedOut
	}
	if len(p.proven) == maxConns {
		return outcome.Limited.Because("the operator has %d connections already; try again when one of them has ended", maxConns)
	}
	p.strangers = slices.Delete(p.strangers, i, i+1)
	p.proven[c] = struct{}{}
	return nil
}

// leave closes a connection and frees its place.
func (p *places) leave(c net.Conn) {
	p.mu.Lock()
	if i := slices.Index(p.strangers, c); i >= 0 {
		p.strangers = slices.Delete(p.strangers, i, i+1)
	}
	delete(p.proven, c)
	p.mu.Unlock()
	_ = c.Close()
	p.inside.Done()
}

// close ends all connections and takes no more; false: it was closed before. inside says when all have left.
func (p *places) close() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return false
	}
	p.closed = true
	for _, c := range p.strangers {
		_ = c.Close()
	}
	for c := range p.proven {
		_ = c.Close()
	}
	return true
}
