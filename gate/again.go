package gate

import (
	"context"
	"errors"
	"time"

	"gatehouse/outcome"
)

// ErrStale is what the log says of a row whose versions of permission map or token are not those of the tables any more:
// another replica has written since. Nothing was written and nothing may be answered; the call is decided again.
var ErrStale = errors.New("what the call was let through with has changed since")

// maxDecisions is how often a call is decided at most. Each time somebody has changed the caller's rights in between.
const maxDecisions = 5

// again decides a call anew with what the tables hold now, as often as the log finds that it was decided with something
// older (P5 with replicas). Effects are compared at their intent, so that nothing was begun; what only read is withheld.
func (g *Gate) again(ctx context.Context, c Caller, r Request, began time.Time) Outcome {
	for range maxDecisions - 1 {
		if _, err := g.fresh(ctx); err != nil {
			break
		}
		if o, gone := g.turnedAway(ctx, c); gone {
			return o
		}
		if o, err := g.pass(ctx, g.passage(c, r, began)); !errors.Is(err, ErrStale) {
			return o
		}
	}
	p := g.passage(c, r, began)
	p.rule, p.err = "changing", outcome.Unavailable.Because("permissions or tokens change too fast or cannot be read; nothing was done, try again later")
	o, _ := g.record(context.WithoutCancel(ctx), p)
	return o
}

// fresh reads again what other replicas have written. It says whether they had.
func (g *Gate) fresh(ctx context.Context) (changed bool, err error) {
	if g.refresh == nil {
		return false, nil
	}
	defer contain(&err)
	return g.refresh(ctx)
}

// turnedAway answers a caller who is not who they were when they were let in as [Gate.Authenticate] would now.
func (g *Gate) turnedAway(ctx context.Context, c Caller) (Outcome, bool) {
	if c.person == 0 {
		return Outcome{}, false
	}
	err := g.stillGood(ctx, c)
	if err == nil {
		return Outcome{}, false
	}
	e := outcome.Explain(g.refuseStranger(ctx, c.origin, err))
	return Outcome{Code: e.Code, Reason: e.Reason}, true
}

// stillGood asks of a caller who was let in before what identify asks of one who comes.
func (g *Gate) stillGood(ctx context.Context, c Caller) (err error) {
	defer contain(&err)
	if c.token != 0 {
		if _, err := g.parts.Tokens.Current(ctx, c.token, c.origin.Address); err != nil {
			return err
		}
	}
	_, err = g.active(ctx, c.person)
	return err
}
