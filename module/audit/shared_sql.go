package audit

import (
	"context"
	"errors"
	"fmt"

	"gatehouse/gate"
	"gatehouse/outcome"
	"gatehouse/store"
)

// Where other modules say which versions they have, on PostgreSQL: views of id, version and end, see [store.Config].Reads.
const (
	personVersions = "people.versions"
	tokenVersions  = "tokens.versions"
)

// shared reports whether several processes may write this log: then each group reads in its transaction where the log
// ends, what time it is, and whether it was decided with what the tables hold.
func (r rows) shared() bool { return r.db.Engine() == store.Postgres }

// end is the end of a log that several processes write, under the lock that keeps the others waiting.
type end struct {
	place
	given gate.RowID // the newest key, of a row or an intent
}

// lock takes the head for the rest of the transaction. Whatever was committed before is seen by the next statement.
func lock(ctx context.Context, tx *store.Tx) (e end, err error) {
	var hash []byte
	err = tx.Get(ctx, []any{&e.n, &e.id.ID, &e.id.Seq, &hash, &e.given.ID, &e.given.Seq},
		`SELECT n, last_id, last_seq, hash, given_id, given_seq FROM head WHERE one = 1 FOR UPDATE`)
	if err != nil {
		return e, fmt.Errorf("taking the head: %w", err)
	}
	return e, e.setHash(hash)
}

// locked runs something while no other process writes.
func (r rows) locked(ctx context.Context, do func(tx *store.Tx, e end) error) error {
	return r.db.Tx(ctx, func(tx *store.Tx) error {
		e, err := lock(ctx, tx)
		if err != nil {
			return err
		}
		return do(tx, e)
	})
}

// questions are what a group must know before it is written.
type questions struct {
	persons, tokens []int64 // whose versions
	limited         []int64 // tokens whose uses have a limit
	ids, seqs       []int64 // intents that its rows end
	purses, payers  []int64 // tokens that have a budget, persons whose day has one
	perDay          gate.Money
}

// facts are the answers, as they stand while the head is held.
type facts struct {
	now     int64 // by the server's clock, milliseconds since 1970
	lease   int64 // until when this replica's runs; zero: it has none
	persons map[gate.PersonID]int64
	tokens  map[gate.TokenID]tokenFact
	uses    map[gate.TokenID]int64 // gone: counted, and held by calls under way on any replica
	known   map[gate.TokenID]useFact
	intents map[gate.RowID]bool // those that are there; true: their replica lives

	day        int64 // the first millisecond of the day on which what is written now counts
	perDay     gate.Money
	tokenSpent map[gate.TokenID]*spending  // with a token and its children
	daySpent   map[gate.PersonID]*spending // on that day
}

type tokenFact struct{ version, ends int64 }

// useFact is how many uses of a token are counted, and how many calls under way on other replicas hold.
type useFact struct{ counted, elsewhere int64 }

const askFacts = `WITH clock AS (SELECT CAST(extract(epoch FROM clock_timestamp()) * 1000 AS BIGINT) AS now)
	SELECT 0 AS kind, now AS a, COALESCE((SELECT until FROM replica WHERE id = $1), 0) AS b, GREATEST(now, $7) AS c, CAST(0 AS BIGINT) AS d FROM clock
	UNION ALL SELECT 1, id, version, ends, 0 FROM ` + personVersions + ` WHERE id = ANY($2::bigint[])
	UNION ALL SELECT 2, id, version, ends, 0 FROM ` + tokenVersions + ` WHERE id = ANY($3::bigint[])
	UNION ALL SELECT 3, t.id, COALESCE(u.uses, 0), (SELECT count(*) FROM intent i WHERE t.id = ANY(i.used)),
	  (SELECT count(*) FROM intent i WHERE t.id = ANY(i.used) AND i.replica <> $1) FROM unnest($4::bigint[]) AS t (id) LEFT JOIN token_use u ON u.token = t.id
	UNION ALL SELECT 4, i.id, i.seq, CASE WHEN r.until >= now THEN 1 ELSE 0 END, 0
	  FROM clock, unnest($5::bigint[], $6::bigint[]) AS k (id, seq) JOIN intent i ON i.id = k.id AND i.seq = k.seq
	  LEFT JOIN replica r ON r.id = i.replica
	UNION ALL SELECT 5, t.id, COALESCE(u.cost, 0), held, elsewhere FROM unnest($8::bigint[]) AS t (id) LEFT JOIN token_use u ON u.token = t.id,
	  LATERAL (SELECT ` + heldMoney + ` FROM intent WHERE t.id = ANY(used)) AS i
	UNION ALL SELECT 6, p.id, counted, held, elsewhere FROM clock, unnest($9::bigint[]) AS p (id),
	  LATERAL (SELECT CAST(LEAST(COALESCE(sum(cost), 0), 9007199254740992) AS BIGINT) AS counted FROM day_sum
	    WHERE person = p.id AND day = GREATEST(now, $7) / 86400000 * 86400000) AS s,
	  LATERAL (SELECT ` + heldMoney + ` FROM intent WHERE CAST(CAST(body AS JSONB)->>'person' AS BIGINT) = p.id) AS i`

