// Package calls keeps the outcomes of calls that carry an idempotency key, so that a call that is repeated is answered and
// not done again. It must never let a call run twice under one key, nor show an outcome to a token of another root or to
// one that may not make the call itself.
//
// A claim is a row, durable before the call runs; the outcome is added when the call has ended. Both go after 24 hours. A
// claim without an outcome whose call is not under way here is what a crash leaves: it is answered with "unknown" and the
// call is not made again under that key. Where replicas share a database, such a claim may be another replica's call:
// it is waited for first, for [elsewhere] from its beginning.
//
// Arguments are kept as a sealed digest, outcomes sealed, both under the person's key and bound to token, tool and key:
// with a person's key all of it is gone, and no digest of a payload lies open.
//
// A Module is safe for concurrent use; it starts no goroutine.
package calls

import (
	"context"
	"embed"
	"time"

	"gatehouse/gate"
	"gatehouse/module"
	"gatehouse/outcome"
	"gatehouse/store"
)

var getKey, listKey, pruneKey = gate.NewKey("calls/get"), gate.NewKey("calls/list"), gate.NewKey("calls/prune")

//go:embed sqlite/*.sql postgres/*.sql
var migrations embed.FS

// keptFor is how long an outcome is kept, counted from the claim.
const keptFor = 24 * time.Hour

// Config is what the module needs of others.
type Config struct {
	Sealer gate.Sealer // seals under persons' keys; required
}

// Module keeps outcomes and offers calls.get, calls.list and, for jobs, calls.prune.
type Module struct {
	rows    rows
	sealer  gate.Sealer
	flights *flights
	waits   time.Duration // for another process's call; zero where there is none
}

var (
	_ gate.Results   = (*Module)(nil)
	_ gate.Scheduled = (*Module)(nil)
)

// New opens the module's database.
func New(ctx context.Context, kit module.Kit, c Config) (*Module, error) {
	db, err := kit.Open(ctx, migrations)
	if err != nil {
		return nil, err
	}
	m := &Module{rows: rows{db}, sealer: c.Sealer, flights: newFlights()}
	if db.Engine() == store.Postgres {
		m.waits = elsewhere
	}
	return m, nil
}

// Name implements gate.Module.
func (*Module) Name() string { return "calls" }

// Tools implements gate.Module.
func (m *Module) Tools() []gate.Tool {
	return []gate.Tool{
		gate.AccessControlled("get", getKey, gate.Spec{
			Title:       "Get a kept outcome",
			Description: "Gives the outcome of an earlier call of yours that carried an idempotency key, for 24 hours.",
			Effect:      gate.Reads,
		}, m.get),
		gate.AccessControlled("list", listKey, gate.Spec{
			Title:       "List kept outcomes",
			Description: "Lists your calls of the last 24 hours whose outcomes are kept, newest first, without their results.",
			Effect:      gate.Reads, Trusted: true,
		}, m.list),
		gate.AccessControlled("prune", pruneKey, gate.Spec{
			Title:       "Remove kept outcomes",
			Description: "Removes the outcomes that were kept for 24 hours.",
			Effect:      gate.Destroys, Trusted: true, Who: gate.Jobs,
		}, m.prune),
	}
}

// Jobs implements gate.Scheduled.
func (*Module) Jobs() []gate.Job {
	return []gate.Job{{Tool: "calls.prune", Every: time.Hour, Once: true}}
}

type getArgs struct {
	Call string `json:"call" kind:"opaque" jsonschema:"id of the call, as its answer gave it: 1763871234567-3"`
}

// get answers alike for a call that is unknown, of another root token, or of a tool that the caller may not use.
func (m *Module) get(ctx context.Context, p gate.Permit, a getArgs) (Outcome, error) {
	none := outcome.NotFound.Because("no outcome is kept for the call %q; calls.list shows which are", a.Call)
	id, err := gate.ParseRowID(a.Call)
	if err != nil {
		return Outcome{}, err
	}
	if p.Root() == 0 {
		return Outcome{}, none
	}
	row, err := m.rows.byCall(ctx, p.Root(), id, m.oldest())
	if outcome.Of(err) == outcome.NotFound || err == nil && !p.MaySee(row.key.Tool, row.key.Token) {
		return Outcome{}, none
	}
	if err != nil {
		return Outcome{}, err
	}
	o, err := m.open(ctx, row)
	if err != nil {
		return Outcome{}, err
	}
	return shown(row, *o), nil
}

type listArgs struct {
	Limit int `json:"limit,omitzero" jsonschema:"at most so many, 1 to 100; 50 if left out"`
}

// List is the result of calls.list.
type List struct {
	Calls []Kept `json:"calls"`
}

func (m *Module) list(ctx context.Context, p gate.Permit, a listArgs) (List, error) {
	list := List{Calls: []Kept{}}
	switch {
	case a.Limit < 0 || a.Limit > 100:
		return list, outcome.WithFaults(outcome.Fault{Path: "/limit", Problem: "must be 1 to 100"})
	case a.Limit == 0:
		a.Limit = 50
	}
	if p.Root() == 0 {
		return list, nil
	}
	err := m.rows.ofRoot(ctx, p.Root(), m.oldest(), func(row kept) bool {
		if p.MaySee(row.key.Tool, row.key.Token) {
			list.Calls = append(list.Calls, entry(row))
		}
		return len(list.Calls) < a.Limit
	})
	return list, err
}

type pruneArgs struct{}

// Pruned is the result of calls.prune.
type Pruned struct {
	Removed int64 `json:"removed"`
}

func (m *Module) prune(ctx context.Context, _ gate.Permit, _ pruneArgs) (Pruned, error) {
	n, err := m.rows.prune(ctx, m.oldest())
	return Pruned{n}, err
}

// oldest is the smallest id that is still kept: ids are milliseconds of creation.
func (m *Module) oldest() int64 { return m.rows.db.Clock().Now().Add(-keptFor).UnixMilli() }
