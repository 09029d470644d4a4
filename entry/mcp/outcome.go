package mcp

import (
	"strconv"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"gatehouse/gate"
	"gatehouse/outcome"
)

// metaOutcome is the member of _meta in which every result says how the call ended.
const metaOutcome = "io.gatehouse/outcome"

// isError is the table of this entry: which codes a client sees as an error of the tool. A call that waits for a human is
// no error, since the model must go on with it.
func isError(c outcome.Code) bool {
	switch c {
	case outcome.OK, outcome.Pending, outcome.Input:
		return false
	case outcome.Internal, outcome.Unauthenticated, outcome.NotAllowed, outcome.Invalid, outcome.Blocked, outcome.Denied,
		outcome.Expired, outcome.Invalidated, outcome.Limited, outcome.Conflict, outcome.NotFound, outcome.Upstream,
		outcome.Timeout, outcome.Cancelled, outcome.Unavailable, outcome.Unknown:
		return true
	}
	return true
}

// sizeOf is about how long an outcome is when it is written: a result of our own modules stands in it twice.
func sizeOf(o gate.Outcome) int {
	if o.Content {
		return o.Result.Len() + 512
	}
	return o.Result.Len()*2 + o.Result.Len()/8 + 512
}

// appendOutcome writes a tool's result (CallToolResult). extra is put into _meta as it is.
func appendOutcome(dst []byte, o gate.Outcome, extra string) []byte {
	return appendOutcomeMembers(append(dst, '{'), o, extra)
}

// appendOutcomeMembers is appendOutcome for an object that was begun.
func appendOutcomeMembers(dst []byte, o gate.Outcome, extra string) []byte {
	dst = append(dst, `"_meta":{`...)
	if extra != "" {
		dst = append(append(dst, extra...), ',')
	}
	dst = appendString(dst, metaOutcome)
	dst = appendMeta(append(dst, ':'), o)
	dst = append(dst, '}')
	if isError(o.Code) {
		dst = append(dst, `,"isError":true`...)
	}
	switch {
	case o.Content && !o.Result.IsZero():
		// The members of the tool's own result, as they stand there.
		if o.Result.Len() > len("{}") {
			dst = append(dst, ',')
		}
		return append(dst, o.Result.String()[1:]...)
	case o.Code == outcome.OK:
		dst = append(dst, `,"content":[{"text":`...)
		dst = appendString(dst, o.Result.String())
		dst = append(dst, `,"type":"text"}],"structuredContent":`...)
		return append(o.Result.AppendTo(dst), '}')
	}
	dst = append(dst, `,"content":[{"text":`...)
	dst = appendString(dst, inWords(o))
	dst = append(dst, `,"type":"text"}]`...)
	if o.Schemaless {
		dst = appendMeta(append(dst, `,"structuredContent":`...), o)
	}
	return append(dst, '}')
}

// appendMeta writes the outcome for programs.
func appendMeta(dst []byte, o gate.Outcome) []byte {
	dst = appendString(append(dst, `{"code":`...), o.Code.String())
	if len(o.Faults) > 0 {
		dst = append(dst, `,"faults":[`...)
		for i, f := range o.Faults {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = appendString(append(dst, `{"path":`...), f.Path)
			dst = appendString(append(dst, `,"problem":`...), f.Problem)
			dst = append(dst, '}')
		}
		dst = append(dst, ']')
	}
	if !o.ID.IsZero() {
		dst = appendString(append(dst, `,"id":`...), o.ID.String())
	}
	if o.Reason != "" {
		dst = appendString(append(dst, `,"reason":`...), o.Reason)
	}
	if len(o.Redactions) > 0 {
		dst = append(dst, `,"redactions":[`...)
		for i, r := range o.Redactions {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = strconv.AppendInt(append(dst, `{"count":`...), int64(r.Count), 10)
			dst = appendString(append(dst, `,"kind":`...), r.Kind)
			dst = append(dst, '}')
		}
		dst = append(dst, ']')
	}
	if o.RetryAfter > 0 {
		dst = strconv.AppendInt(append(dst, `,"retry_after_ms":`...), o.RetryAfter.Milliseconds(), 10)
	}
	return append(dst, '}')
}

// inWords writes the outcome for models.
func inWords(o gate.Outcome) string {
	var b strings.Builder
	b.WriteString(o.Code.String())
	if o.Reason != "" {
		b.WriteString(": " + o.Reason)
	}
	for _, f := range o.Faults {
		b.WriteString("\n- " + f.Path + " " + f.Problem)
	}
	if !o.ID.IsZero() {
		b.WriteString("\n(row " + o.ID.String() + " of the log)")
	}
	return b.String()
}

func appendString(dst []byte, s string) []byte {
	quoted, err := jsontext.AppendQuote(dst, s)
	if err != nil { // not UTF-8: nothing of ours is, but nothing unquoted may leave
		quoted, _ = jsontext.AppendQuote(dst, strings.ToValidUTF8(s, "\uFFFD"))
	}
	return quoted
}
