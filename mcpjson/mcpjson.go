// Package mcpjson reads the JSON files in which MCP clients keep their servers (mcpServers of Claude, Cursor, Windsurf and
// Gemini, servers of VS Code, mcp of opencode) and says them as Gatehouse's configuration does. It must never start what a
// file names, and never hand on a value that could be a secret: what is not clearly harmless becomes a reference to a
// variable, or is left out and said.
//
// Comments and trailing commas, which editors write, are taken (github.com/tailscale/hujson); what is left must be strict
// JSON. Errors and notes name lines, servers and fields, never a value. Nothing here keeps state.
package mcpjson

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// MaxFile is the most bytes that a file may have.
const MaxFile = 1 << 20

// Server is one server of a file. Either Command or URL is there.
type Server struct {
	Was  string // its name in the file
	Name string // its name in the configuration
	Line int

	Command []string
	Env     map[string]string // values that are harmless
	EnvFrom map[string]Ref

	URL         string
	HeadersFrom map[string]Ref

	LeftOut []string // what had to be left out of the command or address, for a comment beside it
}

// Ref says where a secret is to be found. One of its fields is set.
type Ref struct{ Env, File string }

// Note is something that whoever takes a server over must know or do.
type Note struct {
	Line   int    `json:"line"`
	Server string `json:"server,omitzero"` // its name in the configuration; empty: it is about the file
	Text   string `json:"text"`
}

// Found is what a file holds.
type Found struct {
	Servers []Server
	Notes   []Note
	// Variables are those that must be set where Gatehouse runs, sorted.
	Variables []string
}

// Options are what the caller knows and a file does not.
type Options struct {
	Skip  []string                   // servers to leave out, by their names in the file
	Valid func(name string) error    // says whether a server may have this name
	Taken func(variable string) bool // says whether something else goes by this variable already; nil: nothing does
}

// Error is what cannot be taken over, and where it stands.
type Error struct {
	File    string
	Line    int // 0: it is about the file as a whole
	Problem string
}

// Error gives file:line: problem.
func (e *Error) Error() string {
	if e.Line == 0 {
		return e.File + ": " + e.Problem
	}
	return fmt.Sprintf("%s:%d: %s", e.File, e.Line, e.Problem)
}

// Read gives the servers of a file in the order of their names. file is its name for errors. What is not understood is
// refused as a whole: half a server is another server.
func Read(file string, text []byte, o Options) (Found, error) {
	root, err := parse(text)
	if err != nil {
		return Found{}, named(file, err)
	}
	list, where, err := servers(root)
	if err != nil {
		return Found{}, named(file, err)
	}
	r := &reader{names: names{valid: o.Valid, given: map[string]bool{}}, vars: newVariables(text, o.Taken)}
	if p, ok := root.member("projects"); ok && where == "mcpServers" {
		r.note(p.line, "", "servers of single projects (projects) are not taken over: put those that are wanted into a file of their own")
	}
	skipped := map[string]bool{}
	for _, m := range list.sorted() {
		if slices.Contains(o.Skip, m.name) {
			skipped[m.name] = true
			continue
		}
		if err := r.server(m); err != nil {
			return Found{}, named(file, err)
		}
	}
	for _, name := range o.Skip {
		if !skipped[name] {
			return Found{}, named(file, faultAt(list.line, "there is no server %q to leave out", name))
		}
	}
	if len(r.found.Servers) == 0 {
		return Found{}, named(file, faultAt(list.line, "%s holds no server that can be taken over", where))
	}
	r.found.Variables = r.vars.used()
	return r.found, nil
}

// named puts the file's name into an error of this package.
func named(file string, err error) error {
	var e *Error
	if errors.As(err, &e) {
		e.File = file
	}
	return err
}

func faultAt(line int, format string, args ...any) error {
	return &Error{Line: line, Problem: fmt.Sprintf(format, args...)}
}

// servers finds the one object that lists servers, under one of the names that clients give it.
func servers(root node) (list node, where string, err error) {
	if root.kind != object {
		return node{}, "", faultAt(root.line, "expected an object with mcpServers, servers or mcp in it")
	}
	var found []string
	take := func(n node, name string) {
		list, found = n, append(found, name)
	}
	if n, ok := root.member("mcpServers"); ok {
		take(n, "mcpServers")
	}
	if n, ok := root.member("servers"); ok {
		take(n, "servers")
	}
	if n, ok := root.member("mcp"); ok {
		inner, nested := n.member("servers")
		if _, server := inner.member("type"); nested && !server { // VS Code's settings.json; else opencode's
			take(inner, "mcp.servers")
		} else {
			take(n, "mcp")
		}
	}
	switch {
	case len(found) == 0:
		return node{}, "", faultAt(0, "there are no servers in it: expected mcpServers (Claude, Cursor, Windsurf, Gemini), servers (VS Code) or mcp (opencode)")
	case len(found) > 1:
		return node{}, "", faultAt(list.line, "it holds %s: leave one of them in a copy of the file", strings.Join(found, " and "))
	case list.kind != object:
		return node{}, "", faultAt(list.line, "%s must be an object with a server under each name", found[0])
	}
	return list, found[0], nil
}
