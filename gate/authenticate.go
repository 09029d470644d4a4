package gate

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"errors"
	"time"

	"gatehouse/outcome"
	"gatehouse/secret"
)

// Authenticate finds out who is calling. It must be asked anew for each request; that it succeeds allows nothing yet. The
// error is outcome.Unauthenticated, which does not say why, or outcome.Unavailable. Failures are rows of the log.
func (g *Gate) Authenticate(ctx context.Context, c Credential, o Origin) (Caller, error) {
	caller, err := g.identify(ctx, c, o)
	if err == nil {
		return caller, nil
	}
	if g.mayHaveChanged(ctx, c, err) {
		if caller, err = g.identify(ctx, c, o); err == nil {
			return caller, nil
		}
	}
	return Caller{}, g.refuseStranger(ctx, o, err)
}

// mayHaveChanged reads again, before a token is called bad, what other replicas wrote.
func (g *Gate) mayHaveChanged(ctx context.Context, c Credential, err error) bool {
	if g.refresh == nil || c.Bearer.IsZero() || !errors.Is(err, outcome.Unauthenticated) {
		return false
	}
	_, err = g.fresh(ctx)
	return err == nil
}

// refuseStranger writes down that somebody was not let in, and gives what they are told.
func (g *Gate) refuseStranger(ctx context.Context, o Origin, err error) error {
	code := outcome.Unauthenticated
	if !errors.Is(err, outcome.Unauthenticated) {
		code = outcome.Unavailable
		g.log.Error("a caller cannot be looked up", "error", err)
	}
	p := &passage{caller: Caller{origin: o}, began: time.Now(), rule: "authentication"}
	row := p.row(code)
	if g.strangers.unauthenticated(*row) {
		if _, err := g.write(context.WithoutCancel(ctx), Ticket{}, row); err != nil {
			g.log.Error("the log cannot be written", "error", err)
		}
	}
	if code == outcome.Unavailable {
		return outcome.Unavailable.From(err, "nobody can be let in at the moment; try again later")
	}
	return outcome.Unauthenticated.Because("show a token that is good: Authorization: Bearer st_…")
}

func (g *Gate) identify(ctx context.Context, c Credential, o Origin) (_ Caller, err error) {
	defer contain(&err)
	if c.Operator != nil {
		if !g.provesOperator(*c.Operator) {
			return Caller{}, outcome.Unauthenticated
		}
		return Caller{operator: true, origin: o}, nil
	}
	if c.Bearer.IsZero() {
		return Caller{}, outcome.Unauthenticated
	}
	b, err := g.parts.Tokens.Find(ctx, c.Bearer, o.Address)
	if err != nil {
		return Caller{}, err
	}
	if _, err := g.active(ctx, b.Person); err != nil {
		return Caller{}, err
	}
	return Caller{person: b.Person, token: b.Token, agent: b.Agent, origin: o}, nil
}

// active gives the rights of a person who may be here at all: outcome.Unauthenticated for all others.
func (g *Gate) active(ctx context.Context, id PersonID) (*Rights, error) {
	rights, err := g.parts.Permissions.Rights(ctx, id)
	if errors.Is(err, outcome.NotFound) || err == nil && !rights.Active && on(checkCurrent) {
		return nil, outcome.Unauthenticated
	}
	return rights, err
}

// Job is the caller of background work; it may call the tools that are for jobs and no others.
func (g *Gate) Job(name string) Caller {
	return Caller{job: name, origin: Origin{Entry: "job"}}
}

// provesOperator checks the proof in constant time. A gate without an operator's key has no operator.
func (g *Gate) provesOperator(p OperatorProof) bool {
	if g.operatorKey.IsZero() || len(p.Nonce) < 16 {
		return false
	}
	return hmac.Equal(p.MAC, OperatorMAC(g.operatorKey, p.Nonce))
}

// OperatorMAC is the proof for a nonce: HMAC-SHA256 under the operator's key.
func OperatorMAC(key secret.Text, nonce []byte) []byte {
	mac := hmac.New(sha256.New, []byte(key.Reveal()))
	mac.Write([]byte("gatehouse operator 1\x00"))
	mac.Write(nonce)
	return mac.Sum(nil)
}
