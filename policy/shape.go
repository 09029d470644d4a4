package policy

import (
	"strings"

	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"

	"gatehouse/canon"
)

// kind is what a schema says that a value is.
type kind uint8

const (
	anything kind = iota // the schema does not say, or says more than one thing
	text
	integer
	number
	boolean
	list
	mapping // an object whose members are not named
	object
)

// shape is what a schema says of one value, as conditions see it. It is never changed once it was made.
type shape struct {
	kind     kind
	nullable bool // null is taken, and means what an absent value means
	absent   canon.Value
	typ      *types.Type       // of CEL
	elem     *shape            // list, mapping
	fields   map[string]*shape // object
}

// maxShapes bounds what a foreign schema can make us hold. What lies beyond is anything, which is the careful side: an
// absent value of it is an error.
const maxShapes = 2000

// shapes are the types of one tool's arguments. It is the provider of types for CEL's checker.
type shapes struct {
	types.Provider // CEL's own
	structs        map[string]*shape
	root           *shape
}

// newShapes reads a tool's input schema.
func newShapes(base types.Provider, schema canon.Value) *shapes {
	b := &builder{whole: schema, structs: map[string]*shape{}}
	root := b.of(schema, "args", nil)
	if root.kind != object { // an object without named members: no argument can be named
		root = &shape{kind: object, typ: structType("args"), fields: map[string]*shape{}}
		b.structs["args"] = root
	}
	return &shapes{base, b.structs, root}
}

type builder struct {
	whole   canon.Value
	structs map[string]*shape
	made    int
}

var untyped = &shape{kind: anything, typ: types.DynType}

// of reads one schema. refs are the references that led here: one that leads back to itself is anything.
func (b *builder) of(schema canon.Value, name string, refs []string) *shape {
	if b.made++; b.made > maxShapes || !schema.IsObject() {
		return untyped
	}
	s := b.typed(schema, name, refs)
	if absent, said := schema.Member("default"); said && s != untyped {
		with := *s
		with.absent = absent
		if with.kind == object {
			b.structs[name] = &with
		}
		s = &with
	} else if said {
		s = &shape{kind: anything, typ: types.DynType, absent: absent}
	}
	return s
}

func (b *builder) typed(schema canon.Value, name string, refs []string) *shape {
	if target, said := schema.Member("$ref"); said {
		return b.follow(target, name, refs)
	}
	for _, keyword := range []string{"anyOf", "oneOf"} {
		if branches, said := schema.Member(keyword); said {
			return b.eitherNull(branches, name, refs)
		}
	}
	said, _ := schema.Member("type")
	word, one := said.Text()
	nullable := false
	if !one {
		if word, nullable = wordOrNull(said); !nullable {
			return untyped
		}
	}
	s := b.plain(word, schema, name, refs)
	if nullable && s != untyped {
		with := *s
		with.nullable = true
		if with.kind == object {
			b.structs[name] = &with
		}
		return &with
	}
	return s
}

// wordOrNull takes ["string", "null"] apart.
func wordOrNull(said canon.Value) (word string, ok bool) {
	null := false
	n := 0
	for _, e := range said.Elements {
		n++
		switch w, _ := e.Text(); w {
		case "null":
			null = true
		default:
			word = w
		}
	}
	return word, n == 2 && null && word != ""
}

// eitherNull takes a choice between one schema and null, which is how many servers write an argument that may be left
// out. Any other choice is anything.
func (b *builder) eitherNull(branches canon.Value, name string, refs []string) *shape {
	var other canon.Value
	n, null := 0, false
	for _, e := range branches.Elements {
		n++
		if t, _ := e.Member("type"); t.String() == `"null"` {
			null = true
		} else {
			other = e
		}
	}
	if n != 2 || !null || other.IsZero() {
		return untyped
	}
	s := b.of(other, name, refs)
	if s.kind == anything {
		return untyped
	}
	with := *s
	with.nullable = true
	if with.kind == object {
		b.structs[name] = &with
	}
	return &with
}

// follow takes a reference into the same document.
func (b *builder) follow(target canon.Value, name string, refs []string) *shape {
	to, _ := target.Text()
	pointer, here := strings.CutPrefix(to, "#")
	for _, r := range refs {
		if r == to {
			return untyped
		}
	}
	if !here || pointer != "" && pointer[0] != '/' || strings.Contains(pointer, "%") {
		return untyped
	}
	schema, ok := b.whole.Lookup(pointer)
	if !ok {
		return untyped
	}
	return b.of(schema, name, append(refs[:len(refs):len(refs)], to))
}

func (b *builder) plain(word string, schema canon.Value, name string, refs []string) *shape {
	switch word {
	case "string":
		return &shape{kind: text, typ: types.StringType}
	case "integer":
		return &shape{kind: integer, typ: types.IntType}
	case "number":
		return &shape{kind: number, typ: types.DoubleType}
	case "boolean":
		return &shape{kind: boolean, typ: types.BoolType}
	case "array":
		items, _ := schema.Member("items")
		elem := b.of(items, name+"/-", refs)
		return &shape{kind: list, elem: elem, typ: types.NewListType(elem.typ)}
	case "object":
		properties, _ := schema.Member("properties")
		if properties.String() == "" || properties.String() == "{}" {
			rest, _ := schema.Member("additionalProperties")
			elem := b.of(rest, name+"/*", refs)
			return &shape{kind: mapping, elem: elem, typ: types.NewMapType(types.StringType, elem.typ)}
		}
		s := &shape{kind: object, typ: structType(name), fields: map[string]*shape{}}
		for field, schema := range properties.Members {
			s.fields[field] = b.of(schema, name+"/"+canon.PointerToken(field), refs)
		}
		b.structs[name] = s
		return s
	}
	return untyped
}

// FindStructType implements types.Provider.
func (s *shapes) FindStructType(name string) (*types.Type, bool) {
	if one, ok := s.structs[name]; ok {
		return types.NewTypeTypeWithParam(one.typ), true
	}
	if _, ok := records[name]; ok {
		return types.NewTypeTypeWithParam(structType(name)), true
	}
	return s.Provider.FindStructType(name)
}

// FindStructFieldNames implements types.Provider.
func (s *shapes) FindStructFieldNames(name string) (all []string, ok bool) {
	if one, ok := s.structs[name]; ok {
		for field := range one.fields {
			all = append(all, field)
		}
		return all, true
	}
	return s.Provider.FindStructFieldNames(name)
}

// FindStructFieldType implements types.Provider.
func (s *shapes) FindStructFieldType(name, field string) (*types.FieldType, bool) {
	if one, ok := s.structs[name]; ok {
		if f, ok := one.fields[field]; ok {
			return &types.FieldType{Type: f.typ}, true
		}
		return nil, false
	}
	if record, ok := records[name]; ok {
		if t, ok := record[field]; ok {
			return &types.FieldType{Type: t}, true
		}
		return nil, false
	}
	return s.Provider.FindStructFieldType(name, field)
}

// NewValue implements types.Provider: conditions read values and make none of ours.
func (s *shapes) NewValue(name string, fields map[string]ref.Val) ref.Val {
	if _, ours := s.structs[name]; ours || records[name] != nil {
		return types.NewErr("a condition cannot make a value of %s", name)
	}
	return s.Provider.NewValue(name, fields)
}
