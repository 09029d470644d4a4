package canon

import (
	"strconv"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
)

// The walkers read canonical text only, so they need no checks: no white space, valid strings, balanced brackets.

// Members gives each member of an object in canonical order, until yield says false; nothing if it is no object.
func (v Value) Members(yield func(name string, v Value) bool) {
	if !v.IsObject() {
		return
	}
	for i := 1; v.text[i] != '}'; {
		nameEnd := endOfString(v.text, i)
		end := endOfValue(v.text, nameEnd+1)
		if !yield(unquote(v.text[i:nameEnd]), Value{v.text[nameEnd+1 : end]}) {
			return
		}
		i = afterComma(v.text, end)
	}
}

// Keep gives the object with those of its members whose name keep wants; what is no object stays as it is.
func (v Value) Keep(keep func(name string) bool) Value {
	if !v.IsObject() {
		return v
	}
	var out strings.Builder // only once something was left out
	kept := true            // nothing was left out yet
	first := true           // of what was written
	for i := 1; v.text[i] != '}'; {
		nameEnd := endOfString(v.text, i)
		end := endOfValue(v.text, nameEnd+1)
		switch wanted := keep(unquote(v.text[i:nameEnd])); {
		case !wanted && kept:
			kept, first = false, i == 1
			out.Grow(len(v.text))
			out.WriteString(strings.TrimSuffix(v.text[:i], ","))
		case wanted && !kept:
			if !first {
				out.WriteByte(',')
			}
			first = false
			out.WriteString(v.text[i:end])
		}
		i = afterComma(v.text, end)
	}
	if kept {
		return v
	}
	out.WriteByte('}')
	return Value{out.String()}
}

// Elements gives each element of an array, until yield says false; nothing if it is no array.
func (v Value) Elements(yield func(i int, v Value) bool) {
	if v.IsZero() || v.text[0] != '[' {
		return
	}
	for i, n := 1, 0; v.text[i] != ']'; n++ {
		end := endOfValue(v.text, i)
		if !yield(n, Value{v.text[i:end]}) {
			return
		}
		i = afterComma(v.text, end)
	}
}

// Text gives the text of a string.
func (v Value) Text() (s string, ok bool) {
	if v.IsZero() || v.text[0] != '"' {
		return "", false
	}
	return unquote(v.text), true
}

// Member finds one member of an object by its exact name.
func (v Value) Member(name string) (found Value, ok bool) {
	for n, member := range v.Members {
		if n == name {
			return member, true
		}
	}
	return Value{}, false
}

// Lookup finds the value at a JSON Pointer (RFC 6901); "" is the whole.
func (v Value) Lookup(pointer string) (Value, bool) {
	if v.IsZero() || pointer != "" && pointer[0] != '/' {
		return Value{}, false
	}
	for pointer != "" {
		token, rest := pointer[1:], ""
		if n := strings.IndexByte(token, '/'); n >= 0 {
			token, rest = token[:n], token[n:]
		}
		var ok bool
		if v, ok = v.child(token); !ok {
			return Value{}, false
		}
		pointer = rest
	}
	return v, true
}

// child finds what one token of a JSON Pointer names: a member, or the element at a number without leading zeros.
func (v Value) child(token string) (found Value, ok bool) {
	name := strings.ReplaceAll(strings.ReplaceAll(token, "~1", "/"), "~0", "~")
	for n, member := range v.Members {
		if n == name {
			return member, true
		}
	}
	for n, element := range v.Elements {
		if strconv.Itoa(n) == token {
			return element, true
		}
	}
	return Value{}, false
}

// Strings gives every string that is a value, with its JSON Pointer, in canonical order, until yield says false.
func (v Value) Strings(yield func(pointer, s string) bool) {
	if !v.IsZero() {
		walk := walker{text: v.text, leaf: yield}
		walk.value(0)
	}
}

// Names gives the name of every member at any depth, with the JSON Pointer of the member, until yield says false.
func (v Value) Names(yield func(pointer, name string) bool) {
	if !v.IsZero() {
		walk := walker{text: v.text, name: yield}
		walk.value(0)
	}
}

