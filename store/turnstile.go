package store

import (
	"context"
	"sync"
	"time"
)

// turnstile lets any number of readers through, and can be held shut for the moment in which a database goes on in another
// file. Who holds it waits for those inside, but not for long: a reader that stays keeps nobody else out.
type turnstile struct {
	mu     sync.Mutex
	inside int
	shut   chan struct{} // closed when it opens again; nil: it is open
	empty  chan struct{} // closed by the last one who leaves; nil: nobody waits
}

func (t *turnstile) enter(ctx context.Context) error {
	for {
		t.mu.Lock()
		if t.shut == nil {
			t.inside++
			t.mu.Unlock()
			return nil
		}
		shut := t.shut
		t.mu.Unlock()
		select {
		case <-shut:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (t *turnstile) leave() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.inside--; t.inside == 0 && t.empty != nil {
		close(t.empty)
		t.empty = nil
	}
}

// hold shuts it and waits until nobody is inside; false: somebody stays, and it is open again. One goroutine at a time.
func (t *turnstile) hold(wait time.Duration) bool {
	t.mu.Lock()
	t.shut = make(chan struct{})
	if t.inside == 0 {
		t.mu.Unlock()
		return true
	}
	empty := make(chan struct{})
	t.empty = empty
	t.mu.Unlock()
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-empty:
		return true
	case <-timer.C:
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.inside == 0 {
		return true
	}
	t.empty = nil
	close(t.shut)
	t.shut = nil
	return false
}

func (t *turnstile) open() {
	t.mu.Lock()
	defer t.mu.Unlock()
	close(t.shut)
	t.shut = nil
}
