package people

import (
	"context"
	"slices"

	"gatehouse/gate"
	"gatehouse/outcome"
)

type getArgs struct {
	Person gate.PersonID `json:"person,omitzero" jsonschema:"left out: you"`
}

// Map is a person's permission map as permissions.get shows it. Tools that are not in it are not permitted.
type Map struct {
	Person  gate.PersonID            `json:"person"`
	Version int64                    `json:"version"`
	Grants  map[gate.ToolName]string `json:"grants"`         // allow or ask
	Stale   []gate.ToolName          `json:"stale,omitzero"` // permitted once, but the tool is gone or its definition is another one now
}

// get is an own affair of every token, so the gate asked for no grant and no scope. Without them a token is told what it
// may do itself, and no more; with them, the whole map of its person, and an administrator's token those of others.
func (p permissions) get(ctx context.Context, permit gate.Permit, a getArgs) (Map, error) {
	s, err := p.fresh(ctx)
	if err != nil {
		return Map{}, err
	}
	if a.Person == 0 {
		a.Person = permit.Person()
	}
	if a.Person == 0 {
		return Map{}, outcome.WithFaults(outcome.Fault{Path: "/person", Problem: "is missing"})
	}
	whole := permit.Operator()
	if me := s.people[permit.Person()]; me != nil && !whole {
		whole = entitled(permit, me)
	}
	if a.Person != permit.Person() && (!whole || !askerOf(permit).keepsHouse()) {
		return Map{}, noSuchPerson()
	}
	one := s.people[a.Person]
	if one == nil {
		return Map{}, noSuchPerson()
	}
	m := Map{Person: one.id, Version: one.version, Grants: map[gate.ToolName]string{}}
	for _, g := range one.grants {
		if g.decision == gate.Refuse {
			continue
		}
		t, exists := permit.Tools().ByNumber(g.number)
		switch {
		case exists && (whole || inScope(permit, t.Name)):
			m.Grants[t.Name] = word(g.decision)
		case !exists && whole && !slices.Contains(m.Stale, g.tool):
			m.Stale = append(m.Stale, g.tool)
		}
	}
	slices.Sort(m.Stale)
	return m, nil
}

// entitled reports whether the caller would be let through to permissions.get if it were no own affair.
func entitled(permit gate.Permit, me *person) bool {
	t, ok := permit.Tools().Find(string(permit.Tool()))
	return ok && inScope(permit, t.Name) && me.rights.Grants[t.Key].Decision == gate.Allow
}

// inScope reports whether every token of the caller's chain names the tool. Without a token there is nothing narrower.
func inScope(permit gate.Permit, tool gate.ToolName) bool {
	b := permit.Bearer()
	if b == nil {
		return true
	}
	for _, link := range b.Chain {
		if _, in := link.Scope[tool]; !in {
			return false
		}
	}
	return true
}
