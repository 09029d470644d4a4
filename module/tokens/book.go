package tokens

import (
	"maps"
	"net/netip"
	"time"

	"gatehouse/gate"
	"gatehouse/outcome"
)

// book is all tokens at one moment. It is never changed once it was published.
type book struct {
	byID   map[gate.TokenID]*token
	byHash map[hash]*token
}

// token is a row with its chain worked out. It is never changed once its book was published: a write that changes a token
// makes new ones of it and of all its descendants.
type token struct {
	record
	chain  []*token         // itself first, its root token last; nil: an ancestor is missing
	fences [][]netip.Prefix // the networks of each link that has any
	bearer gate.Bearer
	gone   bool // it or an ancestor is revoked or missing
}

// maxDepth is how many tokens a chain may have: all of them are looked at on every call.
const maxDepth = 16

func newBook(records []record) *book {
	b := &book{map[gate.TokenID]*token{}, map[hash]*token{}}
	b.put(records)
	return b
}

// with is the book after some tokens were added or changed. With a token all its descendants must be among them.
func (b *book) with(records []record) *book {
	next := &book{maps.Clone(b.byID), maps.Clone(b.byHash)}
	next.put(records)
	return next
}

func (b *book) put(records []record) {
	for _, r := range records {
		t := &token{record: r}
		b.byID[r.id], b.byHash[r.hash] = t, t
	}
	for _, r := range records { // all are there now, in whatever order they came
		b.resolve(b.byID[r.id])
	}
}

// resolve works out the chain of a token. One that does not end at a root token within maxDepth is gone (P2).
func (b *book) resolve(t *token) {
	t.bearer = gate.Bearer{Token: t.id, Person: t.person, Agent: t.agent, Ends: t.ends}
	for link := t; ; link = b.byID[link.parent] {
		if link == nil || len(t.chain) == maxDepth || link.person != t.person {
			t.chain, t.gone = nil, true
			return
		}
		t.chain = append(t.chain, link)
		t.gone = t.gone || !link.revoked.IsZero()
		if link.ends.Before(t.bearer.Ends) {
			t.bearer.Ends = link.ends
		}
		if len(link.networks) > 0 {
			t.fences = append(t.fences, link.networks)
		}
		scope := make(map[gate.ToolName]struct{}, len(link.tools))
		for _, name := range link.tools {
			scope[name] = struct{}{}
		}
		t.bearer.Chain = append(t.bearer.Chain, gate.Link{
			Token: link.id, Version: link.version, Scope: scope, Conditions: link.conditions, MaxUses: link.maxUses, Rate: link.rate, Budget: link.budget,
		})
		if link.parent == 0 {
			return
		}
	}
}

// good gives the bearer if the token is good here and now. All that is wrong with a token is one answer, which does not
// say what (contract).
func (t *token) good(from netip.Addr, now time.Time) (*gate.Bearer, error) {
	if t == nil || t.gone || !now.Before(t.bearer.Ends) {
		return nil, outcome.Unauthenticated
	}
	from = from.Unmap().WithZone("")
	for _, networks := range t.fences {
		if !within(from, networks) {
			return nil, outcome.Unauthenticated
		}
	}
	return &t.bearer, nil
}

// within reports whether one of the networks holds the address; an address that is none is in no network.
func within(a netip.Addr, networks []netip.Prefix) bool {
	for _, n := range networks {
		if n.Contains(a) {
			return true
		}
	}
	return false
}

// descends reports whether a token is the other or comes from it.
func (t *token) descends(from gate.TokenID) bool {
	for _, link := range t.chain {
		if link.id == from {
			return true
		}
	}
	return false
}

// state says in one word how a token stands now.
func (t *token) state(now time.Time) string {
	switch {
	case !t.revoked.IsZero():
		return "revoked"
	case !now.Before(t.ends):
		return "expired"
	case t.gone || !now.Before(t.bearer.Ends):
		return "parent gone"
	}
	return "live"
}
