package tokens

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"gatehouse/canon"
	"gatehouse/gate"
	"gatehouse/outcome"
	"gatehouse/store"
)

type issueArgs struct {
	Person     gate.PersonID     `json:"person,omitzero" carries:"nothing" jsonschema:"for whom the agent acts; left out: you"`
	Agent      string            `json:"agent" jsonschema:"what the agent is called, 1 to 60 characters"`
	Tools      []string          `json:"tools" kind:"opaque" carries:"nothing" jsonschema:"the tools that it may call, by name, without wildcards; an empty list is none"`
	Conditions map[string]string `json:"conditions,omitzero" kind:"opaque" carries:"nothing" jsonschema:"for some of the tools a condition in CEL over args, caller, tool and session that a call must fulfil"`
	TTLSeconds *int64            `json:"ttl_seconds,omitzero" carries:"nothing" jsonschema:"how long it lives"`
	MaxUses    *int64            `json:"max_uses,omitzero" carries:"nothing" jsonschema:"how many calls may be carried out with it; left out: not limited"`
	Networks   []string          `json:"networks,omitzero" kind:"opaque" carries:"nothing" jsonschema:"from where it may be used, such as 192.0.2.0/24; left out: from anywhere"`
	Rate       *int              `json:"rate,omitzero" carries:"nothing" jsonschema:"how many calls a minute it may make; left out: the configured limit alone"`
	Budget     *gate.Money       `json:"budget,omitzero" carries:"nothing" jsonschema:"what its calls may cost in all, in millionths of the unit that prices are in; left out: not limited"`
}

// Issued is a token that was just made.
type Issued struct {
	TokenID gate.TokenID `json:"token_id"`
	Token   string       `json:"token"` // shown this once
	Ends    string       `json:"ends"`  // RFC 3339, UTC
	Version int64        `json:"version"`
}

// Discreet implements gate.Discreet: the log does not keep the token.
func (i Issued) Discreet() any {
	i.Token = "[shown once]"
	return i
}

// issue makes a root token, or a child of the token that asks for it.
func (m *Module) issue(ctx context.Context, p gate.Permit, a issueArgs) (Issued, error) {
	r, err := m.wished(ctx, p, a)
	if err != nil {
		return Issued{}, err
	}
	text, sum, err := generate()
	if err != nil {
		return Issued{}, err
	}
	r.hash = sum
	if _, err := m.fresh(ctx); err != nil {
		return Issued{}, err
	}
	m.writing.Lock()
	defer m.writing.Unlock()
	if err := m.hasRoom(r); err != nil {
		return Issued{}, err
	}
	err = m.write(ctx, func(tx *store.Tx) ([]record, error) {
		if r.id, err = m.rows.add(ctx, tx, r); err != nil {
			return nil, fmt.Errorf("adding a token: %w", err)
		}
		return m.rows.one(ctx, tx, r.id)
	})
	if err != nil {
		return Issued{}, err
	}
	return Issued{TokenID: r.id, Token: text.Reveal(), Ends: stamp(r.ends), Version: 1}, nil
}

// hasRoom reports whether the person may have one more token, and whether its parent is still there: it may have been
// revoked since the call was let through. Whoever calls it holds writing.
func (m *Module) hasRoom(r record) error {
	b, now := m.now.Load(), m.clock().Now()
	if r.parent != 0 {
		parent := b.byID[r.parent]
		if parent == nil || parent.state(now) != "live" {
			return hasEnded()
		}
		if len(parent.chain) == maxDepth {
			return outcome.NotAllowed.Because("there are %d tokens above each other already; ask with one that is higher up", maxDepth)
		}
	}
	live := 0
	for _, t := range b.byID {
		if t.person == r.person && t.state(now) == "live" {
			live++
		}
	}
	if live >= m.config.MaxPerPerson {
		return outcome.Limited.Because("there are %d live tokens of this person, which is the limit; revoke one", live)
	}
	return nil
}

