package mcp

import (
	"context"
	"time"

	"github.com/coder/websocket"
)

const (
	outboxFrames = 512             // that wait for a client who reads slowly
	outboxBytes  = 16 << 20        // of them in all; a single one may be longer
	closeTime    = 5 * time.Second // for a client to read the reason and to close as well
)

// outbox holds what is still to be written to a socket. A goroutine writes while there is something.
type outbox struct {
	frames  [][]byte
	bytes   int
	writing bool
}

func (o *outbox) clear() { o.frames, o.bytes = nil, 0 }

// send puts a frame into the outbox. A client for whom too much waits already is closed.
func (s *socket) send(frame []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sendLocked(frame)
}

// offer is send for what a client can do without: it is dropped while others wait.
func (s *socket) offer(frame []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.outbox.frames) < outboxFrames/8 {
		s.sendLocked(frame)
	}
}

func (s *socket) sendLocked(frame []byte) {
	if s.closing != nil || s.gone {
		return
	}
	o := &s.outbox
	if n := len(o.frames); n >= outboxFrames || n > 0 && o.bytes+len(frame) > s.h.sockets.most {
		s.endLocked(websocket.StatusPolicyViolation, "you read too slowly: answers that nobody took were dropped")
		return
	}
	o.frames = append(o.frames, frame)
	o.bytes += len(frame)
	s.writeLocked()
}

// end closes the socket with a reason that the client is told.
func (s *socket) end(code websocket.StatusCode, reason string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.endLocked(code, reason)
}

func (s *socket) endLocked(code websocket.StatusCode, reason string) {
	if s.closing != nil || s.gone {
		return
	}
	if s.asking {
		s.later = &closing{code, reason}
		return
	}
	s.closing = &closing{code, reason}
	if code != websocket.StatusGoingAway {
		s.outbox.clear()
	}
	s.room.Broadcast()
	// A client that does not take what is being written would hold the close up.
	s.limit = time.AfterFunc(closeTime, func() { _ = s.raw.Close() })
	s.writeLocked()
}

// goAway ends the socket because the server stops: requests that run are answered first.
func (s *socket) goAway() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.leaving = true
	s.room.Broadcast()
	for _, l := range s.listens {
		s.sendLocked(concluded(l.id))
	}
	s.listens = nil
	s.departLocked()
}

func (s *socket) departLocked() {
	if s.leaving && s.running == 0 {
		s.endLocked(websocket.StatusGoingAway, stopping)
	}
}

// writeLocked sees to it that somebody writes.
func (s *socket) writeLocked() {
	if !s.outbox.writing {
		s.outbox.writing = true
		s.h.sockets.open.Go(s.write)
	}
}

// write empties the outbox, closes if that is asked for, and ends.
func (s *socket) write() {
	for {
		frame, last := s.nextOut()
		switch {
		case last != nil:
			_ = s.conn.Close(last.code, last.reason) // the reading goroutine sees how it ended
			return
		case frame == nil:
			return
		}
		ctx, cancel := context.WithTimeout(context.Background(), writeTime)
		err := s.conn.Write(ctx, websocket.MessageText, frame)
		cancel()
		if err != nil {
			_ = s.raw.Close() // the reading goroutine ends the rest
			return
		}
	}
}

// nextOut gives the next frame to be written, or the close that comes after the last, or neither.
func (s *socket) nextOut() ([]byte, *closing) {
	s.mu.Lock()
	defer s.mu.Unlock()
	o := &s.outbox
	if len(o.frames) == 0 {
		o.clear()
		o.writing = s.closing != nil // a close is written once
		return nil, s.closing
	}
	frame := o.frames[0]
	o.frames[0], o.frames = nil, o.frames[1:]
	o.bytes -= len(frame)
	return frame, nil
}
