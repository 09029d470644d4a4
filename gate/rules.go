package gate

import (
	"context"

	"gatehouse/outcome"
	"gatehouse/policy"
)

// fit shows the policy all tools that rules can be about: not those of jobs, and not own affairs, which reach nothing but
// what is the caller's already.
func (g *Gate) fit(c *catalogue) (err error) {
	defer contain(&err)
	var tools []policy.Tool
	for _, t := range c.tools {
		if t.spec.Who != Jobs && !ownAffairs[t.name] {
			tools = append(tools, t.ruled)
		}
	}
	return g.parts.Policy.Fit(tools)
}

// rulesRuling asks the policy. Rules are about people and their agents: the operator keeps the house, and must be able to
// take away a rule that shuts everybody out; jobs have no other rights than their own tools.
func (g *Gate) rulesRuling(ctx context.Context, p *passage) (ruling, error) {
	if p.rights == nil || ownAffairs[p.tool.name] {
		return ruling{decision: Allow}, nil
	}
	call := p.judged()
	var err error
	if p.verdict, err = g.parts.Policy.Judge(ctx, &p.tool.ruled, call); err != nil {
		return ruling{}, unavailable(err, "the rules cannot be read; nothing was done")
	}
	return ruling{decision: decisionOf(p.verdict.Decision), rule: "policy:" + p.verdict.Rule, reason: p.verdict.Reason}, nil
}

// decisionOf translates a policy's decision. What it does not know refuses.
func decisionOf(d policy.Decision) Decision {
	switch d {
	case policy.Allow:
		return Allow
	case policy.Ask:
		return Ask
	case policy.Refuse:
	}
	return Refuse
}

// judged is the call as rules and conditions see it.
func (p *passage) judged() *policy.Call {
	p.judging = policy.Call{Args: p.args, Trace: p.tracing, Caller: policy.Caller{
		Person: int64(p.caller.person), Email: p.rights.Email, Agent: p.caller.agent, Token: int64(p.caller.token),
		Entry: p.caller.origin.Entry, Administrator: p.rights.Administrator,
	}}
	return &p.judging
}

// conditions holds a call against what its token was narrowed to, and each token that it was made from (P4). A condition
// that cannot be worked out is not met (P2).
func (g *Gate) conditions(ctx context.Context, p *passage) error {
	if p.bearer == nil || p.rights == nil || ownAffairs[p.tool.name] || !on(checkScope) {
		return nil
	}
	for _, link := range p.bearer.Chain {
		condition, narrowed := link.Conditions[p.tool.name]
		if !narrowed {
			continue
		}
		if met, err := g.parts.Policy.Holds(ctx, &p.tool.ruled, p.judged(), condition); err != nil || !met {
			p.rule, p.decision = "condition", Refuse
			return outcome.NotAllowed.From(err, "this token may call the tool with other arguments alone; ask the person behind you for one that may do this")
		}
	}
	return nil
}
