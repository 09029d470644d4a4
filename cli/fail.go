package cli

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/alecthomas/kong"

	"gatehouse/config"
	"gatehouse/gate"
	"gatehouse/outcome"
)

// hinted is an error with what to do about it.
type hinted struct {
	error
	hint string
}

func (h hinted) Hint() string  { return h.hint }
func (h hinted) Unwrap() error { return h.error }

// withHint says what to do about an error. The innermost hint is shown first.
func withHint(err error, format string, args ...any) error {
	if err == nil {
		return nil
	}
	return hinted{err, fmt.Sprintf(format, args...)}
}

// misuse is a command line that says nothing that can be done.
type misuse struct {
	err     error
	command string // as far as it was understood
}

func (m misuse) Error() string { return m.err.Error() }

// Hint names the command's own help.
func (m misuse) Hint() string {
	return strings.Join(strings.Fields("gatehouse "+m.command+" --help"), " ")
}

// wrong says that what was typed cannot be meant.
func wrong(format string, args ...any) error { return misuse{err: fmt.Errorf(format, args...)} }

// commandOf finds which command's help is the right one.
func commandOf(parsed *kong.Context, err error) string {
	var p *kong.ParseError
	if parsed == nil && errors.As(err, &p) {
		parsed = p.Context
	}
	if parsed == nil || parsed.Selected() == nil {
		return ""
	}
	return strings.TrimPrefix(parsed.Selected().FullPath(), "gatehouse")
}

// refusal is a call that did not end well.
type refusal struct {
	tool    string
	outcome gate.Outcome
}

// Error gives the reason, the place of each fault, the code and the row.
func (r refusal) Error() string {
	var b strings.Builder
	b.WriteString(r.outcome.Reason)
	if len(r.outcome.Faults) > 1 {
		for _, f := range r.outcome.Faults {
			fmt.Fprintf(&b, "; %s %s", f.Path, f.Problem)
		}
	}
	if b.Len() == 0 {
		b.WriteString(r.tool + " did not end well")
	}
	fmt.Fprintf(&b, " (%s", r.outcome.Code)
	if !r.outcome.ID.IsZero() {
		fmt.Fprintf(&b, ", row %s", r.outcome.ID)
	}
	return b.String() + ")"
}

// Is lets errors.Is find the outcome's code.
func (r refusal) Is(target error) bool {
	c, ok := target.(outcome.Code)
	return ok && c == r.outcome.Code
}

// advice is what to do where nobody knows better, by the code of the error.
func advice(err error) string {
	if errors.As(err, new(*config.Error)) {
		return "the configuration names its place: correct it there"
	}
	var code outcome.Code
	var r refusal
	if errors.As(err, &r) {
		code = r.outcome.Code
	} else {
		code = outcome.Of(err)
	}
	switch code {
	case outcome.NotAllowed:
		return "the operator keeps the house and calls no tools of other systems: issue a token for that"
	case outcome.Invalid, outcome.Blocked:
		return "correct what is named and try again"
	case outcome.Conflict:
		return "somebody changed it in between: look again, and repeat the command"
	case outcome.NotFound:
		return "list what there is: gatehouse user list, gatehouse token list"
	case outcome.Limited:
		return "wait a minute, or make room, and repeat the command"
	case outcome.Unavailable, outcome.Unauthenticated:
		return "see whether gatehouse serve runs on this data folder, and what it writes to its standard error"
	case outcome.Unknown, outcome.Timeout, outcome.Cancelled:
		return "look whether it happened before you repeat it: gatehouse audit search"
	case outcome.OK, outcome.Input, outcome.Pending, outcome.Denied, outcome.Expired, outcome.Invalidated, outcome.Upstream, outcome.Internal:
	}
	return "what gatehouse serve writes to its standard error may say more"
}

// complain prints an error with its hints and gives the exit status.
func complain(errs io.Writer, err error) int {
	_, _ = fmt.Fprintf(errs, "gatehouse: %s\n", visible(err.Error()))
	hints := hintsOf(err)
	if len(hints) == 0 {
		hints = []string{advice(err)}
	}
	for _, h := range hints {
		_, _ = fmt.Fprintf(errs, "hint: %s\n", visible(h))
	}
	var m misuse
	if errors.As(err, &m) {
		return wrongUse
	}
	return failed
}

// hintsOf collects the hints of a chain of errors, the innermost first.
func hintsOf(err error) []string {
	var hints []string
	if joined, ok := err.(interface{ Unwrap() []error }); ok { // this walks the chain itself
		for _, e := range joined.Unwrap() {
			hints = append(hints, hintsOf(e)...)
		}
	} else if inner := errors.Unwrap(err); inner != nil {
		hints = hintsOf(inner)
	}
	if h, ok := err.(interface{ Hint() string }); ok { // this walks the chain itself
		hints = append(hints, h.Hint())
	}
	return hints
}
