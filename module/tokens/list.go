package tokens

import (
	"cmp"
	"context"
	"slices"
	"strconv"
	"time"

	"gatehouse/gate"
	"gatehouse/outcome"
)

// pageSize is how many tokens one call lists.
const pageSize = 200

type listArgs struct {
	Person gate.PersonID `json:"person,omitzero" jsonschema:"whose; left out: yours"`
	Cursor string        `json:"cursor,omitzero" kind:"opaque" jsonschema:"as the page before gave it"`
}

// Page is a part of the list of tokens.
type Page struct {
	Tokens []Token `json:"tokens"`
	Cursor string  `json:"cursor,omitzero"` // for the next page; empty: this is the last
}

// Token is a token as tokens.list shows it: never the token itself or its hash.
type Token struct {
	ID          gate.TokenID             `json:"id"`
	Person      gate.PersonID            `json:"person"`
	Parent      gate.TokenID             `json:"parent,omitzero"`
	Agent       string                   `json:"agent"`
	Tools       []gate.ToolName          `json:"tools"`
	Conditions  map[gate.ToolName]string `json:"conditions,omitempty"` // those of the tokens that it was made from come on top
	Networks    []string                 `json:"networks,omitzero"`
	Issued      string                   `json:"issued"` // RFC 3339, UTC, as all times here
	Ends        string                   `json:"ends"`
	MaxUses     int64                    `json:"max_uses,omitzero"` // left out: not limited
	Rate        int                      `json:"rate,omitzero"`     // calls a minute; left out: the configured limit alone
	Budget      gate.Money               `json:"budget,omitzero"`   // in millionths; left out: not limited
	Calls       int64                    `json:"calls"`             // that arrived
	Uses        int64                    `json:"uses"`              // that were carried out
	Spent       gate.Money               `json:"spent,omitzero"`    // in millionths, by it and by what was made from it
	LastUsed    string                   `json:"last_used,omitzero"`
	LastAddress string                   `json:"last_address,omitzero"`
	State       string                   `json:"state"` // live, revoked, expired, or parent gone
	Version     int64                    `json:"version"`
}

// list obeys the same rule as revoke: what a caller cannot end is not shown. Another's id answers like an unknown one.
func (m *Module) list(ctx context.Context, p gate.Permit, a listArgs) (Page, error) {
	before := int64(1<<63 - 1)
	if a.Cursor != "" {
		var err error
		if before, err = strconv.ParseInt(a.Cursor, 10, 64); err != nil {
			return Page{}, outcome.WithFaults(outcome.Fault{Path: "/cursor", Problem: "is none that a page gave"})
		}
	}
	if a.Person == 0 {
		a.Person = p.Person() // 0 for the operator: everybody's
	}
	if a.Person != p.Person() {
		if _, err := m.config.Permissions.Rights(ctx, a.Person); err != nil || !keepsHouse(p) {
			if err == nil || outcome.Of(err) == outcome.NotFound {
				err = noSuchPerson()
			}
			return Page{}, err
		}
	}
	b, err := m.fresh(ctx)
	if err != nil {
		return Page{}, err
	}
	now := m.clock().Now()
	var found []*token
	for _, t := range b.byID {
		if (a.Person == 0 || t.person == a.Person) && int64(t.id) < before && t.concerns(p) && t.listed(now) {
			found = append(found, t)
		}
	}
	slices.SortFunc(found, func(a, b *token) int { return cmp.Compare(b.id, a.id) })
	page := Page{Tokens: []Token{}}
	listed := found[:min(len(found), pageSize)]
	counts, err := m.counts(ctx, listed)
	if err != nil {
		return Page{}, err
	}
	for _, t := range listed {
		page.Tokens = append(page.Tokens, t.shown(counts[t.id], now))
	}
	if len(found) > pageSize {
		page.Cursor = strconv.FormatInt(int64(found[pageSize-1].id), 10)
	}
	return page, nil
}

// concerns reports whether the caller may see and end a token: who keeps the house any, a token itself and what was made
// from it, a signed-in person their own.
func (t *token) concerns(p gate.Permit) bool {
	switch b := p.Bearer(); {
	case keepsHouse(p):
		return true
	case b != nil:
		return t.descends(b.Token)
	}
	return p.Person() != 0 && t.person == p.Person()
}

// keepsHouse reports whether other people's affairs are the caller's too.
func keepsHouse(p gate.Permit) bool { return p.Operator() || p.Administrator() }

// listed reports whether a token is live or did not end too long ago to be of interest.
func (t *token) listed(now time.Time) bool {
	end := t.ends
	if !t.revoked.IsZero() && t.revoked.Before(end) {
		end = t.revoked
	}
	return now.Sub(end) < keepListed
}

// counts asks the log about all tokens of a page.
func (m *Module) counts(ctx context.Context, listed []*token) (map[gate.TokenID]Count, error) {
	if m.config.Counts == nil {
		return nil, nil
	}
	ids := make([]gate.TokenID, len(listed))
	for i, t := range listed {
		ids[i] = t.id
	}
	return m.config.Counts(ctx, ids...)
}

func (t *token) shown(c Count, now time.Time) Token {
	s := Token{
		ID: t.id, Person: t.person, Parent: t.parent, Agent: t.agent, Tools: t.tools, Conditions: t.conditions,
		Issued: stamp(time.UnixMilli(int64(t.id))), // the id is when the row was made
		Ends:   stamp(t.ends), MaxUses: t.maxUses, Rate: t.rate, Budget: t.budget, State: t.state(now), Version: t.version,
	}
	for _, n := range t.networks {
		s.Networks = append(s.Networks, n.String())
	}
	s.Calls, s.Uses, s.Spent, s.LastAddress = c.Calls, c.Uses, c.Cost, c.LastAddress
	if !c.LastUsed.IsZero() {
		s.LastUsed = stamp(c.LastUsed)
	}
	return s
}
