package mcp

import (
	"context"
	"net/http"
	"time"

	"gatehouse/gate"
	"gatehouse/wire"
)

const (
	keepAlive = 15 * time.Second // between two comments on a quiet stream
	writeTime = 30 * time.Second // for one write to a client that reads slowly
)

// events is a response that is a stream of events.
type events struct {
	h      *Handler
	w      http.ResponseWriter
	out    *http.ResponseController
	failed bool
}

// openEvents begins the response.
func (h *Handler) openEvents(x *exchange) *events {
	x.w.Header().Set("Content-Type", "text/event-stream")
	x.w.Header().Set("X-Accel-Buffering", "no")
	x.w.WriteHeader(http.StatusOK)
	return &events{h: h, w: x.w, out: http.NewResponseController(x.w)}
}

// send writes at once. It is false, now and from then on, when the client does not take it.
func (e *events) send(b []byte) bool {
	if e.failed {
		return false
	}
	if err := e.out.SetWriteDeadline(time.Now().Add(writeTime)); err != nil {
		e.h.log.Debug("a stream has no write deadline", "error", err)
	}
	_, err := e.w.Write(b)
	e.failed = err != nil || e.out.Flush() != nil
	return !e.failed
}

// stream is a response on which the server speaks by itself.
type stream struct {
	first   []byte   // sent at once; nil: a comment
	last    []byte   // sent when the server ends it; nil: a comment that says why
	changed []byte   // the notice that the list of tools changed; nil: none
	session *session // the legacy session whose stream it is; nil: none
}

// stream sends change notices until the client leaves, the caller's rights end, or the server stops.
func (h *Handler) stream(x *exchange, s stream) {
	done, ok := h.sessions.stream(x.caller.Token())
	if !ok {
		x.fail(http.StatusTooManyRequests, wire.InvalidRequest.Because("this token has %d open streams: close one", sessionsEach))
		return
	}
	defer done()
	ctx, cancel := context.WithCancel(x.r.Context())
	defer cancel()
	if s.session != nil {
		detach, ok := s.session.attach(cancel)
		if !ok {
			x.plain(http.StatusNotFound, "this session is gone: initialize again")
			return
		}
		defer detach()
	}
	ended, changed := make(chan struct{}), make(chan struct{}, 1)
	defer h.gate.Watch(x.caller, x.module, func(e gate.Event) {
		if e.Ended {
			close(ended)
			return
		}
		select {
		case changed <- struct{}{}:
		default: // one notice is on its way
		}
	}).Stop()
	out := h.openEvents(x)
	if s.first == nil {
		out.send(wire.AppendComment(nil))
	} else {
		out.send(wire.AppendEvent(nil, "", s.first))
	}
	quiet := time.NewTicker(keepAlive)
	defer quiet.Stop()
	for !out.failed {
		select {
		case <-ctx.Done():
			return
		case <-h.closing:
			out.end(s, stopping)
			return
		case <-ended:
			out.end(s, "the token has ended")
			return
		case <-changed:
			if s.changed != nil {
				out.send(wire.AppendEvent(nil, "", s.changed))
			}
		case <-quiet.C:
			out.send(wire.AppendComment(nil))
		}
	}
}

// end says that the server ends the stream.
func (e *events) end(s stream, why string) {
	if s.last == nil {
		e.send([]byte(": " + why + "\n\n"))
		return
	}
	e.send(wire.AppendEvent(nil, "", s.last))
}
