package mcp

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"sync"
	"time"

	"gatehouse/gate"
	"gatehouse/wire"
)

const (
	sessionsEach = 64               // sessions of one token, and as many open streams
	idleTime     = 30 * time.Minute // after which a session is gone
)

// sessions are the legacy sessions of this process. They hold no rights: those are asked for on every request.
type sessions struct {
	mu      sync.Mutex // guards all below, and the fields of each session that say so
	byID    map[[16]byte]*session
	count   map[gate.TokenID]int
	streams map[gate.TokenID]int // that are open, in either era
	swept   time.Time
}

// session is bound to a person and to the token that opened it.
type session struct {
	all    *sessions
	id     [16]byte
	person gate.PersonID
	token  gate.TokenID
	used   time.Time // guarded by all.mu
	calls  underway
	stream context.CancelFunc // guarded by all.mu; of the one open stream
	ended  bool               // guarded by all.mu
}

func newSessions() *sessions {
	return &sessions{byID: map[[16]byte]*session{}, count: map[gate.TokenID]int{}, streams: map[gate.TokenID]int{}, swept: time.Now()}
}

// open makes a session for a caller.
func (a *sessions) open(c gate.Caller) (*session, error) {
	s := &session{all: a, person: c.Person(), token: c.Token(), used: time.Now()}
	if _, err := rand.Read(s.id[:]); err != nil {
		return nil, wire.InternalError.Because("no session can be made")
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.sweep()
	if a.count[s.token] >= sessionsEach {
		return nil, tooManySessions()
	}
	a.byID[s.id] = s
	a.count[s.token]++
	return s, nil
}

func tooManySessions() error {
	return wire.InvalidRequest.Because("this token has %d open sessions: end one with DELETE, or close a WebSocket", sessionsEach)
}

// enter counts a WebSocket, which is a session of its token too, until leave.
func (a *sessions) enter(token gate.TokenID) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.sweep()
	if a.count[token] >= sessionsEach {
		return tooManySessions()
	}
	a.count[token]++
	return nil
}

func (a *sessions) leave(token gate.TokenID) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.count[token]--; a.count[token] == 0 {
		delete(a.count, token)
	}
}

// stream counts an open stream of a token. It is false where the token has too many.
func (a *sessions) stream(token gate.TokenID) (done func(), ok bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.streams[token] >= sessionsEach {
		return nil, false
	}
	a.streams[token]++
	return func() {
		a.mu.Lock()
		defer a.mu.Unlock()
		if a.streams[token]--; a.streams[token] == 0 {
			delete(a.streams, token)
		}
	}, true
}

// find gives the session if it is this caller's, else nil.
func (a *sessions) find(id string, c gate.Caller) *session {
	raw, err := hex.DecodeString(id)
	if err != nil || len(raw) != 16 {
		return nil
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.sweep()
	s := a.byID[[16]byte(raw)]
	if s == nil || s.person != c.Person() || s.token != c.Token() {
		return nil
	}
	if time.Since(s.used) > idleTime && s.stream == nil && s.calls.count() == 0 {
		a.endLocked(s)
		return nil
	}
	s.used = time.Now()
	return s
}

// sweep forgets sessions that were idle for long, at most once a minute.
func (a *sessions) sweep() {
	now := time.Now()
	if now.Sub(a.swept) < time.Minute {
		return
	}
	a.swept = now
	for _, s := range a.byID {
		if now.Sub(s.used) > idleTime && s.stream == nil && s.calls.count() == 0 {
			a.endLocked(s)
		}
	}
}

// end forgets a session and closes its stream. Calls that run go on: a session's end is no cancel.
func (a *sessions) end(s *session) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.endLocked(s)
}

func (a *sessions) endLocked(s *session) {
	if s.ended {
		return
	}
	s.ended = true
	if s.stream != nil {
		s.stream()
	}
	delete(a.byID, s.id)
	if a.count[s.token]--; a.count[s.token] == 0 {
		delete(a.count, s.token)
	}
}

// touch says that the session is used.
func (a *sessions) touch(s *session) {
	a.mu.Lock()
	defer a.mu.Unlock()
	s.used = time.Now()
}

// attach makes a stream the session's one; an older one ends.
func (s *session) attach(stop context.CancelFunc) (detach func(), ok bool) {
	s.all.mu.Lock()
	defer s.all.mu.Unlock()
	if s.ended {
		return nil, false
	}
	if s.stream != nil {
		s.stream()
	}
	mine := new(bool) // tells this stream from one that took its place
	s.stream = func() { *mine = true; stop() }
	return func() {
		s.all.mu.Lock()
		defer s.all.mu.Unlock()
		if !*mine {
			s.stream = nil
		}
		s.used = time.Now()
	}, true
}
