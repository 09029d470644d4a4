package audit

import (
	"context"
	"errors"
	"fmt"
	"time"

	"gatehouse/canon"
	"gatehouse/gate"
	"gatehouse/outcome"
	"gatehouse/store"
)

const (
	pruneTool   = "audit.prune"
	defaultKeep = 90 * 24 * time.Hour

	// youngest is the least age at which a payload goes, by the log's own time, whatever is configured: the database
	// itself refuses to remove a younger one.
	youngest = 24 * time.Hour

	pruneBatch  = 500             // payloads in one transaction
	pruneAtMost = 5 * time.Minute // then the rest is left to the next call
)

// Range says which payloads were removed because their time was over: those of the rows whose id has From <= id < Before,
// in milliseconds since 1970.
type Range struct {
	Before int64 `json:"before"`
	From   int64 `json:"from"`
}

func (r Range) has(id gate.RowID) bool { return r.From <= id.ID && id.ID < r.Before }

// rangeOf is the range that a call of audit.prune names; zero: it is another call, or it was not let through.
func rangeOf(r *gate.Row) (named Range) {
	if r.Tool != pruneTool || r.Job == "" || r.Decision != gate.Allow || r.Payload.Arguments.Decode(&named) != nil {
		return Range{}
	}
	return named
}

// Pruned is the result of audit.prune.
type Pruned struct {
	Range
	Removed int64 `json:"removed"`
	// Left is true where the call had to end before all was removed: the next one goes on.
	Left bool `json:"left,omitzero"`
}

// Jobs implements gate.Scheduled.
func (m *Module) Jobs() []gate.Job {
	return []gate.Job{{Tool: pruneTool, Every: 24 * time.Hour, Jitter: time.Hour, Once: true, Arguments: m.toPrune}}
}

// toPrune names the payloads whose time is over, or nothing: so the range stands in the intent before anything is removed.
func (m *Module) toPrune(ctx context.Context) (canon.Value, error) {
	oldest, err := m.rows.oldestOfAll(ctx)
	if errors.Is(err, outcome.NotFound) {
		return canon.Value{}, nil
	}
	if err != nil {
		return canon.Value{}, fmt.Errorf("looking for the oldest payload: %w", err)
	}
	before, err := m.keptSince(ctx)
	if err != nil || oldest >= before {
		return canon.Value{}, err
	}
	return canon.From(Range{From: oldest, Before: before})
}

// keptSince is the first id whose payload stays.
func (m *Module) keptSince(ctx context.Context) (int64, error) {
	last, err := m.rows.last(ctx)
	if err != nil {
		return 0, fmt.Errorf("reading the last row: %w", err)
	}
	now := m.rows.db.Clock().Now().UnixMilli()
	return min(now-m.keep.Milliseconds(), last.id.ID-youngest.Milliseconds()), nil
}

// prune removes payloads in small transactions, with pauses in which others write. What it leaves because of an error or a
// crash lies in a range that its row names, and goes with the next call.
func (m *Module) prune(ctx context.Context, _ gate.Permit, a Range) (Pruned, error) {
	done := Pruned{Range: a}
	before, err := m.keptSince(ctx)
	if err != nil {
		return done, err
	}
	switch {
	case a.From < 0 || a.From >= a.Before:
		return done, fault("/from", "must not be negative, and lie before the end")
	case a.Before > before:
		return done, fault("/before", "payloads of that time are still kept")
	}
	intent, err := m.rows.intentOf(ctx, a)
	if err != nil {
		return done, err
	}
	if err := m.rows.writeRange(ctx, intent, a); err != nil {
		return done, err
	}
	spans, err := m.rows.spans()
	if err != nil {
		return done, err
	}
	end := time.Now().Add(pruneAtMost)
	for _, s := range spans {
		if s.to <= a.From || s.from >= a.Before || done.Left {
			continue
		}
		if err := m.pruneClosed(ctx, s.month, intent, &done, end); err != nil {
			return done, fmt.Errorf("the closed segment %s: %w", s.month, err)
		}
	}
	if done.Left {
		return done, nil
	}
	return done, m.rows.pruneUntil(ctx, &done, end)
}

