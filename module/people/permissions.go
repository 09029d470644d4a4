package people

import (
	"context"
	"maps"
	"slices"

	"gatehouse/canon"
	"gatehouse/gate"
	"gatehouse/outcome"
	"gatehouse/store"
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
	s, err := p.current(ctx)
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
	if a.Person != permit.Person() && (!whole || !keepsHouse(permit)) {
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

type setArgs struct {
	Person  gate.PersonID     `json:"person" carries:"nothing" jsonschema:"the person's id, as people.list shows it"`
	Version int64             `json:"version" carries:"nothing" jsonschema:"the map's version that you saw, as permissions.get shows it"`
	Grants  map[string]string `json:"grants" carries:"nothing" jsonschema:"for each tool: allow, ask, none, or default (ask for what destroys or carries data out, else allow)"`
}

// wish is what one entry of permissions.set asks for.
type wish struct {
	name     gate.ToolName
	tool     gate.Entry // zero: there is no such tool now, and grants of that name are to be taken away
	decision gate.Decision
}

// set changes the named entries in one transaction. Entries that are as wished keep their version.
func (p permissions) set(ctx context.Context, permit gate.Permit, a setArgs) (Changed, error) {
	if !keepsHouse(permit) {
		if a.Person == permit.Person() {
			return Changed{}, outcome.NotAllowed.Because("only an administrator or the operator changes permissions")
		}
		return Changed{}, noSuchPerson()
	}
	s, err := p.current(ctx)
	if err != nil {
		return Changed{}, err
	}
	one := s.people[a.Person]
	if one == nil {
		return Changed{}, noSuchPerson()
	}
	wishes, err := wishesOf(a.Grants, one, permit.Tools())
	if err != nil {
		return Changed{}, err
	}
	changed, err := p.write(ctx, func(tx *store.Tx) (gate.PersonID, error) {
		if err := p.rows.raise(ctx, tx, a.Person, a.Version); err != nil {
			return 0, err
		}
		_, all, err := p.rows.one(ctx, tx, a.Person)
		if err != nil {
			return 0, err
		}
		for _, w := range wishes {
			if err := p.fulfil(ctx, tx, a.Person, all, w, permit.Tools()); err != nil {
				return 0, err
			}
		}
		return a.Person, nil
	})
	if err != nil {
		return Changed{}, err
	}
	return Changed{changed.id, changed.version}, nil
}

// fulfil gives the tool its decision, and takes away what an older definition of that name was granted: it must not come
// back with the definition.
func (p permissions) fulfil(ctx context.Context, tx *store.Tx, id gate.PersonID, all []grant, w wish, tools gate.Directory) error {
	found := false
	for _, one := range all {
		want := gate.Refuse
		switch {
		case w.tool.Key != 0 && one.number == w.tool.Key:
			found, want = true, w.decision
		case one.tool != w.name:
			continue
		default:
			if _, renamed := tools.ByNumber(one.number); renamed {
				continue // the grant is for a tool that has another name now
			}
		}
		if one.decision == want {
			continue
		}
		one.decision = want
		if want != gate.Refuse {
			one.tool = w.name
		}
		if err := p.rows.permit(ctx, tx, one); err != nil {
			return err
		}
	}
	if found || w.decision == gate.Refuse {
		return nil
	}
	return p.rows.permit(ctx, tx, grant{person: id, number: w.tool.Key, tool: w.name, decision: w.decision})
}

// wishesOf reads the entries. A name that is no tool's is refused, unless it is that of a grant to be taken away.
func wishesOf(grants map[string]string, of *person, tools gate.Directory) ([]wish, error) {
	if len(grants) == 0 {
		return nil, outcome.WithFaults(outcome.Fault{Path: "/grants", Problem: "names no tool"})
	}
	var wishes []wish
	var faults []outcome.Fault
	seen := map[gate.ToolName]bool{}
	for _, name := range slices.Sorted(maps.Keys(grants)) {
		fault := func(problem string) {
			faults = append(faults, outcome.Fault{Path: "/grants/" + canon.PointerToken(name), Problem: problem})
		}
		w := wish{name: gate.ToolName(name)}
		var exists bool
		if w.tool, exists = tools.Find(name); exists {
			w.name = w.tool.Name
		}
		known := true
		if w.decision, known = decisions[grants[name]]; grants[name] == "default" {
			w.decision, known = w.tool.Default, true
		}
		held := slices.ContainsFunc(of.grants, func(one grant) bool { return one.tool == w.name })
		switch {
		case !known:
			fault("is none of allow, ask, none, default")
		case !exists && (grants[name] != "none" || !held):
			fault("is not a tool; permissions.tools lists them")
		case seen[w.name]:
			fault("names a tool that stands here twice")
		}
		seen[w.name] = true
		wishes = append(wishes, w)
	}
	if len(faults) > 0 {
		return nil, outcome.WithFaults(faults...)
	}
	return wishes, nil
}

type toolsArgs struct{}

// Tools is the list that permissions.tools gives.
type Tools struct {
	Tools []Tool `json:"tools"`
}

// Tool is one tool as those see it who permit it to others.
type Tool struct {
	Name    gate.ToolName `json:"name"`
	Title   string        `json:"title,omitzero"`
	Effect  string        `json:"effect"`  // reads, writes or destroys
	Who     string        `json:"who"`     // agents, persons or jobs
	Default string        `json:"default"` // what a grant means that does not say allow or ask
}

func (permissions) tools(_ context.Context, permit gate.Permit, _ toolsArgs) (Tools, error) {
	list := Tools{Tools: []Tool{}}
	for _, t := range permit.Tools().All() {
		list.Tools = append(list.Tools, Tool{t.Name, t.Title, t.Effect.String(), whoWord(t.Who), word(t.Default)})
	}
	return list, nil
}

func whoWord(w gate.Who) string {
	switch w {
	case gate.Agents:
		return "agents"
	case gate.Persons:
		return "persons"
	case gate.Jobs:
	}
	return "jobs"
}
