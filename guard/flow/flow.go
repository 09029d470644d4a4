// Package flow is the session rule: it judges where the values of a call came from. A text that other people can write may
// hold an order, and no detector finds them all; but what such an order wants done shows in the call that obeys it: a mail
// goes to an address that the person never named, a file is deleted that only the text spoke of.
//
// Three values go into a decision. [Memory] is what was read so far under one root token: which values stood in untrusted
// results, and which the person's own private data held before. [Task] is what the person said at the beginning; it only
// ever releases values that it names. [Call] is what the agent wants to do now. [Rule.Decide] answers allow, or ask with
// reasons. docs/session-rule.md says the rule in words, with its figures.
//
// The package is pure: it must never do I/O, read a clock or keep anything beside the values it is given. Whatever it cannot
// tell it answers with ask.
package flow

import (
	"gatehouse/canon"
	"gatehouse/guard"
)

// Effect is what a tool does to the world. The order is that of gate.Effect; the zero value is the careful one.
type Effect uint8

// The effects.
const (
	Destroys Effect = iota // cannot be taken back
	Writes                 // changes or adds something
	Reads                  // changes nothing
)

// Carries says what an argument can take out. The first three are those of gate.Carries, in its order.
type Carries uint8

// What an argument carries.
const (
	Contents    Carries = iota // something that is sent or stored
	Destination                // where something goes, or whom it is for
	Neither                    // a choice or a number that says nothing to anyone outside
	Unsaid                     // nobody said: content that may be a destination
)

// Argument is one argument of a call: everything at and below Pointer that no other argument of the call covers. A
// declaration that lies deeper is an argument of its own, and its part is left out of the value above it.
type Argument struct {
	Pointer string // JSON Pointer
	Kind    guard.Kind
	Carries Carries
	Value   canon.Value
}

// Call is what is judged.
type Call struct {
	Effect    Effect
	Arguments []Argument
}

// Source is an earlier call whose result was read.
type Source struct {
	ID        string // of the call, as the log shows it
	Tool      string
	At        int64 // Unix second, for [Memory.Expire]
	Untrusted bool  // other people can write what it gives
	Private   bool  // what it gives belongs to the person
}

// Limits of what is looked at. What is longer is not judged in part: it counts as having held everything.
const (
	// MaxText is how many bytes of one result are read.
	MaxText = 1 << 20
	// maxLayers is how many escapes may stand inside each other.
	maxLayers = 3
	// maxGrowth is how many times longer a text may become when compatible characters are written out.
	maxGrowth = 4
)
