package gate

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"gatehouse/canon"
)

// maxWork is how many times a validation may hold a part of a schema against a part of the arguments. References let a
// short schema ask for more than a lifetime of it, and no deadline reaches the validator.
const maxWork = 100_000

// references is a schema in which parts refer to others, as a graph: what it costs to validate with it can be counted
// before it is done. Schemas without references are trees and cost what they are long.
type references struct{ root *part }

// part is one schema within a schema. The fields are the keywords of JSON Schema (2020-12 and draft-07) that hold schemas.
type part struct {
	types   []string
	inPlace []*part            // held against the same value: $ref, allOf, anyOf, oneOf, not, if, then, else, dependent schemas
	named   map[string][]*part // properties
	members []*part            // every member: additionalProperties, patternProperties, propertyNames, …
	items   []*part            // every element: items, prefixItems, contains, …
	state   int                // of the search for circles
}

var errCircle = errors.New("the schema refers to itself without end")

// readReferences gives nil for a schema without references. It refuses references to anything but a place in the schema
// itself, and circles in which no part of the value is used up: a validator would follow them for ever.
func readReferences(v canon.Value) (*references, error) {
	x, err := plain(v)
	if err != nil {
		return nil, fmt.Errorf("reading the schema: %w", err)
	}
	r := reader{root: x, parts: map[string]*part{}}
	root, err := r.part("", x)
	if err != nil {
		return nil, err
	}
	for _, p := range r.parts {
		if err := p.circle(); err != nil {
			return nil, err
		}
	}
	if !r.refers {
		return nil, nil
	}
	return &references{root}, nil
}

// circle follows what is held against the same value.
func (p *part) circle() error {
	const under, done = 1, 2
	switch p.state {
	case under:
		return errCircle
	case done:
		return nil
	}
	p.state = under
	for _, q := range p.inPlace {
		if err := q.circle(); err != nil {
			return err
		}
	}
	p.state = done
	return nil
}

type reader struct {
	root   any
	parts  map[string]*part // by JSON Pointer
	refers bool
}

// part reads the schema at a place, once.
func (r *reader) part(at string, x any) (*part, error) {
	if p := r.parts[at]; p != nil {
		return p, nil
	}
	p := &part{named: map[string][]*part{}}
	r.parts[at] = p
	m, ok := x.(map[string]any)
	if !ok {
		return p, nil // true or false
	}
	switch t := m["type"].(type) {
	case string:
		p.types = []string{t}
	case []any:
		for _, one := range t {
			if s, ok := one.(string); ok {
				p.types = append(p.types, s)
			}
		}
	}
	for keyword, value := range m {
		if err := r.keyword(p, at+"/"+escapePointer(keyword), keyword, value); err != nil {
			return nil, err
		}
	}
	return p, nil
}

func (r *reader) keyword(p *part, at, keyword string, value any) (err error) {
	add := func(to *[]*part, at string, x any) error {
		q, err := r.part(at, x)
		*to = append(*to, q)
		return err
	}
	each := func(to *[]*part) error {
		switch value := value.(type) {
		case []any:
			for i, x := range value {
				if err := add(to, at+"/"+strconv.Itoa(i), x); err != nil {
					return err
				}
			}
		case map[string]any:
			for name, x := range value {
				if err := add(to, at+"/"+escapePointer(name), x); err != nil {
					return err
				}
			}
		}
		return nil
	}
	switch keyword {
	case "$ref":
		q, err := r.target(value)
		p.inPlace = append(p.inPlace, q)
		return err
	case "$dynamicRef", "$recursiveRef":
		return fmt.Errorf("the schema uses %s, which is not followed here", keyword)
	case "allOf", "anyOf", "oneOf", "dependentSchemas", "dependencies":
		return each(&p.inPlace)
	case "not", "if", "then", "else":
		return add(&p.inPlace, at, value)
	case "properties":
		if properties, ok := value.(map[string]any); ok {
			for name, x := range properties {
				list := p.named[name]
				if err := add(&list, at+"/"+escapePointer(name), x); err != nil {
					return err
				}
				p.named[name] = list
			}
		}
	case "patternProperties":
		return each(&p.members)
	case "additionalProperties", "unevaluatedProperties", "propertyNames":
		return add(&p.members, at, value)
	case "items", "prefixItems":
		if _, list := value.([]any); list {
			return each(&p.items)
		}
		return add(&p.items, at, value)
	case "additionalItems", "unevaluatedItems", "contains":
		return add(&p.items, at, value)
	}
	return nil
}

// target finds what a $ref refers to.
func (r *reader) target(value any) (*part, error) {
	r.refers = true
	ref, ok := value.(string)
	pointer, err := url.PathUnescape(strings.TrimPrefix(ref, "#"))
	if !ok || !strings.HasPrefix(ref, "#") || err != nil || pointer != "" && pointer[0] != '/' {
		return nil, fmt.Errorf("compiling the schema: $ref %q is not a place in the schema itself (#/…)", ref)
	}
	x := r.root
	for _, name := range strings.Split(pointer, "/")[1:] {
		name = strings.NewReplacer("~1", "/", "~0", "~").Replace(name)
		switch at := x.(type) {
		case map[string]any:
			x, ok = at[name]
		case []any:
			i, err := strconv.Atoi(name)
			if ok = err == nil && i >= 0 && i < len(at); ok {
				x = at[i]
			}
		default:
			ok = false
		}
		if !ok {
			return nil, fmt.Errorf("compiling the schema: $ref %q refers to nothing", ref)
		}
	}
	return r.part(pointer, x)
}

// work counts how often a validator would hold a part of the schema against a part of the value, up to maxWork + 1.
func (r *references) work(instance any) int {
	c := counter{seen: map[pair]int{}}
	return c.count(r.root, c.read(instance))
}

// thing is one part of a value, with an identity.
type thing struct {
	kind     string
	names    []string // of the members, as in parts
	parts    []*thing
	isObject bool
}

type pair struct {
	*part
	*thing
}

type counter struct{ seen map[pair]int }

func (c counter) read(x any) *thing {
	t := &thing{kind: typeOf(x)}
	switch x := x.(type) {
	case map[string]any:
		t.isObject = true
		for name, value := range x {
			t.names = append(t.names, name)
			t.parts = append(t.parts, c.read(value))
		}
	case []any:
		for _, value := range x {
			t.parts = append(t.parts, c.read(value))
		}
	}
	return t
}

// count is the work of one pair: itself and all below it, each time that it is reached.
func (c counter) count(p *part, t *thing) int {
	key := pair{p, t}
	if n, ok := c.seen[key]; ok {
		return n
	}
	n := 1
	add := func(q *part, t *thing) {
		if n <= maxWork {
			n += c.count(q, t)
		}
	}
	if len(p.types) == 0 || slices.Contains(p.types, t.kind) || t.kind == "integer" && slices.Contains(p.types, "number") {
		for _, q := range p.inPlace {
			add(q, t)
		}
		for i, child := range t.parts {
			if !t.isObject {
				for _, q := range p.items {
					add(q, child)
				}
				continue
			}
			for _, q := range p.named[t.names[i]] {
				add(q, child)
			}
			for _, q := range p.members {
				add(q, child)
			}
		}
	}
	n = min(n, maxWork+1)
	c.seen[key] = n
	return n
}
