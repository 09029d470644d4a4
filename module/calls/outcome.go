package calls

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"time"

	"gatehouse/canon"
	"gatehouse/gate"
	"gatehouse/outcome"
)

// header is an outcome without its result, as it is sealed: one line of canonical JSON, behind which the result's
// canonical text stands. Inside of the object the result would be one level deeper than canon takes.
type header struct {
	Code       string           `json:"code"`
	Reason     string           `json:"reason,omitzero"`
	Faults     []outcome.Fault  `json:"faults,omitempty"`
	RetryAfter int64            `json:"retry_after,omitzero"` // nanoseconds
	ID         int64            `json:"id"`
	Seq        int32            `json:"seq"`
	Content    bool             `json:"content,omitzero"`
	Redactions []gate.Redaction `json:"redactions,omitempty"`
}

// encode writes an outcome. Reasons come from many places: what is not UTF-8 in them is replaced rather than lost with the rest.
func encode(o gate.Outcome) ([]byte, error) {
	h := header{
		Code: o.Code.String(), Reason: text(o.Reason), RetryAfter: int64(o.RetryAfter),
		ID: o.ID.ID, Seq: o.ID.Seq, Content: o.Content,
	}
	for _, f := range o.Faults {
		h.Faults = append(h.Faults, outcome.Fault{Path: text(f.Path), Problem: text(f.Problem)})
	}
	for _, r := range o.Redactions {
		h.Redactions = append(h.Redactions, gate.Redaction{Kind: text(r.Kind), Count: r.Count})
	}
	line, err := canon.From(h)
	if err != nil {
		return nil, err
	}
	plain := line.AppendTo(make([]byte, 0, line.Len()+1+o.Result.Len()))
	return o.Result.AppendTo(append(plain, '\n')), nil
}

func text(s string) string { return strings.ToValidUTF8(s, "\uFFFD") }

// decode reads what encode wrote. Its errors hide the codes below them: what we wrote ourselves is not the caller's mistake.
func decode(plain []byte) (*gate.Outcome, error) {
	line, result, ok := bytes.Cut(plain, []byte{'\n'})
	if !ok {
		return nil, fmt.Errorf("reading an outcome: it has no end of line")
	}
	v, err := canon.ParseObject(line)
	if err != nil {
		return nil, fmt.Errorf("reading an outcome: %w", err)
	}
	var h header
	if err := v.Decode(&h); err != nil {
		return nil, fmt.Errorf("reading an outcome: %w", err)
	}
	code, ok := outcome.Parse(h.Code)
	if !ok {
		return nil, fmt.Errorf("reading an outcome: there is no code %q", h.Code)
	}
	o := &gate.Outcome{
		Code: code, Reason: h.Reason, Faults: h.Faults, RetryAfter: time.Duration(h.RetryAfter),
		ID: gate.RowID{ID: h.ID, Seq: h.Seq}, Content: h.Content, Redactions: h.Redactions,
	}
	if len(result) > 0 {
		if o.Result, err = canon.Parse(result); err != nil {
			return nil, fmt.Errorf("reading a kept result: %w", err)
		}
	}
	return o, nil
}

// open gives the outcome that a row keeps.
func (m *Module) open(ctx context.Context, row kept) (*gate.Outcome, error) {
	plain, err := m.sealer.Open(ctx, row.key.Person, binding("outcome", row.key), row.sealed)
	if err != nil {
		return nil, fmt.Errorf("opening kept outcome %d: %w", row.id, err)
	}
	return decode(plain)
}

// Outcome is the result of calls.get: how a call ended.
type Outcome struct {
	Call         string           `json:"call"`
	Tool         string           `json:"tool"`
	At           string           `json:"at" jsonschema:"when the call was claimed"`
	Until        string           `json:"until" jsonschema:"how long the outcome is kept"`
	Outcome      string           `json:"outcome"`
	Reason       string           `json:"reason,omitzero"`
	Faults       []outcome.Fault  `json:"faults,omitempty"`
	RetryAfterMS int64            `json:"retry_after_ms,omitzero"`
	Result       canon.Value      `json:"result,omitzero"`
	Content      bool             `json:"content,omitzero" jsonschema:"the result is an MCP tool result"`
	Redactions   []gate.Redaction `json:"redactions,omitempty"`
}

func shown(row kept, o gate.Outcome) Outcome {
	e := entry(row)
	return Outcome{
		Call: e.Call, Tool: e.Tool, At: e.At, Until: e.Until, Outcome: e.Outcome, Reason: o.Reason, Faults: o.Faults,
		RetryAfterMS: o.RetryAfter.Milliseconds(), Result: o.Result, Content: o.Content, Redactions: o.Redactions,
	}
}

// Kept is one entry of calls.list.
type Kept struct {
	Call    string `json:"call"`
	Tool    string `json:"tool"`
	Outcome string `json:"outcome"`
	At      string `json:"at" jsonschema:"when the call was claimed"`
	Until   string `json:"until" jsonschema:"how long the outcome is kept"`
}

const timeForm = "2006-01-02T15:04:05.000Z07:00"

func entry(row kept) Kept {
	at := time.UnixMilli(row.id).UTC()
	return Kept{
		Call: row.call.String(), Tool: string(row.key.Tool), Outcome: row.outcome,
		At: at.Format(timeForm), Until: at.Add(keptFor).Format(timeForm),
	}
}
