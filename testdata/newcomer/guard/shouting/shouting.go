// Package shouting looks at texts that an agent sends and refuses those in capital letters alone. It must never look at
// anything but the text: it has no state and does no I/O.
package shouting

import (
	"context"
	"strings"

	"gatehouse/guard"
)

// Guard implements [guard.Guard].
type Guard struct{}

// New makes the guard.
func New() Guard { return Guard{} }

// Name implements [guard.Guard].
func (Guard) Name() string { return "shouting" }

// Looks implements [guard.Guard].
func (Guard) Looks(stage guard.Stage, kind guard.Kind) bool {
	return stage == guard.Before && kind == guard.Text
}

// Inspect implements [guard.Guard].
func (g Guard) Inspect(_ context.Context, s guard.Subject) ([]guard.Finding, error) {
	if len(s.Text) < 8 || s.Text != strings.ToUpper(s.Text) || s.Text == strings.ToLower(s.Text) {
		return nil, nil
	}
	return []guard.Finding{{
		Guard: g.Name(), Rule: "capitals", Kind: "shouting", Pointer: s.Pointer, End: len(s.Text),
		Action: guard.Block, Reason: "the text is in capital letters alone; write it as one speaks",
	}}, nil
}
