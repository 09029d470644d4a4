package flow

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"gatehouse/canon"
	"gatehouse/guard"
)

// Rule is the session rule with its parameters. [Default] is what the gate uses; the others are for measuring.
type Rule struct {
	// Accounted: a destination asks unless the task or the person's own data accounts for it. Without, it asks only if it
	// stood in an untrusted result.
	Accounted bool `json:"accounted"`
	// OwnData: what the person's own data held before anyone else showed it accounts for a destination.
	OwnData bool `json:"own_data"`
	// Addresses: an e-mail address, URL or account inside content asks like a destination.
	Addresses bool `json:"addresses"`
	// Copies: content that was copied from an untrusted result asks in a write of which the task names nothing.
	Copies bool `json:"copies"`
	// Shortest is how many bytes content must have to count as copied, or as named by the task.
	Shortest int `json:"shortest"`
}

// Default is the rule.
func Default() Rule {
	return Rule{Accounted: true, OwnData: true, Addresses: true, Copies: true, Shortest: 4}
}

// Cause says why a call must ask.
type Cause string

// The causes.
const (
	Hot       Cause = "hot"       // a guard found an order in something that was read
	Unnamed   Cause = "unnamed"   // a destination that neither the task nor the person's own data knows
	Enclosed  Cause = "enclosed"  // an address inside content that neither knows
	Target    Cause = "target"    // what would be destroyed is not named by the task
	Mentioned Cause = "mentioned" // it is named by the task, but other people's words speak of it too
	Blind     Cause = "blind"     // something would be destroyed and no argument says what
	Copied    Cause = "copied"    // it stood in an untrusted result, and nothing says that the person wants it
	Unclear   Cause = "unclear"   // too long, or escaped too often, to be looked through
)

// Reason is one thing that makes a call ask.
type Reason struct {
	Cause   Cause
	Pointer string  // into the arguments; empty where it is about the whole call
	Value   string  // the part of the argument that it is about, for the person who decides; never for the log
	From    *Source // the earlier call whose untrusted result held the value; nil where none did or it is not known any more
}

// String says the reason in words, without the value.
func (r Reason) String() string {
	from := ""
	if r.From != nil {
		from = fmt.Sprintf(" It stood in the result of %s (%s).", r.From.Tool, r.From.ID)
	}
	switch r.Cause {
	case Hot:
		return "Something that was read in this session holds an order."
	case Unnamed:
		return fmt.Sprintf("%s is a destination that the task does not name.%s", r.Pointer, from)
	case Enclosed:
		return fmt.Sprintf("%s holds an address that the task does not name.%s", r.Pointer, from)
	case Target:
		return fmt.Sprintf("%s says what would be destroyed, and the task does not name it.%s", r.Pointer, from)
	case Mentioned:
		return fmt.Sprintf("%s says what would be destroyed; the task names it, but other people's words speak of it too.%s", r.Pointer, from)
	case Blind:
		return "The call would destroy something, and no argument says what, after other people's words were read."
	case Copied:
		return fmt.Sprintf("%s was copied from what other people can write.%s", r.Pointer, from)
	case Unclear:
		return fmt.Sprintf("%s is too long or too often escaped to be looked through.", r.Pointer)
	}
	return "The call needs a person's decision."
}

// Decision is the answer: no reason means allow.
type Decision struct {
	Reasons []Reason // by pointer
}

// Ask reports whether a person must decide.
func (d Decision) Ask() bool { return len(d.Reasons) > 0 }

// maxReasons is how many reasons one decision gives; a card that says more is not read.
const maxReasons = 32

// Decide judges a call by what was read before it. It never changes the memory.
func (r Rule) Decide(c Call, m *Memory, t Task) Decision {
	if c.Effect == Reads && !slices.ContainsFunc(c.Arguments, goesOut) {
		return Decision{}
	}
	if m.hot {
		return Decision{Reasons: []Reason{{Cause: Hot}}}
	}
	if !m.untrusted.set || c.Effect == Reads && !m.private.set {
		return Decision{}
	}
	j := judge{rule: r, effect: c.Effect, memory: m, task: t}
	for _, a := range c.Arguments {
		j.argument(a)
	}
	switch c.Effect {
	case Reads:
	case Writes:
		j.copies()
	default:
		if !j.judged {
			j.because(Blind, "", "", nil)
		}
	}
	slices.SortStableFunc(j.reasons, func(a, b Reason) int {
		return cmp.Or(strings.Compare(a.Pointer, b.Pointer), strings.Compare(string(a.Cause), string(b.Cause)), strings.Compare(a.Value, b.Value))
	})
	if len(j.reasons) > maxReasons {
		j.reasons = j.reasons[:maxReasons]
	}
	return Decision{Reasons: j.reasons}
}

