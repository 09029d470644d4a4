package policy

import (
	"errors"
	"fmt"
	"reflect"
	"strconv"
	"strings"

	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/common/types/traits"

	"gatehouse/canon"
)

// Arguments are read where a condition asks for them, out of the canonical text: a call that no rule looks into costs no
// copy of its arguments.

// structValue is an object whose members are named by its schema.
type structValue struct {
	v     canon.Value
	shape *shape
}

func structType(name string) *types.Type {
	return types.NewObjectType(name, traits.IndexerType|traits.FieldTesterType)
}

var (
	_ traits.Indexer     = structValue{}
	_ traits.FieldTester = structValue{}
)

// Get implements traits.Indexer. An absent list is empty and so is an absent text; another absent value is an error,
// unless the schema says what the tool takes instead.
func (s structValue) Get(index ref.Val) ref.Val {
	name, ok := index.(types.String)
	if !ok {
		return types.MaybeNoSuchOverloadErr(index)
	}
	f, ok := s.shape.fields[string(name)]
	if !ok {
		return types.NewErr("no such argument: %s", string(name))
	}
	v, given := s.v.Member(string(name))
	if !given {
		return f.whenAbsent(string(name))
	}
	return f.read(v)
}

// IsSet implements traits.FieldTester: has(args.x) is whether x was given.
func (s structValue) IsSet(field ref.Val) ref.Val {
	name, ok := field.(types.String)
	if !ok {
		return types.MaybeNoSuchOverloadErr(field)
	}
	v, given := s.v.Member(string(name))
	if f := s.shape.fields[string(name)]; given && f != nil && f.nullable && isNull(v) {
		given = false
	}
	return types.Bool(given)
}

func isNull(v canon.Value) bool { return v.String() == "null" }

// whenAbsent is what a condition reads where nothing was given.
func (f *shape) whenAbsent(name string) ref.Val {
	if !f.absent.IsZero() {
		return f.read(f.absent)
	}
	if v := f.empty(); v != nil {
		return v
	}
	return types.NewErr("the argument %s was not given", name)
}

// empty is the value of a list or a text that is not there; nil for all else.
func (f *shape) empty() ref.Val {
	switch f.kind {
	case list:
		return types.NewRefValList(types.DefaultTypeAdapter, nil)
	case text:
		return types.String("")
	case anything, integer, number, boolean, mapping, object:
	}
	return nil
}

// read gives a value as CEL sees it. What does not have its shape is an error: the schema was checked before, so that it
// can only be a mistake of ours.
func (f *shape) read(v canon.Value) ref.Val {
	if f.nullable && isNull(v) {
		if e := f.empty(); e != nil {
			return e
		}
		return types.NewErr("the argument is null")
	}
	switch f.kind {
	case anything:
		return free(v)
	case text:
		if s, ok := v.Text(); ok {
			return types.String(s)
		}
	case integer:
		return readInteger(v.String())
	case number:
		return readDouble(v.String())
	case boolean:
		switch v.String() {
		case "true":
			return types.True
		case "false":
			return types.False
		}
	case list:
		if strings.HasPrefix(v.String(), "[") {
			return readList(v, f.elem)
		}
	case mapping:
		if v.IsObject() {
			return readMap(v, f.elem)
		}
	case object:
		if v.IsObject() {
			return structValue{v, f}
		}
	}
	return types.NewErr("a value does not have the shape that the tool's schema says")
}

// maxElements bounds what one list of a call can make a condition hold. A longer one is an error, which refuses.
const maxElements = 100_000

func readList(v canon.Value, elem *shape) ref.Val {
	var all []ref.Val
	for i, e := range v.Elements {
		if i == maxElements {
			return types.NewErr("a list has more than %d elements", maxElements)
		}
		x := elem.read(e)
		if types.IsError(x) {
			return x
		}
		all = append(all, x)
	}
	return types.NewRefValList(types.DefaultTypeAdapter, all)
}

func readMap(v canon.Value, elem *shape) ref.Val {
	all := map[ref.Val]ref.Val{}
	for name, m := range v.Members {
		x := elem.read(m)
		if types.IsError(x) {
			return x
		}
		all[types.String(name)] = x
	}
	return types.NewRefValMap(types.DefaultTypeAdapter, all)
}

