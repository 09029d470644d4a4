package gate

import (
	"context"
	"errors"

	"gatehouse/outcome"
)

// nothingForYou is the one answer for a tool that does not exist, that is not permitted, that is out of scope, or that is
// not for this kind of caller: they must not be told apart.
func nothingForYou() error {
	return outcome.NotAllowed.Because("there is no such tool for you; list your tools, or ask the person behind you to permit it")
}

// operatorMay is what the operator may do: keep the house. It is a constant, not a row, because with no people yet nobody
// else could do anything. No downstream tool and no other person's payload is among it.
var operatorMay = map[ToolName]bool{
	"people.add": true, "people.list": true, "people.disable": true, "people.enable": true,
	"permissions.get": true, "permissions.set": true, "permissions.tools": true,
	"tokens.issue": true, "tokens.list": true, "tokens.revoke": true,
	"policy.list": true, "policy.set": true, "policy.remove": true, "policy.explain": true,
	"audit.search": true, "audit.get": true, "audit.verify": true, "audit.sums": true, "audit.export": true,
	"servers.list": true, "servers.review": true, "servers.accept": true,
	"vault.status": true,
	"house.status": true, "house.doctor": true, "house.metrics": true, "house.backup": true,
}

// ownAffairs need no grant and no scope: they reach nothing but what belongs to the caller's own root token, which their
// handlers see to.
var ownAffairs = map[ToolName]bool{
	"calls.get": true, "calls.list": true, "permissions.get": true,
}

// standing is who the caller is and may do at this moment.
type standing struct {
	rights *Rights // nil for the operator and jobs
	bearer *Bearer // nil without a token
}

// standing looks the caller up anew. Nothing of an earlier call is remembered (P5).
func (g *Gate) standing(ctx context.Context, c Caller) (s standing, err error) {
	defer contain(&err)
	if c.operator || c.job != "" {
		return s, nil
	}
	if c.person == 0 {
		return s, nothingForYou()
	}
	if c.token != 0 {
		s.bearer, err = g.parts.Tokens.Current(ctx, c.token, c.origin.Address)
		if errors.Is(err, outcome.Unauthenticated) && !on(checkCurrent) {
			s.bearer, err = &Bearer{Token: c.token, Person: c.person, Agent: c.agent, Chain: []Link{{Token: c.token}}}, nil
		}
		if err != nil {
			return s, refusedOrUnavailable(err, "the tokens cannot be read")
		}
		if s.bearer.Person != c.person || len(s.bearer.Chain) == 0 {
			return s, nothingForYou()
		}
	}
	if s.rights, err = g.parts.Permissions.Rights(ctx, c.person); err != nil {
		return s, refusedOrUnavailable(err, "the permissions cannot be read")
	}
	if !s.rights.Active && on(checkCurrent) {
		return s, nothingForYou()
	}
	return s, nil
}

// refusedOrUnavailable tells a person or token that is gone from a store that does not answer. Both refuse (P2).
func refusedOrUnavailable(err error, reason string) error {
	if errors.Is(err, outcome.Unauthenticated) || errors.Is(err, outcome.NotFound) {
		return nothingForYou()
	}
	return outcome.Unavailable.From(err, "%s; try again later", reason)
}

// may is the one place where it is worked out whether a tool is there for a caller, for calls and for lists alike.
func (s standing) may(c Caller, t *listed) (g Grant, rule string, ok bool) {
	allowed := Grant{Decision: Allow}
	switch {
	case c.operator:
		return allowed, "operator", operatorMay[t.name]
	case c.job != "":
		return allowed, "job", t.spec.Who == Jobs
	case t.spec.Who == Jobs, t.spec.Who == Persons && c.token != 0, s.rights == nil:
		return Grant{}, "who", false
	case ownAffairs[t.name]:
		return allowed, "own", true
	}
	if s.bearer != nil && on(checkScope) {
		for _, link := range s.bearer.Chain { // a child has no more than each of its parents has now (P4)
			if _, in := link.Scope[t.name]; !in {
				return Grant{}, "scope", false
			}
		}
	}
	g = s.rights.Grants[t.number]
	if g.Decision == Refuse && !on(checkPermission) {
		g.Decision = Allow
	}
	return g, "grant", g.Decision != Refuse
}

// permit is step 1.
func (g *Gate) permit(ctx context.Context, p *passage) (err error) {
	p.rule = "unknown tool"
	if p.tool = p.catalogue.find(p.request.Tool); p.tool == nil {
		return nothingForYou()
	}
	p.rule = "caller"
	if p.standing, err = g.standing(ctx, p.caller); err != nil {
		return err
	}
	var ok bool
	if p.grant, p.rule, ok = p.may(p.caller, p.tool); !ok {
		return nothingForYou()
	}
	p.decision = p.grant.Decision
	return nil
}
