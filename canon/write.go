package canon

import (
	"bytes"
	"cmp"
	"slices"
	"sync"

	"github.com/go-json-experiment/json/jsontext"
)

// writer writes the canonical form of src, which the library has found to be valid JSON, to dst.
type writer struct {
	src, dst []byte
	members  []member // of all objects that are open, one after the other
	names    [][]byte // the unescaped names of those members that were spelled with an escape
	order    []int32  // of the members of the object that is being sorted
	scratch  []byte
	fault    *fault // set once; then everything returns
}

// member is where one member of an open object stands in dst.
type member struct {
	begin, end int    // from the quote of the name to the end of the value
	name       int    // where the name's closing quote stands
	prefix     uint64 // of the name, to be compared first
	unescaped  int    // 1 + where in writer.names the name stands if its spelling holds an escape
}

// writers keeps buffers between calls, and nothing that was in them is read again.
var writers = sync.Pool{New: func() any { return new(writer) }}

// canonicalText writes the canonical form of src. The error's place is an offset into src.
func canonicalText(src []byte) (string, *fault) {
	w := writers.Get().(*writer)
	w.src, w.dst, w.members, w.names, w.fault = src, w.dst[:0], w.members[:0], w.names[:0], nil
	w.value(w.space(0), 0)
	text, f := "", w.fault
	if f == nil {
		text = string(w.dst)
	}
	w.src = nil
	clear(w.names)
	if cap(w.dst) <= most && cap(w.scratch) <= most {
		writers.Put(w)
	}
	return text, f
}

// most is how large a buffer may be that waits for its next use.
const most = 64 << 10

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
	first, names, sorted := len(w.members), len(w.names), true
	w.dst = append(w.dst, '{')
	for i = w.space(i + 1); w.src[i] != '}'; {
		if w.src[i] == ',' {
			w.dst = append(w.dst, ',')
			i = w.space(i + 1)
		}
		if i = w.member(i, depth); w.fault != nil {
			return i
		}
		if n := len(w.members); sorted && n-first > 1 {
			sorted = w.compare(&w.members[n-2], &w.members[n-1]) < 0
		}
	}
	if !sorted {
		w.sort(w.members[first:])
	}
	w.members, w.names = w.members[:first], w.names[:names]
	w.dst = append(w.dst, '}')
	return i + 1
}

// member writes one name with its value and notes where it stands.
func (w *writer) member(i, depth int) int {
	m, at := member{begin: len(w.dst)}, i
	i = w.str(i)
	m.name = len(w.dst) - 1
	name := w.dst[m.begin+1 : m.name]
	if bytes.IndexByte(name, '\\') >= 0 {
		name, _ = jsontext.AppendUnquote(nil, w.dst[m.begin:])
		// Parsers written in C see only what stands before it: two names would become one behind our back.
		if bytes.IndexByte(name, 0) >= 0 {
			return w.fail(at, "a name must not hold U+0000")
		}
		w.names = append(w.names, name)
		m.unescaped = len(w.names)
	}
	m.prefix = prefix(name)
	w.dst = append(w.dst, ':')
	i = w.value(w.space(w.space(i)+1), depth) // past the colon
	if w.fault != nil {
		return i
	}
	m.end = len(w.dst)
	w.members = append(w.members, m)
	return w.space(i)
}

// prefix gives the first eight bytes of a name as a number in the order of names; a shorter one is filled with zeros.
func prefix(name []byte) (p uint64) {
	n := min(len(name), 8)
	for _, c := range name[:n] {
		p = p<<8 | uint64(inUTF16(c))
	}
	return p << (8 * (8 - n))
}

// inUTF16 moves a byte of UTF-8 so that the order of bytes is that of UTF-16's code units: U+E000 to U+FFFF (0xEE and 0xEF
// here) come after what UTF-16 writes with surrogates (0xF0 to 0xF4).
func inUTF16(c byte) byte {
	if c == 0xEE || c == 0xEF {
		return c + 8
	}
	return c
}

func (w *writer) compare(a, b *member) int {
	if a.prefix != b.prefix {
		return cmp.Compare(a.prefix, b.prefix)
	}
	return compareUTF16(w.nameOf(a), w.nameOf(b))
}

func (w *writer) nameOf(m *member) []byte {
	if m.unescaped > 0 {
		return w.names[m.unescaped-1]
	}
	return w.dst[m.begin+1 : m.name]
}

// sort brings the members, which stand one after the other in dst, into the order of their names.
func (w *writer) sort(members []member) {
	w.order = w.order[:0]
	for i := range members {
		w.order = append(w.order, int32(i))
	}
	if len(members) <= 16 {
		w.insertionSort(members)
	} else {
		slices.SortFunc(w.order, func(a, b int32) int { return w.compare(&members[a], &members[b]) })
	}
	w.scratch = w.scratch[:0]
	for i, k := range w.order {
		if i > 0 {
			w.scratch = append(w.scratch, ',')
		}
		w.scratch = append(w.scratch, w.dst[members[k].begin:members[k].end]...)
	}
	copy(w.dst[members[0].begin:], w.scratch)
}

// insertionSort is what SortFunc does with so few, in half the time.
func (w *writer) insertionSort(members []member) {
	for i, k := range w.order {
		for ; i > 0 && w.compare(&members[k], &members[w.order[i-1]]) < 0; i-- {
			w.order[i] = w.order[i-1]
		}
		w.order[i] = k
	}
}

// compareUTF16 orders two names in UTF-8 by their UTF-16 code units, as RFC 8785 wants.
func compareUTF16(a, b []byte) int {
	for i := range min(len(a), len(b)) {
		if a[i] != b[i] {
			return cmp.Compare(inUTF16(a[i]), inUTF16(b[i]))
		}
	}
	return cmp.Compare(len(a), len(b))
}
