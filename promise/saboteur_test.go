package promise_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"

	"gatehouse/canon"
	"gatehouse/gate"
	"gatehouse/guard"
	"gatehouse/policy"
	"gatehouse/secret"
)

// sabotaged lists all that can be broken: what the gate asks, one question after the other, and a guard on either side.
var sabotaged = []string{
	"tokens.find", "tokens.current", "permissions.rights", "log.left", "log.affords", "log.admit", "log.record",
	"policy.judge", "policy.holds", "results.claim", "results.keep", "results.drop", "vault.credential", "guard.before", "guard.after",
}

// saboteur stands between the gate and its parts, and breaks one of them when told. It also counts what the log let through:
// nothing is dispatched that is not among it.
type saboteur struct {
	mu       sync.Mutex // guards broken and how
	broken   string
	how      string // error or panic
	admitted atomic.Int64
	effects  atomic.Int64           // those of them that do not only read
	between  atomic.Pointer[func()] // called when a use was left and before it is taken; nil: nothing
	afforded atomic.Pointer[func()] // called when a budget reached for a call and before it is spent; nil: nothing
}

func (s *saboteur) breaks(what, how string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.broken, s.how = what, how
}

func (s *saboteur) mend() { s.breaks("", "") }

var errSabotage = errors.New("the store does not answer: sabotage-detail")

func (s *saboteur) at(what string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.broken != what {
		return nil
	}
	if s.how == "panic" {
		panic("sabotage-detail")
	}
	return fmt.Errorf("asking %s: %w", what, errSabotage)
}

// parts puts the saboteur between.
func (s *saboteur) parts(p gate.Parts) gate.Parts {
	return gate.Parts{
		Permissions: brokenPermissions{p.Permissions, s}, Tokens: brokenTokens{p.Tokens, s}, Log: brokenLog{p.Log, s},
		Vault: brokenVault{p.Vault, s}, Results: brokenResults{p.Results, s},
		Policy: brokenPolicy{p.Policy, s},
	}
}

func (b brokenPolicy) Holds(ctx context.Context, t *policy.Tool, c *policy.Call, condition string) (bool, error) {
	if err := b.s.at("policy.holds"); err != nil {
		return true, err
	}
	return b.Policy.Holds(ctx, t, c, condition)
}

type brokenPolicy struct {
	gate.Policy
	s *saboteur
}

func (b brokenPolicy) Judge(ctx context.Context, t *policy.Tool, c *policy.Call) (policy.Verdict, error) {
	if err := b.s.at("policy.judge"); err != nil {
		return policy.Verdict{}, err
	}
	return b.Policy.Judge(ctx, t, c)
}

type brokenPermissions struct {
	gate.Permissions
	s *saboteur
}

func (b brokenPermissions) Rights(ctx context.Context, p gate.PersonID) (*gate.Rights, error) {
	if err := b.s.at("permissions.rights"); err != nil {
		return nil, err
	}
	return b.Permissions.Rights(ctx, p)
}

type brokenTokens struct {
	gate.Tokens
	s *saboteur
}

func (b brokenTokens) Find(ctx context.Context, text secret.Text, a netip.Addr) (*gate.Bearer, error) {
	if err := b.s.at("tokens.find"); err != nil {
		return nil, err
	}
	return b.Tokens.Find(ctx, text, a)
}

func (b brokenTokens) Current(ctx context.Context, id gate.TokenID, a netip.Addr) (*gate.Bearer, error) {
	if err := b.s.at("tokens.current"); err != nil {
		return nil, err
	}
	return b.Tokens.Current(ctx, id, a)
}

type brokenLog struct {
	gate.Log
	s *saboteur
}

func (b brokenLog) Left(ctx context.Context, chain []gate.Link) error {
	if err := b.s.at("log.left"); err != nil {
		return err
	}
	err := b.Log.Left(ctx, chain)
	if between := b.s.between.Load(); between != nil {
		(*between)()
	}
	return err
}

func (b brokenLog) Affords(ctx context.Context, person gate.PersonID, price gate.Money, chain []gate.Link) error {
	if err := b.s.at("log.affords"); err != nil {
		return err
	}
	err := b.Log.Affords(ctx, person, price, chain)
	if afforded := b.s.afforded.Load(); afforded != nil {
		(*afforded)()
	}
	return err
}

func (b brokenLog) Admit(ctx context.Context, r *gate.Row, chain []gate.Link) (gate.Ticket, error) {
	if err := b.s.at("log.admit"); err != nil {
		return gate.Ticket{}, err
	}
	t, err := b.Log.Admit(ctx, r, chain)
	if err == nil && !r.Operator {
		b.s.admitted.Add(1)
		if r.Effect != gate.Reads {
			b.s.effects.Add(1)
		}
	}
	return t, err
}

func (b brokenLog) Record(ctx context.Context, t gate.Ticket, r *gate.Row) (gate.RowID, error) {
	if err := b.s.at("log.record"); err != nil {
		return gate.RowID{}, err
	}
	return b.Log.Record(ctx, t, r)
}

type brokenVault struct {
	gate.Vault
	s *saboteur
}

func (b brokenVault) Credential(ctx context.Context, p gate.PersonID, connection, field string) (secret.Text, error) {
	if err := b.s.at("vault.credential"); err != nil {
		return secret.Text{}, err
	}
	return b.Vault.Credential(ctx, p, connection, field)
}

type brokenResults struct {
	gate.Results
	s *saboteur
}

func (b brokenResults) Claim(ctx context.Context, k gate.ResultKey, d canon.Digest) (*gate.Outcome, error) {
	if err := b.s.at("results.claim"); err != nil {
		return nil, err
	}
	return b.Results.Claim(ctx, k, d)
}

func (b brokenResults) Keep(ctx context.Context, k gate.ResultKey, o gate.Outcome) error {
	if err := b.s.at("results.keep"); err != nil {
		return err
	}
	return b.Results.Keep(ctx, k, o)
}

func (b brokenResults) Drop(ctx context.Context, k gate.ResultKey) error {
	if err := b.s.at("results.drop"); err != nil {
		return err
	}
	return b.Results.Drop(ctx, k)
}

// sentry is a guard that finds one word, and fails when told.
type sentry struct{ s *saboteur }

func (sentry) Name() string { return "sentry" }

func (sentry) Looks(guard.Stage, guard.Kind) bool { return true }

func (g sentry) Inspect(_ context.Context, s guard.Subject) ([]guard.Finding, error) {
	if !strings.HasPrefix(s.Tool, "ledger.") {
		return nil, nil
	}
	if err := g.s.at("guard." + s.Stage.String()); err != nil {
		return nil, err
	}
	if at := strings.Index(s.Text, "contraband"); at >= 0 && s.Stage == guard.Before {
		return []guard.Finding{{Kind: "contraband", Start: at, End: at + 10, Action: guard.Block, Reason: "leave that out"}}, nil
	}
	if at := strings.Index(s.Text, "private"); at >= 0 && s.Stage == guard.After {
		return []guard.Finding{{Kind: "private", Start: at, End: at + 7, Action: guard.Cut}}, nil
	}
	return nil, nil
}
