package audit

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"gatehouse/gate"
	"gatehouse/outcome"
	"gatehouse/store"
)

// rows is all the SQL of the log.
type rows struct{ db *store.DB }

// makeHead makes the head of a new log. Its id is the moment in which the log began.
func (r rows) makeHead(ctx context.Context) error {
	var n int64
	err := r.db.Get(ctx, []any{&n}, `SELECT n FROM head WHERE one = 1`)
	if !errors.Is(err, outcome.NotFound) {
		return err
	}
	_, err = r.db.Insert(ctx, `INSERT INTO head (id, one, n, last_id, last_seq, hash, signed) VALUES ($1, 1, 0, 0, 0, $2, '') ON CONFLICT (id) DO NOTHING`,
		make([]byte, len(place{}.hash)))
	if errors.Is(err, outcome.Conflict) { // another process was faster
		return nil
	}
	return err
}

// head is where the log ends. Where others write it too, all that was begun before the call has ended when it returns.
func (r rows) head(ctx context.Context) (p place, err error) {
	if r.shared() {
		err = r.locked(ctx, func(_ *store.Tx, e end) error {
			p = e.place
			return nil
		})
		return p, err
	}
	var hash []byte
	err = r.db.Get(ctx, []any{&p.n, &p.id.ID, &p.id.Seq, &hash}, `SELECT n, last_id, last_seq, hash FROM head WHERE one = 1`)
	if err != nil {
		return p, err
	}
	return p, p.setHash(hash)
}

// ends gives the last row itself and the head, as they stand at one moment.
func (r rows) ends(ctx context.Context) (row, head place, err error) {
	err = r.db.Tx(ctx, func(tx *store.Tx) error {
		if r.shared() {
			e, err := lock(ctx, tx)
			if err != nil {
				return err
			}
			head = e.place
		} else if head, err = r.head(ctx); err != nil {
			return err
		}
		row, err = r.lastIn(ctx, tx)
		return err
	})
	return row, head, err
}

func (p *place) setHash(hash []byte) error {
	if len(hash) != len(p.hash) {
		return fmt.Errorf("a hash of %d bytes", len(hash))
	}
	copy(p.hash[:], hash)
	return nil
}

// last is the last row itself, whatever the head says.
func (r rows) last(ctx context.Context) (place, error) { return r.lastIn(ctx, r.db) }

func (rows) lastIn(ctx context.Context, q store.Queries) (p place, err error) {
	var hash []byte
	err = q.Get(ctx, []any{&p.n, &p.id.ID, &p.id.Seq, &hash}, `SELECT n, id, seq, hash FROM log ORDER BY id DESC, seq DESC LIMIT 1`)
	if errors.Is(err, outcome.NotFound) { // nothing since the segment began
		b, err := latest(ctx, q)
		return b.place, err
	}
	if err != nil {
		return p, err
	}
	return p, p.setHash(hash)
}

func (r rows) counts(ctx context.Context) (map[gate.TokenID]*Count, error) {
	counts := map[gate.TokenID]*Count{}
	err := r.db.All(ctx, countInto(counts), `SELECT token, calls, uses, last_ms, last_address, cost FROM token_use`)
	return counts, err
}

// countInto takes over counters as they are read.
func countInto(counts map[gate.TokenID]*Count) func(scan func(...any) error) error {
	return func(scan func(...any) error) error {
		var token gate.TokenID
		var last int64
		c := &Count{}
		if err := scan(&token, &c.Calls, &c.Uses, &last, &c.LastAddress, &c.Cost); err != nil {
			return err
		}
		if last != 0 {
			c.LastUsed = time.UnixMilli(last).UTC()
		}
		counts[token] = c
		return nil
	}
}

func (r rows) intents(ctx context.Context) (map[gate.RowID]stored, error) {
	intents := map[gate.RowID]stored{}
	err := r.db.All(ctx, func(scan func(...any) error) error {
		var key gate.RowID
		var i stored
		if err := scan(&key.ID, &key.Seq, &i.body, &i.sealed); err != nil {
			return err
		}
		intents[key] = i
		return nil
	}, `SELECT id, seq, body, sealed FROM intent`)
	return intents, err
}

func (r rows) dropIntent(ctx context.Context, key gate.RowID) error {
	_, err := r.db.Exec(ctx, `DELETE FROM intent WHERE id = $1 AND seq = $2`, key.ID, key.Seq)
	return err
}

