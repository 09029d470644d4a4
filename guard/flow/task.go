package flow

import "strings"

// Task is what the person wants, as it was declared by the first call of a session. It releases values that it names, and
// grants nothing. The zero Task names nothing.
type Task struct {
	text      string
	addresses map[string]struct{}
	phrases   []string // of each view, a space at both ends
}

// NewTask reads a task. A text that is too long to be read whole names nothing.
func NewTask(text string) Task {
	t := Task{text: text}
	if len(text) > MaxText {
		return t
	}
	t.addresses = map[string]struct{}{}
	all, _ := views(text)
	for _, view := range all {
		addresses(view, func(a address) { t.addresses[a.canonical] = struct{}{} })
		t.phrases = append(t.phrases, phrase(view)+" ")
	}
	return t
}

// Text is the task as it was declared.
func (t Task) Text() string { return t.text }

// Names reports whether the task names a value: an address exactly, anything else word for word. The value is taken as it
// stands, escapes and hidden characters too: what would run is what must have been named.
func (t Task) Names(value string) bool { return releases(value, t.namesAddress, t.namesPhrase) }

func (t Task) namesAddress(a address) bool {
	_, named := t.addresses[a.canonical]
	return named
}

func (t Task) namesPhrase(words string) bool {
	for _, text := range t.phrases {
		if strings.Contains(text, words+" ") {
			return true
		}
	}
	return false
}

// releases asks of each destination in a value whether it is known; all must be. Lists are split, display names left out.
// A text that looks like an address and cannot be read as exactly one is never known.
func releases(value string, knowsAddress func(address) bool, knowsPhrase func(words string) bool) bool {
	value = strings.TrimSpace(value)
	if a, ok := addressOf(value); ok {
		return knowsAddress(a)
	}
	if strings.Contains(value, "://") || strings.HasPrefix(value, "//") || hasPrefixFold(value, "www.") {
		return false
	}
	knows := func(part string) bool {
		words := phrase(part)
		return words != "" && knowsPhrase(words)
	}
	if !strings.Contains(value, "@") && knows(value) {
		return true
	}
	split := strings.FieldsFunc(value, func(r rune) bool { return r == ',' || r == ';' || r == '\n' })
	if len(split) < 2 && !strings.Contains(value, "@") {
		return false
	}
	some := false
	for _, part := range split {
		part = strings.TrimSpace(part)
		if part == "" {
			continue
		}
		some = true
		if name, rest, found := strings.Cut(part, "<"); found && strings.HasSuffix(rest, ">") && !strings.Contains(name, "@") {
			part = strings.TrimSpace(strings.TrimSuffix(rest, ">"))
		}
		a, ok := addressOf(part)
		switch {
		case ok && knowsAddress(a):
		case !ok && strings.LastIndexByte(part, '@') <= 0 && !strings.Contains(part, "://") && knows(part):
		default:
			return false
		}
	}
	return some
}
