package audit

import (
	"context"
	"errors"
	"fmt"

	"gatehouse/gate"
	"gatehouse/outcome"
	"gatehouse/store"
)

// signedTree is a checkpoint with what the next one needs.
type signedTree struct {
	tree   tree
	last   gate.RowID
	signed string // empty: none was made yet
}

// makeCheckpoint gives the newest checkpoint, and makes a place for one in a new log.
func (r rows) makeCheckpoint(ctx context.Context) (signedTree, error) {
	s, err := r.checkpoint(ctx)
	if !errors.Is(err, outcome.NotFound) {
		return s, err
	}
	_, err = r.db.Insert(ctx, `INSERT INTO checkpoint (id, one, n, last_id, last_seq, edge, signed) VALUES ($1, 1, 0, 0, 0, $2, '') ON CONFLICT (id) DO NOTHING`,
		[]byte{})
	if errors.Is(err, outcome.Conflict) { // another process was faster
		return r.checkpoint(ctx)
	}
	return signedTree{}, err
}

func (r rows) checkpoint(ctx context.Context) (s signedTree, err error) {
	var n int64
	var edge []byte
	err = r.db.Get(ctx, []any{&n, &s.last.ID, &s.last.Seq, &edge, &s.signed}, `SELECT n, last_id, last_seq, edge, signed FROM checkpoint WHERE one = 1`)
	if err != nil {
		return s, err
	}
	if s.tree, err = newTree(n, edge); err != nil {
		return s, fmt.Errorf("reading the checkpoint: %w", err)
	}
	return s, nil
}

// keepCheckpoint keeps a checkpoint. One of more rows, which another process made, stays.
func (r rows) keepCheckpoint(ctx context.Context, s signedTree) error {
	_, err := r.db.Exec(ctx, `UPDATE checkpoint SET n = $1, last_id = $2, last_seq = $3, edge = $4, signed = $5 WHERE one = 1 AND n <= $1`,
		s.tree.n, s.last.ID, s.last.Seq, s.tree.bytes(), s.signed)
	return err
}

// leaves gives the hashes of rows, in order, after one.
func leaves(ctx context.Context, from store.Queries, after gate.RowID, limit int64, leaf func(id gate.RowID, n int64, hash []byte) error) error {
	return from.All(ctx, func(scan func(...any) error) error {
		var id gate.RowID
		var n int64
		var hash []byte
		if err := scan(&id.ID, &id.Seq, &n, &hash); err != nil {
			return err
		}
		return leaf(id, n, hash)
	}, `SELECT id, seq, n, hash FROM log WHERE (id, seq) > ($1, $2) ORDER BY id, seq LIMIT $3`, after.ID, after.Seq, limit)
}
