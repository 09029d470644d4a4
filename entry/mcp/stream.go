package mcp

import (
	"context"
	"net/http"
	"time"

	"gatehouse/wire"
)

const (
	keepAlive = 15 * time.Second // between two comments on a quiet stream
	writeTime = 30 * time.Second // for one write to a client that reads slowly
)

// stream sends change notices until the client leaves, the caller's rights end, or the server stops. first is sent at
// once; changed are the params of notifications/tools/list_changed, "" for none.
func (h *Handler) stream(x *exchange, first []byte, changed string, s *session) {
	done, ok := h.sessions.stream(x.caller.Token())
	if !ok {
		x.fail(http.StatusTooManyRequests, wire.InvalidRequest.Because("this token has %d open streams: close one", sessionsEach))
		return
	}
	defer done()
	ctx, cancel := context.WithCancel(x.r.Context())
	defer cancel()
	if s != nil {
		detach, ok := s.attach(cancel)
		if !ok {
			x.plain(http.StatusNotFound, "this session is gone: initialize again")
			return
		}
		defer detach()
	}
	events := h.gate.Watch(ctx, x.caller)
	out := http.NewResponseController(x.w)
	x.w.Header().Set("Content-Type", "text/event-stream")
	x.w.Header().Set("X-Accel-Buffering", "no")
	x.w.WriteHeader(http.StatusOK)
	send := func(b []byte) bool {
		if err := out.SetWriteDeadline(time.Now().Add(writeTime)); err != nil {
			h.log.Debug("a stream has no write deadline", "error", err)
		}
		if _, err := x.w.Write(b); err != nil {
			return false
		}
		return out.Flush() == nil
	}
	begin := wire.AppendComment(nil)
	if first != nil {
		begin = wire.AppendEvent(nil, "", first)
	}
	if !send(begin) {
		return
	}
	quiet := time.NewTicker(keepAlive)
	defer quiet.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-h.closing:
			return
		case e, open := <-events:
			if !open || e.Ended {
				return
			}
			if e.Tools && changed != "" &&
				!send(wire.AppendEvent(nil, "", wire.AppendNotification(nil, "notifications/tools/list_changed", changed))) {
				return
			}
		case <-quiet.C:
			if !send(wire.AppendComment(nil)) {
				return
			}
		}
	}
}
