package canon

import (
	"errors"
	"fmt"
	"reflect"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"gatehouse/outcome"
)

// From gives a Go value in canonical form. Its error has no code: what cannot be written is a mistake of ours.
func From(x any) (Value, error) {
	if v, ok := x.(Value); ok {
		return v, nil
	}
	b, err := json.Marshal(x)
	if err != nil {
		return Value{}, fmt.Errorf("writing %T as JSON: %w", x, err)
	}
	text, f := canonical(b)
	if f != nil {
		pointer, _, problem := f.locate(b)
		return Value{}, fmt.Errorf("writing %T as JSON: %s: %s", x, shorten(pointer), problem)
	}
	return Value{string(text)}, nil
}

// decodeError turns what the library says about Go types into what the sender of the JSON can act on.
func decodeError(err error) error {
	var semantic *json.SemanticError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &semantic):
		return outcome.WithFaults(outcome.Fault{Path: shorten(string(semantic.JSONPointer)), Problem: mismatch(semantic)})
	}
	return outcome.Invalid.From(err, "the JSON does not fit")
}

// mismatch names what was expected in JSON's words.
func mismatch(err *json.SemanticError) string {
	if errors.Is(err, json.ErrUnknownName) {
		return "no such member here"
	}
	want := ""
	if t := err.GoType; t != nil {
		want = expected(t)
	}
	if want == "" || err.JSONKind == jsontext.KindInvalid {
		return "does not fit"
	}
	if got := kindName(err.JSONKind); got != want {
		return fmt.Sprintf("must be %s, not %s", want, got)
	}
	return fmt.Sprintf("must be %s that fits", want)
}

func kindName(k jsontext.Kind) string {
	switch k {
	case 'n':
		return "null"
	case 't', 'f':
		return "a boolean"
	case '"':
		return "a string"
	case '0':
		return "a number"
	case '{', '}':
		return "an object"
	}
	return "an array"
}

func expected(t reflect.Type) string {
	switch t.Kind() {
	case reflect.Bool:
		return "a boolean"
	case reflect.String:
		return "a string"
	case reflect.Struct, reflect.Map:
		return "an object"
	case reflect.Slice, reflect.Array:
		return "an array"
	case reflect.Pointer:
		return expected(t.Elem())
	case reflect.Float32, reflect.Float64:
		return "a number"
	case reflect.Interface, reflect.Chan, reflect.Func, reflect.Invalid:
		return ""
	}
	return "an integer"
}

// MarshalJSON lets a Value stand inside other Go values. The zero Value is written as null; leave it out with omitzero.
func (v Value) MarshalJSON() ([]byte, error) {
	if v.IsZero() {
		return []byte("null"), nil
	}
	return []byte(v.text), nil
}

// UnmarshalJSON lets a Value take over a member of any kind, as strictly as [Parse].
func (v *Value) UnmarshalJSON(b []byte) error {
	parsed, err := Parse(b)
	if err != nil {
		return err
	}
	*v = parsed
	return nil
}
