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
	switch x.frame.Method {
	case "server/discover":
		x.result(h.discover())
	case "tools/list":
		result, err := h.list(x.r.Context(), x, `"_meta":{`+h.serverMeta()+`},"cacheScope":"private","resultType":"complete","ttlMs":0,`)
		if err != nil {
			x.fail(http.StatusBadRequest, err)
			return
		}
		x.result(result)
	case "tools/call":
		o, err := h.call(x.r.Context(), x)
		if err != nil {
			x.fail(http.StatusBadRequest, err)
			return
		}
		result := appendOutcome(make([]byte, 0, o.Result.Len()*2+512), o, h.serverMeta())
		// Every result of this era says whether it is the whole.
		x.result(append([]byte(`{"resultType":"complete",`), result[1:]...))
	case "subscriptions/listen":
		h.listen(x)
	default:
		x.fail(http.StatusNotFound, wire.MethodNotFound.Because("there is no method %q here", x.frame.Method))
	}
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
	tools := false
	if v, ok := x.frame.Params.Lookup("/notifications/toolsListChanged"); ok {
		tools = v.String() == "true"
	}
	id := `{"_meta":{"` + wire.MetaSubscriptionID + `":` + x.frame.ID.String() + `}`
	first := wire.AppendNotification(nil, "notifications/subscriptions/acknowledged",
		id+`,"notifications":{"toolsListChanged":`+string(appendBool(nil, tools))+`}}`)
	changed := ""
	if tools {
		changed = id + `}`
	}
	h.stream(x, first, changed, nil)
}
