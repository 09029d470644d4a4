package gate

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"sync/atomic"
	"time"

	"gatehouse/canon"
	"gatehouse/guard"
	"gatehouse/outcome"
	"gatehouse/policy"
)

// Request is what a caller wants done.
type Request struct {
	Tool           ToolName    // canonical or exported
	Arguments      []byte      // JSON as it came; empty is {}
	Canonical      canon.Value // instead of Arguments, where the entry has parsed them already: a Value is always canonical
	IdempotencyKey string      // "" is none

	// Progress, if set, hears how far the call has come, while it runs: never two at a time, never after Call returned, at
	// most ten a second. It must not wait for anyone.
	Progress func(Progress)
}

// passage is one call on its way. It belongs to the goroutine that called Call.
type passage struct {
	gate      *Gate
	catalogue *catalogue // the one that the call began with
	caller    Caller
	request   Request
	began     time.Time

	standing         // step 1
	tool     *listed // step 1
	grant    Grant   // step 1
	rule     string  // what made the decision
	args     canon.Value
	decoded  any    // step 2: args as the handler takes them
	leave    func() // step 3: gives the place in flight back
	findings []guard.Finding
	judging  policy.Call    // step 5: the call as rules see it
	verdict  policy.Verdict // step 5: what the rules say; its Asks are the terms of whoever decides
	tracing  bool           // step 5: nothing will run, and each rule is to say what it says
	decision Decision
	ticket   Ticket     // step 6
	claimed  *ResultKey // step 6: to be kept or dropped
	kept     *Outcome   // step 6: the outcome of the same call, made before
	result   result     // step 7
	progress *progress  // step 7; nil where nobody wants to hear of it
	ended    atomic.Bool
	err      error
}

type step func(context.Context, *passage) error

// Call takes one call through the door. Any step may refuse it; then no later one runs. What record returns is durable:
// no row, no result (P6). Refusals, panics and callers that left are rows too.
func (g *Gate) Call(ctx context.Context, c Caller, r Request) Outcome {
	began := time.Now()
	stopping := g.calls.enter()
	defer g.calls.leave()
	p := g.passage(c, r, began)
	p.err = stopping
	o, err := g.pass(ctx, p)
	if err != nil {
		return g.again(ctx, c, r, began)
	}
	return o
}

func (g *Gate) passage(c Caller, r Request, began time.Time) *passage {
	return &passage{gate: g, catalogue: g.catalogue.Load(), caller: c, request: r, began: began}
}

// pass walks all steps once. Its only error is ErrStale: nothing was begun, answered or written.
func (g *Gate) pass(ctx context.Context, p *passage) (Outcome, error) {
	if p.err == nil {
		p.err = g.through(ctx, p, g.before) // 1 to 5
	}
	if p.err == nil {
		p.err = g.through(ctx, p, g.act) // 6 and 7
	}
	if errors.Is(p.err, ErrStale) && p.ticket.Intent == 0 {
		return g.decideAgain(context.WithoutCancel(ctx), p)
	}
	if err := g.through(ctx, p, g.after); err != nil { // 8 results and errors alike; if it fails, both are withheld
		p.result, p.err = result{}, err
	}
	return g.record(context.WithoutCancel(ctx), p) // 9
}

// steps are the lists that Call walks, in the order of the design.
func (g *Gate) steps() (before, act, after []step) {
	return []step{
		g.permit,    // 1 is there such a tool for this caller
		g.canonical, // 2 strict arguments in one form, schema
		g.limit,     // 3 uses, rate, budget: is anything left
		g.guard,     // 4
		g.decide,    // 5 allow, refuse, or ask
	}, []step{
		g.claim, // 6 kept result, use taken, intent durable: nothing is dispatched before it
		g.run,   // 7 the handler, with credentials from the vault
	}, []step{
		g.guardAfter, // 8
	}
}

// through walks a list. A panic in a step is internal, like any other error without a code.
func (g *Gate) through(ctx context.Context, p *passage, steps []step) (err error) {
	defer contain(&err)
	for _, s := range steps {
		if err := s(ctx, p); err != nil {
			return err
		}
		if p.kept != nil {
			return nil
		}
	}
	return nil
}

// contain makes a panic an error without a code. It must be deferred itself.
func contain(err *error) {
	if r := recover(); r != nil {
		*err = fmt.Errorf("panic: %v\n%s", r, debug.Stack())
	}
}

// canonical is step 2: the arguments in the one form that is validated, guarded, hashed, logged and executed (P13).
func (g *Gate) canonical(_ context.Context, p *passage) error {
	rule := p.rule
	p.rule = "schema"
	args, err := p.request.canonical()
	if err != nil {
		return err
	}
	p.args = args
	if on(checkSchema) {
		if faults := p.tool.input.check(args); len(faults) > 0 {
			return outcome.WithFaults(faults...)
		}
	}
	if p.decoded, err = p.tool.decode(args); err != nil {
		return err
	}
	p.rule = rule
	return nil
}

// canonical gives the arguments in their one form, which is an object.
func (r Request) canonical() (canon.Value, error) {
	if !r.Canonical.IsZero() {
		if !r.Canonical.IsObject() {
			return canon.Value{}, outcome.Invalid.Because("the arguments are not an object")
		}
		return r.Canonical, nil
	}
	if len(r.Arguments) == 0 {
		return canon.ParseObject([]byte(`{}`))
	}
	return canon.ParseObject(r.Arguments)
}
