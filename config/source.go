package config

import (
	"bytes"
	"errors"
	"unicode/utf8"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
)

// source is the file that a value comes from: its name for errors, its folder for relative paths.
type source struct{ name, dir string }

// maxDepth bounds how deep the file may be nested.
const maxDepth = 64

// parse gives the root of the one document, nil if there is nothing in it, and refuses the parts of YAML in which a file
// can mean something else than it shows.
func (s source) parse(text []byte) (root ast.Node, err error) {
	text = bytes.TrimPrefix(text, []byte("\uFEFF")) // some editors on Windows write it
	if !utf8.Valid(text) {
		return nil, s.fault(nil, "the file is not UTF-8 text")
	}
	if i := bytes.IndexFunc(text, isControl); i >= 0 {
		return nil, s.fault(nil, "the file holds the control character %#U on line %d", text[i], 1+bytes.Count(text[:i], []byte("\n")))
	}
	// The parser is not ours: if it falls over a file, that file is refused and nothing else happens.
	defer func() {
		if recover() != nil {
			root, err = nil, s.fault(nil, "this is not YAML that can be read")
		}
	}()
	file, err := parser.ParseBytes(text, 0)
	if err != nil {
		return nil, s.syntax(err)
	}
	for _, doc := range file.Docs {
		switch {
		case doc.Body == nil:
		case doc.Body.Type() == ast.DirectiveType:
			return nil, s.fault(doc.Body, "directives are not taken")
		case root != nil:
			return nil, s.fault(doc.Body, "a second document: the file must hold one")
		default:
			root = doc.Body
		}
	}
	return root, s.plain(root, 0)
}

func isControl(r rune) bool { return r < ' ' && r != '\n' && r != '\r' && r != '\t' || r == 0x7f }

// syntax keeps the message and the place of the parser's error, and drops its copy of the lines around.
func (s source) syntax(err error) error {
	var e yaml.Error
	if errors.As(err, &e) && e.GetToken() != nil {
		return s.faultAt(e.GetToken().Position, "%s", e.GetMessage())
	}
	return s.fault(nil, "this is not YAML that can be read")
}

// plain refuses anchors, aliases, merges, tags and complex keys everywhere, in the modules' sections too. The parser has
// refused duplicate keys already, however they are quoted.
func (s source) plain(n ast.Node, depth int) error {
	if depth > maxDepth {
		return s.fault(n, "nested deeper than %d", maxDepth)
	}
	switch n := n.(type) {
	case *ast.MappingNode:
		for _, v := range n.Values {
			if v.Key.IsMergeKey() {
				return s.fault(v.Key, "merges are not taken: write the fields out")
			}
			if _, ok := v.Key.(*ast.StringNode); !ok {
				return s.fault(v.Key, "a field's name is plain text; put a number in quotes")
			}
			if err := s.plain(v.Value, depth+1); err != nil {
				return err
			}
		}
	case *ast.SequenceNode:
		for _, v := range n.Values {
			if err := s.plain(v, depth+1); err != nil {
				return err
			}
		}
	case *ast.AnchorNode, *ast.AliasNode:
		return s.fault(n, "anchors and aliases are not taken: write the value out")
	case *ast.TagNode:
		return s.fault(n, "tags are not taken")
	case nil, *ast.NullNode, *ast.BoolNode, *ast.IntegerNode, *ast.FloatNode, *ast.StringNode, *ast.LiteralNode:
	default:
		return s.fault(n, "this kind of value is not taken")
	}
	return nil
}
