// Package secret holds strings that cannot be printed, logged, compared in passing or marshalled. It must never have a
// String method that tells: whoever needs the value calls [Text.Reveal], which a reviewer can search for.
package secret

import (
	"crypto/sha256"
	"crypto/subtle"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"log/slog"
)

// Hidden is what stands wherever a Text would have been printed.
const Hidden = "[secret]"

var errMarshal = errors.New("a secret is not marshalled: call Reveal where it is really meant to leave")

// Text is a secret string. The zero value is empty. Copying it is cheap; printing it in any way shows Hidden.
type Text struct {
	// A func keeps the bytes away from reflection-based printers, and makes == on Text a compile error.
	reveal func() string
}

// New wraps a value that must not be shown.
func New(value string) Text {
	return Text{reveal: func() string { return value }}
}

// Reveal gives the value itself. Use it only at the place where it leaves for the system that it belongs to.
func (t Text) Reveal() string {
	if t.reveal == nil {
		return ""
	}
	return t.reveal()
}

// IsZero reports whether there is no value or an empty one.
func (t Text) IsZero() bool { return t.Reveal() == "" }

// Equal compares in a time that does not depend on where the values differ, nor on their lengths.
func (t Text) Equal(other Text) bool {
	a, b := sha256.Sum256([]byte(t.Reveal())), sha256.Sum256([]byte(other.Reveal()))
	return subtle.ConstantTimeCompare(a[:], b[:]) == 1
}

// String hides the value.
func (Text) String() string { return Hidden }

// GoString hides the value from %#v.
func (Text) GoString() string { return Hidden }

// Format hides the value from every verb and flag.
func (Text) Format(s fmt.State, _ rune) { _, _ = io.WriteString(s, Hidden) }

// LogValue hides the value from log/slog.
func (Text) LogValue() slog.Value { return slog.StringValue(Hidden) }

// MarshalJSON refuses.
func (Text) MarshalJSON() ([]byte, error) { return nil, errMarshal }

// MarshalText refuses.
func (Text) MarshalText() ([]byte, error) { return nil, errMarshal }

// MarshalBinary refuses.
func (Text) MarshalBinary() ([]byte, error) { return nil, errMarshal }

// GobEncode refuses.
func (Text) GobEncode() ([]byte, error) { return nil, errMarshal }

// MarshalYAML refuses.
func (Text) MarshalYAML() (any, error) { return nil, errMarshal }

// Value refuses to be a parameter of a database statement.
func (Text) Value() (driver.Value, error) { return nil, errMarshal }
