package gate

import (
	"gatehouse/canon"
	"gatehouse/outcome"
)

// ExportNames opens the mapping of names to tests.
var ExportNames = exportNames

// Number opens what a store keeps of a key.
func (k Key) Number() KeyNumber { return k.number() }

// Check opens a schema's validation.
func (s Schema) Check(v canon.Value) []outcome.Fault { return s.s.check(v) }

// SchemaFor opens the schema that is made of a type.
func SchemaFor[T any]() (Schema, error) {
	s, err := schemaFor[T]()
	return Schema{s}, err
}

// Text is the schema as it was made.
func (s Schema) Text() string { return s.s.text() }

// Loosened is the schema as a result's is advertised.
func (s Schema) Loosened() (string, error) {
	loose := s.s.compiled.Schema().CloneSchemas()
	loosen(loose)
	v, err := canon.From(loose)
	return v.String(), err
}

// Resolve opens the following of links.
var Resolve = resolve

// Windows is how many minutes of refusals are counted now.
func (g *Gate) Windows() int {
	g.strangers.mu.Lock()
	defer g.strangers.mu.Unlock()
	return len(g.strangers.windows)
}
