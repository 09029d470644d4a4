package audit

import (
	"context"
	"errors"
	"fmt"

	"gatehouse/gate"
	"gatehouse/outcome"
	"gatehouse/store"
)

const beginsText = `SELECT id, n, last_id, last_seq, hash, edge, signed FROM segment`

// begins gives where the segments in a database begin, the oldest first.
func begins(ctx context.Context, q store.Queries) (all []began, err error) {
	err = q.All(ctx, beganInto(func(b began) { all = append(all, b) }), beginsText+` ORDER BY id`)
	return all, err
}

// latest is where the newest segment begins; a zero one, where there is only the first.
func latest(ctx context.Context, q store.Queries) (last began, err error) {
	err = q.All(ctx, beganInto(func(b began) { last = b }), beginsText+` ORDER BY id DESC LIMIT 1`)
	if err != nil {
		return last, fmt.Errorf("reading where the segment begins: %w", err)
	}
	return last, nil
}

func beganInto(found func(began)) func(scan func(...any) error) error {
	return func(scan func(...any) error) error {
		var b began
		var hash, edge []byte
		if err := scan(&b.segment, &b.n, &b.id.ID, &b.id.Seq, &hash, &edge, &b.signed); err != nil {
			return err
		}
		if err := b.setHash(hash); err != nil {
			return err
		}
		t, err := newTree(b.n, edge)
		if err != nil {
			return fmt.Errorf("reading where a segment begins: %w", err)
		}
		b.tree = t
		found(b)
		return nil
	}
}

// insert writes where a segment begins, and the counters as they stand.
func (b began) insert(ctx context.Context, tx *store.Tx) error {
	_, err := tx.Exec(ctx, `INSERT INTO segment (id, n, last_id, last_seq, hash, edge, signed) VALUES ($1, $2, $3, $4, $5, $6, $7)`,
		b.segment, b.n, b.id.ID, b.id.Seq, b.hash[:], b.tree.bytes(), b.signed)
	if err != nil {
		return err
	}
	_, err = tx.Exec(ctx, `INSERT INTO segment_use (segment, token, calls, uses, last_ms, last_address, cost)
		SELECT CAST($1 AS BIGINT), token, calls, uses, last_ms, last_address, cost FROM token_use`, b.segment)
	return err
}

// usesAt are the counters as they stood when a segment began.
func usesAt(ctx context.Context, q store.Queries, segment int64) (map[gate.TokenID]*Count, error) {
	counts := map[gate.TokenID]*Count{}
	err := q.All(ctx, countInto(counts), `SELECT token, calls, uses, last_ms, last_address, cost FROM segment_use WHERE segment = $1`, segment)
	return counts, err
}

// readCarried reads what a segment takes over, as it stands.
func readCarried(ctx context.Context, q store.Queries) (c carried, err error) {
	c.counts = map[gate.TokenID]*Count{}
	if err = q.All(ctx, countInto(c.counts), `SELECT token, calls, uses, last_ms, last_address, cost FROM token_use`); err != nil {
		return c, fmt.Errorf("reading the counters: %w", err)
	}
	if c.sums, err = sumsUntil(ctx, q, 1<<62); err != nil {
		return c, fmt.Errorf("reading the sums: %w", err)
	}
	if c.ranges, err = rangesIn(ctx, q); err != nil {
		return c, fmt.Errorf("reading which payloads were removed: %w", err)
	}
	return c, nil
}

// sumsUntil are the sums of the days up to one, that one included.
func sumsUntil(ctx context.Context, q store.Queries, last int64) (map[sumKey]*Sums, error) {
	sums := map[sumKey]*Sums{}
	err := q.All(ctx, func(scan func(...any) error) error {
		var k sumKey
		s := &Sums{}
		err := scan(&k.day, &k.person, &k.agent, &k.tool, &s.Calls, &s.Cost, &s.BytesIn, &s.BytesOut, &s.Took)
		sums[k] = s
		return err
	}, `SELECT day, person, agent, tool, calls, cost, bytes_in, bytes_out, took_us FROM day_sum WHERE day <= $1`, last)
	return sums, err
}

