// Package canon takes JSON in strictly and gives it one canonical form and one digest, so that what was checked is what
// runs: the bytes that are validated, guarded, shown, hashed, logged and executed are the same. It must never accept what
// it would not write, and it must never change a number.
//
// What JSON is, is decided by github.com/go-json-experiment/json (RFC 7493: UTF-8, no duplicate names at any depth,
// exactly one value); this package adds limits of its own ([MaxDepth], [MaxNumber], no U+0000 in a name) and writes the
// canonical form: RFC 8785 for the order of members, strings and white space, and exact numbers, for which RFC 8785 is
// too lossy. docs/canonical.md describes the form and shows its vectors.
//
// A [Value] cannot be changed once it was made, and may be used from any goroutine. Two values are the same JSON value
// exactly if they are == in Go.
package canon

import "crypto/sha256"

// Limits of what is accepted. A limit on the whole length belongs to whoever reads the bytes.
const (
	// MaxDepth is how many objects and arrays may stand inside each other.
	MaxDepth = 64
	// MaxNumber is how many characters a number may have, as sent and as written here.
	MaxNumber = 100
)

// Value is one JSON value in canonical form. The zero Value is no JSON at all ([Value.IsZero]); it is not null.
// It is comparable: v == w says that both are the same JSON value.
type Value struct{ text string }

// String gives the canonical text.
func (v Value) String() string { return v.text }

// Bytes gives a copy of the canonical text.
func (v Value) Bytes() []byte { return []byte(v.text) }

// AppendTo appends the canonical text to dst.
func (v Value) AppendTo(dst []byte) []byte { return append(dst, v.text...) }

// Len is the length of the canonical text in bytes.
func (v Value) Len() int { return len(v.text) }

// IsZero says that there is no value here, not even null.
func (v Value) IsZero() bool { return v.text == "" }

// IsObject says that the value is an object.
func (v Value) IsObject() bool { return v.text != "" && v.text[0] == '{' }

// Digest is the SHA-256 of the canonical text. The same JSON value has the same digest, however it was spelled.
func (v Value) Digest() Digest { return sha256.Sum256([]byte(v.text)) }

// Object is the empty object.
func Object() Value { return Value{"{}"} }
