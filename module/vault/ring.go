package vault

import (
	"sync"
	"time"

	"github.com/tink-crypto/tink-go/v2/tink"

	"gatehouse/gate"
)

const (
	// ringTime is how long an unwrapped key is used before its row is read again: a key that another process destroyed
	// opens nothing any more after that.
	ringTime = time.Minute
	// ringSize bounds the unwrapped keys in memory. To unwrap one again costs a read and about 20 µs.
	ringSize = 4096
)

// ring holds unwrapped data keys for a while.
type ring struct {
	mu    sync.RWMutex // guards all below
	keys  map[gate.PersonID]held
	drops uint64 // how many keys were dropped, ever
}

type held struct {
	aead  tink.AEAD
	until time.Time
}

func newRing() *ring { return &ring{keys: map[gate.PersonID]held{}} }

// get gives a person's key if it is held and fresh. Otherwise seen must be handed to put.
func (r *ring) get(person gate.PersonID) (key tink.AEAD, seen uint64) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	if h, ok := r.keys[person]; ok && time.Now().Before(h.until) {
		return h.aead, r.drops
	}
	return nil, r.drops
}

// put holds a key whose row was read after get. It does not if a key was dropped since: it may be this one, and a key that
// is destroyed must not come back.
func (r *ring) put(person gate.PersonID, key tink.AEAD, seen uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.drops != seen {
		return
	}
	for other := range r.keys { // any will do
		if len(r.keys) < ringSize {
			break
		}
		delete(r.keys, other)
	}
	r.keys[person] = held{key, time.Now().Add(ringTime)}
}

// drop forgets a person's key.
func (r *ring) drop(person gate.PersonID) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.keys, person)
	r.drops++
}
