package upstream

import (
	"context"
	"embed"
	"fmt"

	"gatehouse/store"
)

//go:embed sqlite/*.sql postgres/*.sql
var migrations embed.FS

// row is what is known of one tool of one server.
type row struct {
	id, version int64
	name        string // the server's own
	definition  string // canonical JSON, as it was last seen; empty: the server has it no more
	accepted    string // with which a call was last let through, or which a person accepted; empty: none yet
	rights      string // hash of the definition for which the rights to accepted were given; empty: accepted itself
}

// rows is all the SQL of this module.
type rows struct{ db *store.DB }

// of reads the rows of a server. Those of another command are given without definition and acceptance: they were of
// another program.
func (rows) of(ctx context.Context, q store.Queries, server, identity string) (map[string]row, error) {
	all := map[string]row{}
	err := q.All(ctx, func(scan func(...any) error) error {
		var r row
		var of string
		if err := scan(&r.id, &r.version, &r.name, &of, &r.definition, &r.accepted, &r.rights); err != nil {
			return err
		}
		if of != identity {
			r.definition, r.accepted, r.rights = "", "", ""
		}
		all[r.name] = r
		return nil
	}, `SELECT id, version, name, identity, definition, accepted, rights FROM tool WHERE server = $1`, server)
	if err != nil {
		return nil, fmt.Errorf("reading the tools of %s: %w", server, err)
	}
	return all, nil
}

func (rows) add(ctx context.Context, q store.Queries, server, identity string, r row) (int64, error) {
	return q.Insert(ctx, `INSERT INTO tool (id, version, server, name, identity, definition, accepted, rights)
		VALUES ($1, 1, $2, $3, $4, $5, $6, $7) ON CONFLICT (id) DO NOTHING`, server, r.name, identity, r.definition, r.accepted, r.rights)
}

// change is outcome.Conflict where the row has another version by now.
func (rows) change(ctx context.Context, q store.Queries, identity string, r row) error {
	return q.Update(ctx, `UPDATE tool SET version = version + 1, identity = $1, definition = $2, accepted = $3, rights = $4
		WHERE id = $5 AND version = $6`, identity, r.definition, r.accepted, r.rights, r.id, r.version)
}

// remove is outcome.Conflict where the row has another version by now.
func (rows) remove(ctx context.Context, q store.Queries, r row) error {
	return q.Update(ctx, `DELETE FROM tool WHERE id = $1 AND version = $2`, r.id, r.version)
}
