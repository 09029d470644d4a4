package policy

import (
	"cmp"
	"context"
	"net/netip"
	"regexp"

	"gatehouse/canon"
	"gatehouse/gate"
	"gatehouse/outcome"
)

type explainArgs struct {
	Person    gate.PersonID `json:"person,omitzero" jsonschema:"for whom the call would be made; left out: you"`
	Token     gate.TokenID  `json:"token,omitzero" jsonschema:"the id of the token that would be shown; left out: none, or yours if you show one"`
	Tool      string        `json:"tool" kind:"opaque" jsonschema:"the tool's name"`
	Arguments canon.Value   `json:"arguments,omitzero" kind:"opaque" jsonschema:"the arguments of the call, an object; left out: none"`
	Entry     string        `json:"entry,omitzero" jsonschema:"through which entry: rest, mcp; left out: mcp"`
	Address   string        `json:"address,omitzero" kind:"opaque" jsonschema:"from which IP address, for tokens that are bound to networks"`
}

var entryNames = regexp.MustCompile(`^[a-z]{1,20}$`)

// explain says what would become of a call. Who keeps the house may ask about anybody. Others may ask about themselves, an
// agent about the token that it shows, and they are not told whether a tool exists that is not theirs.
func (m *Module) explain(ctx context.Context, p gate.Permit, a explainArgs) (gate.Explanation, error) {
	q := gate.Question{
		Person: cmp.Or(a.Person, p.Person()), Token: a.Token, Tool: gate.ToolName(a.Tool), Arguments: a.Arguments, Entry: cmp.Or(a.Entry, "mcp"),
	}
	var faults []outcome.Fault
	fault := func(path, problem string) { faults = append(faults, outcome.Fault{Path: path, Problem: problem}) }
	if q.Arguments.IsZero() {
		q.Arguments = canon.Object()
	} else if !q.Arguments.IsObject() {
		fault("/arguments", "is not an object")
	}
	if !entryNames.MatchString(q.Entry) {
		fault("/entry", "is not the name of an entry, as rest or mcp")
	}
	if a.Address != "" {
		var err error
		if q.Address, err = netip.ParseAddr(a.Address); err != nil {
			fault("/address", "is not an IP address")
		}
	}
	if q.Person == 0 {
		fault("/person", "is missing")
	}
	if len(faults) > 0 {
		return gate.Explanation{}, outcome.WithFaults(faults...)
	}
	keeps := p.Operator() || p.Administrator()
	if b := p.Bearer(); b != nil && q.Person == b.Person && q.Token == 0 {
		q.Token = b.Token
	}
	if !keeps {
		if q.Person != p.Person() {
			return gate.Explanation{}, outcome.NotFound.Because("there is no such person")
		}
		if b := p.Bearer(); b != nil && q.Token != b.Token {
			return gate.Explanation{}, outcome.NotFound.Because("there is no such token of yours")
		}
	}
	if _, err := m.fresh(ctx); err != nil {
		return gate.Explanation{}, err
	}
	e, err := p.Explain(ctx, q)
	if err != nil || keeps {
		return e, err
	}
	return discreet(e), nil
}

// discreet leaves out what is for those who keep the house: why a tool is not there, and what is wrong with a rule.
func discreet(e gate.Explanation) gate.Explanation {
	for i := range e.Steps {
		s := &e.Steps[i]
		if s.Step == "permission" && s.Says == gate.Refuse.String() {
			s.Rule, e.Rule = "", ""
		}
		for j := range s.Rules {
			s.Rules[j].Problem = ""
		}
	}
	return e
}
