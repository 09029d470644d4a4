package config

import (
	"bytes"
	"errors"
	"fmt"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/token"
)

// Entry is something to be added to a file under a name: fields with values, and comments above them.
type Entry struct {
	Name     string
	Comments []string
	Fields   []EntryField
}

// EntryField is one field of an Entry. Its value is a string, a bool, a []string, or a map of names to such values.
type EntryField struct {
	Name  string
	Value any
}

// Insert adds entries to the mapping that lies at a path in a file's text, and makes the mappings that are not there yet.
// Everything else stays as it is, comments too. A name that is there already is an error, and so is a file in which no
// safe place is found: what comes out is read again and must be what was there with the entries and nothing more.
func Insert(file string, old []byte, path []string, entries []Entry) ([]byte, error) {
	s := source{name: file, dir: filepath.Dir(file)}
	root, err := s.parse(old)
	if err != nil {
		return nil, err
	}
	at, rest := root, path
	var key ast.Node // of the mapping at
	for len(rest) > 0 {
		m, ok := at.(*ast.MappingNode)
		if !ok {
			break
		}
		i := slices.IndexFunc(m.Values, func(v *ast.MappingValueNode) bool { return v.Key.(*ast.StringNode).Value == rest[0] })
		if i < 0 {
			break
		}
		key, at, rest = m.Values[i].Key, m.Values[i].Value, rest[1:]
	}
	if m, ok := at.(*ast.MappingNode); ok && len(rest) == 0 {
		for _, v := range m.Values {
			name := v.Key.(*ast.StringNode).Value
			if slices.ContainsFunc(entries, func(e Entry) bool { return e.Name == name }) {
				return nil, s.fault(v.Key, "%q stands there already", name)
			}
		}
	}
	text, err := s.place(old, at, key, rest, entries)
	if err != nil {
		return nil, err
	}
	if len(text) > maxFile {
		return nil, s.fault(nil, "it would be larger than %d bytes", maxFile)
	}
	if err := s.onlyAdded(root, text, path, entries); err != nil {
		return nil, s.fault(at, "this file is not written in a way that something can be added to: %w", err)
	}
	return text, nil
}

// place puts the entries into the text: at is the mapping, or nothing, under key, and rest the names that lie between.
func (s source) place(old []byte, at, key ast.Node, rest []string, entries []Entry) ([]byte, error) {
	end := "\n"
	if bytes.Contains(old, []byte("\r\n")) {
		end = "\r\n"
	}
	m, mapping := at.(*ast.MappingNode)
	switch {
	case mapping && m.IsFlowStyle:
		i, ok := offset(old, m.GetToken().Position)
		if !ok || old[i] != '{' {
			return nil, s.fault(at, "the place for it was not found")
		}
		flow := flowOf(rest, entries)
		if len(m.Values) > 0 {
			flow += ", "
		}
		return slices.Concat(old[:i+1], []byte(flow), old[i+1:]), nil
	case mapping && key == nil: // the whole file
		if len(old) > 0 && old[len(old)-1] != '\n' {
			old = append(slices.Clip(old), end...)
		}
		return append(slices.Clip(old), blockOf(rest, entries, position(m).Column-1, end)...), nil
	case mapping:
		return s.below(old, key, blockOf(rest, entries, position(m).Column-1, end), end)
	case at == nil && key == nil:
		if len(old) > 0 && old[len(old)-1] != '\n' {
			old = append(slices.Clip(old), end...)
		}
		return append(slices.Clip(old), blockOf(rest, entries, 0, end)...), nil
	case at == nil || at.Type() == ast.NullType:
		if key != nil {
			return s.below(old, key, blockOf(rest, entries, position(key).Column+1, end), end)
		}
	}
	return nil, s.fault(at, "expected fields with values")
}

// below puts lines under the line of a key, before the comments of what follows.
func (s source) below(old []byte, key ast.Node, lines, end string) ([]byte, error) {
	i, ok := offset(old, position(key))
	if !ok {
		return nil, s.fault(key, "the place for it was not found")
	}
	length := bytes.IndexByte(old[i:], '\n')
	if length < 0 {
		return slices.Concat(old, []byte(end), []byte(lines)), nil
	}
	return slices.Concat(old[:i+length+1], []byte(lines), old[i+length+1:]), nil
}

// offset finds a position in a text. Columns count characters.
func offset(text []byte, at *token.Position) (int, bool) {
	if at == nil {
		return 0, false
	}
	i := 0
	for range at.Line - 1 {
		n := bytes.IndexByte(text[i:], '\n')
		if n < 0 {
			return 0, false
		}
		i += n + 1
	}
	for range at.Column - 1 {
		_, n := utf8.DecodeRune(text[i:])
		i += n
	}
	return i, i < len(text)
}

