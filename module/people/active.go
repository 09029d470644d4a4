package people

import (
	"context"

	"gatehouse/gate"
	"gatehouse/outcome"
	"gatehouse/store"
)

type activeArgs struct {
	Person  gate.PersonID `json:"person" carries:"nothing" jsonschema:"the person's id, as people.list shows it"`
	Version *int64        `json:"version,omitzero" carries:"nothing" jsonschema:"the version that you saw; with an older one nothing is changed"`
}

func (p persons) disable(ctx context.Context, permit gate.Permit, a activeArgs) (Changed, error) {
	return p.activate(ctx, askerOf(permit), a, false)
}

func (p persons) enable(ctx context.Context, permit gate.Permit, a activeArgs) (Changed, error) {
	return p.activate(ctx, askerOf(permit), a, true)
}

// activate makes a person active or not. One who is so already is left alone, version and all.
func (p *People) activate(ctx context.Context, who asker, a activeArgs, active bool) (Changed, error) {
	if !who.keepsHouse() && a.Person != who.person {
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
	version := one.version
	if a.Version != nil {
		version = *a.Version
	}
	if one.active == active && version == one.version {
		return Changed{one.id, one.version}, nil
	}
	changed, err := p.write(ctx, func(tx *store.Tx) (gate.PersonID, error) {
		if !active && one.administrator && !who.operator {
			others, err := p.rows.administratorsBesides(ctx, tx, a.Person)
			if err != nil {
				return 0, err
			}
			if others == 0 {
				return 0, outcome.Denied.Because("this is the last administrator; only the operator can disable them")
			}
		}
		return a.Person, p.rows.activate(ctx, tx, a.Person, version, active)
	})
	if err != nil {
		return Changed{}, err
	}
	return Changed{changed.id, changed.version}, nil
}
