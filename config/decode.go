package config

import (
	"encoding"
	"fmt"
	"net/netip"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/goccy/go-yaml/ast"

	"gatehouse/secret"
)

// decode fills a struct from a document or section. What the text leaves out, or gives as empty, keeps its value.
//
// A field's name is its yaml tag. With `yaml:"name,path"` a text, or each text in a list or map, is a path relative to
// the file. Taken are structs, maps with text keys, lists, pointers, text, true and false, whole and decimal numbers,
// time.Duration ("90d", "1h30m"), netip.Prefix, secret.Ref, every encoding.TextUnmarshaler, and any. A struct with yaml
// tags that is a TextUnmarshaler too may be given as one text or by its fields.
func (s source) decode(dst any, n ast.Node) error {
	v := reflect.ValueOf(dst)
	if v.Kind() != reflect.Pointer || v.IsNil() {
		return fmt.Errorf("decoding a configuration into a %T, which is not a pointer", dst)
	}
	return field{source: s}.value(v.Elem(), n)
}

// field is where the decoder stands.
type field struct {
	source
	name string // the yaml name, for secrets in flat form
	path bool   // texts are paths
	key  ast.Node
}

var (
	sectionType  = reflect.TypeFor[Section]()
	secretType   = reflect.TypeFor[Secret]()
	refType      = reflect.TypeFor[secret.Ref]()
	ruleType     = reflect.TypeFor[Rule]()
	durationType = reflect.TypeFor[time.Duration]()
	prefixType   = reflect.TypeFor[netip.Prefix]()
)

func (f field) value(v reflect.Value, n ast.Node) error {
	if v.Type() == sectionType {
		v.Set(reflect.ValueOf(Section{source: f.source, node: n, at: position(f.key)}))
		return nil
	}
	if n == nil || n.Type() == ast.NullType {
		return nil
	}
	switch v.Type() {
	case ruleType:
		v.Addr().Interface().(*Rule).at = Section{source: f.source, node: n, at: position(n)} // it remembers where it stands
	case secretType, refType:
		ref, err := f.secret(n)
		if v.Type() == secretType {
			v.Set(reflect.ValueOf(ref))
		} else if err == nil {
			v.Set(reflect.ValueOf(ref.Ref()))
		}
		return err
	case durationType:
		return set(f, v, n, parseDuration)
	case prefixType:
		return set(f, v, n, parsePrefix)
	}
	if v.Kind() == reflect.Pointer {
		if v.IsNil() {
			v.Set(reflect.New(v.Type().Elem()))
		}
		return f.value(v.Elem(), n)
	}
	if u, ok := v.Addr().Interface().(encoding.TextUnmarshaler); ok && !eitherWay(v, n) {
		text, ok := scalar(n)
		if !ok {
			return f.mismatch(n, "one value")
		}
		if err := u.UnmarshalText([]byte(text)); err != nil {
			return f.fault(n, "%w", err)
		}
		return nil
	}
	return f.kind(v, n)
}

// eitherWay reports whether a value that is given by its fields goes into a struct that takes both: a text, as off, or
// fields, which then have yaml tags.
func eitherWay(v reflect.Value, n ast.Node) bool {
	if _, mapping := n.(*ast.MappingNode); !mapping || v.Kind() != reflect.Struct {
		return false
	}
	for i := range v.NumField() {
		if tag := v.Type().Field(i).Tag.Get("yaml"); tag != "" && tag != "-" {
			return true
		}
	}
	return false
}

func (f field) kind(v reflect.Value, n ast.Node) error {
	switch v.Kind() {
	case reflect.Struct:
		return f.fields(v, n)
	case reflect.Map:
		return f.entries(v, n)
	case reflect.Slice:
		return f.list(v, n)
	case reflect.Interface:
		free, err := f.free(n)
		if err == nil && free != nil {
			v.Set(reflect.ValueOf(free))
		}
		return err
	case reflect.Bool:
		b, ok := n.(*ast.BoolNode)
		if !ok {
			return f.mismatch(n, "true or false")
		}
		v.SetBool(b.Value)
		return nil
	case reflect.String:
		return f.text(v, n)
	}
	return f.number(v, n)
}

func (f field) text(v reflect.Value, n ast.Node) error {
	text, ok := scalar(n)
	switch n.(type) {
	case *ast.StringNode, *ast.LiteralNode:
	default:
		if ok {
			return f.fault(n, "expected text: put %s in quotes", text)
		}
		return f.mismatch(n, "text")
	}
	if f.path {
		text = f.resolve(text)
	}
	v.SetString(text)
	return nil
}

// resolve makes a path relative to the file one that can be opened from anywhere.
func (s source) resolve(path string) string {
	if path == "" || filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(s.dir, path)
}

// decimal leaves out 0x1f, 010 and 1_000, which programs read in different ways.
var decimal = regexp.MustCompile(`^-?(0|[1-9][0-9]*)$`)

func (f field) number(v reflect.Value, n ast.Node) error {
	text, _ := scalar(n)
	switch n.(type) {
	case *ast.IntegerNode, *ast.FloatNode:
	default:
		return f.mismatch(n, "a number")
	}
	if v.CanFloat() {
		x, err := strconv.ParseFloat(text, 64)
		if err != nil || v.OverflowFloat(x) {
			return f.fault(n, "%s is not a number that can be used here", text)
		}
		v.SetFloat(x)
		return nil
	}
	if !decimal.MatchString(text) {
		return f.fault(n, "%s is not a whole number in its plain form", text)
	}
	switch {
	case v.CanInt():
		i, err := strconv.ParseInt(text, 10, 64)
		if err != nil || v.OverflowInt(i) {
			return f.fault(n, "%s is too large or too small", text)
		}
		v.SetInt(i)
	case v.CanUint():
		u, err := strconv.ParseUint(text, 10, 64)
		if err != nil || v.OverflowUint(u) {
			return f.fault(n, "%s is negative or too large", text)
		}
		v.SetUint(u)
	default:
		return f.fault(n, "a %s cannot be configured", v.Type())
	}
	return nil
}

