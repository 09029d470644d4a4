package gate

import (
	"context"
	"errors"
	"strings"
	"time"
	"unicode/utf8"

	"gatehouse/canon"
	"gatehouse/outcome"
)

// record is step 9: the final row, durable before anyone gets the result. Its only error is ErrStale.
func (g *Gate) record(ctx context.Context, p *passage) (o Outcome, err error) {
	if p.leave != nil {
		defer p.leave()
	}
	o = p.outcome()
	if g.ended != nil {
		defer func() {
			if err == nil {
				g.ended(p.summary(o))
			}
		}()
	}
	if o.Code == outcome.Internal {
		g.log.Error("a call failed inside", "tool", p.request.Tool, "error", p.err)
	} else if cause := errors.Unwrap(p.err); cause != nil {
		g.log.Debug("a call was refused", "tool", p.request.Tool, "outcome", o.Code.String(), "error", p.err)
	}
	if !p.ticket.Admitted && refusal(o.Code) && !g.strangers.refused(p) {
		if changed, err := g.fresh(ctx); changed && err == nil && p.compared() {
			g.strangers.decidedAgain(p)
			g.settle(ctx, p, Outcome{})
			return Outcome{}, ErrStale
		}
		g.settle(ctx, p, o)
		return o, nil // it stands in the summary row of this minute
	}
	if !on(checkRow) {
		return o, nil
	}
	row := p.row(o.Code)
	p.fill(row, o)
	row.Compare = p.ticket.Intent == 0 && p.compared() // what had an intent was compared there
	id, err := g.write(ctx, p.ticket, row)
	if errors.Is(err, ErrStale) && row.Compare {
		g.settle(ctx, p, Outcome{})
		return Outcome{}, ErrStale
	}
	if err != nil {
		g.log.Error("the log cannot be written", "error", err)
		g.settle(ctx, p, Outcome{})
		g.tell(p) // the effect may be there although the row is not
		return p.withheld(), nil
	}
	o.ID = id
	g.settle(ctx, p, o)
	g.tell(p)
	return o, nil
}

// decideAgain gives back what a call holds that the log did not take.
func (g *Gate) decideAgain(ctx context.Context, p *passage) (Outcome, error) {
	if p.leave != nil {
		p.leave()
	}
	g.settle(ctx, p, Outcome{})
	return Outcome{}, ErrStale
}

// compared reports whether a call was decided with versions that may be others by now.
func (p *passage) compared() bool { return p.rights != nil || p.bearer != nil }

// write gives a row to the log.
func (g *Gate) write(ctx context.Context, t Ticket, r *Row) (id RowID, err error) {
	defer contain(&err)
	return g.parts.Log.Record(ctx, t, r)
}

// outcome puts together what the caller will see.
func (p *passage) outcome() Outcome {
	if p.kept != nil {
		return *p.kept
	}
	schemaless := !p.args.IsZero() && p.tool.output == nil
	o := Outcome{Code: outcome.OK, Schemaless: schemaless, Result: p.result.value, Content: p.result.content, Redactions: redactions(p.findings)}
	if p.err != nil {
		e := outcome.Explain(p.err)
		return Outcome{
			Code: e.Code, Reason: e.Reason, Faults: e.Faults, RetryAfter: e.RetryAfter,
			Redactions: o.Redactions, Schemaless: schemaless,
		}
	}
	if p.result.failed {
		o.Code, o.Reason = outcome.Upstream, "the tool answered with an error; its content says which"
	}
	return o
}

// withheld is what a caller gets whose row cannot be written: after an effect nobody may believe that nothing happened.
func (p *passage) withheld() Outcome {
	if p.ticket.Intent != 0 {
		return Outcome{Code: outcome.Unknown, Reason: "the log cannot be written, so the result is withheld: look whether it happened before repeating it"}
	}
	return Outcome{Code: outcome.Unavailable, Reason: "the log cannot be written, so nothing is answered; try again later"}
}

func refusal(c outcome.Code) bool {
	switch c {
	case outcome.NotAllowed, outcome.Invalid, outcome.Blocked, outcome.Denied, outcome.Limited, outcome.Unavailable, outcome.Conflict:
		return true
	case outcome.OK, outcome.Input, outcome.Pending, outcome.Unauthenticated, outcome.Expired, outcome.Invalidated,
		outcome.NotFound, outcome.Upstream, outcome.Timeout, outcome.Cancelled, outcome.Unknown, outcome.Internal:
	}
	return false
}

// passing reports whether a call that only read may end better the next time.
func passing(c outcome.Code) bool {
	return c == outcome.Cancelled || c == outcome.Timeout || c == outcome.Internal || c == outcome.Unavailable
}

