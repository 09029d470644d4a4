// Package note keeps a person's short notes for their agents. It must never show one person's note to another.
package note

import (
	"context"

	"gatehouse/gate"
	"gatehouse/module"
)

var readKey, writeKey = gate.NewKey("note/read"), gate.NewKey("note/write")

// Config is the section modules.note. There is nothing to set yet.
type Config struct{}

// Module offers note.read and note.write.
type Module struct{ notes notes }

// New opens the notes.
func New(ctx context.Context, kit module.Kit, _ Config) (*Module, error) {
	db, err := kit.Open(ctx, migrations)
	return &Module{notes{db}}, err
}

// Name implements [gate.Module].
func (*Module) Name() string { return "note" }

// Tools implements [gate.Module].
func (m *Module) Tools() []gate.Tool {
	return []gate.Tool{
		gate.AccessControlled("read", readKey, gate.Spec{
			Title: "Read a note", Description: "Gives one of the person's notes.", Effect: gate.Reads,
		}, m.read),
		gate.AccessControlled("write", writeKey, gate.Spec{
			Title: "Write a note", Description: "Adds a note, or replaces the version of it that was seen.", Effect: gate.Writes,
		}, m.write),
	}
}

type readArgs struct {
	ID int64 `json:"id" jsonschema:"the note's id"`
}

func (m *Module) read(ctx context.Context, p gate.Permit, a readArgs) (Note, error) {
	return m.notes.get(ctx, p.Person(), a.ID)
}

func (m *Module) write(ctx context.Context, p gate.Permit, n Note) (Note, error) {
	return m.notes.put(ctx, p.Person(), n)
}
