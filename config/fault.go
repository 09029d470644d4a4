package config

import (
	"fmt"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/token"
)

// Error is what is wrong with a configuration file, and where.
type Error struct {
	File         string // as it was given to Load
	Line, Column int    // from 1; 0 if it is about the file as a whole
	Problem      error
}

// Error gives file:line:column: problem.
func (e *Error) Error() string {
	if e.Line == 0 {
		return fmt.Sprintf("%s: %v", e.File, e.Problem)
	}
	return fmt.Sprintf("%s:%d:%d: %v", e.File, e.Line, e.Column, e.Problem)
}

// Unwrap gives the problem without its place.
func (e *Error) Unwrap() error { return e.Problem }

// fault puts a problem at a node; without a node it is about the file.
func (s source) fault(at ast.Node, format string, args ...any) error {
	return s.faultAt(position(at), format, args...)
}

func (s source) faultAt(at *token.Position, format string, args ...any) error {
	e := &Error{File: s.name, Problem: fmt.Errorf(format, args...)}
	if at != nil {
		e.Line, e.Column = at.Line, at.Column
	}
	return e
}

// position gives where a node begins. The token of a block mapping is its first colon; its key is where people look.
func position(n ast.Node) *token.Position {
	if m, ok := n.(*ast.MappingNode); ok && !m.IsFlowStyle && len(m.Values) > 0 {
		n = m.Values[0].Key
	}
	if n == nil || n.GetToken() == nil {
		return nil
	}
	return n.GetToken().Position
}

// find follows keys and indexes down from a node; where the path ends early, it gives the last node that is there.
func find(n ast.Node, path []any) ast.Node {
	for _, step := range path {
		var next ast.Node
		switch step := step.(type) {
		case string:
			if m, ok := n.(*ast.MappingNode); ok {
				for _, v := range m.Values {
					if key, ok := v.Key.(*ast.StringNode); ok && key.Value == step {
						next = v.Value
					}
				}
			}
		case int:
			if l, ok := n.(*ast.SequenceNode); ok && step < len(l.Values) {
				next = l.Values[step]
			}
		}
		if next == nil {
			return n
		}
		n = next
	}
	return n
}