// settle keeps the outcome for repeats with the same idempotency key, or gives the key back if nothing can have happened.
func (g *Gate) settle(ctx context.Context, p *passage, o Outcome) {
	if p.claimed == nil {
		return
	}
	if err := g.keepOrDrop(ctx, p, o); err != nil {
		g.log.Error("an outcome was not kept for repeats", "tool", p.tool.name, "error", err)
	}
}

func (g *Gate) keepOrDrop(ctx context.Context, p *passage, o Outcome) (err error) {
	defer contain(&err)
	switch {
	case !p.ticket.Admitted:
		err = g.parts.Results.Drop(ctx, *p.claimed)
	case o.ID.IsZero() && p.ticket.Intent == 0:
		err = g.parts.Results.Drop(ctx, *p.claimed) // nothing was changed and nothing was answered
	case p.ticket.Intent == 0 && passing(o.Code):
		err = g.parts.Results.Drop(ctx, *p.claimed) // repeating is what the key is for
	case o.ID.IsZero():
		// The row is not written: a repeat, also one that waits already, is told that it may have happened.
		err = g.parts.Results.Keep(ctx, *p.claimed, p.withheld())
	default:
		if !p.result.logged.IsZero() {
			o.Result = p.result.logged // what is shown once is not kept
		}
		err = g.parts.Results.Keep(ctx, *p.claimed, o)
	}
	return err
}

// row is what is known of a call by who makes it and what it asks for.
func (p *passage) row(code outcome.Code) *Row {
	c := p.caller
	r := &Row{
		Began: p.began, Person: c.person, Agent: c.agent, Token: c.token, Entry: c.origin.Entry,
		Session: cut(c.origin.Session, 100), Job: c.job, Operator: c.operator, Peer: c.origin.Peer,
		Decision: p.decision, Rule: p.rule, Shadow: p.verdict.Shadow, Outcome: code, Count: 1,
		Payload: Payload{Arguments: p.args, Task: cut(c.origin.Task, 4000)},
	}
	if c.origin.Address.IsValid() {
		r.Address = c.origin.Address.String()
	}
	if p.tool == nil {
		r.Tool = ToolName(cut(string(p.request.Tool), 100))
	} else {
		r.Tool, r.Definition, r.Effect, r.Price = p.tool.name, p.tool.definition, p.tool.spec.Effect, p.tool.spec.Price
	}
	if p.rights != nil {
		r.MapVersion, r.GrantVersion = p.rights.Version, p.grant.Version
	}
	if p.bearer != nil {
		r.TokenVersion, r.Chain = p.bearer.Chain[0].Version, p.bearer.Chain
		for _, link := range p.bearer.Chain[1:] {
			r.Ancestors = append(r.Ancestors, link.Token)
		}
	}
	return r
}

// fill adds how the call ended.
func (p *passage) fill(r *Row, o Outcome) {
	r.Took = time.Since(p.began)
	// Of the arguments in the form that was checked: neither spelling nor entry makes a difference (P10).
	r.BytesIn, r.BytesOut = int64(p.args.Len()), int64(o.Result.Len())
	r.Payload.Result = o.Result
	if !p.result.logged.IsZero() {
		r.Payload.Result = p.result.logged
	}
	if p.tool != nil && readsLog(p.tool.name) {
		r.Payload.Result = countOnly(o.Result)
	}
	r.Payload.Reason, r.Payload.Findings = o.Reason, p.findings
	if !p.ticket.Admitted {
		r.Price = 0
	}
	if p.err != nil && p.decision == Allow && !p.ticket.Admitted {
		r.Decision = Refuse
	}
}

// cut makes what a client sent fit for the log: at most n bytes, UTF-8, and without U+0000, which PostgreSQL has no place
// for. A row that cannot be stored would turn a refusal into something else.
func cut(s string, n int) string {
	s = s[:min(len(s), n)]
	if strings.IndexByte(s, 0) < 0 && utf8.ValidString(s) {
		return s
	}
	return strings.ReplaceAll(strings.ToValidUTF8(s, "\uFFFD"), "\x00", "\uFFFD")
}

// readsLog reports whether a tool reads the log itself: its rows keep the arguments and a count, or the log would copy
// itself and a reader would own what others did.
func readsLog(tool ToolName) bool {
	return strings.HasPrefix(string(tool), "audit.") && tool != "audit.prune" // whose result is counts of what it removed
}

func countOnly(v canon.Value) canon.Value {
	n := 0
	if rows, ok := v.Lookup("/rows"); ok {
		for range rows.Elements {
			n++
		}
	}
	counted, err := canon.From(map[string]int{"rows": n})
	if err != nil {
		return canon.Value{}
	}
	return counted
}