// ReplaceStrings gives the value with every string value replaced by what cut gives for it. Names, numbers and the
// structure stay. What is not UTF-8 in the replacement becomes U+FFFD.
func (v Value) ReplaceStrings(cut func(pointer, s string) string) Value {
	var out []byte
	kept := 0
	walk := walker{text: v.text}
	walk.leaf = func(pointer, s string) bool {
		if r := cut(pointer, s); r != s {
			out = append(out, v.text[kept:walk.begin]...)
			out = appendQuote(out, r)
			kept = walk.end
		}
		return true
	}
	if !v.IsZero() {
		walk.value(0)
	}
	if kept == 0 {
		return v
	}
	return Value{string(append(out, v.text[kept:]...))}
}

// walker visits the strings of a canonical text.
type walker struct {
	text       string
	leaf, name func(pointer, s string) bool // either may be nil
	pointer    []byte                       // of what is being looked at
	begin, end int                          // of the string that leaf is looking at
	stop       bool
}

// value visits the value that begins at i and returns the place after it; once stop is set the place means nothing.
func (w *walker) value(i int) (end int) {
	switch w.text[i] {
	case '{':
		return w.object(i)
	case '[':
		return w.array(i)
	case '"':
		w.begin, w.end = i, endOfString(w.text, i)
		end = w.end
		if w.leaf != nil {
			w.stop = !w.leaf(string(w.pointer), unquote(w.text[i:end]))
		}
		return end
	}
	return endOfScalar(w.text, i)
}

func (w *walker) object(i int) int {
	above := len(w.pointer)
	for i++; w.text[i] != '}' && !w.stop; {
		end := endOfString(w.text, i)
		name := unquote(w.text[i:end])
		w.pointer = append(append(w.pointer, '/'), PointerToken(name)...)
		if w.name != nil {
			w.stop = !w.name(string(w.pointer), name)
		}
		if !w.stop {
			end = w.value(end + 1)
		}
		w.pointer = w.pointer[:above]
		if !w.stop {
			i = afterComma(w.text, end)
		}
	}
	return i + 1
}

func (w *walker) array(i int) int {
	above := len(w.pointer)
	i++
	for n := 0; w.text[i] != ']' && !w.stop; n++ {
		w.pointer = strconv.AppendInt(append(w.pointer, '/'), int64(n), 10)
		end := w.value(i)
		w.pointer = w.pointer[:above]
		if !w.stop {
			i = afterComma(w.text, end)
		}
	}
	return i + 1
}

func endOfString(text string, i int) int {
	for i++; text[i] != '"'; i++ {
		if text[i] == '\\' {
			i++
		}
	}
	return i + 1
}

// endOfScalar finds the end of a number, true, false or null.
func endOfScalar(text string, i int) int {
	for i < len(text) && text[i] != ',' && text[i] != ']' && text[i] != '}' {
		i++
	}
	return i
}

func endOfValue(text string, i int) int {
	for depth := 0; ; {
		switch text[i] {
		case '"':
			i = endOfString(text, i)
		case '{', '[':
			depth++
			i++
		case '}', ']':
			depth--
			i++
		case ',', ':':
			i++
		default:
			i = endOfScalar(text, i)
		}
		if depth == 0 {
			return i
		}
	}
}

func afterComma(text string, i int) int {
	if text[i] == ',' {
		return i + 1
	}
	return i
}

func unquote(quoted string) string {
	if strings.IndexByte(quoted, '\\') < 0 {
		return quoted[1 : len(quoted)-1]
	}
	b, _ := jsontext.AppendUnquote(nil, quoted) // canonical text always unquotes
	return string(b)
}

func appendQuote(dst []byte, s string) []byte {
	dst, err := jsontext.AppendQuote(dst, strings.ToValidUTF8(s, "\uFFFD"))
	if err != nil {
		panic("canon: valid UTF-8 was not quoted: " + err.Error())
	}
	return dst
}

// PointerToken gives a name as one token of a JSON Pointer (RFC 6901).
func PointerToken(name string) string {
	if !strings.ContainsAny(name, "~/") {
		return name
	}
	return strings.ReplaceAll(strings.ReplaceAll(name, "~", "~0"), "/", "~1")
}

// AppendString appends s as a canonical JSON string. What is not UTF-8 in it becomes U+FFFD.
func AppendString(dst []byte, s string) []byte { return appendQuote(dst, s) }