// free reads a value of which no schema says what it is.
func free(v canon.Value) ref.Val {
	switch t := v.String(); t[0] {
	case '{':
		return readMap(v, untyped)
	case '[':
		return readList(v, untyped)
	case '"':
		s, _ := v.Text()
		return types.String(s)
	case 'n':
		return types.NullValue
	case 't':
		return types.True
	case 'f':
		return types.False
	default:
		if strings.ContainsAny(t, ".e") {
			return readDouble(t)
		}
		return readInteger(t)
	}
}

func readInteger(t string) ref.Val {
	i, err := strconv.ParseInt(t, 10, 64)
	if err != nil {
		return types.NewErr("a number is no integer of 64 bits")
	}
	return types.Int(i)
}

// readDouble takes only a number that a double is written as again: a condition that compared a rounded one would judge
// another call than the one that runs (P13).
func readDouble(t string) ref.Val {
	f, err := strconv.ParseFloat(t, 64)
	if err != nil {
		return types.NewErr("a number cannot be compared")
	}
	if len(t) > 15 || strings.Contains(t, "e") {
		if again, err := canon.From(f); err != nil || again.String() != t {
			return types.NewErr("a number has more digits than can be compared")
		}
	}
	return types.Double(f)
}

// ConvertToNative implements ref.Val.
func (s structValue) ConvertToNative(t reflect.Type) (any, error) {
	return nil, fmt.Errorf("an object is no %s", t)
}

// ConvertToType implements ref.Val.
func (s structValue) ConvertToType(t ref.Type) ref.Val {
	if t == types.TypeType {
		return s.shape.typ
	}
	return types.NewErr("an object cannot be converted to %s", t.TypeName())
}

// Equal implements ref.Val.
func (s structValue) Equal(other ref.Val) ref.Val {
	o, ok := other.(structValue)
	return types.Bool(ok && s.v == o.v)
}

// Type implements ref.Val.
func (s structValue) Type() ref.Type { return s.shape.typ }

// Value implements ref.Val.
func (s structValue) Value() any { return s.v }

// records are the fields of what conditions know besides the arguments.
var records = map[string]map[string]*types.Type{
	"caller": {
		"person": types.IntType, "email": types.StringType, "agent": types.StringType, "token": types.IntType,
		"entry": types.StringType, "administrator": types.BoolType,
	},
	"tool":    {"name": types.StringType, "module": types.StringType, "effect": types.StringType},
	"session": {"name": types.StringType, "task": types.StringType, "hot": types.BoolType},
}

// record is one of them: a name, and how its fields are read.
type record struct {
	name string
	get  func(field string) ref.Val // nil: there is none
}

var errNoField = errors.New("no such field")

// Get implements traits.Indexer.
func (r record) Get(index ref.Val) ref.Val {
	if name, ok := index.(types.String); ok {
		if v := r.get(string(name)); v != nil {
			return v
		}
	}
	return types.WrapErr(errNoField)
}

// IsSet implements traits.FieldTester: all fields are always there.
func (r record) IsSet(field ref.Val) ref.Val {
	name, ok := field.(types.String)
	return types.Bool(ok && r.get(string(name)) != nil)
}

// ConvertToNative implements ref.Val.
func (r record) ConvertToNative(t reflect.Type) (any, error) {
	return nil, fmt.Errorf("%s is no %s", r.name, t)
}

// ConvertToType implements ref.Val.
func (r record) ConvertToType(t ref.Type) ref.Val {
	return types.NewErr("%s cannot be converted to %s", r.name, t.TypeName())
}

// Equal implements ref.Val.
func (r record) Equal(other ref.Val) ref.Val {
	o, ok := other.(record)
	return types.Bool(ok && r.name == o.name)
}

// Type implements ref.Val.
func (r record) Type() ref.Type { return structType(r.name) }

// Value implements ref.Val.
func (r record) Value() any { return r.name }

func (c *Caller) field(name string) ref.Val {
	switch name {
	case "person":
		return types.Int(c.Person)
	case "email":
		return types.String(c.Email)
	case "agent":
		return types.String(c.Agent)
	case "token":
		return types.Int(c.Token)
	case "entry":
		return types.String(c.Entry)
	case "administrator":
		return types.Bool(c.Administrator)
	}
	return nil
}

func (t *Tool) field(name string) ref.Val {
	switch name {
	case "name":
		return types.String(t.Name)
	case "module":
		return types.String(t.Module)
	case "effect":
		return types.String(t.Effect)
	}
	return nil
}

func (s *Session) field(name string) ref.Val {
	switch name {
	case "name":
		return types.String(s.Name)
	case "task":
		return types.String(s.Task)
	case "hot":
		return types.Bool(s.Hot)
	}
	return nil
}
