package audit

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"unicode/utf8"

	"gatehouse/canon"
	"gatehouse/gate"
	"gatehouse/outcome"
)

// Payload is what a row commits to and only its person can read.
type Payload struct {
	Arguments canon.Value `json:"arguments,omitzero"` // where cut: a string with the beginning of their text
	Cut       []string    `json:"cut,omitzero"`       // which of arguments, findings, result are not whole
	Findings  []Finding   `json:"findings,omitzero"`
	Forgotten bool        `json:"forgotten,omitzero"` // the person's key was destroyed before the call: nothing of it is kept
	Reason    string      `json:"reason,omitzero"`
	Result    canon.Value `json:"result,omitzero"` // as arguments
	Task      string      `json:"task,omitzero"`
}

// Finding is what a guard found: where, never what.
type Finding struct {
	Action  string `json:"action"`
	End     int    `json:"end"`
	Guard   string `json:"guard"`
	Kind    string `json:"kind"`
	Pointer string `json:"pointer"`
	Rule    string `json:"rule,omitzero"`
	Start   int    `json:"start"`
}

// maxFindings bounds what one call can make us keep.
const maxFindings = 200

const saltSize = 32

// newPayload takes over what the gate knows, cut to limit bytes for arguments and for the result.
func newPayload(p gate.Payload, limit int64) Payload {
	out := Payload{Reason: p.Reason, Task: p.Task}
	var cut bool
	if out.Arguments, cut = shorten(p.Arguments, limit); cut {
		out.Cut = append(out.Cut, "arguments")
	}
	findings := p.Findings
	if len(findings) > maxFindings {
		findings, out.Cut = findings[:maxFindings], append(out.Cut, "findings")
	}
	for _, f := range findings {
		out.Findings = append(out.Findings, Finding{
			Action: f.Action.String(), End: f.End, Guard: f.Guard, Kind: f.Kind, Pointer: f.Pointer, Rule: f.Rule, Start: f.Start,
		})
	}
	if out.Result, cut = shorten(p.Result, limit); cut {
		out.Cut = append(out.Cut, "result")
	}
	return out
}

// shorten gives a value as it is, or a string that begins as its text does.
func shorten(v canon.Value, limit int64) (canon.Value, bool) {
	if int64(v.Len()) <= limit {
		return v, false
	}
	text := v.String()[:limit]
	for range utf8.UTFMax - 1 { // not in the middle of a character
		if r, size := utf8.DecodeLastRuneInString(text); r != utf8.RuneError || size != 1 {
			break
		}
		text = text[:len(text)-1]
	}
	start, err := canon.From(text)
	if err != nil {
		return canon.Value{}, true
	}
	return start, true
}

// size is about how long the text is.
func (p Payload) size() int {
	return p.Arguments.Len() + p.Result.Len() + len(p.Reason) + len(p.Task) + 200*len(p.Findings) + 128
}

// appendTo appends the payload in canonical JSON: every call writes one, so it is written by hand, as [newDraft] writes a row.
func (p Payload) appendTo(dst []byte) []byte {
	b := members(append(dst, '{'))
	b.value("arguments", p.Arguments)
	if len(p.Cut) > 0 {
		b.name("cut")
		b = append(b, '[')
		for _, name := range p.Cut {
			b = append(canon.AppendString(b, name), ',')
		}
		b[len(b)-1] = ']'
		b = append(b, ',')
	}
	if len(p.Findings) > 0 {
		b.name("findings")
		b = append(b, '[')
		for _, f := range p.Findings {
			b = append(f.appendTo(b), ',')
		}
		b[len(b)-1] = ']'
		b = append(b, ',')
	}
	b.yes("forgotten", p.Forgotten)
	b.text("reason", p.Reason)
	b.value("result", p.Result)
	b.text("task", p.Task)
	return b.end()
}

func (f Finding) appendTo(dst []byte) []byte {
	b := members(append(dst, '{'))
	b.string("action", f.Action)
	b.always("end", int64(f.End))
	b.string("guard", f.Guard)
	b.string("kind", f.Kind)
	b.string("pointer", f.Pointer)
	b.text("rule", f.Rule)
	b.always("start", int64(f.Start))
	return b.end()
}

// commitment is SHA-256 of the salt and the payload's canonical JSON: it says nothing of the payload to whoever has not
// the salt, which is sealed with it.
type commitment [sha256.Size]byte

func (c commitment) String() string { return hex.EncodeToString(c[:]) }

// binding is what a sealed payload is bound to. The row's id is not known yet when it is sealed, but the row holds the
// commitment: a payload that is put beside another row does not open.
func binding(c string) string { return "audit payload " + c }

// seal seals a payload under a person's key. Of a person whose key was destroyed nothing may be kept any more: their row
// gets an empty payload under the house's key.
func seal(ctx context.Context, s gate.Sealer, person gate.PersonID, p Payload) (sealed []byte, c commitment, err error) {
	sealed, c, err = sealFor(ctx, s, person, p)
	if person != 0 && errors.Is(err, outcome.NotFound) {
		sealed, c, err = sealFor(ctx, s, 0, Payload{Forgotten: true})
	}
	return sealed, c, err
}

func sealFor(ctx context.Context, s gate.Sealer, person gate.PersonID, p Payload) (sealed []byte, c commitment, err error) {
	plain := make([]byte, saltSize, saltSize+p.size())
	_, _ = rand.Read(plain) // it does not fail: https://pkg.go.dev/crypto/rand#Read
	plain = p.appendTo(plain)
	c = sha256.Sum256(plain)
	sealed, err = s.Seal(ctx, person, binding(c.String()), plain)
	if err != nil {
		return nil, c, fmt.Errorf("sealing a payload: %w", err)
	}
	return sealed, c, nil
}

var errPayload = errors.New("the payload is not the one that the row commits to")

// open opens the payload of a row. outcome.NotFound: the person's key was destroyed.
func open(ctx context.Context, s gate.Sealer, person gate.PersonID, committed string, sealed []byte) (p Payload, err error) {
	plain, err := s.Open(ctx, person, binding(committed), sealed)
	if person != 0 && errors.Is(err, outcome.NotFound) {
		var house error
		if plain, house = s.Open(ctx, 0, binding(committed), sealed); house == nil {
			err = nil
		}
	}
	if err != nil {
		return p, err
	}
	if c := commitment(sha256.Sum256(plain)); len(plain) < saltSize || c.String() != committed {
		return p, errPayload
	}
	v, err := canon.Parse(plain[saltSize:])
	if err != nil {
		return p, fmt.Errorf("reading a payload: %w", err)
	}
	return p, v.Decode(&p)
}
