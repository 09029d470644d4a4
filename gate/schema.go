package gate

import (
	"encoding/json" //nolint:depguard // the schema library reads only through it, and what it reads is in canonical form
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"math/big"
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
	raw        canon.Value
	compiled   *jsonschema.Resolved
	references *references // nil without any: then validating costs what schema and value are long
	limits     bool        // it compares numbers with others
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
	refs, err := readReferences(v)
	if err != nil {
		return Schema{}, err
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
	s.references, s.limits = refs, comparesNumbers(v)
	return Schema{s}, nil
}

// comparesNumbers reports whether a keyword of the schema holds numbers against others.
func comparesNumbers(v canon.Value) (found bool) {
	for _, name := range v.Names {
		switch name {
		case "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf", "const", "enum":
			return true
		}
	}
	return false
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
	return &schema{raw: raw, compiled: compiled}, nil
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
	return canon.PointerToken(name)
}

// check validates a value and names the place of each fault.
func (s *schema) check(v canon.Value) []outcome.Fault {
	instance, err := plain(v)
	if err != nil {
		return []outcome.Fault{{Problem: "it cannot be read"}}
	}
	if s.references != nil && s.references.work(instance) > maxWork {
		return []outcome.Fault{{Problem: "it is nested too deeply for this tool's schema"}}
	}
	if s.limits {
		if at, ok := inexact(v, ""); ok {
			return []outcome.Fault{{Path: at, Problem: "has more digits than can be compared with the limits of this tool's schema"}}
		}
	}
	if s.compiled.Validate(instance) == nil {
		return nil
	}
	// The validator stops at its first fault and names no place, so parts are asked by themselves.
	s2 := search{alone: map[*jsonschema.Schema]*jsonschema.Resolved{}}
	s2.at(s.compiled.Schema(), instance, "")
	if len(s2.faults) == 0 {
		return []outcome.Fault{{Problem: "it does not fit the schema: see this tool's inputSchema"}}
	}
	return s2.faults
}

// inexact finds a number that the validator sees as another one.
func inexact(v canon.Value, at string) (place string, found bool) {
	switch text := v.String(); {
	case text == "" || !strings.ContainsAny(text, "0123456789"):
		return "", false
	case text[0] == '{':
		v.Members(func(name string, m canon.Value) bool {
			place, found = inexact(m, at+"/"+escapePointer(name))
			return !found
		})
		return place, found
	case text[0] == '[':
		v.Elements(func(i int, e canon.Value) bool {
			place, found = inexact(e, at+"/"+strconv.Itoa(i))
			return !found
		})
		return place, found
	case text[0] == '-' || text[0] >= '0' && text[0] <= '9':
		x, err := plainNumber(text)
		if err != nil {
			return at, true
		}
		f, ok := x.(float64)
		if !ok {
			return "", false
		}
		same, err := canon.From(f)
		return at, err != nil || same != v
	}
	return "", false
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

// plainNumber gives a number as the validator compares it: integers of 64 bits exactly, all others as the nearest double,
// but never a fraction as an integer. (json.Number, which would be exact, it takes for a string.) Only the validator sees
// this; what runs keeps its digits.
func plainNumber(text string) (any, error) {
	if i, err := strconv.ParseInt(text, 10, 64); err == nil {
		return i, nil
	}
	if u, err := strconv.ParseUint(text, 10, 64); err == nil {
		return u, nil
	}
	f, err := strconv.ParseFloat(text, 64)
	if f == math.Trunc(f) && strings.ContainsAny(text, ".-") && isFraction(text) {
		f = math.Nextafter(f, math.Inf(1))
	}
	return f, err
}

// isFraction reports whether a canonical number has digits after the point that its double lost.
func isFraction(text string) bool {
	r, ok := new(big.Rat).SetString(text)
	return ok && !r.IsInt()
}

const (
	maxFaults = 20 // that are named
	maxAsked  = 64 // parts that the validator is asked about alone: each costs as much as the part's schema is long
)

// search looks for the places of faults.
type search struct {
	faults []outcome.Fault
	asked  int
	alone  map[*jsonschema.Schema]*jsonschema.Resolved // compiled once; nil: cannot stand alone
}

func (s *search) full() bool { return len(s.faults) >= maxFaults || s.asked >= maxAsked }

func (s *search) add(at, problem string) {
	if len(s.faults) < maxFaults {
		s.faults = append(s.faults, outcome.Fault{Path: at, Problem: problem})
	}
}

// at walks properties and items, where a place can be named, and asks the validator about each part in which no smaller
// one is wrong.
func (s *search) at(js *jsonschema.Schema, x any, at string) {
	before := len(s.faults)
	switch x := x.(type) {
	case map[string]any:
		for _, name := range js.Required {
			if _, ok := x[name]; !ok {
				s.add(at+"/"+escapePointer(name), "is missing")
			}
		}
		for _, name := range slices.Sorted(maps.Keys(x)) {
			if s.full() {
				return
			}
			below := at + "/" + escapePointer(name)
			if sub := js.Properties[name]; sub != nil {
				s.at(sub, x[name], below)
			} else if closed(js) {
				s.add(below, "is not an argument of this tool")
			}
		}
	case []any:
		if js.Items != nil {
			for i, e := range x {
				if s.full() {
					return
				}
				s.at(js.Items, e, at+"/"+strconv.Itoa(i))
			}
		}
	}
	if len(s.faults) > before || s.full() {
		return
	}
	if problem := s.here(js, x); problem != "" {
		s.add(at, problem)
	}
}

// closed reports whether the schema takes no other members than its properties.
func closed(js *jsonschema.Schema) bool {
	return js.AdditionalProperties != nil && js.AdditionalProperties.Not != nil && len(js.PatternProperties) == 0
}

// here says what is wrong with a value whose parts are good. Schemas with references cannot be asked alone: then the whole
// is named.
func (s *search) here(js *jsonschema.Schema, x any) string {
	alone, known := s.alone[js]
	if !known {
		alone, _ = js.CloneSchemas().Resolve(nil) // an error leaves nil
		s.alone[js] = alone
	}
	s.asked++
	if alone == nil || alone.Validate(x) == nil {
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
