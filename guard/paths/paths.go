// Package paths looks at arguments that are paths. Where a root was declared for the argument, a path must lie in it, and
// so must the place to which its links lead. It must never judge by patterns: a path with ../ that stays inside is honest,
// and one without any dot that leads outside is not.
//
// It is a filter in front of programs that are not ours: between its look and theirs a link may change, so the fence is
// the sandbox that such a program runs in. Modules of ours open files through os.Root. A path is also read as a careless
// receiver might read it: percent-decoded up to three times, with \ for /, without surrounding white space. One of these
// readings outside the root is enough to refuse; nothing is decoded for anyone else.
package paths

import (
	"context"
	"regexp"
	"strings"
	"unicode/utf8"

	"gatehouse/guard"
)

// Guard implements [guard.Guard] for paths. It has no state.
type Guard struct{}

// New makes the guard.
func New() Guard { return Guard{} }

// Name implements [guard.Guard].
func (Guard) Name() string { return "paths" }

// Looks implements [guard.Guard].
func (Guard) Looks(stage guard.Stage, kind guard.Kind) bool {
	return stage == guard.Before && kind == guard.Path
}

// maxPath is the longest path of Linux, the longest that anyone opens at once.
const maxPath = 4096

var (
	uri   = regexp.MustCompile(`^(?i:file:|[a-z][a-z0-9+.-]+://)`)
	home  = regexp.MustCompile(`^~([a-zA-Z_][a-zA-Z0-9_-]*)?([/\\]|$)`)
	drive = regexp.MustCompile(`^[a-zA-Z]:([/\\]|$)`)
)

// Inspect implements [guard.Guard].
func (Guard) Inspect(_ context.Context, s guard.Subject) ([]guard.Finding, error) {
	rule, kind, reason := look(s)
	if rule == "" {
		return nil, nil
	}
	return []guard.Finding{{Rule: rule, Kind: kind, End: len(s.Text), Action: guard.Block, Reason: reason}}, nil
}

// look gives the rule that a path breaks, or nothing.
func look(s guard.Subject) (rule, kind, reason string) {
	switch {
	case s.Text == "":
		return "empty", "empty-path", "the path is empty; name a file or folder"
	case unprintable(s.Text):
		return "control", "control-character", "the path holds control characters or is not UTF-8; send it without them"
	case s.Root == "":
		return "", "", ""
	case len(s.Text) > maxPath:
		return "long", "long-path", "the path is longer than 4096 bytes; send a shorter one"
	}
	r := parseRoot(s.Root)
	for i, reading := range readings(s.Text) {
		switch {
		case unprintable(reading):
			return "encoded", "encoded-path", "the path holds encoded control characters; send it as plain text"
		case uri.MatchString(reading):
			return "uri", "uri", "send a plain path, not a URI"
		case home.MatchString(reading):
			return "home", "home-folder", "~ is not a folder here; send a path inside the folder that this tool works in"
		case !r.windows && drive.MatchString(reading):
			return "drive", "drive-letter", "there are no drives here; send a path inside the folder that this tool works in"
		case !r.contains(reading) && i == 0:
			return "outside", "outside-root", "the path leads out of the folder that this tool works in; send one inside it"
		case !r.contains(reading):
			return "encoded", "outside-root", "decoded, the path leads out of the folder that this tool works in; send a plain path inside it"
		}
	}
	if s.Resolve != nil && !r.holds(s.Text, s.Resolve) {
		return "link", "outside-root", "a link on the way leads out of the folder that this tool works in, or nowhere; send a path inside it"
	}
	return "", "", ""
}

// unprintable reports what belongs into no path: control characters of both ranges, and what is no UTF-8.
func unprintable(s string) bool {
	return !utf8.ValidString(s) || strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r >= 0x7f && r < 0xa0 })
}
