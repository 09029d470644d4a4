package policy

import (
	"context"
	"time"

	"gatehouse/gate"
	"gatehouse/policy"
)

// Rule is a rule as policy.list shows it.
type Rule struct {
	Name          string        `json:"name"`          // as it stands in the log after policy:
	Rule          int64         `json:"rule,omitzero"` // for policy.set and policy.remove; left out: it stands in the configuration
	Version       int64         `json:"version,omitzero"`
	Author        gate.PersonID `json:"author,omitzero"` // who made it; left out: the operator, or the configuration
	Tool          string        `json:"tool"`
	When          string        `json:"when,omitzero"`
	Then          string        `json:"then"`
	Decide        []string      `json:"decide,omitzero"`
	FourEyes      bool          `json:"four_eyes,omitzero"`
	ExpireSeconds int64         `json:"expire_seconds,omitzero"`
	Reason        string        `json:"reason,omitzero"`
	Shadow        bool          `json:"shadow,omitzero"`
	Tools         int           `json:"tools"`           // how many tools it is about now
	Faults        []Fault       `json:"faults,omitzero"` // the first tools that it does not fit: unless it is a shadow, their calls are refused
}

// Fault is a tool that a rule does not fit.
type Fault struct {
	Tool    string `json:"tool"`
	Problem string `json:"problem"`
}

// List is all rules, in the order in which they are looked at.
type List struct {
	Rules []Rule `json:"rules"`
}

// maxListedFaults of one rule are shown.
const maxListedFaults = 20

func (m *Module) list(ctx context.Context, _ gate.Permit, _ struct{}) (List, error) {
	b, err := m.fresh(ctx)
	if err != nil {
		return List{}, err
	}
	l := List{Rules: []Rule{}}
	for i, r := range b.set.Rules() {
		shown := Rule{
			Name: r.Name, Author: gate.PersonID(r.Author), Tool: r.Tool, When: r.When, Then: r.Then.String(), Decide: r.Decide,
			FourEyes: r.FourEyes, ExpireSeconds: int64(r.Expire / time.Second), Reason: r.Reason, Shadow: r.Shadow,
		}
		if i >= len(m.configured) {
			made := b.made[i-len(m.configured)]
			shown.Rule, shown.Version = made.id, made.version
		}
		b.count(&r, &shown)
		l.Rules = append(l.Rules, shown)
	}
	return l, nil
}

// count fills in which tools a rule is about, and which of them it does not fit.
func (b *book) count(r *policy.Rule, shown *Rule) {
	for i := range b.tools {
		t := &b.tools[i]
		if !r.Matches(t) {
			continue
		}
		shown.Tools++
		for _, m := range b.bound[t.Name].rules.Misfits() {
			if m.Rule == r.Name && len(shown.Faults) < maxListedFaults {
				shown.Faults = append(shown.Faults, Fault{t.Name, m.Err.Error()})
			}
		}
	}
}
