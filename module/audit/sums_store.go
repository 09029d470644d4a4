package audit

import (
	"cmp"
	"context"
	"time"

	"gatehouse/gate"
	"gatehouse/outcome"
	"gatehouse/store"
)

func (k sumKey) compare(other sumKey) int {
	return cmp.Or(cmp.Compare(k.day, other.day), cmp.Compare(k.person, other.person), cmp.Compare(k.agent, other.agent), cmp.Compare(k.tool, other.tool))
}

// addSum adds to one sum. 9007199254740992 is mostMoney.
func addSum(ctx context.Context, tx *store.Tx, k sumKey, s *Sums) error {
	_, err := tx.Exec(ctx, `INSERT INTO day_sum (day, person, agent, tool, calls, cost, bytes_in, bytes_out, took_us) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
		ON CONFLICT (day, person, agent, tool) DO UPDATE SET calls = day_sum.calls + excluded.calls,
		  cost = CASE WHEN day_sum.cost + excluded.cost > 9007199254740992 THEN 9007199254740992 ELSE day_sum.cost + excluded.cost END,
		  bytes_in = day_sum.bytes_in + excluded.bytes_in, bytes_out = day_sum.bytes_out + excluded.bytes_out,
		  took_us = day_sum.took_us + excluded.took_us`,
		k.day, int64(k.person), k.agent, k.tool, s.Calls, int64(s.Cost), s.BytesIn, s.BytesOut, s.Took)
	return err
}

// sums adds up the sums that a filter lets through, the newest day first.
func (r rows) sums(ctx context.Context, f sumFilter) ([]Sum, error) {
	found := []Sum{}
	err := r.db.All(ctx, func(scan func(...any) error) error {
		var s Sum
		var began int64
		err := scan(&began, &s.Person, &s.Agent, &s.Tool, &s.Calls, &s.Cost, &s.BytesIn, &s.BytesOut, &s.Took)
		if f.byDay == 1 {
			s.Day = time.UnixMilli(began).UTC().Format(time.DateOnly)
		}
		found = append(found, s)
		return err
	}, `SELECT d, p, a, t, CAST(sum(calls) AS BIGINT), CAST(sum(cost) AS BIGINT), CAST(sum(bytes_in) AS BIGINT), CAST(sum(bytes_out) AS BIGINT),
		  CAST(sum(took_us) AS BIGINT) FROM (
		SELECT CASE WHEN CAST($1 AS BIGINT) = 1 THEN day ELSE 0 END AS d, CASE WHEN CAST($2 AS BIGINT) = 1 THEN person ELSE 0 END AS p,
		  CASE WHEN CAST($3 AS BIGINT) = 1 THEN agent ELSE '' END AS a, CASE WHEN CAST($4 AS BIGINT) = 1 THEN tool ELSE '' END AS t,
		  calls, cost, bytes_in, bytes_out, took_us FROM day_sum
		WHERE (CAST($5 AS BIGINT) = 0 OR person = $5) AND day >= $6 AND day < $7 AND ($8 = '' OR agent = $8) AND ($9 = '' OR tool = $9)) AS s
		GROUP BY d, p, a, t ORDER BY d DESC, p, a, t LIMIT $10`,
		f.byDay, f.byPerson, f.byAgent, f.byTool, int64(f.person), f.from, f.to, f.agent, f.tool, f.limit)
	return found, err
}

// moment reads the head, the counters and the sums in one statement, so that they belong together while others write.
func (r rows) moment(ctx context.Context) (m moment, err error) {
	m.counts, m.sums = map[gate.TokenID]*Count{}, map[sumKey]*Sums{}
	found := false
	err = r.db.All(ctx, func(scan func(...any) error) error {
		var n, id, token, calls, uses, last, cost, in, out, took *int64
		var seq *int32
		var hash []byte
		var text, tool *string
		if err := scan(&n, &id, &seq, &hash, &text, &tool, &token, &calls, &uses, &last, &cost, &in, &out, &took); err != nil {
			return err
		}
		switch {
		case n != nil: // the head
			found = true
			m.n, m.id, m.signed = *n, gate.RowID{ID: *id, Seq: *seq}, *text
			return m.setHash(hash)
		case token != nil:
			c := &Count{Calls: *calls, Uses: *uses, LastAddress: *text, Cost: gate.Money(*cost)}
			if *last != 0 {
				c.LastUsed = time.UnixMilli(*last).UTC()
			}
			m.counts[gate.TokenID(*token)] = c
		default:
			m.sums[sumKey{*last, gate.PersonID(*uses), *text, *tool}] = &Sums{*calls, gate.Money(*cost), *in, *out, *took}
		}
		return nil
	}, `SELECT n, last_id, last_seq, hash, signed, CAST(NULL AS TEXT), CAST(NULL AS BIGINT), CAST(NULL AS BIGINT), CAST(NULL AS BIGINT),
		  CAST(NULL AS BIGINT), CAST(NULL AS BIGINT), CAST(NULL AS BIGINT), CAST(NULL AS BIGINT), CAST(NULL AS BIGINT) FROM head
		UNION ALL SELECT NULL, NULL, NULL, NULL, last_address, NULL, token, calls, uses, last_ms, cost, NULL, NULL, NULL FROM token_use
		UNION ALL SELECT NULL, NULL, NULL, NULL, agent, tool, NULL, calls, person, day, cost, bytes_in, bytes_out, took_us FROM day_sum`)
	if err == nil && !found {
		err = outcome.NotFound
	}
	return m, err
}

// spent is what each person's calls of a day cost.
func (r rows) spent(ctx context.Context, day int64) (map[gate.PersonID]gate.Money, error) {
	spent := map[gate.PersonID]gate.Money{}
	err := r.db.All(ctx, func(scan func(...any) error) error {
		var person gate.PersonID
		var cost gate.Money
		err := scan(&person, &cost)
		spent[person] = cost
		return err
	}, `SELECT person, CAST(sum(cost) AS BIGINT) FROM day_sum WHERE day = $1 AND cost > 0 GROUP BY person`, day)
	return spent, err
}
