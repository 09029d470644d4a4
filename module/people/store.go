package people

import (
	"context"
	"embed"
	"fmt"

	"gatehouse/gate"
	"gatehouse/store"
)

//go:embed sqlite/*.sql postgres/*.sql
var migrations embed.FS

// record is one row of person. Its version is that of the whole map: being disabled raises it as a changed grant does, so
// that whoever compares versions notices both.
type record struct {
	id            gate.PersonID
	version       int64
	email         string // as it was written, with the domain in lower case
	name          string
	administrator bool
	active        bool
}

// grant is one row of permission: a grant, and what became of it. The row stays when the grant is taken away, so
// that its version never starts again.
type grant struct {
	id       int64
	version  int64
	person   gate.PersonID
	number   gate.KeyNumber
	tool     gate.ToolName // for people who read the table; the number decides
	decision gate.Decision
}

// rows is all the SQL of people and permissions.
type rows struct{ db *store.DB }

func scanRecord(r *record, scan func(...any) error) error {
	return scan(&r.id, &r.version, &r.email, &r.name, &r.administrator, &r.active)
}

func scanGrant(g *grant, scan func(...any) error) error {
	var word string
	if err := scan(&g.id, &g.version, &g.person, &g.number, &g.tool, &word); err != nil {
		return err
	}
	var ok bool
	if g.decision, ok = decisions[word]; !ok {
		return fmt.Errorf("permission %d says %q", g.id, word)
	}
	return nil
}

// into appends each row of a reading to a list.
func into[T any](list *[]T, one func(*T, func(...any) error) error) func(func(...any) error) error {
	return func(scan func(...any) error) error {
		var x T
		if err := one(&x, scan); err != nil {
			return err
		}
		*list = append(*list, x)
		return nil
	}
}

// all reads everything, for the start.
func (r rows) all(ctx context.Context) (people []record, grants []grant, err error) {
	err = r.db.All(ctx, into(&people, scanRecord), `SELECT id, version, email, name, administrator, active FROM person`)
	if err != nil {
		return nil, nil, fmt.Errorf("reading the people: %w", err)
	}
	err = r.db.All(ctx, into(&grants, scanGrant), `SELECT id, version, person, number, tool, decision FROM permission`)
	if err != nil {
		return nil, nil, fmt.Errorf("reading the permissions: %w", err)
	}
	return people, grants, nil
}

// changes is how often the tables were written by any replica. PostgreSQL only.
func (r rows) changes(ctx context.Context) (n int64, err error) {
	err = r.db.Get(ctx, []any{&n}, `SELECT n FROM change`)
	return n, err
}

// one reads a person and all rows of their map. No such person is outcome.NotFound.
func (rows) one(ctx context.Context, q store.Queries, id gate.PersonID) (r record, grants []grant, err error) {
	err = q.Get(ctx, []any{&r.id, &r.version, &r.email, &r.name, &r.administrator, &r.active},
		`SELECT id, version, email, name, administrator, active FROM person WHERE id = $1`, id)
	if err != nil {
		return r, nil, fmt.Errorf("reading person %d: %w", id, err)
	}
	err = q.All(ctx, into(&grants, scanGrant),
		`SELECT id, version, person, number, tool, decision FROM permission WHERE person = $1`, id)
	if err != nil {
		return r, nil, fmt.Errorf("reading the permissions of person %d: %w", id, err)
	}
	return r, grants, nil
}

// add is outcome.Conflict where the folded address is taken.
func (rows) add(ctx context.Context, q store.Queries, r record, folded string) (gate.PersonID, error) {
	id, err := q.Insert(ctx, `INSERT INTO person (id, version, email, folded, name, administrator, active)
		VALUES ($1, 1, $2, $3, $4, $5, TRUE) ON CONFLICT (id) DO NOTHING`, r.email, folded, r.name, r.administrator)
	return gate.PersonID(id), err
}

// raise takes the map's next version: outcome.Conflict where the person's version is another one.
func (rows) raise(ctx context.Context, q store.Queries, id gate.PersonID, version int64) error {
	return q.Update(ctx, `UPDATE person SET version = version + 1 WHERE id = $1 AND version = $2`, id, version)
}

// activate enables or disables: outcome.Conflict where the person's version is another one.
func (rows) activate(ctx context.Context, q store.Queries, id gate.PersonID, version int64, active bool) error {
	return q.Update(ctx, `UPDATE person SET version = version + 1, active = $1 WHERE id = $2 AND version = $3`, active, id, version)
}

// administratorsBesides counts the active ones.
func (rows) administratorsBesides(ctx context.Context, q store.Queries, id gate.PersonID) (n int64, err error) {
	err = q.Get(ctx, []any{&n}, `SELECT COUNT(*) FROM person WHERE administrator AND active AND id <> $1`, id)
	return n, err
}

// permit adds a grant, or gives an existing one another decision: outcome.Conflict where its version is another one.
func (rows) permit(ctx context.Context, q store.Queries, g grant) (err error) {
	if g.id == 0 {
		_, err = q.Insert(ctx, `INSERT INTO permission (id, version, person, number, tool, decision)
			VALUES ($1, 1, $2, $3, $4, $5) ON CONFLICT (id) DO NOTHING`, g.person, g.number, g.tool, word(g.decision))
		return err
	}
	return q.Update(ctx, `UPDATE permission SET version = version + 1, tool = $1, decision = $2 WHERE id = $3 AND version = $4`,
		g.tool, word(g.decision), g.id, g.version)
}