// goesOut reports whether an argument can take data out of a call that only reads: reads that take a URL do.
func goesOut(a Argument) bool {
	return a.Carries == Destination || a.Carries >= Unsaid || a.Kind == guard.URL
}

// judge is one decision under way.
type judge struct {
	rule    Rule
	effect  Effect
	memory  *Memory
	task    Task
	reasons []Reason
	judged  bool   // some value was looked at
	named   bool   // the task names a destination
	content []leaf // what is sent or stored
}

func (j *judge) because(c Cause, pointer, value string, from *Source) {
	j.reasons = append(j.reasons, Reason{Cause: c, Pointer: pointer, Value: value, From: from})
}

// argument judges each string and number of one argument.
func (j *judge) argument(a Argument) {
	look := j.contents
	switch {
	case a.Kind == guard.URL: // a URL says where to go, whatever was said of it
		look = j.destination
	case a.Kind == guard.Email && a.Carries != Neither:
		look = j.destination
	case a.Carries == Neither:
		return
	case a.Carries == Contents:
	case a.Carries == Destination:
		look = j.destination
	default:
		look = j.unsaid
	}
	switch j.effect {
	case Writes:
	case Reads:
		if !goesOut(a) {
			return
		}
	default:
		look = j.target
	}
	j.each(a.Value, a.Pointer, look)
}

// leaf is a string or a number of an argument, and where it stands.
type leaf struct {
	text    string
	pointer string
	number  bool
}

// each shows the leaves of a value. Names of members are looked through as content: {"eve@x.example": "rw"} goes somewhere.
func (j *judge) each(v canon.Value, pointer string, look func(leaf)) {
	switch text := v.String(); {
	case text == "" || text == "null" || text == "true" || text == "false":
	case text[0] == '{':
		for name, member := range v.Members {
			below := pointer + "/" + canon.PointerToken(name)
			if j.effect != Reads {
				j.enclosed(leaf{text: name, pointer: below})
			}
			j.each(member, below, look)
		}
	case text[0] == '[':
		for i, element := range v.Elements {
			j.each(element, pointer+"/"+strconv.Itoa(i), look)
		}
	case text[0] == '"':
		if s, _ := v.Text(); strings.TrimSpace(s) != "" {
			look(leaf{text: s, pointer: pointer})
		}
	default:
		look(leaf{text: text, pointer: pointer, number: true})
	}
}

// destination asks unless the value is accounted for.
func (j *judge) destination(l leaf) {
	j.judged = true
	if j.known(l.text) {
		j.named = j.named || j.task.Names(l.text)
		return
	}
	from, stood := j.origin(l.text)
	if j.rule.Accounted || stood {
		j.because(Unnamed, l.pointer, l.text, from)
	}
}

// target asks unless the task names the value and nobody else does: what is gone is gone.
func (j *judge) target(l leaf) {
	j.judged = true
	named := j.task.Names(l.text)
	from, stood := j.origin(l.text)
	switch {
	case named && stood:
		j.because(Mentioned, l.pointer, l.text, from)
	case !named && (stood || j.rule.Accounted):
		j.because(Target, l.pointer, l.text, from)
	}
}

// contents is what is sent or stored.
func (j *judge) contents(l leaf) {
	if !l.number {
		j.content = append(j.content, l)
		j.enclosed(l)
	}
}

// copies asks for content that was copied, unless the call asks already or the task names a destination or a value of it:
// where no destination gives an order away, its own words do.
func (j *judge) copies() {
	if !j.rule.Copies || j.named || len(j.reasons) > 0 || slices.ContainsFunc(j.content, func(l leaf) bool { return j.says(l) && j.task.Names(l.text) }) {
		return
	}
	for _, l := range j.content {
		j.copied(l)
	}
}

