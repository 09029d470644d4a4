package audit

import (
	"context"

	"gatehouse/gate"
)

// exported gives a page of rows for an export, oldest first, up to one.
func (r rows) exported(ctx context.Context, f filter, last gate.RowID) ([]Row, error) {
	var found []Row
	err := r.db.All(ctx, collect(&found), `SELECT body, hash FROM log WHERE (id, seq) > ($1, $2) AND (id, seq) <= ($3, $4) AND id >= $5 AND id < $6
		AND (CAST($7 AS BIGINT) = 0 OR person = $7) ORDER BY id, seq LIMIT $8`,
		f.after.ID, f.after.Seq, last.ID, last.Seq, f.from, f.to, int64(f.person), f.limit)
	return found, err
}
