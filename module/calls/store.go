package calls

import (
	"context"
	"errors"

	"gatehouse/gate"
	"gatehouse/outcome"
	"gatehouse/store"
)

// rows is all the SQL of this module.
type rows struct{ db *store.DB }

// kept is a claim, and the outcome of its call once that has ended.
type kept struct {
	id      int64 // millisecond of the claim
	version int64
	key     gate.ResultKey
	digest  []byte // sealed
	call    gate.RowID
	outcome string // name of the code; empty while there is none
	sealed  []byte // nil while there is none
}

// find gives what stands at a key, however old: outcome.NotFound where nothing does. Person and root are the row's own.
func (r rows) find(ctx context.Context, key gate.ResultKey) (kept, error) {
	k := kept{key: key}
	err := r.db.Get(ctx, []any{&k.id, &k.version, &k.key.Person, &k.key.Root, &k.digest, &k.sealed},
		`SELECT id, version, person, root, digest, sealed FROM kept WHERE token = $1 AND tool = $2 AND idempotency_key = $3`,
		int64(key.Token), string(key.Tool), key.Key)
	return k, err
}

// held counts what is kept for a root token, and its bytes.
func (r rows) held(ctx context.Context, root gate.TokenID) (count, size int64, err error) {
	err = r.db.Get(ctx, []any{&count, &size}, `SELECT count(*), COALESCE(CAST(sum(size) AS BIGINT), 0) FROM kept WHERE root = $1`, int64(root))
	return count, size, err
}

// insert is outcome.Conflict where something stands at the key.
func (r rows) insert(ctx context.Context, key gate.ResultKey, digest []byte) (int64, error) {
	return r.db.Insert(ctx, `INSERT INTO kept (id, version, person, root, token, tool, idempotency_key, digest, size)
  VALUES ($1, 1, $2, $3, $4, $5, $6, $7, 0) ON CONFLICT (id) DO NOTHING`,
		int64(key.Person), int64(key.Root), int64(key.Token), string(key.Tool), key.Key, digest)
}

func (r rows) keep(ctx context.Context, id int64, call gate.RowID, code outcome.Code, sealed []byte) error {
	return r.db.Update(ctx, `UPDATE kept SET version = version + 1, call_id = $1, call_seq = $2, outcome = $3, sealed = $4, size = $5
  WHERE id = $6 AND version = 1`, call.ID, call.Seq, code.String(), sealed, len(sealed), id)
}

// remove deletes the version that was seen; if there is another by now it stays, which the caller finds out by itself.
func (r rows) remove(ctx context.Context, id, version int64) error {
	_, err := r.db.Exec(ctx, `DELETE FROM kept WHERE id = $1 AND version = $2`, id, version)
	return err
}

// prune deletes what is not newer than oldest.
func (r rows) prune(ctx context.Context, oldest int64) (int64, error) {
	return r.db.Exec(ctx, `DELETE FROM kept WHERE id <= $1`, oldest)
}

// byCall finds the outcome of a call of a root token.
func (r rows) byCall(ctx context.Context, root gate.TokenID, call gate.RowID, oldest int64) (kept, error) {
	k := kept{call: call}
	k.key.Root = root
	err := r.db.Get(ctx, []any{&k.id, &k.version, &k.key.Person, &k.key.Token, &k.key.Tool, &k.key.Key, &k.outcome, &k.sealed},
		`SELECT id, version, person, token, tool, idempotency_key, outcome, sealed FROM kept
  WHERE call_id = $1 AND call_seq = $2 AND root = $3 AND id > $4 AND outcome IS NOT NULL`, call.ID, call.Seq, int64(root), oldest)
	return k, err
}

var errEnough = errors.New("enough rows")

// ofRoot calls row for each outcome that is kept for a root token, newest first, until it says false. It reads no payload.
func (r rows) ofRoot(ctx context.Context, root gate.TokenID, oldest int64, row func(kept) bool) error {
	err := r.db.All(ctx, func(scan func(...any) error) error {
		k := kept{}
		if err := scan(&k.id, &k.key.Token, &k.key.Tool, &k.call.ID, &k.call.Seq, &k.outcome); err != nil {
			return err
		}
		if !row(k) {
			return errEnough
		}
		return nil
	}, `SELECT id, token, tool, call_id, call_seq, outcome FROM kept WHERE root = $1 AND id > $2 AND outcome IS NOT NULL ORDER BY id DESC`,
		int64(root), oldest)
	if errors.Is(err, errEnough) {
		return nil
	}
	return err
}
