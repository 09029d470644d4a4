package canon

import (
	"bytes"
	"slices"

	"github.com/go-json-experiment/json/jsontext"
)

// writer writes the canonical form of src, which the library has found to be valid JSON, to dst.
type writer struct {
	src, dst []byte
	members  []member // of all objects that are open, one after the other
	scratch  []byte
	fault    *fault // set once; then everything returns
}

// member is where one member of an open object stands in dst. A name is kept unescaped only if it holds an escape.
type member struct {
	begin, end int // from the quote of the name to the end of the value
	name       int // where the name's closing quote stands
	unescaped  []byte
}

func (w *writer) fail(at int, problem string) int {
	if w.fault == nil {
		w.fault = &fault{at, problem}
	}
	return len(w.src)
}

// space skips white space.
func (w *writer) space(i int) int {
	for i < len(w.src) && (w.src[i] == ' ' || w.src[i] == '\n' || w.src[i] == '\t' || w.src[i] == '\r') {
		i++
	}
	return i
}

// value writes the value that begins at i and returns the place after it.
func (w *writer) value(i, depth int) int {
	switch w.src[i] {
	case '{':
		return w.object(i, depth+1)
	case '[':
		return w.array(i, depth+1)
	case '"':
		return w.str(i)
	case 't', 'n':
		w.dst = append(w.dst, w.src[i:i+4]...)
		return i + 4
	case 'f':
		w.dst = append(w.dst, w.src[i:i+5]...)
		return i + 5
	}
	return w.number(i)
}

func (w *writer) number(i int) int {
	end := i
	for end < len(w.src) && numeric(w.src[end]) {
		end++
	}
	var problem string
	if w.dst, problem = appendNumber(w.dst, w.src[i:end]); problem != "" {
		return w.fail(i, problem)
	}
	return end
}

func numeric(c byte) bool {
	return '0' <= c && c <= '9' || c == '-' || c == '+' || c == '.' || c == 'e' || c == 'E'
}

// str writes the string whose opening quote stands at i.
func (w *writer) str(i int) int {
	end, asItIs := stringEnd(w.src, i)
	if asItIs {
		w.dst = append(w.dst, w.src[i:end]...)
		return end
	}
	text, err := jsontext.AppendUnquote(nil, w.src[i:end])
	if err == nil {
		w.dst, err = jsontext.AppendQuote(w.dst, text)
	}
	if err != nil {
		return w.fail(i, "not a JSON string")
	}
	return end
}

// stringEnd finds the place after the string whose opening quote stands at i, and whether its spelling is canonical: the
// only escapes in it are the two-letter ones that RFC 8785 uses (so \/ and \u are not).
func stringEnd(src []byte, i int) (end int, asItIs bool) {
	asItIs = true
	for i++; src[i] != '"'; i++ {
		if src[i] == '\\' {
			i++
			asItIs = asItIs && src[i] != 'u' && src[i] != '/'
		}
	}
	return i + 1, asItIs
}

func (w *writer) array(i, depth int) int {
	if depth > MaxDepth {
		return w.fail(i, tooDeep)
	}
	w.dst = append(w.dst, '[')
	for i = w.space(i + 1); w.fault == nil && w.src[i] != ']'; {
		if w.src[i] == ',' {
			w.dst = append(w.dst, ',')
			i = w.space(i + 1)
		}
		if i = w.value(i, depth); w.fault != nil {
			return i
		}
		i = w.space(i)
	}
	w.dst = append(w.dst, ']')
	return i + 1
}

const tooDeep = "more than 64 objects and arrays inside each other"

func (w *writer) object(i, depth int) int {
	if depth > MaxDepth {
		return w.fail(i, tooDeep)
	}
	first, sorted := len(w.members), true
	w.dst = append(w.dst, '{')
	for i = w.space(i + 1); w.src[i] != '}'; {
		if w.src[i] == ',' {
			w.dst = append(w.dst, ',')
			i = w.space(i + 1)
		}
		if i = w.member(i, depth); w.fault != nil {
			return i
		}
		if n := len(w.members); n-first > 1 && w.compare(w.members[n-2], w.members[n-1]) > 0 {
			sorted = false
		}
	}
	if !sorted {
		w.sort(w.members[first:])
	}
	w.members = w.members[:first]
	w.dst = append(w.dst, '}')
	return i + 1
}

// member writes one name with its value and notes where it stands.
func (w *writer) member(i, depth int) int {
	m := member{begin: len(w.dst)}
	at := i
	i = w.str(i)
	m.name = len(w.dst) - 1
	if name := w.dst[m.begin+1 : m.name]; bytes.IndexByte(name, '\\') >= 0 {
		m.unescaped, _ = jsontext.AppendUnquote(nil, w.dst[m.begin:])
		// Parsers written in C see only what stands before it: two names would become one behind our back.
		if bytes.IndexByte(m.unescaped, 0) >= 0 {
			return w.fail(at, "a name must not hold U+0000")
		}
	}
	w.dst = append(w.dst, ':')
	i = w.value(w.space(w.space(i)+1), depth) // past the colon
	if w.fault != nil {
		return i
	}
	m.end = len(w.dst)
	w.members = append(w.members, m)
	return w.space(i)
}

func (w *writer) nameOf(m member) []byte {
	if m.unescaped != nil {
		return m.unescaped
	}
	return w.dst[m.begin+1 : m.name]
}

func (w *writer) compare(a, b member) int { return compareUTF16(w.nameOf(a), w.nameOf(b)) }

// sort brings the members, which stand one after the other in dst, into the order of their names.
func (w *writer) sort(members []member) {
	begin, end := members[0].begin, members[len(members)-1].end
	slices.SortFunc(members, w.compare)
	w.scratch = w.scratch[:0]
	for i, m := range members {
		if i > 0 {
			w.scratch = append(w.scratch, ',')
		}
		w.scratch = append(w.scratch, w.dst[m.begin:m.end]...)
	}
	copy(w.dst[begin:end], w.scratch)
}

// compareUTF16 orders two UTF-8 texts by their UTF-16 code units, as RFC 8785 wants. That is the order of the bytes, but
// for what UTF-16 writes with surrogates (four bytes here): it comes before U+E000 to U+FFFF.
func compareUTF16(a, b []byte) int {
	n := min(len(a), len(b))
	for i := range n {
		if x, y := a[i], b[i]; x != y {
			if x >= 0xEE && y >= 0xEE && (x >= 0xF0) != (y >= 0xF0) {
				return int(y) - int(x)
			}
			return int(x) - int(y)
		}
	}
	return len(a) - len(b)
}
