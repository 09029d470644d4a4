package gate

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/google/jsonschema-go/jsonschema"

	"gatehouse/canon"
	"gatehouse/guard"
	"gatehouse/outcome"
)

// Schema is a JSON Schema (2020-12 or draft-07) that compiled. The zero Schema is none.
type Schema struct{ s *schema }

type schema struct {
	raw      canon.Value
	compiled *jsonschema.Resolved
}

// maxSchemaNodes bounds what a foreign server can make us hold and walk.
const maxSchemaNodes = 10_000

// ParseSchema takes a schema that other people wrote. An empty one, and one without a type, becomes an object's, since
// arguments are one. Schemas that are too large, that do not compile, or that refer to another document are refused.
func ParseSchema(raw []byte) (Schema, error) {
	if len(raw) == 0 {
		raw = []byte(`{}`)
	}
	v, err := canon.ParseObject(raw)
	if err != nil {
		return Schema{}, fmt.Errorf("reading the schema: %w", err)
	}
	nodes := 0
	for range v.Names {
		nodes++
	}
	if nodes > maxSchemaNodes {
		return Schema{}, fmt.Errorf("the schema has %d members, more than %d", nodes, maxSchemaNodes)
	}
	var js jsonschema.Schema
	if err := json.Unmarshal(v.Bytes(), &js); err != nil {
		return Schema{}, fmt.Errorf("reading the schema: %w", err)
	}
	if js.Type == "" && js.Types == nil {
		js.Type = "object"
	}
	if js.Type != "object" {
		return Schema{}, errors.New("the schema is not of an object")
	}
	s, err := compile(&js)
	if err != nil {
		return Schema{}, err
	}
	if _, said := v.Lookup("/type"); said {
		s.raw = v // kept as it was written
	}
	return Schema{s}, nil
}

func compile(js *jsonschema.Schema) (*schema, error) {
	raw, err := canon.From(js)
	if err != nil {
		return nil, fmt.Errorf("writing the schema: %w", err)
	}
	// No loader: a reference to another document does not resolve, and nothing is fetched.
	compiled, err := js.Resolve(nil)
	if err != nil {
		return nil, fmt.Errorf("compiling the schema: %w", err)
	}
	return &schema{raw, compiled}, nil
}

func (s *schema) text() string {
	if s == nil {
		return ""
	}
	return s.raw.String()
}

// anything is the schema of a JSON value that the type does not describe further. It says something, because an empty one
// is written as true, and clients in the field (the TypeScript SDK 1.x) take only objects as the schema of a property.
var anything = map[reflect.Type]*jsonschema.Schema{reflect.TypeFor[canon.Value](): {Description: "any JSON value"}}

func schemaFor[T any]() (*schema, error) {
	js, err := jsonschema.For[T](&jsonschema.ForOptions{TypeSchemas: anything})
	if err != nil {
		return nil, err
	}
	notNull(js)
	return compile(js)
}

// notNull takes null off lists and maps: an absent member is left out, never sent as null.
func notNull(js *jsonschema.Schema) {
	if len(js.Types) == 2 && js.Types[0] == "null" {
		js.Type, js.Types = js.Types[1], nil
	}
	for _, p := range js.Properties {
		notNull(p)
	}
	if js.Items != nil {
		notNull(js.Items)
	}
	if js.AdditionalProperties != nil {
		notNull(js.AdditionalProperties)
	}
}

func inputOf[A any](s Spec) (*schema, []Argument, error) {
	t := reflect.TypeFor[A]()
	if t == reflect.TypeFor[Raw]() {
		if s.Input.s == nil {
			return nil, nil, errors.New("raw arguments need a schema in Spec.Input")
		}
		return s.Input.s, s.Arguments, nil
	}
	if t.Kind() != reflect.Struct {
		return nil, nil, fmt.Errorf("%s is not a struct", t)
	}
	if s.Input.s != nil || s.Arguments != nil {
		return nil, nil, errors.New("Spec.Input and Spec.Arguments are for raw arguments; here struct tags say it")
	}
	js, err := schemaFor[A]()
	if err != nil {
		return nil, nil, err
	}
	arguments, err := argumentsOf(t, "", s.Effect)
	return js, arguments, err
}

func outputOf[R any](s Spec) (*schema, error) {
	if reflect.TypeFor[R]() == reflect.TypeFor[Content]() {
		return s.Output.s, nil
	}
	if s.Output.s != nil {
		return nil, errors.New("Spec.Output is for results that are Content; here the type says it")
	}
	return schemaFor[R]()
}

// argumentsOf reads the tags of a struct's fields, and of structs inside it.
func argumentsOf(t reflect.Type, pointer string, effect Effect) ([]Argument, error) {
	var all []Argument
	for field := range t.Fields() {
		name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
		if name == "" || name == "-" {
			return nil, fmt.Errorf("field %s has no json name", field.Name)
		}
		a := Argument{Pointer: pointer + "/" + escapePointer(name)}
		if kind, ok := field.Tag.Lookup("kind"); ok {
			var err error
			if a.Kind, err = guard.ParseKind(kind); err != nil {
				return nil, fmt.Errorf("field %s: %w", field.Name, err)
			}
		}
		carries, err := parseCarries(field.Tag.Get("carries"), effect)
		if err != nil {
			return nil, fmt.Errorf("field %s: %w", field.Name, err)
		}
		a.Carries = carries
		all = append(all, a)
		inner := field.Type
		for inner.Kind() == reflect.Slice || inner.Kind() == reflect.Pointer {
			inner = inner.Elem()
		}
		if inner.Kind() == reflect.Struct && inner != reflect.TypeFor[canon.Value]() {
			below, err := argumentsOf(inner, a.Pointer, effect)
			if err != nil {
				return nil, err
			}
			all = append(all, below...)
		}
	}
	return all, nil
}

