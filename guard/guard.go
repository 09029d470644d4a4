// Package guard holds what every guard shares: the kinds of text, findings, and the interface. A guard is a pure function
// from one text and its kind to findings. It must never do I/O, keep state between texts, or call the gate; whatever it
// cannot judge it answers with an error, and the gate then refuses the call (before) or withholds the result (after).
//
// Each guard is a folder below this one (guard/paths, guard/urls, …) and one line in app/guards.go.
package guard

import (
	"context"
	"fmt"
)

// Kind says what a text is, so that a guard knows how to read it.
type Kind uint8

// The kinds. A text of which nothing was said is plain text.
const (
	Text   Kind = iota // words for people or models
	Path               // a path in a file system
	URL                // an absolute http or https address
	SQL                // one SQL statement
	Shell              // a command
	Email              // one address, no display name
	HTML               // markup
	Opaque             // an id or another value that nobody reads as words
)

var kinds = []string{"text", "path", "url", "sql", "shell", "email", "html", "opaque"}

// String gives the name that configuration and struct tags use.
func (k Kind) String() string {
	if int(k) >= len(kinds) {
		return fmt.Sprintf("kind %d", uint8(k))
	}
	return kinds[k]
}

// ParseKind finds the kind of a name.
func ParseKind(name string) (Kind, error) {
	for i, n := range kinds {
		if n == name {
			return Kind(i), nil
		}
	}
	return Text, fmt.Errorf("kind %q is none of %v", name, kinds)
}

// Stage says on which side of the handler a text was met.
type Stage uint8

// The two stages.
const (
	Before Stage = iota // an argument of a call
	After               // a part of a result or of an error
)

// String names the stage.
func (s Stage) String() string {
	if s == Before {
		return "before"
	}
	return "after"
}

// Subject is one text to look at.
type Subject struct {
	Stage   Stage
	Tool    string // canonical name
	Pointer string // JSON Pointer into the arguments or the result
	Kind    Kind
	Text    string
	Root    string // for Path: the folder that contains all good paths; "" where none was declared
	Trusted bool   // After: the result cannot hold other people's words
	// Resolve gives the true place of a path with links followed, as far as the path exists. It is the gate's, so that
	// guards stay pure; nil where there is no file system to ask.
	Resolve func(path string) (string, error)
}

// Action is what a finding asks for. The zero value is the careful one.
type Action uint8

// The actions, from the most to the least restrictive.
const (
	Block Action = iota // refuse the call, or withhold the result
	Ask                 // a human must approve (before only; after, it blocks)
	Cut                 // replace the found part by [redacted:kind] (after only; before, it blocks)
	Mark                // let it pass, and say so in the row and to the agent
)

var actions = [...]string{"block", "ask", "cut", "mark"}

// String names the action as the log shows it.
func (a Action) String() string {
	if int(a) >= len(actions) {
		return actions[Block]
	}
	return actions[a]
}

// Finding is one thing that a guard found. It never holds the matched text.
type Finding struct {
	Guard   string `json:"guard"`
	Rule    string `json:"rule"`    // which rule of the guard, for operators
	Kind    string `json:"kind"`    // what was found: "email", "outside-root", …
	Pointer string `json:"pointer"` // where: JSON Pointer
	Start   int    `json:"start"`   // bytes into the text
	End     int    `json:"end"`     // bytes, exclusive
	Action  Action `json:"-"`
	Reason  string `json:"-"` // for people and models: what to do instead; never the pattern, never the text
}

// Guard looks at texts. Implementations are safe for concurrent use.
type Guard interface {
	// Name is the guard's folder, and the name in rows and refusals.
	Name() string
	// Looks reports whether the guard has something to say about texts of this kind at this stage, so that the gate asks
	// only those that do; it is called once per tool and argument, not per call.
	Looks(Stage, Kind) bool
	// Inspect gives what it found. An error means that the text could not be judged: the call is then refused.
	Inspect(context.Context, Subject) ([]Finding, error)
}
