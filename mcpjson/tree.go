package mcpjson

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/tailscale/hujson"
)

// kind is a kind of JSON value.
type kind byte

const (
	null kind = iota
	boolean
	number
	text
	list
	object
)

// node is a value with the line that it begins on.
type node struct {
	kind    kind
	line    int
	text    string // of a text or number
	yes     bool   // of a boolean
	items   []node
	members []member
}

type member struct {
	name string
	line int
	node
}

func (n node) member(name string) (node, bool) {
	for _, m := range n.members {
		if m.name == name {
			return m.node, true
		}
	}
	return node{}, false
}

func (n node) sorted() []member {
	return slices.SortedFunc(slices.Values(n.members), func(a, b member) int { return strings.Compare(a.name, b.name) })
}

// maxNested bounds how many lists and objects a file holds, and so how deep they can be nested: the parser that knows
// comments goes down by recursion.
const maxNested = 10_000

// parse reads JSON with comments and trailing commas, strictly in everything else.
func parse(b []byte) (node, error) {
	b = bytes.TrimPrefix(b, []byte("\uFEFF")) // some editors on Windows write it
	switch {
	case len(b) > MaxFile:
		return node{}, faultAt(0, "it is larger than %d bytes", MaxFile)
	case !utf8.Valid(b):
		return node{}, faultAt(0, "it is not UTF-8 text: save it as UTF-8")
	case bytes.Count(b, []byte("{"))+bytes.Count(b, []byte("[")) > maxNested:
		return node{}, faultAt(0, "it holds more than %d lists and objects", maxNested)
	}
	v, err := hujson.Parse(b)
	if err != nil {
		line := 0
		_, _ = fmt.Sscanf(err.Error(), "hujson: line %d,", &line) // no line: it is about the file
		return node{}, faultAt(line, "this is not JSON: look for a missing quote, comma or bracket")
	}
	v.Standardize() // in place of comments stand spaces, so offsets and lines are those of the file
	p := parser{text: v.Pack()}
	p.in = jsontext.NewDecoder(bytes.NewReader(p.text))
	n, err := p.value()
	if errors.Is(err, jsontext.ErrDuplicateName) {
		return node{}, faultAt(p.line(p.in.InputOffset()), "a name stands twice in one object: leave one of them")
	}
	if err != nil {
		return node{}, faultAt(p.line(p.in.InputOffset()), "this is not JSON: look for what is wrong with the next value")
	}
	return n, nil
}

type parser struct {
	text []byte
	in   *jsontext.Decoder
}

// line gives the line of the next thing that is not white space or a separator from an offset on.
func (p *parser) line(offset int64) int {
	rest := p.text[offset:]
	skip := len(rest) - len(bytes.TrimLeft(rest, " \t\r\n,:"))
	return 1 + bytes.Count(p.text[:int(offset)+skip], []byte("\n"))
}

func (p *parser) value() (node, error) {
	n := node{line: p.line(p.in.InputOffset())}
	t, err := p.in.ReadToken()
	if err != nil {
		return n, err
	}
	switch t.Kind() {
	case 'n':
	case 't', 'f':
		n.kind, n.yes = boolean, t.Bool()
	case '0':
		n.kind, n.text = number, t.String()
	case '"':
		n.kind, n.text = text, t.String()
	case '[':
		n.kind = list
		for p.in.PeekKind() != ']' {
			item, err := p.value()
			if err != nil {
				return n, err
			}
			n.items = append(n.items, item)
		}
		_, err = p.in.ReadToken()
	case '{':
		n.kind = object
		for p.in.PeekKind() != '}' {
			m := member{line: p.line(p.in.InputOffset())}
			name, err := p.in.ReadToken()
			if err != nil {
				return n, err
			}
			m.name = name.String()
			if m.node, err = p.value(); err != nil {
				return n, err
			}
			n.members = append(n.members, m)
		}
		_, err = p.in.ReadToken()
	}
	return n, err
}
