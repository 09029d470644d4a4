package gate

import (
	"context"

	"gatehouse/guard"
	"gatehouse/outcome"
)

// ruling is one voice in step 5.
type ruling struct {
	decision Decision
	rule     string
	reason   string // for the caller, where the decision refuses
}

// decide is step 5: the most restrictive of all rulings wins. Nothing turns ask into allow but a person's decision.
func (g *Gate) decide(ctx context.Context, p *passage) error {
	final, err := g.rulings(ctx, p)
	if err != nil {
		return err
	}
	p.decision, p.rule = final.decision, final.rule
	switch final.decision {
	case Allow:
		return nil
	case Ask:
		if !on(checkAsk) {
			return nil
		}
		// There are no deciders yet: whoever waited would wait in vain, so the call is refused at once.
		return outcome.Denied.Because("this call needs a human's approval, and nobody can decide here yet")
	case Refuse:
	}
	return outcome.Denied.Because("%s", final.reason)
}

// guardsRuling is ask where a guard wants a human to look.
func guardsRuling(found []guard.Finding) ruling {
	for _, f := range found {
		if f.Action == guard.Ask {
			return ruling{decision: Ask, rule: "guard:" + f.Guard}
		}
	}
	return ruling{decision: Allow}
}

// rulings asks everybody who has a voice, and changes nothing. The first of the most restrictive is named.
func (g *Gate) rulings(ctx context.Context, p *passage) (ruling, error) {
	if err := g.conditions(ctx, p); err != nil {
		return ruling{}, err
	}
	final := ruling{decision: p.grant.Decision, rule: p.rule}
	rules, err := g.rulesRuling(ctx, p)
	if err != nil {
		p.rule = "policy"
		return ruling{}, err
	}
	for _, r := range []ruling{rules, guardsRuling(p.findings)} {
		if r.decision < final.decision {
			final = r
		}
	}
	return final, nil
}
