// Package outcome names the ways in which a call can end. It is below everything, so that a store can say Conflict
// without knowing the gate. It must never hold a detail of a transport: each entry has one table that translates.
//
// A [Code] is an error by itself; [Code.Because] adds what a person or a model should read. Callers decide with
// errors.Is(err, outcome.NotFound), never on texts. Whatever carries no code is [Internal]: it is logged with its chain
// and shown as an id.
package outcome

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Code is the way in which a call ended. Its zero value is Internal, the careful one.
type Code uint8

// The codes. Their names (see [Code.String]) stand in the log, in problem documents and in MCP results: never rename one.
const (
	Internal        Code = iota // something of ours broke; the reason is in the process log under the call's id
	OK                          // carried out, the result follows
	Input                       // the client must answer a question first
	Pending                     // waits for a human
	Unauthenticated             // nobody we know: no token, or one that is not good
	NotAllowed                  // no such tool for this caller
	Invalid                     // the arguments are not what the tool takes
	Blocked                     // a guard refused
	Denied                      // a human or a rule said no
	Expired                     // nobody decided in time
	Invalidated                 // approved, but what was approved is no longer so
	Limited                     // no use, rate or budget left
	Conflict                    // someone else wrote in between
	NotFound                    // the thing inside the tool does not exist for this caller
	Upstream                    // the downstream system failed or answered with an error
	Timeout                     // the deadline passed before anything could have happened
	Cancelled                   // withdrawn before it was carried out
	Unavailable                 // the log or a store cannot be written or read
	Unknown                     // it may have happened: look before repeating
	codes                       // how many there are
)

var names = [codes]string{
	"internal", "ok", "input", "pending", "unauthenticated", "not_allowed", "invalid", "blocked", "denied", "expired",
	"invalidated", "limited", "conflict", "not_found", "upstream", "timeout", "cancelled", "unavailable", "unknown",
}

// String gives the name that clients and the log see.
func (c Code) String() string {
	if c >= codes {
		return names[Internal]
	}
	return names[c]
}

// Error makes every code usable as an error.
func (c Code) Error() string { return c.String() }

// Parse finds the code of a name.
func Parse(name string) (Code, bool) {
	for i, n := range names {
		if n == name {
			return Code(i), true
		}
	}
	return Internal, false
}

// All lists every code, in the order of their declaration.
func All() []Code {
	all := make([]Code, codes)
	for i := range all {
		all[i] = Code(i)
	}
	return all
}

// Fault is one thing that is wrong with the arguments of a call.
type Fault struct {
	Path    string `json:"path"` // JSON Pointer (RFC 6901) into the arguments; "" is the whole
	Problem string `json:"problem"`
}

// Error is a code with what a person or a model should know about it.
type Error struct {
	Code       Code
	Reason     string        // short, says what to do next; names no key, no rule text, no other person
	Faults     []Fault       // for Invalid
	RetryAfter time.Duration // for Limited; zero: not said
	cause      error         // for our own log alone
}

// Because gives the code a reason that its reader can act on.
func (c Code) Because(format string, args ...any) *Error {
	return &Error{Code: c, Reason: fmt.Sprintf(format, args...)}
}

// From gives the code a reason and keeps the error that led to it, which only our own log shows.
func (c Code) From(cause error, format string, args ...any) *Error {
	return &Error{Code: c, Reason: fmt.Sprintf(format, args...), cause: cause}
}

// maxFaults is how many faults are told: an answer must not grow with what somebody sent.
const maxFaults = 20

// WithFaults is Invalid with the place of each fault, of the first twenty.
func WithFaults(faults ...Fault) *Error {
	faults = faults[:min(len(faults), maxFaults)]
	e := &Error{Code: Invalid, Reason: "the arguments do not fit the tool's schema", Faults: faults}
	if len(faults) == 1 {
		e.Reason = faults[0].Problem
		if faults[0].Path != "" {
			e.Reason = faults[0].Path + ": " + e.Reason
		}
	}
	return e
}

// Error gives code, reason and cause. It is for our own log: clients are shown Code and Reason.
func (e *Error) Error() string {
	s := e.Code.String()
	if e.Reason != "" {
		s += ": " + e.Reason
	}
	if e.cause != nil {
		s += ": " + e.cause.Error()
	}
	return s
}

// Is lets errors.Is(err, outcome.Conflict) find the code.
func (e *Error) Is(target error) bool {
	c, ok := target.(Code)
	return ok && c == e.Code
}

// Unwrap gives the error that led here, if any.
func (e *Error) Unwrap() error { return e.cause }

// Of finds the code of an error: OK for nil, Timeout and Cancelled for a context's end, Internal for all that has none.
func Of(err error) Code {
	var e *Error
	var c Code
	switch {
	case err == nil:
		return OK
	case errors.As(err, &e):
		return e.Code
	case errors.As(err, &c):
		return c
	case errors.Is(err, context.DeadlineExceeded):
		return Timeout
	case errors.Is(err, context.Canceled):
		return Cancelled
	}
	return Internal
}

// Explain gives what of an error may be shown to a caller: its code, reason, faults and waiting time. An error without a
// code shows nothing of its text.
func Explain(err error) *Error {
	var e *Error
	if errors.As(err, &e) {
		return e
	}
	return &Error{Code: Of(err), cause: err}
}
