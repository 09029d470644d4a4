package gate

import (
	"context"
	"net/netip"
	"time"

	"gatehouse/canon"
	"gatehouse/guard"
	"gatehouse/outcome"
	"gatehouse/policy"
	"gatehouse/secret"
)

// Parts are the built-in modules as the gate asks them. They are cut by what the gate asks, not by table. All are
// required, safe for concurrent use, and an error of any refuses the call (P2).
type Parts struct {
	Permissions Permissions
	Tokens      Tokens
	Log         Log
	Vault       Vault
	Results     Results
	Policy      Policy
}

// Permissions tells what persons may do now.
type Permissions interface {
	// Rights gives the current snapshot: outcome.NotFound for a person who does not exist.
	Rights(context.Context, PersonID) (*Rights, error)
}

// Tokens tells who shows a token, and what has become of it since.
type Tokens interface {
	// Find looks up a token as it was presented: outcome.Unauthenticated, without saying why, when it is not good here and now.
	Find(context.Context, secret.Text, netip.Addr) (*Bearer, error)
	// Current gives a token that was found before, as it stands now: outcome.Unauthenticated when it is no longer good.
	Current(context.Context, TokenID, netip.Addr) (*Bearer, error)
}

// Policy holds the rules on calls, which come on top of grants and guards.
type Policy interface {
	// Fit checks the rules against the tools that there are from now on. An error stops the start. Afterwards a rule that
	// does not fit a tool refuses that tool's calls.
	Fit([]policy.Tool) error
	// Judge says what the rules make of a call of a tool, as they stand now.
	Judge(context.Context, *policy.Tool, *policy.Call) (policy.Verdict, error)
	// Holds works out a condition that a token carries. Its error, of a condition that does not fit the tool (any more) or
	// cannot be worked out, refuses.
	Holds(context.Context, *policy.Tool, *policy.Call, string) (bool, error)
}

// Log is the audit log. It is the one place where rows are written and where uses are counted.
type Log interface {
	// Left reports whether all links of the chain have a use left: outcome.Limited when one has none.
	Left(context.Context, []Link) error
	// Affords reports whether the budgets of a person and of all links of the chain reach for a price: outcome.Limited, and
	// when that ends, when one does not.
	Affords(context.Context, PersonID, Money, []Link) error
	// Admit takes one use and the row's price of every link, compared and counted in one place, and, if the tool has effects, returns only when
	// the intent is durable (P6). outcome.Limited takes nothing; so does any other error. ErrStale: see there.
	Admit(context.Context, *Row, []Link) (Ticket, error)
	// Record ends a call: the row is durable when it returns, and the intent of the ticket is gone in the same transaction.
	// A zero Ticket is a call that was not admitted. When it fails the uses of a ticket without intent are given back.
	// ErrStale comes only for a ticket without intent: the result must be withheld and the call decided again.
	Record(context.Context, Ticket, *Row) (RowID, error)
}

// Ticket is what a call that was admitted holds until its row is written. The zero Ticket was not admitted.
type Ticket struct {
	Admitted bool
	Intent   int64     // id of the durable intent; 0 for tools that only read
	Uses     []TokenID // each has one use taken
}

// Vault seals under persons' keys and opens credentials.
type Vault interface {
	Sealer
	// Credential opens one secret of a person: outcome.NotFound where there is none.
	Credential(ctx context.Context, person PersonID, connection, field string) (secret.Text, error)
}

// Sealer seals texts under a person's key (0: the house's key), bound to what they are for. Another person's key, or
// another binding, does not open them; a person whose key was destroyed has nothing left that opens (outcome.NotFound).
type Sealer interface {
	Seal(ctx context.Context, person PersonID, binding string, plain []byte) ([]byte, error)
	Open(ctx context.Context, person PersonID, binding string, sealed []byte) ([]byte, error)
}

// Results keeps the outcomes of calls that carry an idempotency key, sealed, for 24 hours.
type Results interface {
	// Claim says what is known under the key: nothing yet (the caller now owns it and must Keep or Drop it), or the kept
	// outcome of the same call. It waits while the same call is under way. outcome.Conflict: the key was used for other arguments.
	Claim(context.Context, ResultKey, canon.Digest) (*Outcome, error)
	// Keep stores the outcome for the next one who asks.
	Keep(context.Context, ResultKey, Outcome) error
	// Drop gives the key back after a call of which nothing can have happened.
	Drop(context.Context, ResultKey) error
}

// ResultKey names a kept outcome. Only the same token finds it by its key, and tokens of the same root by its call's id.
type ResultKey struct {
	Person PersonID
	Root   TokenID
	Token  TokenID
	Tool   ToolName
	Key    string
}

// RowID is the primary key of a row of the log. ID is milliseconds since 1970, so ID / 1000 is the Unix second (P12).
type RowID struct {
	ID  int64
	Seq int32
}

// Row is what the log keeps of one call. It never holds a permission key, a token or a credential.
type Row struct {
	Began        time.Time
	Person       PersonID
	Agent        string
	Token        TokenID
	Ancestors    []TokenID // nearest first
	Entry        string
	Address      string
	Session      string
	Job          string
	Operator     bool
	Peer         Peer
	Tool         ToolName
	Definition   string // hash of the tool's definition
	Effect       Effect
	MapVersion   int64
	GrantVersion int64
	TokenVersion int64
	Chain        []Link // of the token, as it was when the call was decided; compared and not kept
	Compare      bool   // the versions of map and chain must be those of the tables when the row is written, else ErrStale
	Decision     Decision
	Rule         string // what made the decision: grant, scope, operator, own, schema, guard:NAME, policy:NAME, …
	Shadow       string // what rules on trial would have done, as "3 refuse, external-mail ask"
	Outcome      outcome.Code
	Count        int64 // how many calls the row stands for: 1, or more in a summary of refusals
	Price        Money
	BytesIn      int64 // of the arguments
	BytesOut     int64 // of the result as the agent saw it
	Took         time.Duration
	Payload      Payload
}

// Payload is the part of a row that is sealed under the person's key. Bytes are cut at the configured size by the log.
type Payload struct {
	Arguments canon.Value
	Result    canon.Value // as the agent saw it; secrets that are shown once are left out
	Reason    string
	Task      string
	Findings  []guard.Finding
}