func (f field) list(v reflect.Value, n ast.Node) error {
	l, ok := n.(*ast.SequenceNode)
	if !ok {
		return f.mismatch(n, "a list")
	}
	out := reflect.MakeSlice(v.Type(), len(l.Values), len(l.Values))
	for i, item := range l.Values {
		if item == nil || item.Type() == ast.NullType {
			return f.fault(item, "an empty entry in a list")
		}
		f.key = item
		if err := f.value(out.Index(i), item); err != nil {
			return err
		}
	}
	v.Set(out)
	return nil
}

func (f field) entries(v reflect.Value, n ast.Node) error {
	m, ok := n.(*ast.MappingNode)
	if !ok {
		return f.mismatch(n, "names with values")
	}
	out := reflect.MakeMapWithSize(v.Type(), len(m.Values))
	for _, e := range m.Values {
		key := reflect.New(v.Type().Key()).Elem()
		if err := (field{source: f.source}).value(key, e.Key); err != nil {
			return err
		}
		item := reflect.New(v.Type().Elem()).Elem()
		f.key = e.Key
		if err := f.value(item, e.Value); err != nil {
			return err
		}
		out.SetMapIndex(key, item)
	}
	v.Set(out)
	return nil
}

func (f field) fields(v reflect.Value, n ast.Node) error {
	m, ok := n.(*ast.MappingNode)
	if !ok {
		return f.mismatch(n, "fields with values")
	}
	names, byName := fieldsOf(v.Type())
	for _, e := range m.Values {
		name := e.Key.(*ast.StringNode).Value // source.plain refused all other keys
		at, ok := byName[name]
		if !ok {
			return f.fault(e.Key, "unknown field %q%s", name, hint(name, names))
		}
		inner := field{source: f.source, name: name, path: at.path, key: e.Key}
		if err := inner.value(v.Field(at.index), e.Value); err != nil {
			return err
		}
	}
	if r, ok := v.Addr().Interface().(PathResolver); ok {
		r.ResolvePaths(f.resolve)
	}
	return nil
}

// PathResolver is a struct of a module's Config in which another field decides whether a text is a path. It is called
// when its fields are filled, with the function that makes a path relative to the file one that can be opened.
type PathResolver interface {
	ResolvePaths(resolve func(string) string)
}

type fieldAt struct {
	index int
	path  bool
}

// fieldsOf lists the names that a struct takes, in order.
func fieldsOf(t reflect.Type) (names []string, byName map[string]fieldAt) {
	byName = map[string]fieldAt{}
	for i := range t.NumField() {
		name, options, _ := strings.Cut(t.Field(i).Tag.Get("yaml"), ",")
		if !t.Field(i).IsExported() || name == "-" {
			continue
		}
		if name == "" {
			name = strings.ToLower(t.Field(i).Name)
		}
		names = append(names, name)
		byName[name] = fieldAt{i, slices.Contains(strings.Split(options, ","), "path")}
	}
	return names, byName
}

// free gives text, bool, int64, float64, []any or map[string]any.
func (f field) free(n ast.Node) (any, error) {
	switch n := n.(type) {
	case *ast.MappingNode:
		out := map[string]any{}
		err := f.value(reflect.ValueOf(&out).Elem(), n)
		return out, err
	case *ast.SequenceNode:
		out := []any{}
		err := f.value(reflect.ValueOf(&out).Elem(), n)
		return out, err
	case *ast.BoolNode:
		return n.Value, nil
	case *ast.IntegerNode:
		var out int64
		err := f.value(reflect.ValueOf(&out).Elem(), n)
		return out, err
	case *ast.FloatNode:
		return n.Value, nil
	case *ast.StringNode:
		return n.Value, nil
	case *ast.LiteralNode:
		return n.Value.Value, nil
	}
	return nil, f.mismatch(n, "a value")
}

// scalar gives the text of a value that is not a list and has no fields, as it was written.
func scalar(n ast.Node) (string, bool) {
	switch n := n.(type) {
	case *ast.StringNode:
		return n.Value, true
	case *ast.LiteralNode:
		return n.Value.Value, true
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode, *ast.InfinityNode, *ast.NanNode:
		return n.GetToken().Value, true
	}
	return "", false
}

// mismatch says what was expected. It does not repeat what was found: it may have been a secret in the wrong place.
func (f field) mismatch(n ast.Node, expected string) error {
	found := "something else"
	switch n.(type) {
	case *ast.MappingNode:
		found = "fields"
	case *ast.SequenceNode:
		found = "a list"
	case *ast.StringNode, *ast.LiteralNode:
		found = "text"
	case *ast.IntegerNode, *ast.FloatNode, *ast.InfinityNode, *ast.NanNode:
		found = "a number"
	case *ast.BoolNode:
		found = "true or false"
	}
	return f.fault(n, "expected %s, found %s", expected, found)
}

// set parses the text of a value into a type that is not ours.
func set[T any](f field, v reflect.Value, n ast.Node, parse func(string) (T, error)) error {
	text, ok := scalar(n)
	if !ok {
		return f.mismatch(n, "one value")
	}
	x, err := parse(text)
	if err != nil {
		return f.fault(n, "%w", err)
	}
	v.Set(reflect.ValueOf(x))
	return nil
}
