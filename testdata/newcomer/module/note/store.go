package note

import (
	"context"
	"embed"

	"gatehouse/gate"
	"gatehouse/store"
)

//go:embed sqlite postgres
var migrations embed.FS

// Note is one note of one person.
type Note struct {
	ID      int64  `json:"id,omitzero" jsonschema:"left out: a new note"`
	Version int64  `json:"version,omitzero" jsonschema:"the version that is replaced"`
	Text    string `json:"text" kind:"text" carries:"content"`
}

// notes is all the SQL of this module.
type notes struct{ db *store.DB }

// get is outcome.NotFound where there is no such note, and where it is another person's.
func (s notes) get(ctx context.Context, owner gate.PersonID, id int64) (Note, error) {
	n := Note{ID: id}
	err := s.db.Get(ctx, []any{&n.Version, &n.Text}, `SELECT version, text FROM note WHERE owner = $1 AND id = $2`, int64(owner), id)
	return n, err
}

// put adds a note without an id, or replaces the version that the caller saw; a newer one is outcome.Conflict.
func (s notes) put(ctx context.Context, owner gate.PersonID, n Note) (_ Note, err error) {
	if n.ID == 0 {
		n.Version = 0
		n.ID, err = s.db.Insert(ctx, `INSERT INTO note (id, owner, version, text) VALUES ($1, $2, 1, $3) ON CONFLICT (id) DO NOTHING`,
			int64(owner), n.Text)
	} else {
		err = s.db.Update(ctx, `UPDATE note SET version = version + 1, text = $1 WHERE owner = $2 AND id = $3 AND version = $4`,
			n.Text, int64(owner), n.ID, n.Version)
	}
	n.Version++
	return n, err
}
