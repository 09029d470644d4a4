package gate

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
)

// Key is a permission key: the opaque, internal name of a right. It never leaves the process (P3): it cannot be printed,
// logged or marshalled, and in a store it stands as its Number. The zero Key is no key; a tool made with it does not start.
type Key struct {
	name func() string // a func, so that no printer that walks values finds the text
}

// KeyNumber is what a store keeps of a permission key.
type KeyNumber int64

const hiddenKey = "[permission key]"

var errMarshalKey = errors.New("a permission key does not leave the process: show the tool's name instead")

// NewKey makes the key of a right. The name must be a constant of the module that owns it and is never shown.
func NewKey(name string) Key {
	if name == "" {
		panic("gate: a permission key without a name")
	}
	return Key{name: func() string { return name }}
}

// KeyFor makes the key of a tool that is known only at run time. The definition is part of the right: a tool whose
// definition changed has another key, so nothing that was permitted before holds for it. Only modules that speak for
// foreign servers may use it; the architecture test names them.
func KeyFor(module, tool, definition string) Key {
	name := fmt.Sprintf("%d:%s/%d:%s@%s", len(module), module, len(tool), tool, definition)
	return Key{name: func() string { return name }}
}

// number is stable over restarts and versions: the first 63 bits of a SHA-256 over the key's name.
func (k Key) number() KeyNumber {
	if k.name == nil {
		return 0
	}
	sum := sha256.Sum256([]byte("gatehouse permission key 1\x00" + k.name()))
	return KeyNumber(binary.BigEndian.Uint64(sum[:8]) >> 1)
}

// String hides the key.
func (Key) String() string { return hiddenKey }

// GoString hides the key from %#v.
func (Key) GoString() string { return hiddenKey }

// Format hides the key from every verb.
func (Key) Format(s fmt.State, _ rune) { _, _ = io.WriteString(s, hiddenKey) }

// LogValue hides the key from log/slog.
func (Key) LogValue() slog.Value { return slog.StringValue(hiddenKey) }

// MarshalJSON refuses.
func (Key) MarshalJSON() ([]byte, error) { return nil, errMarshalKey }

// MarshalText refuses.
func (Key) MarshalText() ([]byte, error) { return nil, errMarshalKey }

// MarshalBinary refuses.
func (Key) MarshalBinary() ([]byte, error) { return nil, errMarshalKey }

// GobEncode refuses.
func (Key) GobEncode() ([]byte, error) { return nil, errMarshalKey }
