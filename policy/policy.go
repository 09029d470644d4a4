// Package policy holds rules on calls: which tool, under which condition, and what then becomes of the call. It compiles
// conditions (CEL) against the schema of each tool and works out what the rules say of one call. It must never do I/O or
// keep state, and it must never let a call through because a condition could not be worked out: an error refuses.
//
// [Compile] takes rules as somebody wrote them, [Set.Bind] type-checks them against tools, and [Bound.Judge] rules on one
// call. What they make is immutable and may be used from any goroutine. docs/policy.md says what a condition may hold.
package policy

import (
	"fmt"
	"regexp"
	"strings"
	"time"
	"unicode/utf8"

	"gatehouse/canon"
)

// Decision is what becomes of a call. The zero value is the careful one.
type Decision uint8

// The decisions, from the most to the least restrictive.
const (
	Refuse Decision = iota
	Ask
	Allow
)

var decisions = [...]string{"refuse", "ask", "allow"}

// String names the decision as rules and the log write it.
func (d Decision) String() string {
	if int(d) >= len(decisions) {
		return decisions[Refuse]
	}
	return decisions[d]
}

// ParseDecision finds the decision of a name.
func ParseDecision(name string) (Decision, error) {
	for i, n := range decisions {
		if n == name {
			return Decision(i), nil
		}
	}
	return Refuse, fmt.Errorf("%q is none of allow, ask, refuse", name)
}

// Administrators is who may decide where a rule names nobody in particular but them.
const Administrators = "administrators"

// Rule is one rule as somebody wrote it.
type Rule struct {
	Name   string   // stands in the log, as 3 or external-mail; unique in a Set
	Tool   string   // a tool's name, or a module with .* for all of its tools, or * for all tools
	When   string   // CEL, true or false; empty: always
	Then   Decision // what becomes of a call for which When is true
	Terms           // where Then is Ask
	Reason string   // where Then is Refuse: what the caller is told; empty: a sentence of ours
	Shadow bool     // it decides nothing, and what it would have done is logged
}

// Terms say how a call that a rule holds is decided.
type Terms struct {
	Rule     string        // whose terms they are
	Author   int64         // the person who made the rule; 0: the operator, or the configuration
	Decide   []string      // e-mail addresses, or administrators; empty: the person behind the agent
	FourEyes bool          // nobody may decide who is behind the agent, issued its token or made the rule
	Expire   time.Duration // how long the call waits; 0: as long as the configuration says
}

// Tool is what rules know of a tool.
type Tool struct {
	Name       string
	Module     string
	Effect     string      // reads, writes or destroys
	Definition string      // changes with the tool
	Input      canon.Value // its JSON Schema
	Comes      bool        // its system comes and goes: a rule that does not fit it refuses its calls and stops no start
}

// Call is one call to be judged.
type Call struct {
	Args    canon.Value // an object that fits the tool's schema
	Caller  Caller
	Session Session
	Trace   bool // say of every rule what it said
}

// Caller is who makes the call.
type Caller struct {
	Person        int64
	Email         string // in lower case
	Agent         string
	Token         int64 // 0: none
	Entry         string
	Administrator bool
}

// Session is what is known of the agent's session.
type Session struct {
	Name string
	Task string
	Hot  bool
}

// The bounds of what a rule may say.
const (
	MaxCondition = 4000 // characters
	MaxReason    = 300  // characters
	maxDeciders  = 20
	minExpire    = time.Minute
	maxExpire    = 30 * 24 * time.Hour
)

var (
	names    = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?$`)
	patterns = regexp.MustCompile(`^(\*|[a-z][a-z0-9]*(-[a-z0-9]+)*\.(\*|[^*\x00-\x20\x7f]{1,200}))$`)
	emails   = regexp.MustCompile(`^[A-Za-z0-9.!#$%&'*+/=?^_{|}~-]+@[A-Za-z0-9.-]+$`)
)

// Fault is what is wrong with one field of a rule.
type Fault struct {
	Field   string // tool, when, then, decide, expire, reason or name
	Problem string
}

// Error names the field and the problem.
func (f *Fault) Error() string { return f.Field + ": " + f.Problem }

func fault(field, format string, args ...any) *Fault {
	return &Fault{field, fmt.Sprintf(format, args...)}
}

// check looks at everything but the condition.
func (r *Rule) check() *Fault {
	switch {
	case !names.MatchString(r.Name):
		return fault("name", "is not 1 to 40 lower-case letters, digits and dashes")
	case !patterns.MatchString(r.Tool):
		return fault("tool", "is neither a tool's name, as gmail.send, nor all tools of a module, as gmail.*, nor * for all")
	case len(r.Reason) > 0 && r.Then != Refuse:
		return fault("reason", "belongs to a rule that refuses")
	case utf8.RuneCountInString(r.Reason) > MaxReason || strings.ContainsFunc(r.Reason, func(c rune) bool { return c < ' ' }):
		return fault("reason", "is not one line of at most %d characters", MaxReason)
	case r.Then != Ask && len(r.Decide) > 0:
		return fault("decide", "belongs to a rule that asks")
	case r.Then != Ask && r.FourEyes:
		return fault("four_eyes", "belongs to a rule that asks")
	case r.Then != Ask && r.Expire != 0:
		return fault("expire", "belongs to a rule that asks")
	case r.Expire != 0 && (r.Expire < minExpire || r.Expire > maxExpire):
		return fault("expire", "is not between a minute and 30 days")
	case len(r.Decide) > maxDeciders:
		return fault("decide", "names more than %d", maxDeciders)
	}
	for _, d := range r.Decide {
		if d != Administrators && !emails.MatchString(d) {
			return fault("decide", "%q is neither an e-mail address nor the word administrators", d)
		}
	}
	return nil
}

// Matches reports whether a rule is about a tool.
func (r *Rule) Matches(t *Tool) bool {
	if module, all := strings.CutSuffix(r.Tool, ".*"); all {
		return t.Module == module
	}
	return r.Tool == "*" || r.Tool == t.Name
}