// has reports whether an entry is there. Where others write too, a transaction that tried to write it has ended before.
func (r rows) has(ctx context.Context, e *entry) (there bool, err error) {
	if !r.shared() {
		return hasIn(ctx, r.db, e)
	}
	err = r.locked(ctx, func(tx *store.Tx, _ end) error {
		there, err = hasIn(ctx, tx, e)
		return err
	})
	return there, err
}

func hasIn(ctx context.Context, q store.Queries, e *entry) (_ bool, err error) {
	var hash []byte
	if e.intent {
		var body string
		err = q.Get(ctx, []any{&body}, `SELECT body FROM intent WHERE id = $1 AND seq = $2`, e.id.ID, e.id.Seq)
		hash = e.hash[:]
	} else {
		err = q.Get(ctx, []any{&hash}, `SELECT hash FROM log WHERE id = $1 AND seq = $2`, e.id.ID, e.id.Seq)
	}
	if errors.Is(err, outcome.NotFound) {
		return false, nil
	}
	return err == nil && string(hash) == string(e.hash[:]), err
}

// probe writes something that changes nothing, to see whether writing is possible again.
func (r rows) probe(ctx context.Context) error {
	_, err := r.db.Exec(ctx, `UPDATE head SET signed = signed WHERE one = 1`)
	return err
}

// write adds a group to the log in one transaction. The head goes first: its row is locked for the length of the
// transaction, so that processes that share a database write one after the other, and outcome.Conflict says that another
// one was there since.
func (r rows) write(ctx context.Context, before, after place, group []*entry, added map[gate.TokenID]*Count) error {
	return r.db.Tx(ctx, func(tx *store.Tx) error {
		if after.n != before.n {
			err := tx.Update(ctx, `UPDATE head SET n = $1, last_id = $2, last_seq = $3, hash = $4 WHERE one = 1 AND n = $5`,
				after.n, after.id.ID, after.id.Seq, after.hash[:], before.n)
			if err != nil {
				return err
			}
		}
		for _, e := range group {
			if err := e.insert(ctx, tx); err != nil {
				return err
			}
		}
		if err := addCounts(ctx, tx, added); err != nil {
			return err
		}
		return addSums(ctx, tx, sumUp(group))
	})
}

func (e *entry) insert(ctx context.Context, tx *store.Tx) error {
	if e.intent {
		_, err := tx.Exec(ctx, `INSERT INTO intent (id, seq, body, sealed) VALUES ($1, $2, $3, $4)`,
			e.id.ID, e.id.Seq, e.body, e.sealed)
		return err
	}
	_, err := tx.Exec(ctx, `INSERT INTO log (id, seq, n, person, agent, tool, outcome, body, hash) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)`,
		e.id.ID, e.id.Seq, e.n, int64(e.row.Person), e.row.Agent, e.row.Tool, e.row.Outcome, e.body, e.hash[:])
	if err != nil {
		return err
	}
	_, err = tx.Exec(ctx, `INSERT INTO payload (id, seq, sealed) VALUES ($1, $2, $3)`, e.id.ID, e.id.Seq, e.sealed)
	if err != nil || e.ends == nil {
		return err
	}
	_, err = tx.Exec(ctx, `DELETE FROM intent WHERE id = $1 AND seq = $2`, e.ends.key.ID, e.ends.key.Seq)
	return err
}

func addCounts(ctx context.Context, tx *store.Tx, added map[gate.TokenID]*Count) error {
	for token, c := range added {
		var last int64
		if !c.LastUsed.IsZero() {
			last = c.LastUsed.UnixMilli()
		}
		_, err := tx.Exec(ctx, `INSERT INTO token_use (token, calls, uses, last_ms, last_address, cost) VALUES ($1, $2, $3, $4, $5, $6)
			ON CONFLICT (token) DO UPDATE SET calls = token_use.calls + excluded.calls, uses = token_use.uses + excluded.uses,
			  last_ms = CASE WHEN excluded.last_ms > 0 THEN excluded.last_ms ELSE token_use.last_ms END,
			  last_address = CASE WHEN excluded.last_ms > 0 THEN excluded.last_address ELSE token_use.last_address END,
			  cost = CASE WHEN token_use.cost + excluded.cost > 9007199254740992 THEN 9007199254740992 ELSE token_use.cost + excluded.cost END`,
			int64(token), c.Calls, c.Uses, last, c.LastAddress, int64(c.Cost))
		if err != nil {
			return err
		}
	}
	return nil
}

// sign keeps the newest signed head, which names row n.
func (r rows) sign(ctx context.Context, note string, n int64) error {
	if r.shared() {
		return r.signNewer(ctx, note, n)
	}
	_, err := r.db.Exec(ctx, `UPDATE head SET signed = $1 WHERE one = 1`, note)
	return err
}

