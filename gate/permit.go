package gate

import (
	"context"

	"gatehouse/outcome"
	"gatehouse/policy"
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

// May reports whether the caller may call another tool as well, with any arguments, as things stood when this call was let
// through.
func (p Permit) May(tool ToolName) bool { return p.MaySee(tool, 0) }

// MaySee reports whether the caller may see what a tool once gave to a token. It is for modules that give it out again: a
// narrower token must not read there what it cannot ask for. One that may call the tool with some arguments alone sees what
// itself was given.
func (p Permit) MaySee(tool ToolName, given TokenID) bool {
	q := p.passage()
	t := q.catalogue.find(tool)
	if t == nil {
		return false
	}
	if _, _, ok := q.may(q.caller, t); !ok {
		return false
	}
	return q.bearer == nil || given == q.bearer.Token && given != 0 || !q.bearer.narrowed(t.name)
}

// CheckCondition says what is wrong with a condition (CEL) on calls of a tool; nil: nothing. A tool that is not there takes none.
func (p Permit) CheckCondition(tool ToolName, condition string) error {
	t := p.passage().catalogue.find(tool)
	if t == nil {
		return outcome.NotFound
	}
	_, err := policy.NewCondition(t.ruled, condition)
	return err
}

// Credential opens a secret of the person for whom the call is made. It fails once the call has ended.
func (p Permit) Credential(ctx context.Context, connection, field string) (secret.Text, error) {
	q := p.passage()
	if q.ended.Load() {
		return secret.Text{}, outcome.NotAllowed.Because("the call that this permit was made for has ended")
	}
	return q.gate.parts.Vault.Credential(ctx, q.caller.person, connection, field)
}