// pruneClosed removes payloads from a closed segment. Its file is opened to write just for that; it gets the intent for as
// long as that takes, and keeps the range: its own triggers ask for both.
func (m *Module) pruneClosed(ctx context.Context, month string, intent gate.RowID, done *Pruned, end time.Time) (err error) {
	var oldest int64
	err = m.rows.closed(ctx, month, func(r rows) (err error) {
		oldest, err = r.oldestPayload(ctx)
		return err
	})
	if errors.Is(err, outcome.NotFound) || err == nil && oldest >= done.Before {
		return nil // there is nothing to remove, or it was moved away
	}
	if err != nil {
		return err
	}
	db, err := m.rows.db.OpenClosed(ctx, month, true)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	intents, err := m.rows.intents(ctx)
	if err != nil {
		return err
	}
	r := rows{db}
	if err := r.lend(ctx, intent, intents[intent], done.Range); err != nil {
		return err
	}
	if err := r.pruneUntil(ctx, done, end); err != nil {
		return err // what was lent goes with the next call
	}
	return r.unlend(ctx)
}

// pruneUntil removes the payloads of a range from one segment.
func (r rows) pruneUntil(ctx context.Context, done *Pruned, end time.Time) error {
	for {
		at := time.Now()
		n, err := r.prune(ctx, done.Range)
		if err != nil {
			return err
		}
		done.Removed += n
		if n < pruneBatch {
			return nil
		}
		if time.Now().After(end) {
			done.Left = true
			return nil
		}
		select { // as long again belongs to those who write the log
		case <-time.After(time.Since(at)):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// oldestOfAll is the first part of the id of the oldest payload in any segment; outcome.NotFound: there is none.
func (r rows) oldestOfAll(ctx context.Context) (id int64, err error) {
	spans, err := r.spans()
	if err != nil {
		return 0, err
	}
	for _, s := range spans {
		err := r.closed(ctx, s.month, func(r rows) (err error) {
			id, err = r.oldestPayload(ctx)
			return err
		})
		if !errors.Is(err, outcome.NotFound) {
			return id, err
		}
	}
	return r.oldestPayload(ctx)
}

// oldestPayload is the first part of the id of the oldest payload; outcome.NotFound: there is none.
func (r rows) oldestPayload(ctx context.Context) (id int64, err error) {
	err = r.db.Get(ctx, []any{&id}, `SELECT id FROM payload ORDER BY id, seq LIMIT 1`)
	return id, err
}

// intentOf finds the intent that names a range: the call that is being carried out.
func (r rows) intentOf(ctx context.Context, a Range) (found gate.RowID, err error) {
	intents, err := r.intents(ctx)
	if err != nil {
		return found, fmt.Errorf("looking for the intent: %w", err)
	}
	for key, i := range intents {
		if row, err := parseRow(i.body); err == nil && row.Tool == pruneTool && row.Pruned == a && compareKeys(key, found) > 0 {
			found = key
		}
	}
	if found.IsZero() {
		return found, errors.New("no intent names the range")
	}
	return found, nil
}

const insertRange = `INSERT INTO pruned (id, seq, from_ms, before_ms) VALUES ($1, $2, $3, $4)`

// writeRange writes down a range before anything of it is removed.
func (r rows) writeRange(ctx context.Context, intent gate.RowID, a Range) error {
	if _, err := r.db.Exec(ctx, insertRange, intent.ID, intent.Seq, a.From, a.Before); err != nil {
		return fmt.Errorf("writing down the range: %w", err)
	}
	return nil
}

// prune removes one batch of a range.
func (r rows) prune(ctx context.Context, a Range) (n int64, err error) {
	return r.db.Exec(ctx, `DELETE FROM payload WHERE (id, seq) IN (SELECT id, seq FROM payload WHERE id >= $1 AND id < $2 ORDER BY id, seq LIMIT $3)`,
		a.From, a.Before, pruneBatch)
}

// lend writes an intent of the live segment, and the range that it names, into a closed one. What an earlier call left goes.
func (r rows) lend(ctx context.Context, intent gate.RowID, i stored, a Range) error {
	return r.db.Tx(ctx, func(tx *store.Tx) error {
		if _, err := tx.Exec(ctx, `DELETE FROM intent`); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, `INSERT INTO intent (id, seq, body, sealed) VALUES ($1, $2, $3, $4)`, intent.ID, intent.Seq, i.body, []byte{}); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, insertRange, intent.ID, intent.Seq, a.From, a.Before)
		return err
	})
}

// unlend ends what lend began.
func (r rows) unlend(ctx context.Context) error {
	_, err := r.db.Exec(ctx, `DELETE FROM intent`)
	return err
}

// endedAt is when the payload of a row was removed because its time was over; outcome.NotFound: it was not.
func (r rows) endedAt(ctx context.Context, id gate.RowID) (time.Time, error) {
	var ms int64
	err := r.db.Get(ctx, []any{&ms}, `SELECT id FROM pruned WHERE from_ms <= $1 AND before_ms > $1 ORDER BY id DESC, seq DESC LIMIT 1`, id.ID)
	return time.UnixMilli(ms).UTC(), err
}

// prunedRange is a range as it is written down.
type prunedRange struct {
	Range
	named bool // an intent or a row of the log names it
}

// pruned gives all ranges by the intents they belong to. A range whose intent is gone has its row in the log already.
func (r rows) pruned(ctx context.Context) (map[gate.RowID]*prunedRange, error) {
	found := map[gate.RowID]*prunedRange{}
	err := r.db.All(ctx, func(scan func(...any) error) error {
		var id gate.RowID
		p, body := &prunedRange{}, ""
		if err := scan(&id.ID, &id.Seq, &p.From, &p.Before, &body); err != nil {
			return err
		}
		if row, err := parseRow(body); body != "" && err == nil {
			p.named = row.prunes(p.Range)
		}
		found[id] = p
		return nil
	}, `SELECT p.id, p.seq, p.from_ms, p.before_ms, COALESCE(i.body, '') FROM pruned p LEFT JOIN intent i ON i.id = p.id AND i.seq = p.seq`)
	return found, err
}

// prunes reports whether a row, or an intent, is of a call that removed the payloads of a range.
func (r *Row) prunes(a Range) bool {
	return r.Tool == pruneTool && r.Job != "" && r.Decision == gate.Allow.String() && r.Pruned == a
}

// ended reports whether a payload may be missing, because its time was over. Ranges are read anew when a payload is missing
// in none of those that are known: it may have gone while the log is being walked.
func (v *verification) ended(ctx context.Context, id gate.RowID) (bool, error) {
	if within(v.ranges, id) {
		return true, nil
	}
	if err := v.readRanges(ctx); err != nil {
		return false, err
	}
	return within(v.ranges, id), nil
}

func within(ranges map[gate.RowID]*prunedRange, id gate.RowID) bool {
	for at, p := range ranges {
		if p.has(id) && id.ID < at.ID-youngest.Milliseconds() {
			return true
		}
	}
	return false
}

// readRanges reads which payloads were removed. A range that no intent names any more has its row before the log's end as
// it is now, and so among those that the walk will come to or has seen.
func (v *verification) readRanges(ctx context.Context) error {
	ranges, err := v.rows.pruned(ctx)
	if err != nil {
		return fmt.Errorf("reading which payloads were removed: %w", err)
	}
	for id, p := range ranges {
		if old := v.ranges[id]; old != nil {
			p.named = p.named || old.named
		}
		if row, seen := v.named[id]; seen {
			p.named = p.named || row == p.Range
		}
	}
	v.ranges = ranges
	return nil
}

// name notes that a row names a range.
func (v *verification) name(row *Row) {
	if row.Pruned == (Range{}) || !row.prunes(row.Pruned) {
		return
	}
	intent, err := gate.ParseRowID(row.Intent)
	if err != nil {
		return
	}
	v.named[intent] = row.Pruned
	if p := v.ranges[intent]; p != nil && p.Range == row.Pruned {
		p.named = true
	}
}

// endRanges finds ranges that no row of the log names: whoever wrote one down meant to remove payloads unseen.
func (v *verification) endRanges(ctx context.Context) error {
	elsewhere, err := v.after(ctx)
	if err != nil {
		return err
	}
	for id, p := range v.ranges {
		if !p.named && compareKeys(id, elsewhere) <= 0 {
			return wrong("payloads of the time from %d to %d were removed for the intent %s, and no row says so", p.From, p.Before, id)
		}
	}
	return nil
}
