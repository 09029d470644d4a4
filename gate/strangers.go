package gate

import (
	"context"
	"log/slog"
	"net/netip"
	"sync"
	"time"

	"gatehouse/outcome"
)

// How many rows a minute those get who are refused. What goes beyond stands in one summary row a minute.
const (
	strangersEach  = 5  // failed authentications of one address
	strangersAll   = 60 // failed authentications of all addresses
	refusalsOfEach = 60 // refusals of one token
)

// strangers sees to it that nobody can fill the log by being refused.
type strangers struct {
	log    *slog.Logger
	record func(context.Context, *Row) (RowID, error)

	mu      sync.Mutex // guards all below
	windows map[window]*minute
	closed  bool
	writers sync.WaitGroup
}

// window says whose refusals are counted together: one token's, one address's, or everybody's.
type window struct {
	token   TokenID
	address string
}

type minute struct {
	rows       int
	suppressed int64
	example    Row // the first that was suppressed, without payload
	timer      *time.Timer
}

func newStrangers(log *slog.Logger, record func(context.Context, *Row) (RowID, error)) *strangers {
	return &strangers{log: log, record: record, windows: map[window]*minute{}}
}

// refused reports whether a refused call gets a row of its own.
func (s *strangers) refused(p *passage) bool {
	if p.caller.operator || p.caller.job != "" {
		return true
	}
	row := *p.row(outcome.NotAllowed)
	return s.take(row, limitOf{window{token: p.caller.token}, refusalsOfEach})
}

// decidedAgain takes back what refused has just counted into a summary: the call is refused once more, or not at all.
func (s *strangers) decidedAgain(p *passage) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if m := s.windows[window{token: p.caller.token}]; m != nil && m.suppressed > 0 {
		m.suppressed--
	}
}

// unauthenticated reports whether a failed authentication gets a row of its own.
func (s *strangers) unauthenticated(row Row) bool {
	// The window of all comes first: once it is full no window is made for another address, so that strangers with many
	// addresses fill neither the log nor the memory.
	return s.take(row, limitOf{window{}, strangersAll}, limitOf{window{address: "from " + neighbours(row.Address)}, strangersEach})
}

// neighbours is what is counted as one address: of IPv6 the /64, which one machine usually has for itself.
func neighbours(address string) string {
	a, err := netip.ParseAddr(address)
	if err != nil || !a.Is6() || a.Is4In6() {
		return address
	}
	p, err := a.Prefix(64)
	if err != nil {
		return address
	}
	return p.String()
}

type limitOf struct {
	window
	rows int
}

// take counts a row in all its windows. If one is full the row is suppressed and counted there.
func (s *strangers) take(row Row, limits ...limitOf) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return true
	}
	for _, l := range limits {
		if m := s.minute(l.window); m.rows >= l.rows {
			if m.suppressed == 0 {
				row.Payload = Payload{}
				m.example = row
			}
			m.suppressed++
			return false
		}
	}
	for _, l := range limits {
		s.minute(l.window).rows++
	}
	return true
}

// minute gives the current window; its end writes the summary.
func (s *strangers) minute(w window) *minute {
	m := s.windows[w]
	if m == nil {
		m = &minute{}
		m.timer = time.AfterFunc(time.Minute, func() { s.end(w) })
		s.windows[w] = m
	}
	return m
}

// end closes a window and, if something was suppressed, writes the one row that stands for it.
func (s *strangers) end(w window) {
	s.mu.Lock()
	m := s.windows[w]
	delete(s.windows, w)
	if m != nil {
		s.writers.Add(1)
	}
	s.mu.Unlock()
	if m == nil {
		return
	}
	defer s.writers.Done()
	m.timer.Stop()
	if m.suppressed == 0 {
		return
	}
	row := m.example
	row.Count, row.Rule = m.suppressed, "summary"
	if _, err := s.record(context.Background(), &row); err != nil {
		s.log.Error("the summary of refusals cannot be written", "calls", m.suppressed, "error", err)
	}
}

// close writes what is left. Nothing is suppressed afterwards.
func (s *strangers) close() {
	s.mu.Lock()
	s.closed = true
	open := make([]window, 0, len(s.windows))
	for w := range s.windows {
		open = append(open, w)
	}
	s.mu.Unlock()
	for _, w := range open {
		s.end(w)
	}
	s.writers.Wait()
}
