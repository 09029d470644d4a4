package upstream

import (
	"context"

	"gatehouse/canon"
	"gatehouse/gate"
	"gatehouse/outcome"
)

type acceptArgs struct {
	Server     string `json:"server" kind:"opaque" carries:"nothing" jsonschema:"name of the server"`
	Definition string `json:"definition" kind:"opaque" carries:"nothing" jsonschema:"definition of the changed tool, as servers.review gives it"`
}

// Accepted is the result of servers.accept.
type Accepted struct {
	Tool       gate.ToolName `json:"tool"`
	Definition string        `json:"definition"`
}

// accept carries the rights to a tool over to its changed definition. Who accepts names the definition that they have
// seen: one that came after it is refused.
func (o overview) accept(ctx context.Context, _ gate.Permit, a acceptArgs) (Accepted, error) {
	s := o.find(a.Server)
	if s == nil {
		return Accepted{}, outcome.NotFound.Because("there is no server of that name; servers.list shows them")
	}
	for _, d := range s.definitions() {
		if d.hash() != a.Definition {
			continue
		}
		if err := s.book.adopt(ctx, d); err != nil {
			return Accepted{}, err
		}
		s.offerAgain()
		return Accepted{gate.ToolName(string(s.name) + "." + d.name()), a.Definition}, nil
	}
	return Accepted{}, outcome.Conflict.Because("the server has no tool with this definition, or no longer; look at servers.review again")
}

// offerAgain makes the tools anew, because the rights to one of them are others.
func (s *server) offerAgain() {
	definitions := s.definitions()
	s.mu.Lock()
	out := s.left
	s.mu.Unlock()
	if s.offer(definitions, out) {
		s.tell()
	}
}

// Change is one difference between two definitions of a tool.
type Change struct {
	Pointer string      `json:"pointer"`         // JSON Pointer
	Before  canon.Value `json:"before,omitzero"` // left out: it was not there
	Now     canon.Value `json:"now,omitzero"`    // left out: it is not there any more
}

// maxChanges bounds what a review says of one tool besides both definitions.
const maxChanges = 100

// difference compares two definitions, member by member.
func difference(before, now canon.Value) []Change { return differ(nil, "", before, now) }

func differ(all []Change, at string, before, now canon.Value) []Change {
	if before == now || len(all) >= maxChanges {
		return all
	}
	if !before.IsObject() || !now.IsObject() {
		return append(all, Change{at, before, now})
	}
	for name, was := range before.Members {
		is, _ := now.Member(name)
		all = differ(all, at+"/"+canon.PointerToken(name), was, is)
	}
	for name, is := range now.Members {
		if _, was := before.Member(name); !was && len(all) < maxChanges {
			all = append(all, Change{at + "/" + canon.PointerToken(name), canon.Value{}, is})
		}
	}
	return all
}
