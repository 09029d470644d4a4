package mcp

import (
	"context"
	"errors"
	"net/http"

	"gatehouse/canon"
	"gatehouse/gate"
	"gatehouse/outcome"
	"gatehouse/wire"
)

// request is one frame of an authenticated caller, whatever transport brought it.
type request struct {
	caller gate.Caller
	module string // "" is all of them
	frame  wire.Frame
	era    wire.Era
	header http.Header // of the HTTP request; nil on a WebSocket, where no header repeats the body
}

// answer gives the result of a request that both transports answer alike. The error is a *wire.Error.
func (h *Handler) answer(ctx context.Context, q *request, tell func(gate.Progress)) ([]byte, error) {
	switch method, modern := q.frame.Method, q.era == wire.Modern; {
	case method == "ping" && !modern:
		return []byte("{}"), nil
	case method == "server/discover" && modern:
		return h.discover(), nil
	case method == "tools/list":
		head := ""
		if modern {
			head = `"_meta":{` + h.serverMeta() + `},"cacheScope":"private","resultType":"complete","ttlMs":0,`
		}
		return h.list(ctx, q, head)
	case method == "tools/call":
		o, err := h.call(ctx, q, tell)
		if err != nil {
			return nil, err
		}
		dst := make([]byte, 0, sizeOf(o))
		if !modern {
			return appendOutcome(dst, o, ""), nil
		}
		// Every result of this era says whether it is the whole.
		dst = append(dst, `{"resultType":"complete",`...)
		return appendOutcomeMembers(dst, o, h.serverMeta()), nil
	default:
		return nil, wire.MethodNotFound.Because("there is no method %q here", method)
	}
}

// call is what tools/call asks for.
func (h *Handler) call(ctx context.Context, q *request, tell func(gate.Progress)) (gate.Outcome, error) {
	c, err := q.frame.ToolCall()
	if err != nil {
		return gate.Outcome{}, err
	}
	name := gate.ToolName(c.Name)
	if q.module != "" {
		name = gate.ToolName(q.module + "." + c.Name)
	}
	if q.era == wire.Modern && q.header != nil {
		if err := h.checkParams(ctx, q, name, c.Arguments); err != nil {
			return gate.Outcome{}, err
		}
	}
	if q.frame.ProgressToken().IsZero() {
		tell = nil
	}
	o := h.gate.Call(ctx, q.caller, gate.Request{Tool: name, Canonical: c.Arguments, Progress: tell})
	if o.Code == outcome.Unauthenticated && o.ID.IsZero() { // who called is not let in any more; a tool's own answer has a row
		return gate.Outcome{}, o.Code.Because("%s", o.Reason)
	}
	return o, nil
}

// checkParams compares the arguments with the headers in which the tool's schema wants them repeated.
func (h *Handler) checkParams(ctx context.Context, q *request, name gate.ToolName, arguments canon.Value) error {
	o, ok := h.gate.Offer(ctx, q.caller, name)
	if !ok {
		return nil // the gate refuses it
	}
	wanted, known := h.headers.Load(o.Definition)
	if !known {
		list, err := wire.ParamHeaders(o.Input)
		if err != nil {
			list = nil // a mark that the specification forbids asks for nothing
		}
		wanted, _ = h.headers.LoadOrStore(o.Definition, list)
	}
	list, _ := wanted.([]wire.ParamHeader)
	return wire.CheckParamHeaders(q.header, list, arguments)
}

// tellSession reads what the client says of its session and task in the body, which wins over the headers.
func (q *request) tellSession(session, task string) {
	meta := q.frame.Meta()
	if meta.IsZero() {
		return
	}
	said := false
	for name, to := range map[string]*string{"io.gatehouse~1session": &session, "io.gatehouse~1task": &task} {
		if v, ok := meta.Lookup("/" + name); ok && v.Decode(to) == nil {
			said = true
		}
	}
	if said {
		q.caller = q.caller.At(session, task)
	}
}

// initialized is the result of an initialize, the same on every transport.
func (h *Handler) initialized(q *request) []byte {
	dst := appendString([]byte(`{"capabilities":{"tools":{"listChanged":true}},"instructions":`), instructions)
	dst = appendString(append(dst, `,"protocolVersion":`...), string(q.frame.Revision().Initialize()))
	dst = append(append(dst, `,"serverInfo":`...), h.server...)
	return append(dst, '}')
}

// asError makes sure that what is answered is an error of JSON-RPC.
func asError(err error) *wire.Error {
	var e *wire.Error
	if errors.As(err, &e) {
		return e
	}
	if errors.Is(err, outcome.Unauthenticated) {
		return coded(wire.InvalidRequest, err)
	}
	return wire.InternalError.Because("it failed inside")
}

// unavailable is the error for a request whose sender cannot be looked up at the moment: nothing was done.
func unavailable(err error) *wire.Error { return coded(wire.InternalError, err) }

// coded is an error that says its outcome to programs, too.
func coded(code wire.Code, err error) *wire.Error {
	o := outcome.Explain(err)
	e := code.Because("%s", o.Reason)
	data := appendString([]byte(`{"code":`), o.Code.String())
	e.Data, _ = canon.Parse(append(data, '}')) // made of a quoted string: it parses
	return e
}

// changedParams are the params of a notice that the list of tools changed: for a legacy session, or, with the id of a
// subscription, for that one.
func changedParams(id wire.ID) string {
	if id.IsZero() {
		return "{}"
	}
	return `{` + subscription(id) + `}`
}

// subscription is the _meta of all that belongs to a modern subscription.
func subscription(id wire.ID) string {
	return `"_meta":{"` + wire.MetaSubscriptionID + `":` + id.String() + `}`
}

// wantsTools reads whether a subscription is to hear of changed tools.
func (q *request) wantsTools() bool {
	v, ok := q.frame.Params.Lookup("/notifications/toolsListChanged")
	return ok && v.String() == "true"
}

// acknowledged is the first message of a subscription: what it will hear of.
func acknowledged(id wire.ID, tools bool) []byte {
	return wire.AppendNotification(nil, "notifications/subscriptions/acknowledged",
		`{`+subscription(id)+`,"notifications":{"toolsListChanged":`+string(appendBool(nil, tools))+`}}`)
}

// concluded is the answer with which a subscription ends that the server ends.
func concluded(id wire.ID) []byte {
	return wire.AppendResult(nil, id, `{`+subscription(id)+`,"resultType":"complete"}`)
}

// listChanged is the notice itself.
func listChanged(params string) []byte {
	return wire.AppendNotification(nil, "notifications/tools/list_changed", params)
}
