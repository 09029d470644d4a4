package canon

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"gatehouse/outcome"
)

// Parse takes exactly one JSON value, with nothing but white space around it, and gives it in canonical form.
// The error is [outcome.Invalid] with one fault that names the place (JSON Pointer and byte). b is not kept.
func Parse(b []byte) (Value, error) {
	text, f := canonical(b)
	if f != nil {
		return Value{}, f.err(b)
	}
	return Value{text}, nil
}

// ParseObject is [Parse] for what must be an object, as arguments of a call are.
func ParseObject(b []byte) (Value, error) {
	v, err := Parse(b)
	if err == nil && !v.IsObject() {
		return Value{}, outcome.WithFaults(outcome.Fault{Problem: "must be a JSON object"})
	}
	return v, err
}

// canonical checks b and gives its canonical text.
func canonical(b []byte) (string, *fault) {
	// The library alone decides what is JSON; the writer relies on it and only adds this package's own limits.
	if !jsontext.Value(b).IsValid() {
		return "", &fault{offset: -1}
	}
	return canonicalText(b)
}

// fault is why something was refused. An offset of -1 means that it is not JSON and the library knows the place.
type fault struct {
	offset  int
	problem string
}

// err finds the place in src once more, slowly, and names it: a refused call pays for its message, a good one does not.
func (f *fault) err(src []byte) error {
	pointer, offset, problem := f.locate(src)
	return outcome.WithFaults(outcome.Fault{Path: shorten(pointer), Problem: fmt.Sprintf("%s (at byte %d)", problem, offset)})
}

func (f *fault) locate(src []byte) (pointer string, offset int, problem string) {
	d := jsontext.NewDecoder(bytes.NewReader(src))
	for {
		_, err := d.ReadToken()
		var syntax *jsontext.SyntacticError
		switch {
		case f.offset >= 0 && (err != nil || int(d.InputOffset()) > f.offset):
			return string(d.StackPointer()), f.offset, f.problem
		case errors.Is(err, io.EOF) && len(bytes.TrimSpace(src)) == 0:
			return "", 0, "must be a JSON value, but there is none"
		case errors.As(err, &syntax):
			return string(syntax.JSONPointer), int(syntax.ByteOffset), describe(src, syntax)
		case err != nil:
			return "", len(src), "must be exactly one JSON value"
		case d.StackDepth() == 0 && f.offset < 0:
			return "", int(d.InputOffset()), "must be exactly one JSON value, with nothing after it"
		}
	}
}

// describe says in words what the library found, without repeating more of the input than one character.
func describe(src []byte, err *jsontext.SyntacticError) string {
	switch {
	case bytes.HasPrefix(src, []byte("\xef\xbb\xbf")):
		return "must not begin with a byte order mark"
	case errors.Is(err, jsontext.ErrDuplicateName):
		return "the same name stands twice in this object"
	case errors.Is(err, io.ErrUnexpectedEOF):
		return "the JSON ends too early"
	case err.Err != nil:
		return err.Err.Error()
	}
	return "not JSON"
}

// shorten keeps a path that a stranger chose from filling logs and answers.
func shorten(pointer string) string {
	const most = 200
	if len(pointer) <= most {
		return pointer
	}
	return strings.ToValidUTF8(pointer[:most], "") + "…"
}
