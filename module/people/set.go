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

// set changes the named entries in one transaction. Entries that are as wished keep their version; the map's rises.
func (p permissions) set(ctx context.Context, permit gate.Permit, a setArgs) (Changed, error) {
	return p.setAs(ctx, askerOf(permit), permit.Tools(), a)
}

func (p *People) setAs(ctx context.Context, who asker, tools gate.Directory, a setArgs) (Changed, error) {
	if !who.keepsHouse() {
		if a.Person == who.person {
			return Changed{}, outcome.NotAllowed.Because("only an administrator or the operator changes permissions")
		}
		return Changed{}, noSuchPerson()
	}
	s, err := p.fresh(ctx)
	if err != nil {
		return Changed{}, err
	}
	one := s.people[a.Person]
	if one == nil {
		return Changed{}, noSuchPerson()
	}
	wishes, err := wishesOf(a.Grants, one, tools)
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
			if err := p.fulfil(ctx, tx, a.Person, all, w, tools); err != nil {
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
func (p *People) fulfil(ctx context.Context, tx *store.Tx, id gate.PersonID, all []grant, w wish, tools gate.Directory) error {
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
		var known bool
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