// wished checks what is asked for, against what asks for it, and names every fault.
func (m *Module) wished(ctx context.Context, p gate.Permit, a issueArgs) (record, error) {
	owner, err := m.owner(ctx, p, a.Person)
	if err != nil {
		return record{}, err
	}
	w := wish{asker: p.Bearer(), record: record{person: owner, agent: a.Agent}}
	if w.asker != nil {
		w.parent = w.asker.Token
		b, err := m.fresh(ctx)
		if err != nil {
			return record{}, err
		}
		above := b.byID[w.asker.Token]
		if above == nil {
			return record{}, hasEnded()
		}
		w.above = above.fences
	}
	n := utf8.RuneCountInString(a.Agent)
	if n < 1 || n > 60 || strings.TrimSpace(a.Agent) == "" || strings.IndexFunc(a.Agent, func(r rune) bool { return !unicode.IsPrint(r) }) >= 0 {
		w.fault("/agent", "is not 1 to 60 characters that can be seen")
	}
	w.takeTools(a.Tools, p.Tools())
	w.takeConditions(a.Conditions, p)
	w.takeEnd(a.TTLSeconds, m.config, m.clock().Now())
	w.takeUses(a.MaxUses)
	w.takeRate(a.Rate)
	w.takeBudget(a.Budget)
	w.takeNetworks(a.Networks)
	if len(w.faults) > 0 {
		return record{}, outcome.WithFaults(w.faults...)
	}
	return w.record, nil
}

// owner says whose the new token is: the caller's own person, or whom the operator names.
func (m *Module) owner(ctx context.Context, p gate.Permit, person gate.PersonID) (gate.PersonID, error) {
	if person == 0 {
		person = p.Person()
	}
	if person == 0 {
		return 0, outcome.WithFaults(outcome.Fault{Path: "/person", Problem: "is missing"})
	}
	if person != p.Person() && !p.Operator() {
		return 0, noSuchPerson()
	}
	rights, err := m.config.Permissions.Rights(ctx, person)
	switch {
	case errors.Is(err, outcome.NotFound):
		return 0, noSuchPerson()
	case err != nil:
		return 0, err
	case !rights.Active:
		return 0, outcome.Conflict.Because("this person is disabled; people.enable comes first")
	}
	return person, nil
}

func hasEnded() error { return outcome.NotAllowed.Because("the token that asks for a child has ended") }

func noSuchPerson() error { return outcome.NotFound.Because("there is no such person") }

