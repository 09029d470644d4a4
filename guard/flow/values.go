package flow

import (
	"iter"
	"strings"

	"gatehouse/canon"
)

// The kinds of what is remembered of a text; each has hashes of its own.
const (
	isAddress = 'a' // an address in its canonical form
	isPart    = 'p' // a run of letters and digits
	isPair    = 'q' // two runs that stood side by side
	isItem    = 'i' // a line, a field or an element as a whole
)

// Values is what is remembered of a text, each value once.
type Values struct {
	addresses []string
	parts     []string
	pairs     []string
	items     []string
	cut       bool // there was more than is looked at
}

// Extract reads the values of a text: of a result, or of the arguments of a call.
func Extract(text string) Values {
	r := newReader()
	r.read(text)
	return r.values
}

// ExtractValue reads the values of JSON: every string in it, every name of a member, every number.
func ExtractValue(v canon.Value) Values {
	r := newReader()
	for text := range leaves(v) {
		r.read(text)
	}
	for _, name := range v.Names {
		r.read(name)
	}
	return r.values
}

// leaves gives the strings, numbers, true and false of a JSON value.
func leaves(v canon.Value) iter.Seq[string] {
	return func(yield func(string) bool) { walk(v, yield) }
}

func walk(v canon.Value, yield func(string) bool) bool {
	switch text := v.String(); {
	case text == "" || text == "null":
	case text[0] == '"':
		s, _ := v.Text()
		return yield(s)
	case text[0] == '{':
		for _, member := range v.Members {
			if !walk(member, yield) {
				return false
			}
		}
	case text[0] == '[':
		for _, element := range v.Elements {
			if !walk(element, yield) {
				return false
			}
		}
	default:
		return yield(text)
	}
	return true
}

// reader collects values and knows which it has.
type reader struct {
	values                         Values
	addresses, parts, pairs, items map[string]struct{}
	length                         int
}

func newReader() reader {
	return reader{addresses: map[string]struct{}{}, parts: map[string]struct{}{}, pairs: map[string]struct{}{}, items: map[string]struct{}{}}
}

func add(to *[]string, seen map[string]struct{}, value string) {
	if _, known := seen[value]; !known {
		seen[value] = struct{}{}
		*to = append(*to, value)
	}
}

func (r *reader) read(text string) {
	if r.length += len(text); r.length > MaxText {
		r.values.cut = true
		return
	}
	all, whole := views(text)
	r.values.cut = r.values.cut || !whole
	for _, view := range all {
		addresses(view, func(a address) { add(&r.values.addresses, r.addresses, a.canonical) })
		last := ""
		for part := range parts(view) {
			add(&r.values.parts, r.parts, part)
			if last != "" {
				add(&r.values.pairs, r.pairs, last+" "+part)
			}
			last = part
		}
	}
	// Items release, so they are taken from the text as it stands alone.
	for line := range strings.FieldsFuncSeq(text, func(r rune) bool { return strings.ContainsRune("\n\r\t,;|\"'`[]{}", r) }) {
		r.item(line)
		if name, value, found := strings.Cut(line, ": "); found {
			r.item(name)
			r.item(value)
		}
	}
}

// longestItem is how many bytes a line may have to count as one value.
const longestItem = 80

func (r *reader) item(line string) {
	if len(line) > longestItem {
		return
	}
	if words := phrase(line); words != "" {
		add(&r.values.items, r.items, words)
	}
}