// says reports whether a value says something: a short one or a day stands in many texts by chance.
func (j *judge) says(l leaf) bool {
	return len(strings.TrimSpace(l.text)) >= j.rule.Shortest && !isDate(l.text)
}

// copied asks if a whole value stood in an untrusted result.
func (j *judge) copied(l leaf) {
	if !j.says(l) {
		return
	}
	if from, stood := j.origin(l.text); stood {
		j.because(Copied, l.pointer, l.text, from)
	}
}

// enclosed asks for addresses that nobody accounts for, in every view of a text.
func (j *judge) enclosed(l leaf) {
	if !j.rule.Addresses {
		return
	}
	all, whole := j.views(l)
	if !whole {
		return
	}
	first := len(j.reasons)
	for _, view := range all {
		addresses(view, func(a address) {
			if len(j.reasons)-first >= maxReasons || j.knows(a) {
				return
			}
			from, stood := j.memory.stood(isAddress, a.canonical)
			if !stood && (!a.explicit || !j.rule.Accounted) {
				return
			}
			_, value, _ := strings.Cut(a.canonical, ":")
			if !slices.ContainsFunc(j.reasons[first:], func(r Reason) bool { return r.Value == value }) {
				j.because(Enclosed, l.pointer, value, from)
			}
		})
	}
}

// unsaid treats an argument as a destination if it is an address, and asks if it was copied.
func (j *judge) unsaid(l leaf) {
	if _, ok := addressOf(strings.TrimSpace(l.text)); ok {
		j.destination(l)
		return
	}
	if j.effect == Reads {
		return
	}
	if before := len(j.reasons); !l.number {
		if j.enclosed(l); len(j.reasons) == before && !j.known(l.text) {
			j.copied(l)
		}
	}
}

// views is the views of a text, and a reason to ask if it cannot be looked through.
func (j *judge) views(l leaf) (all []string, whole bool) {
	if len(l.text) <= MaxText {
		all, whole = views(l.text)
	}
	if !whole {
		j.because(Unclear, l.pointer, "", nil)
	}
	return all, whole
}

// known reports whether the task or the person's own data accounts for a value.
func (j *judge) known(value string) bool {
	return releases(value, j.knows, func(words string) bool {
		return j.task.namesPhrase(words) || j.rule.OwnData && j.memory.holds(isItem, words)
	})
}

func (j *judge) knows(a address) bool {
	return j.task.namesAddress(a) || j.rule.OwnData && j.memory.holds(isAddress, a.canonical)
}

// origin finds the untrusted result in which a value stood, in any view: as an address, or as its words side by side.
func (j *judge) origin(value string) (from *Source, stood bool) {
	if len(value) > MaxText {
		return nil, true
	}
	all, whole := views(value)
	for _, view := range all {
		found := false
		addresses(view, func(a address) {
			if f, ok := j.memory.stood(isAddress, a.canonical); ok && !found {
				from, found = f, true
			}
		})
		if found {
			return from, true
		}
		if from, stood = j.side(view); stood {
			return from, true
		}
	}
	return nil, !whole
}

// side reports whether the words of a text stood side by side.
func (j *judge) side(text string) (from *Source, stood bool) {
	last, alone := "", true
	for part := range parts(text) {
		if last != "" {
			f, ok := j.memory.stood(isPair, last+" "+part)
			if !ok {
				return nil, false
			}
			if alone {
				from, alone = f, false
			}
		}
		last = part
	}
	if alone && last != "" {
		return j.memory.stood(isPart, last)
	}
	return from, !alone
}

// isDate reports whether a text is a day or a moment in the order of ISO 8601, which says nothing of where things go.
func isDate(s string) bool {
	s = strings.TrimSpace(s)
	if len(s) < len("2006-01-02") || len(s) > len("2006-01-02T15:04:05.000000000+00:00") {
		return false
	}
	for i := range len(s) {
		switch digit := isDigit(s[i]); {
		case i == 4 || i == 7:
			if s[i] != '-' {
				return false
			}
		case i < 10:
			if !digit {
				return false
			}
		default:
			if !digit && strings.IndexByte("T: .Z+-", s[i]) < 0 {
				return false
			}
		}
	}
	return true
}