// onlyAdded reads the new text and compares.
func (s source) onlyAdded(old ast.Node, text []byte, path []string, entries []Entry) error {
	now, err := s.parse(text)
	if err != nil {
		return err
	}
	was, is := map[string]any{}, map[string]any{}
	if err := errors.Join((field{source: s}).value(reflect.ValueOf(&was).Elem(), old), (field{source: s}).value(reflect.ValueOf(&is).Elem(), now)); err != nil {
		return err
	}
	into := was
	for _, name := range path {
		inner, ok := into[name].(map[string]any)
		if !ok {
			inner = map[string]any{}
			into[name] = inner
		}
		into = inner
	}
	for _, e := range entries {
		fields := map[string]any{}
		for _, f := range e.Fields {
			fields[f.Name] = free(f.Value)
		}
		into[e.Name] = fields
	}
	if !reflect.DeepEqual(was, is) {
		return errors.New("what would come out means something else")
	}
	return nil
}

// free is a value in the form in which the decoder gives one of any kind.
func free(v any) any {
	out := reflect.ValueOf(v)
	switch out.Kind() {
	case reflect.Slice:
		all := []any{}
		for i := range out.Len() {
			all = append(all, free(out.Index(i).Interface()))
		}
		return all
	case reflect.Map:
		all := map[string]any{}
		for _, k := range out.MapKeys() {
			all[k.String()] = free(out.MapIndex(k).Interface())
		}
		return all
	}
	return v
}

// blockOf writes entries under their names, a line for each field.
func blockOf(path []string, entries []Entry, indent int, end string) string {
	var b strings.Builder
	line := func(text string) { fmt.Fprintf(&b, "%*s%s%s", indent, "", text, end) }
	for _, name := range path {
		line(written(name) + ":")
		indent += 2
	}
	for _, e := range entries {
		line(written(e.Name) + ":")
		indent += 2
		for _, c := range e.Comments {
			line("# " + strings.Map(visibleOnly, c))
		}
		for _, f := range e.Fields {
			line(written(f.Name) + ": " + written(f.Value))
		}
		indent -= 2
	}
	return b.String()
}

// visibleOnly keeps a comment on its line.
func visibleOnly(r rune) rune {
	if !strconv.IsPrint(r) {
		return '?'
	}
	return r
}

// flowOf writes entries on one line, where a file writes its mapping in braces. There is no room for comments.
func flowOf(path []string, entries []Entry) string {
	var all []string
	for _, e := range entries {
		var fields []string
		for _, f := range e.Fields {
			fields = append(fields, written(f.Name)+": "+written(f.Value))
		}
		all = append(all, written(e.Name)+": {"+strings.Join(fields, ", ")+"}")
	}
	flow := strings.Join(all, ", ")
	for _, name := range slices.Backward(path) {
		flow = written(name) + ": {" + flow + "}"
	}
	return flow
}

// bare is text that every reader of YAML takes for that text without quotes, unless it is one of words.
var (
	bare  = regexp.MustCompile(`^[A-Za-z/][A-Za-z0-9_/.-]*$`)
	words = regexp.MustCompile(`(?i)^(true|false|yes|no|on|off|y|n|null|nan|inf)$`)
)

// written gives a value in YAML, on one line.
func written(v any) string {
	out := reflect.ValueOf(v)
	switch out.Kind() {
	case reflect.String:
		if text := out.String(); bare.MatchString(text) && !words.MatchString(text) {
			return text
		}
		return strconv.Quote(out.String()) // Go's escapes are YAML's too
	case reflect.Bool:
		return strconv.FormatBool(out.Bool())
	case reflect.Slice:
		var items []string
		for i := range out.Len() {
			items = append(items, written(out.Index(i).Interface()))
		}
		return "[" + strings.Join(items, ", ") + "]"
	case reflect.Map:
		var items []string
		for _, k := range slices.SortedFunc(slices.Values(out.MapKeys()), func(a, b reflect.Value) int { return strings.Compare(a.String(), b.String()) }) {
			items = append(items, written(k.String())+": "+written(out.MapIndex(k).Interface()))
		}
		return "{" + strings.Join(items, ", ") + "}"
	}
	panic(fmt.Sprintf("a %T cannot be written into a configuration", v))
}

// Mentions reports whether a file's text speaks of an environment variable, in whatever place.
func Mentions(text []byte, variable string) bool {
	return regexp.MustCompile(`(^|[^A-Za-z0-9_])` + regexp.QuoteMeta(variable) + `([^A-Za-z0-9_]|$)`).Match(text)
}
