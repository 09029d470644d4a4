package database

import (
	"errors"
	"net"
	"sync/atomic"
)

const (
	maxSetup  = 1 << 20 // bytes to connect, sign in and prepare
	maxAnswer = 4 << 20 // bytes of one statement's answer; of it 1 MiB is shown
)

var errAnswerTooLarge = errors.New("the answer is too large")

// wire counts what arrives, and ends when it is more than was admitted.
type wire struct {
	net.Conn
	left    atomic.Int64
	toomuch atomic.Bool
	broken  atomic.Bool
}

// admit lets so many bytes come in from now on.
func (w *wire) admit(n int64) { w.left.Store(n) }

// dead reports whether nothing more can be said.
func (w *wire) dead() bool { return w.toomuch.Load() || w.broken.Load() }

// Read implements net.Conn. The driver makes room for a packet when it knows its length: one that is too large is refused
// before it comes in.
func (w *wire) Read(p []byte) (int, error) {
	left := w.left.Load()
	if left <= 0 || int64(len(p)) > left && len(p) > 64<<10 {
		w.toomuch.Store(true)
		_ = w.Conn.Close()
		return 0, errAnswerTooLarge
	}
	n, err := w.Conn.Read(p)
	w.left.Add(-int64(n))
	if err != nil {
		w.broken.Store(true)
	}
	return n, err
}