func parseCarries(tag string, effect Effect) (Carries, error) {
	switch tag {
	case "destination":
		return Destination, nil
	case "content":
		return Contents, nil
	case "nothing":
		return Neither, nil
	case "":
		if effect == Reads {
			return Neither, nil
		}
		return Contents, nil
	}
	return Contents, fmt.Errorf("carries %q is none of destination, content, nothing", tag)
}

func escapePointer(name string) string {
	return strings.NewReplacer("~", "~0", "/", "~1").Replace(name)
}

// check validates a value and names the place of each fault.
func (s *schema) check(v canon.Value) []outcome.Fault {
	instance, err := plain(v)
	if err != nil {
		return []outcome.Fault{{Problem: "it cannot be read"}}
	}
	if s.compiled.Validate(instance) == nil {
		return nil
	}
	// The validator stops at its first fault and names no place, so each part is asked by itself.
	faults := faultsAt(s.compiled.Schema(), instance, "")
	if len(faults) == 0 {
		faults = []outcome.Fault{{Problem: "it does not fit the schema: see this tool's inputSchema"}}
	}
	return faults
}

// plain gives the value as the validator wants it, with numbers as they were written.
func plain(v canon.Value) (any, error) {
	d := jsontext.NewDecoder(strings.NewReader(v.String()))
	x, err := plainNext(d)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	return x, nil
}

func plainNext(d *jsontext.Decoder) (any, error) {
	t, err := d.ReadToken()
	if err != nil {
		return nil, err
	}
	switch t.Kind() {
	case '{':
		m := map[string]any{}
		for d.PeekKind() != '}' {
			name, err := d.ReadToken()
			if err != nil {
				return nil, err
			}
			key := name.String()
			if m[key], err = plainNext(d); err != nil {
				return nil, err
			}
		}
		_, err = d.ReadToken()
		return m, err
	case '[':
		list := []any{}
		for d.PeekKind() != ']' {
			x, err := plainNext(d)
			if err != nil {
				return nil, err
			}
			list = append(list, x)
		}
		_, err = d.ReadToken()
		return list, err
	case '"':
		return t.String(), nil
	case '0':
		return plainNumber(t.String())
	case 't', 'f':
		return t.Bool(), nil
	}
	return nil, nil
}

// plainNumber gives a number as the validator compares it: integers of 64 bits exactly, all others as the nearest double.
// (json.Number, which would be exact, it takes for a string.) Only the validator sees this; what runs keeps its digits.
func plainNumber(text string) (any, error) {
	if i, err := strconv.ParseInt(text, 10, 64); err == nil {
		return i, nil
	}
	if u, err := strconv.ParseUint(text, 10, 64); err == nil {
		return u, nil
	}
	return strconv.ParseFloat(text, 64)
}

const maxFaults = 20

// faultsAt walks properties and items, where a place can be named, and asks the validator about each part.
func faultsAt(js *jsonschema.Schema, x any, at string) []outcome.Fault {
	var faults []outcome.Fault
	switch x := x.(type) {
	case map[string]any:
		for _, name := range js.Required {
			if _, ok := x[name]; !ok {
				faults = append(faults, outcome.Fault{Path: at + "/" + escapePointer(name), Problem: "is missing"})
			}
		}
		for _, name := range slices.Sorted(maps.Keys(x)) {
			below := at + "/" + escapePointer(name)
			if sub := js.Properties[name]; sub != nil {
				faults = append(faults, faultsAt(sub, x[name], below)...)
			} else if closed(js) {
				faults = append(faults, outcome.Fault{Path: below, Problem: "is not an argument of this tool"})
			}
		}
	case []any:
		if js.Items != nil {
			for i, e := range x {
				faults = append(faults, faultsAt(js.Items, e, at+"/"+strconv.Itoa(i))...)
			}
		}
	}
	if len(faults) > maxFaults {
		return faults[:maxFaults]
	}
	if len(faults) > 0 {
		return faults
	}
	if problem := faultHere(js, x); problem != "" {
		return []outcome.Fault{{Path: at, Problem: problem}}
	}
	return nil
}

// closed reports whether the schema takes no other members than its properties.
func closed(js *jsonschema.Schema) bool {
	return js.AdditionalProperties != nil && js.AdditionalProperties.Not != nil && len(js.PatternProperties) == 0
}

// faultHere says what is wrong with a value whose parts are good. References cannot be asked alone: then the whole is named.
func faultHere(js *jsonschema.Schema, x any) string {
	alone, err := js.CloneSchemas().Resolve(nil)
	if err != nil {
		return ""
	}
	if err := alone.Validate(x); err == nil {
		return ""
	}
	wanted := js.Types
	if js.Type != "" {
		wanted = []string{js.Type}
	}
	if got := typeOf(x); len(wanted) > 0 && !slices.Contains(wanted, got) && (got != "integer" || !slices.Contains(wanted, "number")) {
		return "is " + article(got) + ", but must be " + article(strings.Join(wanted, " or "))
	}
	if len(js.Enum) > 0 {
		options, err := canon.From(js.Enum)
		if err == nil && options.Len() < 300 {
			return "is none of " + options.String()
		}
	}
	return "does not fit the schema"
}

func typeOf(x any) string {
	switch x := x.(type) {
	case map[string]any:
		return "object"
	case []any:
		return "array"
	case string:
		return "string"
	case bool:
		return "boolean"
	case int64, uint64:
		return "integer"
	case float64:
		if x == math.Trunc(x) {
			return "integer"
		}
		return "number"
	}
	return "null"
}

func article(noun string) string {
	if strings.ContainsRune("aeio", rune(noun[0])) {
		return "an " + noun
	}
	return "a " + noun
}
