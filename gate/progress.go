package gate

import (
	"context"
	"math"
	"sync"
	"time"

	"gatehouse/guard"
)

const (
	// progressEvery is the least time between two words of progress of one call.
	progressEvery = 100 * time.Millisecond
	// maxProgressMessage bounds the text of one, in bytes.
	maxProgressMessage = 500
)

// Progress is how far a call has come.
type Progress struct {
	Done    float64 // more than the time before
	Total   float64 // how much there is to do; 0: not known
	Message string  // "": none; the guards of results have seen it
}

// progress hands a call's progress on. mu is held while the entry is told, so that nothing comes after the end.
type progress struct {
	mu       sync.Mutex // guards the rest
	ended    bool
	told     time.Time       // when the entry last heard something
	done     float64         // what it heard
	findings []guard.Finding // in messages; kept apart, because the passage belongs to another goroutine
}

// Followed reports whether somebody wants to hear how far the call has come. To find out may cost something downstream.
func (p Permit) Followed() bool { return p.passage().progress != nil }

// Progress tells whoever waits how far the call has come: done of total, which is 0 where it is not known. What does not
// rise, what follows within 100 ms, and what comes after the end of the call is dropped. The message is guarded as results
// are; one that a guard withholds is left out. It may be called from any goroutine.
func (p Permit) Progress(done, total float64, message string) {
	q := p.passage()
	if q.progress == nil {
		return // nobody asked
	}
	q.progress.mu.Lock()
	defer q.progress.mu.Unlock()
	q.progress.tellLocked(q, Progress{done, total, message})
}

func (s *progress) tellLocked(q *passage, p Progress) {
	now := time.Now()
	first := s.told.IsZero()
	if s.ended || !finite(p.Done) || !first && (p.Done <= s.done || now.Sub(s.told) < progressEvery) {
		return
	}
	if !finite(p.Total) || p.Total < 0 {
		p.Total = 0
	}
	s.told, s.done = now, p.Done
	shown := passage{tool: q.tool}
	p.Message = shown.cleanMessage(cut(p.Message, maxProgressMessage))
	s.findings = append(s.findings, shown.findings...)
	var err error
	func() {
		// The goroutine may be one that many calls share.
		defer contain(&err)
		q.request.Progress(p)
	}()
	if err != nil {
		q.gate.log.Error("progress could not be handed on", "error", err)
	}
}

func finite(f float64) bool { return !math.IsNaN(f) && !math.IsInf(f, 0) }

// cleanMessage gives a message as the guards of results leave it; empty if one withholds it, fails or panics.
func (p *passage) cleanMessage(message string) (cleaned string) {
	var err error
	func() {
		defer contain(&err)
		if message != "" {
			cleaned, err = p.clean(context.Background(), "/progress/message", message)
		}
	}()
	if err != nil {
		return ""
	}
	return cleaned
}

// end is the last moment at which the entry may hear of progress. What the guards found in the messages goes to the row.
func (s *progress) end(p *passage) {
	if s == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ended = true
	p.findings = append(p.findings, s.findings...)
}
