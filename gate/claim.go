package gate

import (
	"context"
	"errors"
	"fmt"

	"gatehouse/canon"
	"gatehouse/outcome"
)

// claim is step 6. After it the call is known to be the one that runs: a repeat with the same idempotency key finds it,
// one use of every token of the chain is taken, and, for a tool with effects, the intent is durable.
func (g *Gate) claim(ctx context.Context, p *passage) error {
	if err := ctx.Err(); err != nil {
		return outcome.Cancelled.From(err, "the request was withdrawn before anything was done")
	}
	if err := g.claimResult(ctx, p); err != nil || p.kept != nil {
		return err
	}
	var chain []Link
	if p.bearer != nil && !ownAffairs[p.tool.name] {
		chain = p.bearer.Chain
	}
	if !on(checkUses) {
		chain = nil
	}
	row := p.row(outcome.Unknown)
	if !on(checkIntent) {
		row.Effect = Reads
	}
	row.Compare = p.compared()
	ticket, err := g.parts.Log.Admit(ctx, row, chain)
	if errors.Is(err, ErrStale) {
		return err
	}
	if err != nil {
		return unavailable(err, "the log cannot take the call; nothing was done")
	}
	p.ticket = ticket
	return nil
}

// claimResult looks for the outcome of the same call made before.
func (g *Gate) claimResult(ctx context.Context, p *passage) error {
	if p.request.IdempotencyKey == "" {
		return nil
	}
	if p.bearer == nil {
		return outcome.Invalid.Because("an idempotency key needs a token")
	}
	key := ResultKey{p.caller.person, p.bearer.Root(), p.caller.token, p.tool.name, p.request.IdempotencyKey}
	kept, err := g.parts.Results.Claim(ctx, key, p.args.Digest())
	if err != nil {
		return unavailable(err, "the kept results cannot be read; nothing was done")
	}
	if kept == nil {
		p.claimed = &key
	}
	// Another call with the key may have run for long: what was permitted before the wait is asked again (P5).
	if err := g.permit(ctx, p); err != nil {
		return err
	}
	if err := g.decide(ctx, p); err != nil {
		return err
	}
	if kept != nil {
		p.kept, p.rule = kept, "kept result"
	}
	return nil
}

// unavailable keeps an error that has a code of its own, and calls any other unavailable: a store failed.
func unavailable(err error, reason string) error {
	switch code := outcome.Of(err); code {
	case outcome.Internal, outcome.Timeout:
		return outcome.Unavailable.From(err, "%s; try again later", reason)
	case outcome.Unavailable:
		if outcome.Explain(err).Reason == "" {
			return outcome.Unavailable.From(err, "%s; try again later", reason)
		}
	default:
	}
	return err
}

// run is step 7: the module's handler, under the tool's deadline. The permit ends with it.
func (g *Gate) run(ctx context.Context, p *passage) error {
	ctx, cancel := context.WithTimeout(ctx, p.tool.spec.Deadline)
	defer cancel()
	defer context.AfterFunc(g.calls.stopped, cancel)()
	defer p.ended.Store(true)
	if p.request.Progress != nil {
		p.progress = &progress{}
		defer p.progress.end(p)
	}
	r, err := p.tool.run(ctx, Permit{p}, p.decoded)
	if err != nil {
		return p.afterEffect(ctx, err)
	}
	if r.content && !r.failed {
		if err := p.tool.fits(r.value); err != nil {
			return err
		}
	}
	p.result = r
	return nil
}

// afterEffect calls a deadline or a withdrawal by its true name: with a tool that has effects it may have happened.
func (p *passage) afterEffect(ctx context.Context, err error) error {
	code := outcome.Of(err)
	if code == outcome.Internal && ctx.Err() != nil {
		code = outcome.Of(ctx.Err())
	}
	switch code {
	case outcome.Timeout, outcome.Cancelled:
	default:
		return err
	}
	if p.tool.spec.Effect != Reads {
		return outcome.Unknown.From(err, "it was begun and not ended in time: look whether it happened before repeating it")
	}
	if code == outcome.Timeout {
		return outcome.Timeout.From(err, "it took longer than %s and was given up; ask for less", p.tool.spec.Deadline)
	}
	if p.gate.calls.stopped.Err() != nil {
		return outcome.Cancelled.From(err, "the gateway stopped before it had ended; try again")
	}
	return outcome.Cancelled.From(err, "the request was withdrawn")
}

// fits checks what a foreign tool gave back against the schema that it declared.
func (t *Tool) fits(content canon.Value) error {
	if t.output == nil {
		return nil
	}
	structured, ok := content.Lookup("/structuredContent")
	if !ok {
		return outcome.Upstream.Because("the tool declares a structured result and gave none")
	}
	if faults := t.output.check(structured); len(faults) > 0 {
		return outcome.Upstream.From(fmt.Errorf("result %s: %s", faults[0].Path, faults[0].Problem),
			"the tool's result does not fit the schema that it declares")
	}
	return nil
}
