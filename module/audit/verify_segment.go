package audit

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math"

	"gatehouse/gate"
	"gatehouse/outcome"
	"gatehouse/store"
)

// closedSegments walks those that were not walked yet, the oldest first.
func (v *verification) closedSegments(ctx context.Context) error {
	months, err := v.rows.db.Closed()
	if err != nil {
		return err
	}
	for _, month := range months {
		if month <= v.month {
			continue
		}
		v.month = month
		if err := v.closedSegment(ctx, month); err != nil {
			var fault faultError
			if errors.As(err, &fault) {
				fault.Segment = month
				return fault
			}
			return fmt.Errorf("the closed segment %s: %w", month, err)
		}
	}
	return nil
}

func (v *verification) closedSegment(ctx context.Context, month string) (err error) {
	db, err := v.rows.db.OpenClosed(ctx, month, false)
	if errors.Is(err, outcome.NotFound) {
		return nil // it was moved away since; if it was not the oldest, the next one says what is missing
	}
	if err != nil {
		return wrong("it cannot be opened: %v", err)
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	r := rows{db}
	if v.inside { // it was the live one when the walk came to it
		v.inside, v.here = false, r
	} else if err := v.enter(ctx, r); err != nil {
		return err
	}
	for {
		page, err := v.page(ctx, r)
		if err != nil {
			return err
		}
		if len(page) == 0 {
			break
		}
		if err := v.rowsOf(ctx, page); err != nil {
			return err
		}
	}
	v.report.Segments++
	if err := strays(ctx, r); err != nil {
		return err
	}
	return integrity(ctx, r)
}

func (v *verification) rowsOf(ctx context.Context, page []rawRow) error {
	for _, r := range page {
		if err := v.row(ctx, r); err != nil {
			return err
		}
	}
	return nil
}

// liveSegment walks the live segment. turned: it was closed meanwhile, and is among the closed ones now.
func (v *verification) liveSegment(ctx context.Context) (turned bool, err error) {
	before, err := v.liveBegin(ctx)
	if err != nil {
		return false, err
	}
	if err := v.enter(ctx, v.rows); err != nil {
		months, listing := v.rows.db.Closed()
		return listing == nil && len(months) > 0 && months[len(months)-1] > v.month, errors.Join(listing, v.unless(months, err))
	}
	for {
		page, err := v.page(ctx, v.rows)
		if err != nil {
			return false, err
		}
		now, err := v.liveBegin(ctx)
		if err != nil {
			return false, err
		}
		if now != before { // the page may be of the new file
			v.inside = true
			return true, nil
		}
		if len(page) == 0 {
			return false, nil
		}
		if err := v.rowsOf(ctx, page); err != nil {
			return false, err
		}
	}
}

// unless gives an error, unless a segment was closed that was not walked yet: then it says nothing.
func (v *verification) unless(months []string, err error) error {
	if len(months) > 0 && months[len(months)-1] > v.month {
		return nil
	}
	return err
}

// liveBegin is after which row the live file begins. Where all segments are in one table nothing moves.
func (v *verification) liveBegin(ctx context.Context) (int64, error) {
	if v.rows.db.Engine() != store.SQLite {
		return 0, nil
	}
	b, err := latest(ctx, v.rows.db)
	if err != nil {
		return 0, wrong("where the live segment begins cannot be read: %v", err)
	}
	return b.n, nil
}

// enter begins a database that holds one segment or several: it must go on where the last one ended. The first that is here
// may begin later than the log did: whatever was before was moved away, as the signed beginning says.
func (v *verification) enter(ctx context.Context, r rows) error {
	v.here = r
	all, err := begins(ctx, r.db)
	if err != nil {
		return wrong("where the segments begin cannot be read: %v", err)
	}
	if !v.walked {
		v.walked = true
		if err := v.first(ctx, r, all); err != nil {
			return err
		}
	} else if len(all) == 0 {
		return wrong("it does not say where it begins")
	} else if next := all[0]; next.n > v.at.n {
		return wrong("the rows %d to %d are missing: a closed segment was taken away, or its tail was cut", v.at.n+1, next.n)
	} else if next.n < v.at.n {
		return wrong("it begins after row %d, and the rows up to %d stand before it: segments are in each other's place", next.n, v.at.n)
	}
	for _, b := range all {
		if b.n >= v.at.n {
			v.begins[b.n] = b
		}
	}
	return v.compareBegin(ctx)
}

// first begins the walk.
func (v *verification) first(ctx context.Context, r rows, all []began) error {
	n, err := r.firstRow(ctx)
	if err != nil {
		return wrong("the first row cannot be read: %v", err)
	}
	switch {
	case n == 1 || n == 0 && len(all) == 0:
		return nil
	case n == 0:
		n = all[len(all)-1].n + 1
	}
	for _, b := range all {
		if b.n == n-1 {
			return v.seed(ctx, r, b)
		}
	}
	return nil // the first row tells what is missing
}

// seed takes up the walk after rows that are not here.
func (v *verification) seed(ctx context.Context, r rows, b began) error {
	text, err := openBeginning(b.signed, v.public)
	if err != nil {
		return wrong("the rows before number %d are not here, and what vouches for them does not hold: %v", b.n+1, err)
	}
	c := carried{}
	if c.counts, err = usesAt(ctx, r.db, b.segment); err != nil {
		return wrong("the counters of the segment's beginning cannot be read: %v", err)
	}
	if c.sums, err = sumsUntil(ctx, r.db, dayOf(b.id.ID)); err != nil {
		return wrong("the sums of the segment's beginning cannot be read: %v", err)
	}
	if c.ranges, err = rangesIn(ctx, r.db); err != nil {
		return wrong("the ranges of removed payloads cannot be read: %v", err)
	}
	if int64(len(c.ranges)) < text.ranges {
		return wrong("of %d ranges of removed payloads that the segment began with, %d are here", text.ranges, len(c.ranges))
	}
	c.ranges = c.ranges[:text.ranges]
	sum, err := c.digest()
	if err != nil {
		return err
	}
	if text != (beginning{Head: Head{b.n, b.id, b.hash}, root: b.tree.root(), ranges: text.ranges, carried: sum}) {
		return wrong("the segment that begins after row %d began with something else than what stands here", b.n)
	}
	v.at, v.tree, v.report.Begins = b.place, b.tree, b.n+1
	v.counted, v.summed = c.counts, c.sums
	for _, r := range c.ranges {
		v.named[r.key] = r.Range
	}
	if v.report.Kept < b.n {
		v.report.Kept = 0 // what was kept elsewhere is older than all rows here, and says nothing of them
	}
	if err := v.readRanges(ctx); err != nil {
		return err
	}
	if err := v.compareHeads(); err != nil {
		return err
	}
	return v.compareTrees()
}

// compareBegin holds what was walked against the beginning of a segment that follows the row that was reached.
func (v *verification) compareBegin(ctx context.Context) error {
	b, ok := v.begins[v.at.n]
	if !ok || v.at.n == 0 {
		return nil
	}
	delete(v.begins, v.at.n)
	if b.place != v.at || b.tree.n != v.tree.n || b.tree.root() != v.tree.root() {
		return wrongAt(v.at.id, v.at.n, "the segment that follows it began after another row, or another history")
	}
	if v.at.n > v.moment.n {
		return nil // what is newer is not counted here
	}
	counts, err := usesAt(ctx, v.here.db, b.segment)
	if err != nil {
		return wrong("the counters of a segment's beginning cannot be read: %v", err)
	}
	if !maps.EqualFunc(counts, v.counted, func(a, b *Count) bool { return *a == *b }) {
		return wrongAt(v.at.id, v.at.n, "the counters with which the segment that follows it began are not those of the rows")
	}
	return nil
}

// after is the key that no range of a closed segment is older than: the rows that name those stand elsewhere.
func (v *verification) after(ctx context.Context) (gate.RowID, error) {
	closed, err := v.rows.isClosed(ctx)
	if err != nil {
		return gate.RowID{}, wrong("whether this is a closed segment cannot be read: %v", err)
	}
	if closed && v.report.Segments > 0 {
		return gate.RowID{}, wrong("the live segment is the file of a closed one")
	}
	if v.report.Closed = closed; closed {
		return v.at.id, nil
	}
	return gate.RowID{ID: math.MaxInt64}, nil
}

// isClosed reports whether a SQLite file is that of a closed segment.
func (r rows) isClosed(ctx context.Context) (bool, error) {
	if r.db.Engine() != store.SQLite {
		return false, nil
	}
	var n int64
	err := r.db.Get(ctx, []any{&n}, `SELECT count(*) FROM sqlite_schema WHERE type = 'trigger' AND name = 'log_closed'`)
	return n > 0, err
}