// heldMoney sums up what calls under way cost, on all replicas and on others than $1. 9007199254740992 is mostMoney.
const heldMoney = `CAST(LEAST(COALESCE(sum(CAST(CAST(body AS JSONB)->>'price' AS BIGINT)), 0), 9007199254740992) AS BIGINT) AS held,
	CAST(LEAST(COALESCE(sum(CAST(CAST(body AS JSONB)->>'price' AS BIGINT)) FILTER (WHERE replica <> $1), 0), 9007199254740992) AS BIGINT) AS elsewhere`

// ask answers questions inside a transaction that holds the head.
// given is the newest key.
func ask(ctx context.Context, tx *store.Tx, replica, given int64, q questions) (facts, error) {
	f := facts{
		perDay: q.perDay, tokenSpent: map[gate.TokenID]*spending{}, daySpent: map[gate.PersonID]*spending{},
		persons: map[gate.PersonID]int64{}, tokens: map[gate.TokenID]tokenFact{},
		uses: map[gate.TokenID]int64{}, known: map[gate.TokenID]useFact{}, intents: map[gate.RowID]bool{},
	}
	err := tx.All(ctx, func(scan func(...any) error) error {
		var kind, a, b, c, d int64
		if err := scan(&kind, &a, &b, &c, &d); err != nil {
			return err
		}
		switch kind {
		case 0:
			f.now, f.lease, f.day = a, b, dayOf(c)
		case 1:
			f.persons[gate.PersonID(a)] = b
		case 2:
			f.tokens[gate.TokenID(a)] = tokenFact{b, c}
		case 3:
			f.uses[gate.TokenID(a)], f.known[gate.TokenID(a)] = b+c, useFact{b, d}
		case 4:
			f.intents[gate.RowID{ID: a, Seq: int32(b)}] = c == 1
		case 5:
			f.tokenSpent[gate.TokenID(a)] = &spending{gate.Money(b), gate.Money(d), plus(gate.Money(b), gate.Money(c))}
		case 6:
			f.daySpent[gate.PersonID(a)] = &spending{gate.Money(b), gate.Money(d), plus(gate.Money(b), gate.Money(c))}
		}
		return nil
	}, askFacts, replica, q.persons, q.tokens, q.limited, q.ids, q.seqs, given, q.purses, q.payers)
	if err != nil {
		return f, fmt.Errorf("asking what a group was decided with: %w", err)
	}
	return f, nil
}

// columns are a group as arrays, so that it is one statement however large it is.
type columns struct {
	ids, seqs, ns, persons         []int64 // rows
	agents, tools, outcomes, texts []string
	hashes, payloads               [][]byte
	intentIDs, intentSeqs          []int64
	intentTexts, intentUses        []string
	intentPayloads                 [][]byte
	endedIDs, endedSeqs            []int64
}

