package gate

import (
	"net/netip"
	"time"

	"gatehouse/secret"
)

// PersonID is the id of a person; 0 is nobody (the operator, a job, a stranger).
type PersonID int64

// TokenID is the id of a sub-token; 0 is none.
type TokenID int64

// ToolName is the canonical name of a tool: module.tool.
type ToolName string

// Caller is who makes a call, as [Gate.Authenticate] found out. It says nothing about rights: those are worked out anew
// on every call. The zero Caller is a stranger, to whom nothing is allowed.
type Caller struct {
	person   PersonID
	token    TokenID
	agent    string
	operator bool
	job      string
	origin   Origin
}

// Origin says where a request came from. It is written to the log and grants nothing.
type Origin struct {
	Entry   string     // rest, mcp, socket, …
	Address netip.Addr // of the client; the zero value where there is none (a Unix socket)
	Session string     // as the client named it; for display and the task, never for rights
	Task    string     // what the client says that its person wants; read on a session's first call
	Peer    Peer       // on a Unix socket
	Trace   string     // the client's traceparent (W3C Trace Context), as it was sent; for spans alone
}

// Peer is the process at the other end of a Unix socket, as the kernel says.
type Peer struct {
	UID     int    `json:"uid"`
	PID     int    `json:"pid"`
	Program string `json:"program"`
}

// Credential is what a request shows to say who is calling: exactly one of the two.
type Credential struct {
	Bearer   secret.Text    // a sub-token
	Operator *OperatorProof // a proof of reading operator.key
}

// OperatorProof shows that its sender can read operator.key: MAC is [OperatorMAC] over a nonce that the receiver chose.
type OperatorProof struct {
	Nonce []byte // at least 16 bytes, made by the receiver for this connection alone
	MAC   []byte
}

// Person is the person behind the call; 0 for the operator, jobs and strangers.
func (c Caller) Person() PersonID { return c.person }

// Token is the token that was shown; 0 for none.
func (c Caller) Token() TokenID { return c.token }

// Agent is the agent's name as its token has it.
func (c Caller) Agent() string { return c.agent }

// Operator reports whether the caller proved to be the operator.
func (c Caller) Operator() bool { return c.operator }

// At gives the same caller in another session of the same connection, for entries whose sessions are told inside of it.
func (c Caller) At(session, task string) Caller {
	c.origin.Session, c.origin.Task = session, task
	return c
}

// Rights is what one person may do: an immutable snapshot, replaced by the write that changes it.
type Rights struct {
	Person        PersonID
	Active        bool // false: disabled, nothing is allowed
	Administrator bool
	Email         string              // in lower case
	Version       int64               // of the whole map
	Grants        map[KeyNumber]Grant // never changed once handed out
}

// Grant is one entry of a permission map.
type Grant struct {
	Decision Decision
	Version  int64 // of this entry
}

// Decision is what becomes of a call. The zero value is the careful one.
type Decision uint8

// The decisions, from the most to the least restrictive.
const (
	Refuse Decision = iota
	Ask
	Allow
)

var decisions = [...]string{"refuse", "ask", "allow"}

// String names the decision as the log and the command line show it.
func (d Decision) String() string {
	if int(d) >= len(decisions) {
		return decisions[Refuse]
	}
	return decisions[d]
}

// Bearer is a token as it stands now, with all that it descends from: an immutable snapshot. That it was given out means
// that no link of the chain is revoked or past its end, and that the address is in all their networks.
type Bearer struct {
	Token  TokenID
	Person PersonID
	Agent  string
	Ends   time.Time // the earliest end in the chain
	Chain  []Link    // the token itself first, the root token last
}

// Root is the first token of the chain, to which all that an agent reads belongs.
func (b *Bearer) Root() TokenID { return b.Chain[len(b.Chain)-1].Token }

// narrowed reports whether the token may call a tool with some arguments alone.
func (b *Bearer) narrowed(tool ToolName) bool {
	for _, link := range b.Chain {
		if _, is := link.Conditions[tool]; is {
			return true
		}
	}
	return false
}

// Link is one token of a chain.
type Link struct {
	Token   TokenID
	Version int64
	Scope   map[ToolName]struct{} // empty is nothing
	// Conditions must be true for calls of these tools (CEL, see docs/policy.md). nil: none.
	Conditions map[ToolName]string
	MaxUses    int64 // 0: not limited
	Rate       int   // calls a minute; 0: the configured limit alone
	Budget     Money // what calls may cost in all; 0: not limited
}
