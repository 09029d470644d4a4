package tokens

import (
	"context"
	"embed"
	"fmt"
	"net/netip"
	"time"

	"gatehouse/canon"
	"gatehouse/gate"
	"gatehouse/store"
)

//go:embed sqlite/*.sql postgres/*.sql
var migrations embed.FS

// record is one row of token. The token itself stands nowhere.
type record struct {
	id      gate.TokenID
	version int64
	hash    hash
	person  gate.PersonID
	parent  gate.TokenID // 0: a root token
	agent   string
	tools   []gate.ToolName // sorted; empty is nothing
	// conditions must be true for calls of these of the tools; nil: none.
	conditions map[gate.ToolName]string
	networks   []netip.Prefix // empty: from anywhere
	ends       time.Time
	maxUses    int64      // 0: not limited
	rate       int        // calls a minute; 0: not limited by the token
	budget     gate.Money // what its calls may cost in all; 0: not limited
	revoked    time.Time
}

// rows is all the SQL of tokens.
type rows struct{ db *store.DB }

// keepListed is how long a token is shown, and read at start, after its end.
const keepListed = 30 * 24 * time.Hour

// all reads the tokens that are not gone for longer than keepListed. No child outlives its parent, so a token that is read
// has all its ancestors read.
func (rows) all(ctx context.Context, q store.Queries, now time.Time) (records []record, err error) {
	err = q.All(ctx, into(&records), `SELECT id, version, hash, person, parent, agent, tools, networks, ends, max_uses, rate, revoked, budget, conditions
		FROM token WHERE ends > $1`, now.Add(-keepListed).UnixMilli())
	if err != nil {
		return nil, fmt.Errorf("reading the tokens: %w", err)
	}
	return records, nil
}

// changes is how often the table was written by any replica. PostgreSQL only.
func (r rows) changes(ctx context.Context) (n int64, err error) {
	err = r.db.Get(ctx, []any{&n}, `SELECT n FROM change`)
	return n, err
}

func (rows) one(ctx context.Context, q store.Queries, id gate.TokenID) (records []record, err error) {
	err = q.All(ctx, into(&records), `SELECT id, version, hash, person, parent, agent, tools, networks, ends, max_uses, rate, revoked, budget, conditions
		FROM token WHERE id = $1`, id)
	return records, err
}

// family reads a token and all that descend from it.
func (rows) family(ctx context.Context, q store.Queries, id gate.TokenID) (records []record, err error) {
	err = q.All(ctx, into(&records), `WITH RECURSIVE family (id) AS (
			SELECT id FROM token WHERE id = $1 UNION SELECT t.id FROM token t JOIN family f ON t.parent = f.id)
		SELECT id, version, hash, person, parent, agent, tools, networks, ends, max_uses, rate, revoked, budget, conditions
		FROM token WHERE id IN (SELECT id FROM family)`, id)
	return records, err
}

// add is outcome.Conflict where the hash is there already.
func (rows) add(ctx context.Context, q store.Queries, r record) (gate.TokenID, error) {
	tools, err := canon.From(r.tools)
	if err != nil {
		return 0, err
	}
	conditions := canon.Object()
	if len(r.conditions) > 0 {
		if conditions, err = canon.From(r.conditions); err != nil {
			return 0, err
		}
	}
	networks, err := canon.From(r.networks)
	if err != nil {
		return 0, err
	}
	id, err := q.Insert(ctx, `INSERT INTO token (id, version, hash, person, parent, agent, tools, networks, ends, max_uses, rate, revoked, budget, conditions)
		VALUES ($1, 1, $2, $3, $4, $5, $6, $7, $8, $9, $10, 0, $11, $12) ON CONFLICT (id) DO NOTHING`,
		r.hash[:], r.person, r.parent, r.agent, tools.String(), networks.String(), r.ends.UnixMilli(), r.maxUses, r.rate, int64(r.budget), conditions.String())
	return gate.TokenID(id), err
}

// revoke ends one token that has this version: outcome.Conflict where it has another one or was revoked already.
func (rows) revoke(ctx context.Context, q store.Queries, id gate.TokenID, version int64, now time.Time) error {
	return q.Update(ctx, `UPDATE token SET version = version + 1, revoked = $1 WHERE id = $2 AND version = $3 AND revoked = 0`,
		now.UnixMilli(), id, version)
}

// cascade ends all that descend from a token and says how many those were.
func (rows) cascade(ctx context.Context, q store.Queries, id gate.TokenID, now time.Time) (int64, error) {
	return q.Exec(ctx, `UPDATE token SET version = version + 1, revoked = $1 WHERE revoked = 0 AND id IN (
		WITH RECURSIVE family (id) AS (
			SELECT id FROM token WHERE parent = $2 UNION SELECT t.id FROM token t JOIN family f ON t.parent = f.id)
		SELECT id FROM family)`, now.UnixMilli(), id)
}

// revokeAll ends every token and says how many those were.
func (rows) revokeAll(ctx context.Context, q store.Queries, now time.Time) (int64, error) {
	return q.Exec(ctx, `UPDATE token SET version = version + 1, revoked = $1 WHERE revoked = 0`, now.UnixMilli())
}

// into appends each row of a reading to a list.
func into(list *[]record) func(func(...any) error) error {
	return func(scan func(...any) error) error {
		var r record
		var sum []byte
		var tools, networks, conditions string
		var ends, revoked int64
		err := scan(&r.id, &r.version, &sum, &r.person, &r.parent, &r.agent, &tools, &networks, &ends, &r.maxUses, &r.rate, &revoked, &r.budget, &conditions)
		if err != nil {
			return err
		}
		if len(sum) != len(r.hash) {
			return fmt.Errorf("token %d has a hash of %d bytes", r.id, len(sum))
		}
		copy(r.hash[:], sum)
		r.ends = time.UnixMilli(ends)
		if revoked != 0 {
			r.revoked = time.UnixMilli(revoked)
		}
		if err := decode(tools, &r.tools); err != nil {
			return fmt.Errorf("tools of token %d: %w", r.id, err)
		}
		if err := decode(networks, &r.networks); err != nil {
			return fmt.Errorf("networks of token %d: %w", r.id, err)
		}
		if conditions != "{}" {
			if err := decode(conditions, &r.conditions); err != nil {
				return fmt.Errorf("conditions of token %d: %w", r.id, err)
			}
		}
		*list = append(*list, r)
		return nil
	}
}

func decode(text string, dst any) error {
	v, err := canon.Parse([]byte(text))
	if err != nil {
		return err
	}
	return v.Decode(dst)
}