func columnsOf(group []*entry) (c columns) {
	for _, e := range group {
		if e.intent {
			c.intentIDs, c.intentSeqs = append(c.intentIDs, e.id.ID), append(c.intentSeqs, int64(e.id.Seq))
			c.intentTexts, c.intentPayloads = append(c.intentTexts, e.body), append(c.intentPayloads, e.sealed)
			c.intentUses = append(c.intentUses, arrayOf(e.row.Used))
			continue
		}
		c.ids, c.seqs, c.ns = append(c.ids, e.id.ID), append(c.seqs, int64(e.id.Seq)), append(c.ns, e.n)
		c.persons, c.agents = append(c.persons, int64(e.row.Person)), append(c.agents, e.row.Agent)
		c.tools, c.outcomes = append(c.tools, e.row.Tool), append(c.outcomes, e.row.Outcome)
		c.texts, c.hashes, c.payloads = append(c.texts, e.body), append(c.hashes, e.hash[:]), append(c.payloads, e.sealed)
		if e.ends != nil {
			c.endedIDs, c.endedSeqs = append(c.endedIDs, e.ends.key.ID), append(c.endedSeqs, int64(e.ends.key.Seq))
		}
	}
	return c
}

// arrayOf writes numbers as PostgreSQL reads an array: unnest would take arrays of arrays apart.
func arrayOf(tokens []gate.TokenID) string {
	b := []byte{'{'}
	for i, t := range tokens {
		if i > 0 {
			b = append(b, ',')
		}
		b = fmt.Append(b, int64(t))
	}
	return string(append(b, '}'))
}

const writeGroup = `WITH moved AS (UPDATE head SET n = $1, last_id = $2, last_seq = $3, hash = $4, given_id = $5, given_seq = $6 WHERE one = 1),
	added AS (INSERT INTO log (id, seq, n, person, agent, tool, outcome, body, hash)
	  SELECT id, seq, n, person, agent, tool, outcome, body, hash FROM unnest($7::bigint[], $8::bigint[], $9::bigint[], $10::bigint[],
	  $11::text[], $12::text[], $13::text[], $14::text[], $15::bytea[]) AS l (id, seq, n, person, agent, tool, outcome, body, hash) ORDER BY n),
	sealed AS (INSERT INTO payload (id, seq, sealed) SELECT * FROM unnest($7::bigint[], $8::bigint[], $16::bytea[])),
	begun AS (INSERT INTO intent (id, seq, body, sealed, used, replica)
	  SELECT id, seq, body, sealed, CAST(used AS BIGINT[]), $22 FROM unnest($17::bigint[], $18::bigint[], $19::text[], $20::bytea[], $21::text[])
	  AS i (id, seq, body, sealed, used)),
	ended AS (DELETE FROM intent USING unnest($23::bigint[], $24::bigint[]) AS k (id, seq) WHERE intent.id = k.id AND intent.seq = k.seq)
	SELECT 1`

// append writes a group inside a transaction that holds the head.
func (e end) append(ctx context.Context, tx *store.Tx, replica int64, group []*entry) error {
	c := columnsOf(group)
	_, err := tx.Exec(ctx, writeGroup, e.n, e.id.ID, e.id.Seq, e.hash[:], e.given.ID, e.given.Seq,
		c.ids, c.seqs, c.ns, c.persons, c.agents, c.tools, c.outcomes, c.texts, c.hashes, c.payloads,
		c.intentIDs, c.intentSeqs, c.intentTexts, c.intentPayloads, c.intentUses, replica, c.endedIDs, c.endedSeqs)
	return err
}

// makeMonths makes the partitions of this month and the next, where they are missing.
const makeMonths = `SELECT make_months()`

const databaseNow = `CAST(extract(epoch FROM clock_timestamp()) * 1000 AS BIGINT)`

// register makes a replica of this process, and gives its id. What held its place before cannot be running any more.
func (r rows) register(ctx context.Context, place string) (id int64, err error) {
	if place != "" {
		if _, err := r.db.Exec(ctx, `DELETE FROM replica WHERE place = $1`, place); err != nil {
			return 0, err
		}
	}
	for range 1000 {
		err = r.db.Get(ctx, []any{&id}, `INSERT INTO replica (id, until, place)
			SELECT now, now + $1, $2 FROM (SELECT `+databaseNow+` AS now) AS clock ON CONFLICT (id) DO NOTHING RETURNING id`, leaseFor.Milliseconds(), place)
		if !errors.Is(err, outcome.NotFound) {
			return id, err
		}
	}
	return 0, outcome.Conflict
}

