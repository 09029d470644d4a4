package policy

import (
	"context"
	"fmt"
	"time"

	"gatehouse/gate"
	"gatehouse/outcome"
	"gatehouse/policy"
	"gatehouse/store"
)

type setArgs struct {
	Rule          int64    `json:"rule,omitzero" carries:"nothing" jsonschema:"the id of the rule to replace, as policy.list shows it; left out: a new one"`
	Version       int64    `json:"version,omitzero" carries:"nothing" jsonschema:"the version of it that you saw; with an older one nothing is changed"`
	Tool          string   `json:"tool" kind:"opaque" carries:"nothing" jsonschema:"a tool's name, or a module with .* for all of its tools, or * for all tools"`
	When          string   `json:"when,omitzero" kind:"opaque" carries:"nothing" jsonschema:"a condition in CEL over args, caller, tool and session; left out: always"`
	Then          string   `json:"then" carries:"nothing" jsonschema:"allow, ask or refuse"`
	Decide        []string `json:"decide,omitzero" kind:"opaque" carries:"nothing" jsonschema:"who decides a call that is asked: e-mail addresses, or administrators; left out: the person behind the agent"`
	FourEyes      bool     `json:"four_eyes,omitzero" jsonschema:"another person must decide than the one behind the agent, whoever issued its token, and whoever made this rule"`
	ExpireSeconds int64    `json:"expire_seconds,omitzero" carries:"nothing" jsonschema:"how long a call that is asked waits"`
	Reason        string   `json:"reason,omitzero" jsonschema:"what the caller of a refused call is told"`
	Shadow        bool     `json:"shadow,omitzero" jsonschema:"only log what the rule would have done"`
}

// Changed is a rule as it was just written.
type Changed struct {
	Rule    int64 `json:"rule"`
	Version int64 `json:"version"`
}

// set makes or replaces a rule. One that does not fit a tool of now is refused: whoever writes it is there to mend it.
func (m *Module) set(ctx context.Context, p gate.Permit, a setArgs) (Changed, error) {
	r, err := a.rule(p)
	if err != nil {
		return Changed{}, err
	}
	if _, err := m.fresh(ctx); err != nil {
		return Changed{}, err
	}
	m.writing.Lock()
	defer m.writing.Unlock()
	b := m.now.Load()
	if err := b.takes(r); err != nil {
		return Changed{}, err
	}
	if a.Rule != 0 && b.find(a.Rule) == nil {
		return Changed{}, noSuchRule()
	}
	if a.Rule == 0 && len(b.made) >= maxRules {
		return Changed{}, outcome.Limited.Because("there are %d rules already; remove one", maxRules)
	}
	changed := Changed{a.Rule, a.Version + 1}
	err = m.write(ctx, func(tx *store.Tx) (err error) {
		if a.Rule == 0 {
			changed.Rule, err = m.rows.add(ctx, tx, r)
			changed.Version = 1
			return err
		}
		return m.rows.replace(ctx, tx, a.Rule, a.Version, r)
	})
	if err != nil {
		return Changed{}, fmt.Errorf("writing a rule: %w", err)
	}
	return changed, nil
}

// maxRules bounds what is looked at on every call.
const maxRules = 500

func noSuchRule() error {
	return outcome.NotFound.Because("there is no such rule that was made with policy.set; those of the configuration are changed there")
}

func (b *book) find(id int64) *record {
	for i := range b.made {
		if b.made[i].id == id {
			return &b.made[i]
		}
	}
	return nil
}

// rule reads what is asked for and names every fault that needs no tool.
func (a *setArgs) rule(p gate.Permit) (policy.Rule, error) {
	r := policy.Rule{
		Name: "new", Tool: a.Tool, When: a.When, Reason: a.Reason, Shadow: a.Shadow,
		Terms: policy.Terms{Author: int64(p.Person()), Decide: a.Decide, FourEyes: a.FourEyes},
	}
	var faults []outcome.Fault
	var err error
	if r.Then, err = policy.ParseDecision(a.Then); err != nil {
		faults = append(faults, outcome.Fault{Path: "/then", Problem: "is none of allow, ask, refuse"})
	}
	if a.ExpireSeconds < 0 || a.ExpireSeconds > int64(365*24*time.Hour/time.Second) {
		faults = append(faults, outcome.Fault{Path: "/expire_seconds", Problem: "is not between a minute and 30 days"})
	}
	r.Expire = time.Duration(a.ExpireSeconds) * time.Second
	if (a.Rule == 0) != (a.Version == 0) {
		faults = append(faults, outcome.Fault{Path: "/version", Problem: "belongs to the rule that is to be replaced: give both, or neither for a new one"})
	}
	if len(faults) > 0 {
		return r, outcome.WithFaults(faults...)
	}
	if _, _, fault := policy.Compile(r); fault != nil {
		return r, outcome.WithFaults(faultOf(fault))
	}
	return r, nil
}

func faultOf(f *policy.Fault) outcome.Fault {
	if f.Field == "expire" {
		return outcome.Fault{Path: "/expire_seconds", Problem: f.Problem}
	}
	return outcome.Fault{Path: "/" + f.Field, Problem: f.Problem}
}

// takes checks a rule against each tool of now that it is about.
func (b *book) takes(r policy.Rule) error {
	set, _, fault := policy.Compile(r)
	if fault != nil {
		return outcome.WithFaults(faultOf(fault))
	}
	bound, err := set.Bind(b.tools...)
	if err != nil {
		return err
	}
	for _, one := range bound {
		if m := one.Misfits(); len(m) > 0 {
			return outcome.WithFaults(outcome.Fault{Path: "/when", Problem: m[0].Error()})
		}
	}
	return nil
}

type removeArgs struct {
	Rule    int64 `json:"rule" carries:"nothing" jsonschema:"the rule's id, as policy.list shows it"`
	Version int64 `json:"version" carries:"nothing" jsonschema:"the version that you saw; with an older one nothing is removed"`
}

// Removed is a rule that is gone.
type Removed struct {
	Rule int64 `json:"rule"`
}

func (m *Module) remove(ctx context.Context, _ gate.Permit, a removeArgs) (Removed, error) {
	if _, err := m.fresh(ctx); err != nil {
		return Removed{}, err
	}
	m.writing.Lock()
	defer m.writing.Unlock()
	if m.now.Load().find(a.Rule) == nil {
		return Removed{}, noSuchRule()
	}
	err := m.write(ctx, func(tx *store.Tx) error { return m.rows.remove(ctx, tx, a.Rule, a.Version) })
	if err != nil {
		return Removed{}, fmt.Errorf("removing rule %d: %w", a.Rule, err)
	}
	return Removed{a.Rule}, nil
}