// stamp writes a time as results show it.
func stamp(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z") }

// wish is a token on its way to being issued: what was taken over so far, and what is wrong.
type wish struct {
	record
	asker  *gate.Bearer     // nil: a root token
	above  [][]netip.Prefix // the networks of each link above that has any
	faults []outcome.Fault
}

const (
	// maxTools is far above what a house has.
	maxTools = 5000
	// maxFaults is what a reader can use. Each name in a list of megabytes would make one otherwise.
	maxFaults = 20
)

// fault notes what is wrong, if there is not more than enough already.
func (w *wish) fault(path, problem string, args ...any) {
	if len(w.faults) == maxFaults {
		return
	}
	w.faults = append(w.faults, outcome.Fault{Path: path, Problem: fmt.Sprintf(problem, args...)})
}

// takeTools takes canonical and exported names. A name that no tool has, and one that the parent may not call, are one
// fault: whether a tool exists is not told to whom it is not shown. A wildcard is no tool's name.
func (w *wish) takeTools(names []string, tools gate.Directory) {
	w.tools = []gate.ToolName{}
	if len(names) > maxTools {
		w.fault("/tools", "has more than %d names", maxTools)
		return
	}
	taken := make(map[gate.ToolName]bool, len(names))
	for i, name := range names {
		if len(w.faults) == maxFaults {
			return
		}
		path := fmt.Sprintf("/tools/%d", i)
		t, exists := tools.Find(name)
		switch {
		case !exists && w.asker == nil:
			w.fault(path, "is not the name of a tool")
		case !exists || !w.parentMay(t.Name):
			w.fault(path, "is not the name of a tool that this token may call")
		case taken[t.Name]:
			w.fault(path, "names a tool for the second time")
		default:
			taken[t.Name] = true
			w.tools = append(w.tools, t.Name)
		}
	}
	slices.Sort(w.tools)
}

// takeConditions takes a condition for each tool that the token may call, checked against the tool as it is now. What the tokens
// above carry holds besides, so that a child needs none to be as narrow.
func (w *wish) takeConditions(of map[string]string, p gate.Permit) {
	for _, name := range slices.Sorted(maps.Keys(of)) {
		path := "/conditions/" + canon.PointerToken(name)
		t, exists := p.Tools().Find(name)
		if !exists || !slices.Contains(w.tools, t.Name) {
			w.fault(path, "is not one of the tools of this token")
			continue
		}
		if _, twice := w.conditions[t.Name]; twice {
			w.fault(path, "names a tool for the second time")
			continue
		}
		if err := p.CheckCondition(t.Name, of[name]); err != nil {
			w.fault(path, "%s", err)
			continue
		}
		if w.conditions == nil {
			w.conditions = map[gate.ToolName]string{}
		}
		w.conditions[t.Name] = of[name]
	}
}

func (w *wish) parentMay(tool gate.ToolName) bool {
	if w.asker == nil {
		return true
	}
	for _, link := range w.asker.Chain {
		if _, in := link.Scope[tool]; !in {
			return false
		}
	}
	return true
}

// takeEnd refuses what is longer than allowed, rather than cutting it: whoever said a length must get it or know.
func (w *wish) takeEnd(seconds *int64, c Config, now time.Time) {
	if seconds == nil {
		w.ends = now.Add(c.DefaultTTL)
		if w.asker != nil && w.ends.After(w.asker.Ends) {
			w.ends = w.asker.Ends
		}
		w.ends = w.ends.Truncate(time.Millisecond)
		return
	}
	longest := int64(c.MaxTTL / time.Second) // compared in seconds: as a Duration, a large number would wrap around
	switch {
	case *seconds < 1:
		w.fault("/ttl_seconds", "is less than 1")
		return
	case *seconds > longest:
		w.fault("/ttl_seconds", "is more than the longest allowed, %d", longest)
		return
	}
	w.ends = now.Add(time.Duration(*seconds) * time.Second).Truncate(time.Millisecond)
	if w.asker != nil && w.ends.After(w.asker.Ends) {
		w.fault("/ttl_seconds", "is longer than the token that asks for it lives, until %s", stamp(w.asker.Ends))
	}
}

func (w *wish) takeUses(n *int64) {
	if n == nil {
		return
	}
	w.maxUses = *n
	if *n < 1 {
		w.fault("/max_uses", "is less than 1")
		return
	}
	if w.asker == nil {
		return
	}
	for _, link := range w.asker.Chain {
		if link.MaxUses > 0 && *n > link.MaxUses {
			w.fault("/max_uses", "is more than the %d uses of the token that asks for it", link.MaxUses)
			return
		}
	}
}

// takeBudget takes no more than each token above has: a child spends of theirs too.
func (w *wish) takeBudget(n *gate.Money) {
	if n == nil {
		return
	}
	w.budget = *n
	if *n < 1 {
		w.fault("/budget", "is less than 1")
		return
	}
	if w.asker == nil {
		return
	}
	for _, link := range w.asker.Chain {
		if link.Budget > 0 && *n > link.Budget {
			w.fault("/budget", "is more than the budget of the token that asks for it, %d", int64(link.Budget))
			return
		}
	}
}

// maxRate is far above what one process answers.
const maxRate = 1_000_000

func (w *wish) takeRate(n *int) {
	if n == nil {
		return
	}
	w.rate = *n
	if *n < 1 || *n > maxRate {
		w.fault("/rate", "is not between 1 and %d calls a minute", maxRate)
		return
	}
	if w.asker == nil {
		return
	}
	for _, link := range w.asker.Chain {
		if link.Rate > 0 && *n > link.Rate {
			w.fault("/rate", "is more than the %d calls a minute of the token that asks for it", link.Rate)
			return
		}
	}
}

// maxNetworks bounds what is looked at on every call.
const maxNetworks = 100

// takeNetworks refuses an empty list: it would mean nowhere, and a reader could take it for anywhere.
func (w *wish) takeNetworks(texts []string) {
	if texts != nil && (len(texts) == 0 || len(texts) > maxNetworks) {
		w.fault("/networks", "does not have 1 to %d networks; leave it out for anywhere", maxNetworks)
		return
	}
	w.networks = []netip.Prefix{}
	for i, text := range texts {
		path := fmt.Sprintf("/networks/%d", i)
		n, ok := parseNetwork(text)
		if !ok {
			w.fault(path, "is not a network such as 192.0.2.0/24 or 2001:db8::/32, nor an address")
			continue
		}
		for _, link := range w.above {
			if !slices.ContainsFunc(link, func(wider netip.Prefix) bool { return wider.Bits() <= n.Bits() && wider.Contains(n.Addr()) }) {
				w.fault(path, "is not inside the networks of the token that asks for it")
				break
			}
		}
		w.networks = append(w.networks, n)
	}
}

// parseNetwork takes a prefix whose host bits are zero, or one address. IPv4 written as IPv6 is refused: addresses are
// compared as what they are.
func parseNetwork(s string) (netip.Prefix, bool) {
	n, err := netip.ParsePrefix(s)
	if err != nil {
		a, err := netip.ParseAddr(s)
		if err != nil || a.Zone() != "" {
			return netip.Prefix{}, false
		}
		n = netip.PrefixFrom(a, a.BitLen())
	}
	return n, n == n.Masked() && !n.Addr().Is4In6()
}
