package calls

import (
	"fmt"
	"sync"

	"gatehouse/canon"
	"gatehouse/gate"
)

// place is where an outcome is kept. Person and root follow from the token.
type place struct {
	token gate.TokenID
	tool  gate.ToolName
	key   string
}

func placeOf(k gate.ResultKey) place { return place{k.Token, k.Tool, k.Key} }

// flights are the calls with a key that are under way in this process.
type flights struct {
	mu    sync.Mutex // guards under
	under map[place]*flight
}

// flight belongs to whoever entered first, until they leave.
type flight struct {
	digest canon.Digest
	row    int64         // of the claim; written by its owner before the call runs
	done   chan struct{} // closed when the owner has left
}

func newFlights() *flights { return &flights{under: map[place]*flight{}} }

// enter gives the flight at a place, and makes it if there is none: then it is mine.
func (s *flights) enter(at place, digest canon.Digest) (f *flight, mine bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if f := s.under[at]; f != nil {
		return f, false
	}
	f = &flight{digest: digest, done: make(chan struct{})}
	s.under[at] = f
	return f, true
}

// owned gives the flight that the caller claimed.
func (s *flights) owned(at place) (*flight, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if f := s.under[at]; f != nil && f.row != 0 {
		return f, nil
	}
	return nil, fmt.Errorf("nobody claimed the key of a call of %s", at.tool)
}

// leave ends the flight and wakes those who wait for it.
func (s *flights) leave(at place) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if f := s.under[at]; f != nil {
		delete(s.under, at)
		close(f.done)
	}
}
