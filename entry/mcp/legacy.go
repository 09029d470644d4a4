package mcp

import (
	"context"
	"encoding/hex"
	"net/http"

	"gatehouse/wire"
)

// legacy answers a frame of the revisions with a handshake.
func (h *Handler) legacy(x *exchange) {
	if x.frame.Kind == wire.Request && x.frame.Method == "initialize" {
		h.initialize(x)
		return
	}
	s, ok := h.session(x)
	if !ok {
		return
	}
	switch x.frame.Kind {
	case wire.Notification:
		if x.frame.Method == "notifications/cancelled" {
			s.calls.cancel(x.frame)
		}
		x.taken()
	case wire.Request:
		h.legacyRequest(x, s)
	case wire.Response, wire.ErrorResponse:
		x.taken() // we ask nothing of clients yet
	default:
		x.fail(http.StatusBadRequest, wire.InvalidRequest.Because("this is no frame"))
	}
}

func (h *Handler) legacyRequest(x *exchange, s *session) {
	if x.frame.Method != "tools/call" {
		h.respond(x.r.Context(), x, http.StatusOK)
		return
	}
	// A lost connection is no cancel in these revisions: the call goes on, and only the notification ends it.
	ctx, end, free := s.calls.begin(context.WithoutCancel(x.r.Context()), x.frame.ID, false)
	if !free {
		x.fail(http.StatusOK, wire.InvalidRequest.Because("a request with this id is under way in this session"))
		return
	}
	x.withdrawn = end
	h.respond(ctx, x, http.StatusOK)
	h.sessions.touch(s)
}

// initialize opens a session.
func (h *Handler) initialize(x *exchange) {
	if x.r.Header.Get(wire.HeaderSession) != "" {
		x.fail(http.StatusBadRequest, wire.InvalidRequest.Because("a session is initialised once; send no %s", wire.HeaderSession))
		return
	}
	s, err := h.sessions.open(x.caller)
	if err != nil {
		x.fail(http.StatusTooManyRequests, err)
		return
	}
	x.w.Header().Set(wire.HeaderSession, hex.EncodeToString(s.id[:]))
	x.result(h.initialized(&x.request))
}

// session finds the session that a request names. One of another person or token is answered like one that is gone.
func (h *Handler) session(x *exchange) (*session, bool) {
	if v := x.r.Header.Get(wire.HeaderProtocolVersion); v != "" {
		if r := wire.Revision(v); !r.Spoken() || r.Era() != wire.Legacy {
			x.plain(http.StatusBadRequest, "this MCP-Protocol-Version is not spoken with a session")
			return nil, false
		}
	}
	id := x.r.Header.Values(wire.HeaderSession)
	if len(id) != 1 {
		x.plain(http.StatusBadRequest, "initialize first, then send the Mcp-Session-Id that you were given")
		return nil, false
	}
	s := h.sessions.find(id[0], x.caller)
	if s == nil {
		x.plain(http.StatusNotFound, "this session is gone: initialize again")
		return nil, false
	}
	return s, true
}

// get opens the stream on which the server speaks by itself.
func (h *Handler) get(x *exchange) {
	if wire.Revision(x.r.Header.Get(wire.HeaderProtocolVersion)).Era() == wire.Modern {
		h.notInThisEra(x)
		return
	}
	if !accepts(x.r, "text/event-stream") {
		x.plain(http.StatusNotAcceptable, "send Accept: text/event-stream")
		return
	}
	s, ok := h.session(x)
	if !ok {
		return
	}
	h.stream(x, stream{changed: listChanged(changedParams(wire.ID{})), session: s})
}

// delete ends a session.
func (h *Handler) delete(x *exchange) {
	if wire.Revision(x.r.Header.Get(wire.HeaderProtocolVersion)).Era() == wire.Modern {
		h.notInThisEra(x)
		return
	}
	s, ok := h.session(x)
	if !ok {
		return
	}
	h.sessions.end(s)
	x.w.WriteHeader(http.StatusNoContent)
}

func (h *Handler) notInThisEra(x *exchange) {
	x.w.Header().Set("Allow", "POST")
	x.plain(http.StatusMethodNotAllowed, "this revision has no sessions: use POST")
}
