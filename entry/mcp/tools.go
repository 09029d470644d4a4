package mcp

import (
	"context"
	"encoding/base64"
	"errors"
	"strings"

	"gatehouse/gate"
	"gatehouse/outcome"
	"gatehouse/wire"
)

// pageSize is how many tools one page of a list holds.
const pageSize = 500

// instructions are ours alone: what upstream servers say of themselves never reaches a model's prompt this way.
const instructions = "Every call passes Gatehouse: it is checked against the permissions of the person you act for. " +
	"A call that is refused says why in its text and in _meta[\"io.gatehouse/outcome\"]; do not try to get round a refusal. " +
	"An outcome \"unknown\" means that it may have happened: look before you repeat it."

// list writes the result of tools/list; head goes before the tools.
func (h *Handler) list(ctx context.Context, q *request, head string) ([]byte, error) {
	offers, err := h.gate.Tools(ctx, q.caller)
	if errors.Is(err, outcome.Unauthenticated) {
		return nil, err
	}
	if errors.Is(err, outcome.Unavailable) {
		return nil, unavailable(err)
	}
	if err != nil {
		// The caller's right to be here ended after the token was looked at: there is nothing to show.
		return nil, wire.InvalidRequest.Because("%s", outcome.Explain(err).Reason)
	}
	if q.module != "" {
		offers = ofModule(offers, q.module)
	}
	after, err := q.cursor()
	if err != nil {
		return nil, err
	}
	dst := append([]byte{'{'}, head...)
	dst = append(dst, `"tools":[`...)
	n := 0
	for _, o := range offers {
		name := q.nameOf(o)
		if name <= after {
			continue
		}
		if n == pageSize {
			last := base64.RawURLEncoding.EncodeToString([]byte(after))
			return append(appendString(append(dst, `],"nextCursor":`...), last), '}'), nil
		}
		if n > 0 {
			dst = append(dst, ',')
		}
		dst = appendTool(dst, name, o)
		after = name
		n++
	}
	return append(dst, "]}"...), nil
}

func ofModule(offers []gate.Offer, module string) []gate.Offer {
	var own []gate.Offer
	for _, o := range offers {
		if o.Module == module {
			own = append(own, o)
		}
	}
	return own
}

// nameOf is the name under which this address shows a tool.
func (q *request) nameOf(o gate.Offer) string {
	if q.module != "" {
		return strings.TrimPrefix(string(o.Name), q.module+".")
	}
	return o.Exported
}

// cursor reads where the page before ended.
func (q *request) cursor() (string, error) {
	v, ok := q.frame.Params.Lookup("/cursor")
	if q.frame.Params.IsZero() || !ok {
		return "", nil
	}
	var text string
	if err := v.Decode(&text); err != nil {
		return "", wire.InvalidParams.Because("the cursor is not one of ours")
	}
	name, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil || len(name) == 0 {
		return "", wire.InvalidParams.Because("the cursor is not one of ours")
	}
	return string(name), nil
}

func appendTool(dst []byte, name string, o gate.Offer) []byte {
	dst = appendString(append(dst, `{"name":`...), name)
	if o.Title != "" {
		dst = appendString(append(dst, `,"title":`...), o.Title)
	}
	if o.Description != "" {
		dst = appendString(append(dst, `,"description":`...), o.Description)
	}
	dst = o.Input.AppendTo(append(dst, `,"inputSchema":`...))
	if !o.Output.IsZero() {
		dst = o.Output.AppendTo(append(dst, `,"outputSchema":`...))
	}
	dst = append(dst, `,"annotations":{"destructiveHint":`...)
	dst = appendBool(dst, o.Effect == gate.Destroys)
	dst = append(dst, `,"readOnlyHint":`...)
	dst = appendBool(dst, o.Effect == gate.Reads)
	return append(dst, "}}"...)
}

func appendBool(dst []byte, b bool) []byte {
	if b {
		return append(dst, "true"...)
	}
	return append(dst, "false"...)
}