// newest gives the rows that a filter lets through, newest first.
func (r rows) newest(ctx context.Context, f filter) ([]Row, error) {
	found := make([]Row, 0, min(f.limit, defaultLimit))
	if f.person != 0 { // the index of a person's rows
		err := r.db.All(ctx, collect(&found), `SELECT body, hash FROM log WHERE person = $1 AND (id, seq) < ($2, $3) AND id >= $4 AND id < $5
			AND ($6 = '' OR agent = $6) AND ($7 = '' OR tool = $7) AND ($8 = '' OR outcome = $8) ORDER BY id DESC, seq DESC LIMIT $9`,
			int64(f.person), f.before.ID, f.before.Seq, f.from, f.to, f.agent, f.tool, f.outcome, f.limit)
		return found, err
	}
	err := r.db.All(ctx, collect(&found), `SELECT body, hash FROM log WHERE (id, seq) < ($1, $2) AND id >= $3 AND id < $4
		AND ($5 = '' OR agent = $5) AND ($6 = '' OR tool = $6) AND ($7 = '' OR outcome = $7) ORDER BY id DESC, seq DESC LIMIT $8`,
		f.before.ID, f.before.Seq, f.from, f.to, f.agent, f.tool, f.outcome, f.limit)
	return found, err
}

// after gives them oldest first, from a row on, without those that reading the log has written.
func (r rows) after(ctx context.Context, f filter) ([]Row, error) {
	var found []Row
	err := r.db.All(ctx, collect(&found), `SELECT body, hash FROM log WHERE (id, seq) > ($1, $2) AND id >= $3 AND id < $4
		AND (CAST($5 AS BIGINT) = 0 OR person = $5) AND ($6 = '' OR agent = $6) AND ($7 = '' OR tool = $7) AND ($8 = '' OR outcome = $8)
		AND tool <> 'audit.search' ORDER BY id, seq LIMIT $9`,
		f.after.ID, f.after.Seq, f.from, f.to, int64(f.person), f.agent, f.tool, f.outcome, f.limit)
	return found, err
}

// collect reads rows into a list.
func collect(into *[]Row) func(scan func(...any) error) error {
	return func(scan func(...any) error) error {
		var body string
		var hash []byte
		if err := scan(&body, &hash); err != nil {
			return err
		}
		row, err := parseRow(body)
		if err != nil {
			return fmt.Errorf("reading a row: %w", err)
		}
		row.Hash = hex.EncodeToString(hash)
		*into = append(*into, row)
		return nil
	}
}

// get gives one row and its payload.
func (r rows) get(ctx context.Context, id gate.RowID) (Row, []byte, error) {
	var body string
	var hash, sealed []byte
	err := r.db.Get(ctx, []any{&body, &hash, &sealed}, `SELECT l.body, l.hash, p.sealed FROM log l LEFT JOIN payload p ON p.id = l.id AND p.seq = l.seq
		WHERE l.id = $1 AND l.seq = $2`, id.ID, id.Seq)
	if err != nil {
		return Row{}, nil, err
	}
	row, err := parseRow(body)
	if err != nil {
		return Row{}, nil, fmt.Errorf("reading row %s: %w", id, err)
	}
	row.Hash = hex.EncodeToString(hash)
	return row, sealed, nil
}

// page gives rows with their payloads, in order, from one on.
func (r rows) page(ctx context.Context, after gate.RowID, limit int, row func(rawRow) error) error {
	return r.db.All(ctx, func(scan func(...any) error) error {
		var x rawRow
		err := scan(&x.id.ID, &x.id.Seq, &x.n, &x.person, &x.agent, &x.tool, &x.outcome, &x.body, &x.hash, &x.sealed)
		if err != nil {
			return err
		}
		return row(x)
	}, `SELECT l.id, l.seq, l.n, l.person, l.agent, l.tool, l.outcome, l.body, l.hash, p.sealed
		FROM log l LEFT JOIN payload p ON p.id = l.id AND p.seq = l.seq
		WHERE (l.id, l.seq) > ($1, $2) ORDER BY l.id, l.seq LIMIT $3`, after.ID, after.Seq, limit)
}

// strayPayload finds a payload without a row; outcome.NotFound: there is none.
func (r rows) strayPayload(ctx context.Context) (id gate.RowID, err error) {
	err = r.db.Get(ctx, []any{&id.ID, &id.Seq}, `SELECT p.id, p.seq FROM payload p LEFT JOIN log l ON l.id = p.id AND l.seq = p.seq
		WHERE l.id IS NULL ORDER BY p.id, p.seq LIMIT 1`)
	return id, err
}
