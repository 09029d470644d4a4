package mcp

import "time"

// PingAfter is how long a socket may be quiet before it is asked for a sign of life.
const PingAfter = pingAfter

// AnswerPingsWithin changes how long clients have for it. It must come before the first socket.
func (h *Handler) AnswerPingsWithin(d time.Duration) { h.sockets.pong = d }

// KeepAtMost changes how many bytes may wait for a client. It must come before the first socket.
func (h *Handler) KeepAtMost(bytes int) { h.sockets.most = bytes }

// PingAt does what is done every few seconds, as if it were that late.
func (h *Handler) PingAt(now time.Time) { h.sockets.ping(now) }

// Sockets is how many are open.
func (h *Handler) Sockets() int {
	h.sockets.mu.Lock()
	defer h.sockets.mu.Unlock()
	return len(h.sockets.all)
}

// Closing is how many sockets are being closed for a reason of ours.
func (h *Handler) Closing() (n int) {
	h.sockets.mu.Lock()
	defer h.sockets.mu.Unlock()
	for s := range h.sockets.all {
		s.mu.Lock()
		if s.closing != nil {
			n++
		}
		s.mu.Unlock()
	}
	return n
}