// renew renews a replica's lease, and says where the log ends and how many calls were left under way by replicas that are gone.
func (r rows) renew(ctx context.Context, replica int64, mine string) (p place, left int64, err error) {
	var hash []byte
	err = r.db.Get(ctx, []any{&p.n, &p.id.ID, &p.id.Seq, &hash, &left}, `WITH clock AS (SELECT `+databaseNow+` AS now),
		renewed AS (INSERT INTO replica (id, until, place) SELECT $1, now + $2, $3 FROM clock ON CONFLICT (id) DO UPDATE SET until = excluded.until)
		SELECT h.n, h.last_id, h.last_seq, h.hash, (SELECT count(*) FROM intent i LEFT JOIN replica p ON p.id = i.replica WHERE p.id IS NULL OR p.until < now)
		FROM head h, clock WHERE h.one = 1`, replica, leaseFor.Milliseconds(), mine)
	if err != nil {
		return p, 0, err
	}
	return p, left, p.setHash(hash)
}

// resign ends a replica's lease, and removes those that ended long ago and left nothing.
func (r rows) resign(ctx context.Context, replica int64) error {
	_, err := r.db.Exec(ctx, `DELETE FROM replica WHERE id = $1 OR until < `+databaseNow+` - 86400000
		AND NOT EXISTS (SELECT 1 FROM intent WHERE intent.replica = replica.id)`, replica)
	return err
}

// abandoned gives intents of replicas that are gone.
func (r rows) abandoned(ctx context.Context) (map[gate.RowID]stored, error) {
	found := map[gate.RowID]stored{}
	err := r.db.All(ctx, func(scan func(...any) error) error {
		var key gate.RowID
		var i stored
		if err := scan(&key.ID, &key.Seq, &i.body, &i.sealed); err != nil {
			return err
		}
		found[key] = i
		return nil
	}, `SELECT i.id, i.seq, i.body, i.sealed FROM intent i LEFT JOIN replica p ON p.id = i.replica
		WHERE p.id IS NULL OR p.until < `+databaseNow+` ORDER BY i.id, i.seq LIMIT $1`, maxGroup)
	return found, err
}

// due takes a job that one replica does for all: true says that it is this one's turn, and nobody else's before the next.
func (r rows) due(ctx context.Context, name string, every int64, replica int64) (bool, error) {
	taken, err := r.db.Exec(ctx, `INSERT INTO job (id, name, due, replica)
		SELECT now, $1, now + $2, $3 FROM (SELECT `+databaseNow+` AS now) AS clock
		ON CONFLICT (name) DO UPDATE SET due = excluded.due, replica = excluded.replica WHERE job.due <= excluded.id`, name, every, replica)
	if errors.Is(err, outcome.Conflict) { // two jobs begun in one millisecond: the other one was first
		return false, nil
	}
	return taken == 1, err
}

// signNewer keeps a signed head, unless another replica has kept a newer one.
func (r rows) signNewer(ctx context.Context, note string, n int64) error {
	_, err := r.db.Exec(ctx, `UPDATE head SET signed = $1, signed_n = $2 WHERE one = 1 AND signed_n < $2`, note, n)
	return err
}

// countsOf reads the counters of some tokens; calls under way on other replicas are among the uses.
func (r rows) countsOf(ctx context.Context, replica int64, tokens []int64) (map[gate.TokenID]*Count, error) {
	counts := map[gate.TokenID]*Count{}
	err := r.db.All(ctx, countInto(counts), `SELECT t.id, COALESCE(u.calls, 0),
		COALESCE(u.uses, 0) + (SELECT count(*) FROM intent i WHERE t.id = ANY(i.used) AND i.replica <> $2),
		COALESCE(u.last_ms, 0), COALESCE(u.last_address, ''), COALESCE(u.cost, 0)
		FROM unnest($1::bigint[]) AS t (id) LEFT JOIN token_use u ON u.token = t.id`, tokens, replica)
	return counts, err
}
