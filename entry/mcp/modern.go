package mcp

import (
	"net/http"

	"gatehouse/wire"
)

// modern answers a frame of the revision without handshake. There is no session: closing the request is the cancel.
func (h *Handler) modern(x *exchange) {
	if err := wire.CheckModern(x.frame); err != nil {
		x.fail(http.StatusBadRequest, err)
		return
	}
	if err := wire.CheckHeaders(x.r.Header, x.frame); err != nil {
		x.fail(http.StatusBadRequest, err)
		return
	}
	if x.frame.Kind != wire.Request {
		x.taken()
		return
	}
	if x.frame.Method == "subscriptions/listen" {
		h.listen(x)
		return
	}
	h.respond(x.r.Context(), x, http.StatusBadRequest)
}

func (h *Handler) serverMeta() string { return `"` + wire.MetaServerInfo + `":` + h.server }

func (h *Handler) discover() []byte {
	dst := append([]byte(`{"_meta":{`), h.serverMeta()...)
	dst = append(dst, `},"cacheScope":"private","capabilities":{"tools":{"listChanged":true}},"instructions":`...)
	dst = appendString(dst, instructions)
	dst = append(dst, `,"resultType":"complete","supportedVersions":[`...)
	for i, r := range wire.Revisions() {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = appendString(dst, string(r))
	}
	return append(dst, `],"ttlMs":0}`...)
}

// listen opens a stream of change notices.
func (h *Handler) listen(x *exchange) {
	tools, id := x.wantsTools(), x.frame.ID
	s := stream{first: acknowledged(id, tools), last: concluded(id)}
	if tools {
		s.changed = listChanged(changedParams(id))
	}
	h.stream(x, s)
}