func rangesIn(ctx context.Context, q store.Queries) (all []keyedRange, err error) {
	err = q.All(ctx, func(scan func(...any) error) error {
		var r keyedRange
		err := scan(&r.key.ID, &r.key.Seq, &r.From, &r.Before)
		all = append(all, r)
		return err
	}, `SELECT id, seq, from_ms, before_ms FROM pruned ORDER BY id, seq`)
	return all, err
}

// carry ends the old file with its signed head and checkpoint, and writes what the new one begins with. Calls under way go
// along: their rows will stand in the new file.
func (b began) carry(ctx context.Context, from, into *store.Tx, ends signedEnds, c carried) error {
	if err := b.end(ctx, from, ends); err != nil {
		return fmt.Errorf("ending the segment: %w", err)
	}
	for _, copied := range []struct {
		columns     int
		read, write string
	}{
		{
			7, `SELECT id, one, n, last_id, last_seq, hash, signed FROM head`,
			`INSERT INTO head (id, one, n, last_id, last_seq, hash, signed) VALUES ($1, $2, $3, $4, $5, $6, $7)`,
		},
		{
			7, `SELECT id, one, n, last_id, last_seq, edge, signed FROM checkpoint`,
			`INSERT INTO checkpoint (id, one, n, last_id, last_seq, edge, signed) VALUES ($1, $2, $3, $4, $5, $6, $7)`,
		},
		{
			6, `SELECT token, calls, uses, last_ms, last_address, cost FROM token_use`,
			`INSERT INTO token_use (token, calls, uses, last_ms, last_address, cost) VALUES ($1, $2, $3, $4, $5, $6)`,
		},
		{
			4, `SELECT id, seq, body, sealed FROM intent`,
			`INSERT INTO intent (id, seq, body, sealed) VALUES ($1, $2, $3, $4)`,
		},
	} {
		if err := copyRows(ctx, from, into, copied.columns, copied.read, copied.write); err != nil {
			return fmt.Errorf("carrying on: %w", err)
		}
	}
	if err := addSums(ctx, into, c.sums); err != nil {
		return err
	}
	for _, r := range c.ranges {
		_, err := into.Exec(ctx, `INSERT INTO pruned (id, seq, from_ms, before_ms) VALUES ($1, $2, $3, $4)`, r.key.ID, r.key.Seq, r.From, r.Before)
		if err != nil {
			return fmt.Errorf("carrying on which payloads were removed: %w", err)
		}
	}
	return b.insert(ctx, into)
}

// end signs the last row of a file.
func (b began) end(ctx context.Context, from *store.Tx, ends signedEnds) error {
	if err := from.Update(ctx, `UPDATE head SET signed = $1 WHERE one = 1 AND n = $2`, ends.head, b.n); err != nil {
		return err
	}
	return from.Update(ctx, `UPDATE checkpoint SET n = $1, last_id = $2, last_seq = $3, edge = $4, signed = $5 WHERE one = 1 AND n <= $1`,
		b.n, b.id.ID, b.id.Seq, b.tree.bytes(), ends.checkpoint)
}

// copyRows copies rows as they are.
func copyRows(ctx context.Context, from, into *store.Tx, columns int, read, write string) error {
	return from.All(ctx, func(scan func(...any) error) error {
		row, to := make([]any, columns), make([]any, columns)
		for i := range row {
			to[i] = &row[i]
		}
		if err := scan(to...); err != nil {
			return err
		}
		_, err := into.Exec(ctx, write, row...)
		return err
	}, read)
}

// firstRow is the number of the first row in a database; zero: there is none.
func (r rows) firstRow(ctx context.Context) (n int64, err error) {
	err = r.db.Get(ctx, []any{&n}, `SELECT n FROM log ORDER BY id, seq LIMIT 1`)
	if errors.Is(err, outcome.NotFound) {
		return 0, nil
	}
	return n, err
}
