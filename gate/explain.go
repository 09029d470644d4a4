package gate

import (
	"context"
	"errors"
	"net/netip"
	"time"

	"gatehouse/canon"
	"gatehouse/outcome"
)

// Question is a call of which somebody wants to know what would become of it.
type Question struct {
	Person    PersonID
	Token     TokenID // 0: the person, without a token
	Entry     string
	Address   netip.Addr // from where; a token with networks is good only there
	Tool      ToolName
	Arguments canon.Value
}

// Explanation is what would become of a call, and why: all steps up to the first that refuses.
type Explanation struct {
	Decision string      `json:"decision"`         // allow, ask or refuse
	Outcome  string      `json:"outcome,omitzero"` // of a call that is refused
	Rule     string      `json:"rule,omitzero"`    // what made the decision, as the row would say
	Reason   string      `json:"reason,omitzero"`  // what the caller would be told
	Steps    []Explained `json:"steps"`
}

// Explained is one step.
type Explained struct {
	Step   string          `json:"step"` // authentication, permission, schema, limits, guards, conditions (of tokens), policy or decision
	Says   string          `json:"says"` // allow, ask or refuse
	Rule   string          `json:"rule,omitzero"`
	Reason string          `json:"reason,omitzero"`
	Faults []outcome.Fault `json:"faults,omitzero"`
	Rules  []ExplainedRule `json:"rules,omitzero"` // in the step policy: each rule that is about the tool
	Shadow string          `json:"shadow,omitzero"`
}

// ExplainedRule is what one rule says of the call.
type ExplainedRule struct {
	Rule    string `json:"rule"`
	Then    string `json:"then"` // what it makes of the call: allow where its condition is false
	Applies bool   `json:"applies"`
	Shadow  bool   `json:"shadow,omitzero"`
	Problem string `json:"problem,omitzero"` // it cannot be worked out, or does not fit the tool, and why
}

// Explain walks a call through steps 1 to 5 as they stand now. Nothing is carried out, nothing is used up, and the log
// hears of nothing but the call that asks. Who may ask about whom is for the handler to decide. A person or token that is
// not there is outcome.NotFound.
func (p Permit) Explain(ctx context.Context, q Question) (e Explanation, err error) {
	defer contain(&err)
	g := p.passage().gate
	rights, err := g.parts.Permissions.Rights(ctx, q.Person)
	if errors.Is(err, outcome.NotFound) {
		return e, outcome.NotFound.Because("there is no such person")
	}
	if err != nil {
		return e, unavailable(err, "the permissions cannot be read")
	}
	c := Caller{person: q.Person, origin: Origin{Entry: q.Entry, Address: q.Address}}
	if q.Token != 0 {
		b, err := g.parts.Tokens.Current(ctx, q.Token, q.Address)
		switch {
		case errors.Is(err, outcome.Unauthenticated):
			return e.refused(Explained{Step: "authentication", Rule: "authentication"},
				outcome.Unauthenticated.Because("the token is revoked, at its end or unknown, or not good from this address")), nil
		case err != nil:
			return e, unavailable(err, "the tokens cannot be read")
		case b.Person != q.Person:
			return e, outcome.NotFound.Because("there is no such token of this person")
		}
		c.token, c.agent = b.Token, b.Agent
	}
	if !rights.Active {
		return e.refused(Explained{Step: "authentication", Rule: "authentication"}, outcome.Unauthenticated.Because("the person is disabled")), nil
	}
	e.Steps = append(e.Steps, Explained{Step: "authentication", Says: Allow.String()})
	x := g.passage(c, Request{Tool: q.Tool, Canonical: q.Arguments}, time.Now())
	x.tracing = true
	return g.explain(ctx, x, e), nil
}

func (g *Gate) explain(ctx context.Context, x *passage, e Explanation) Explanation {
	for _, s := range []struct {
		name string
		step step
	}{{"permission", g.permit}, {"schema", g.canonical}, {"limits", g.wouldLimit}, {"guards", g.guard}, {"conditions", g.conditions}} {
		said := Explained{Step: s.name, Says: Allow.String()}
		if err := g.through(ctx, x, []step{s.step}); err != nil {
			said.Rule = x.rule
			return e.refused(said, err)
		}
		switch s.name {
		case "permission":
			said.Says, said.Rule = x.grant.Decision.String(), x.rule
		case "guards":
			if r := guardsRuling(x.findings); r.decision != Allow {
				said.Says, said.Rule = r.decision.String(), r.rule
			}
		}
		e.Steps = append(e.Steps, said)
	}
	final, err := g.rulings(ctx, x)
	said := Explained{Step: "policy", Says: decisionOf(x.verdict.Decision).String(), Reason: x.verdict.Reason, Shadow: x.verdict.Shadow}
	for _, s := range x.verdict.Said {
		said.Rules = append(said.Rules, ExplainedRule{s.Rule, decisionOf(s.Then).String(), s.Applies, s.Shadow, s.Problem})
	}
	switch {
	case err != nil:
		said.Rule = "policy"
		return e.refused(said, err)
	case x.verdict.Rule != "":
		said.Rule = "policy:" + x.verdict.Rule
	case len(x.verdict.Said) == 0:
		said.Says = Allow.String() // no rule is about it, or rules are not asked
	}
	e.Steps = append(e.Steps, said)
	last := Explained{Step: "decision", Rule: final.rule}
	if final.decision == Refuse {
		return e.refused(last, outcome.Denied.Because("%s", final.reason))
	}
	last.Says = final.decision.String()
	if final.decision == Ask {
		last.Reason = "a human must approve it"
	}
	e.Steps = append(e.Steps, last)
	e.Decision, e.Rule, e.Reason = last.Says, last.Rule, last.Reason
	return e
}

// refused ends an explanation with the step that refuses.
func (e Explanation) refused(s Explained, err error) Explanation {
	why := outcome.Explain(err)
	s.Says, s.Reason, s.Faults = Refuse.String(), why.Reason, why.Faults
	e.Steps = append(e.Steps, s)
	e.Decision, e.Outcome, e.Rule, e.Reason = Refuse.String(), why.Code.String(), s.Rule, why.Reason
	return e
}

// wouldLimit is step 3 without taking anything.
func (g *Gate) wouldLimit(ctx context.Context, p *passage) error {
	var chain []Link
	if p.bearer != nil {
		chain = p.bearer.Chain
	}
	rule := p.rule
	p.rule = "rate"
	if err := g.limiter.would(chain); err != nil {
		return err
	}
	if !ownAffairs[p.tool.name] {
		if err := g.left(ctx, p, chain); err != nil {
			return err
		}
	}
	p.rule = rule
	return nil
}
