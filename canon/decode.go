package canon

import (
	"errors"
	"fmt"
	"reflect"
	"strconv"

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
	return Value{text}, nil
}

// Decode fills dst from the value: names must match in case and be known, and a number that the field would change does
// not fit. The error is [outcome.Invalid] with the fault's place. dst may be half filled after an error.
func (v Value) Decode(dst any) error {
	if v.IsZero() {
		return outcome.WithFaults(outcome.Fault{Problem: "must be a JSON value, but there is none"})
	}
	return decodeError(json.Unmarshal([]byte(v.text), dst, decoding))
}

// decoding is how Go values are filled. Only floating-point numbers are ours: the library would round them silently.
var decoding = json.JoinOptions(
	json.RejectUnknownMembers(true),
	json.WithUnmarshalers(json.JoinUnmarshalers(json.UnmarshalFromFunc(exact[float64]), json.UnmarshalFromFunc(exact[float32]))),
)

var errInexact = errors.New("the number would be rounded")

// exact takes a number only if the float is written as the same number again.
func exact[F float32 | float64](d *jsontext.Decoder, f *F) error {
	if d.PeekKind() != '0' {
		return errors.ErrUnsupported // to the library
	}
	text, err := d.ReadValue()
	if err != nil {
		return err
	}
	bits := 64
	if _, short := any(*f).(float32); short {
		bits = 32
	}
	n, err := strconv.ParseFloat(string(text), bits)
	if err != nil {
		return errInexact
	}
	var buf [32]byte
	if written := jsontext.AppendFloat(buf[:0], n, bits); !sameNumber(written, text) {
		return errInexact
	}
	*f = F(n)
	return nil
}

// sameNumber compares a number with a canonical one.
func sameNumber(number, canonical []byte) bool {
	if string(number) == string(canonical) {
		return true
	}
	var buf [MaxNumber]byte
	text, problem := appendNumber(buf[:0], number)
	return problem == "" && string(text) == string(canonical)
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
	if errors.Is(err, errInexact) {
		return "must be a number that a floating-point number holds without rounding"
	}
	want := ""
	if t := err.GoType; t != nil {
		want = expected(t)
	}
	if want == "" || err.JSONKind == jsontext.KindInvalid {
		return "does not fit"
	}
	if got := kindName(err.JSONKind); got != want && (got != "a number" || want != "an integer") {
		return fmt.Sprintf("must be %s, not %s", want, got)
	}
	return fmt.Sprintf("must be %s of the right form and size", want)
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
