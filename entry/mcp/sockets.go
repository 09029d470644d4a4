package mcp

import (
	"context"
	"sync"
	"time"

	"github.com/coder/websocket"
)

const (
	pingAfter = 30 * time.Second // without a sign of life
	pongTime  = 20 * time.Second // for the answer to a ping
	pingLook  = 5 * time.Second  // between two looks at all sockets
)

// sockets are the WebSockets of this process. One goroutine pings for all of them.
type sockets struct {
	maxBody int64
	drain   time.Duration
	pong    time.Duration   // pongTime; tests have less of it
	most    int             // outboxBytes; likewise
	ctx     context.Context // of all requests: a client's leaving ends those of the modern era alone
	cancel  context.CancelFunc
	open    sync.WaitGroup // goroutines of sockets

	mu      sync.Mutex // guards all below
	all     map[*socket]struct{}
	keeping bool // somebody pings
	closing bool
	stop    chan struct{} // closed by close
}

func newSockets(c Config) *sockets {
	a := &sockets{maxBody: c.MaxBody, drain: c.Drain, pong: pongTime, most: outboxBytes, all: map[*socket]struct{}{}, stop: make(chan struct{})}
	if a.maxBody <= 0 {
		a.maxBody = 4 << 20
	}
	a.ctx, a.cancel = context.WithCancel(context.Background())
	return a
}

// add enters a socket, whose reading goroutine must then be started; remove takes it out. It is false when the server stops.
func (a *sockets) add(s *socket) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.closing {
		return false
	}
	a.open.Add(1)
	a.all[s] = struct{}{}
	if !a.keeping {
		a.keeping = true
		a.open.Go(a.keep)
	}
	return true
}

func (a *sockets) remove(s *socket) {
	a.mu.Lock()
	delete(a.all, s)
	a.mu.Unlock()
	a.open.Done()
}

// keep pings sockets that were quiet for a while, as long as there are any.
func (a *sockets) keep() {
	look := time.NewTicker(pingLook)
	defer look.Stop()
	for {
		select {
		case <-a.stop:
			return
		case <-look.C:
		}
		if !a.ping(time.Now()) {
			return
		}
	}
}

// ping is false when there is no socket, and nobody pings any more.
func (a *sockets) ping(now time.Time) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.all) == 0 {
		a.keeping = false
		return false
	}
	for s := range a.all {
		if now.Unix()-s.heard.Load() >= int64(pingAfter/time.Second) && s.asked.CompareAndSwap(false, true) {
			a.open.Go(s.ping)
		}
	}
	return true
}

// ping asks the client for a sign of life, and ends a socket whose client gives none.
func (s *socket) ping() {
	defer s.asked.Store(false)
	ctx, cancel := context.WithTimeout(context.Background(), s.h.sockets.pong)
	defer cancel()
	if err := s.conn.Ping(ctx); err != nil && !s.waits() {
		s.end(websocket.StatusPolicyViolation, "you did not answer a ping")
		return
	}
	s.heard.Store(time.Now().Unix())
}

// waits reports whether the socket is not read because its client asks too much at a time.
func (s *socket) waits() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.waiting
}

// close ends all sockets: at once those that are idle, the others when their requests are answered, and all when the time
// for that is over. What still runs then is cancelled, and has its row.
func (a *sockets) close() {
	a.mu.Lock()
	a.closing = true
	close(a.stop)
	all := make([]*socket, 0, len(a.all))
	for s := range a.all {
		all = append(all, s)
	}
	a.mu.Unlock()
	for _, s := range all {
		s.goAway()
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		a.open.Wait()
	}()
	for _, last := range []time.Duration{a.drain, 2 * closeTime} {
		timer := time.NewTimer(last)
		select {
		case <-done:
			timer.Stop()
			a.cancel()
			return
		case <-timer.C:
		}
		a.cancel()
	}
}
