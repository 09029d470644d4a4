package socket

import (
	"log/slog"
	"sync"
	"time"
)

// nuisanceEvery is how often connections that proved nothing are written about.
const nuisanceEvery = time.Minute

// nuisance writes about connections that ended without a proof: about the first at once, about those after it once a
// minute, by their number. Whoever can connect must not be able to fill the log.
type nuisance struct {
	log   *slog.Logger
	mu    sync.Mutex
	quiet *time.Timer // runs while nothing is written
	more  int         // since then
	last  error       // of the last of them
	ended bool
}

func (n *nuisance) add(err error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.quiet != nil || n.ended {
		n.more, n.last = n.more+1, err
		return
	}
	n.log.Warn("a connection to the operator's socket ended without a proof", "error", err)
	n.quiet = time.AfterFunc(nuisanceEvery, n.tell)
}

// tell writes about all since the last time, and is quiet again; after a minute without any, add writes at once.
func (n *nuisance) tell() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.quiet = nil
	if n.more == 0 {
		return
	}
	n.write()
	if !n.ended {
		n.quiet = time.AfterFunc(nuisanceEvery, n.tell)
	}
}

func (n *nuisance) write() {
	n.log.Warn("more connections to the operator's socket ended without a proof", "connections", n.more, "last_error", n.last)
	n.more, n.last = 0, nil
}

// close writes about those of which nothing was written yet.
func (n *nuisance) close() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.ended = true
	if n.quiet != nil {
		n.quiet.Stop()
	}
	if n.more > 0 {
		n.write()
	}
}
