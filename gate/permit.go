package gate

import (
	"context"

	"gatehouse/outcome"
	"gatehouse/secret"
)

// Permit is the proof that a call went through the door. Only the gate makes one, for one run of one handler. A zero
// Permit panics on its first use, so a handler that was called past the gate fails in its first line. It is the only way
// to a credential, and it ends with the call: afterwards it opens nothing.
type Permit struct{ p *passage }

func (p Permit) passage() *passage {
	if p.p == nil {
		panic("gate: a handler was called past the gate: its permit is empty")
	}
	return p.p
}

// Person is the person for whom the call is made; 0 for the operator and for jobs.
func (p Permit) Person() PersonID { return p.passage().caller.person }

// Operator reports whether the operator makes the call.
func (p Permit) Operator() bool { return p.passage().caller.operator }

// Administrator reports whether the person behind the call is an administrator now.
func (p Permit) Administrator() bool {
	r := p.passage().rights
	return r != nil && r.Administrator
}

// Bearer is the token that makes the call, as it stood when the call was let through; nil for the operator and for jobs.
func (p Permit) Bearer() *Bearer { return p.passage().bearer }

// Root is the token to which everything that this agent reads belongs; 0 without a token.
func (p Permit) Root() TokenID {
	if b := p.passage().bearer; b != nil {
		return b.Root()
	}
	return 0
}

// Tool is the tool that runs, as the caller named it in the catalogue.
func (p Permit) Tool() ToolName { return p.passage().tool.name }

// Tools answers which tools exist and what a person may do, for the modules that keep permissions and tokens. It shows
// no key, only its number.
func (p Permit) Tools() Directory { return p.passage().catalogue }

// May reports whether the caller may call another tool as well, as things stood when this call was let through. It is for
// modules that give out again what that tool once gave: a narrower token must not read there what it cannot ask for.
func (p Permit) May(tool ToolName) bool {
	q := p.passage()
	t := q.catalogue.find(tool)
	if t == nil {
		return false
	}
	_, _, ok := q.may(q.caller, t)
	return ok
}

// Credential opens a secret of the person for whom the call is made. It fails once the call has ended.
func (p Permit) Credential(ctx context.Context, connection, field string) (secret.Text, error) {
	q := p.passage()
	if q.ended.Load() {
		return secret.Text{}, outcome.NotAllowed.Because("the call that this permit was made for has ended")
	}
	return q.gate.parts.Vault.Credential(ctx, q.caller.person, connection, field)
}
