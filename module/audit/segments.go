package audit

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"gatehouse/gate"
	"gatehouse/outcome"
)

// What reads the log as a whole goes over the closed segments that are there and the live one. A closed file is opened for
// as long as it is read, and may be moved away at any time. On PostgreSQL all segments are one table, and none is closed.

// closed runs something on a closed segment; outcome.NotFound: it is not there.
func (r rows) closed(ctx context.Context, month string, do func(rows) error) error {
	db, err := r.db.OpenClosed(ctx, month, false)
	if err != nil {
		return err
	}
	return errors.Join(do(rows{db}), db.Close())
}

// span is a closed segment and where its ids lie.
type span struct {
	month    string
	from, to int64 // to is exclusive
}

// spans are the closed segments, the oldest first.
func (r rows) spans() ([]span, error) {
	months, err := r.db.Closed()
	if err != nil {
		return nil, err
	}
	spans := make([]span, 0, len(months))
	from := int64(0)
	for _, month := range months {
		to, err := monthEnd(month)
		if err != nil {
			return nil, err
		}
		spans = append(spans, span{month, from, to})
		from = to
	}
	return spans, nil
}

// newestOfAll gives the rows of all segments that a filter lets through, newest first.
func (r rows) newestOfAll(ctx context.Context, f filter) ([]Row, error) {
	found, err := r.newest(ctx, f)
	if err != nil || len(found) == f.limit {
		return found, err
	}
	spans, err := r.spans()
	if err != nil {
		return nil, err
	}
	for _, s := range slices.Backward(spans) {
		if s.to <= f.from || len(found) == f.limit {
			break
		}
		if s.from >= f.to || s.from > f.before.ID {
			continue
		}
		err := r.closed(ctx, s.month, func(r rows) error {
			g := f
			if g.limit -= len(found); len(found) > 0 { // the live segment may have become this one meanwhile
				if g.before, err = gate.ParseRowID(found[len(found)-1].ID); err != nil {
					return err
				}
			}
			older, err := r.newest(ctx, g)
			found = append(found, older...)
			return err
		})
		if err != nil && !errors.Is(err, outcome.NotFound) {
			return nil, fmt.Errorf("reading the segment %s: %w", s.month, err)
		}
	}
	return found, nil
}

// afterInAll is after, of all segments.
func (r rows) afterInAll(ctx context.Context, f filter) ([]Row, error) {
	return r.inOrder(ctx, f, func(r rows, f filter) ([]Row, error) { return r.after(ctx, f) })
}

// inOrder gives rows of all segments, oldest first, as read finds them in one: those after f.after, at most f.limit.
func (r rows) inOrder(ctx context.Context, f filter, read func(rows, filter) ([]Row, error)) ([]Row, error) {
	for {
		spans, err := r.spans()
		if err != nil {
			return nil, err
		}
		found, err := r.inSpans(ctx, f, spans, read)
		if err != nil || len(found) == f.limit {
			return found, err
		}
		live := f
		if live.limit -= len(found); len(found) > 0 {
			if live.after, err = gate.ParseRowID(found[len(found)-1].ID); err != nil {
				return nil, err
			}
		}
		newest, err := read(r, live)
		if err != nil {
			return nil, err
		}
		again, err := r.spans()
		if err != nil {
			return nil, err
		}
		if len(again) > 0 && !slices.Contains(spans, again[len(again)-1]) {
			continue // the live segment was closed between the looks, and what stood in it would be left out
		}
		return append(found, newest...), nil
	}
}

func (r rows) inSpans(ctx context.Context, f filter, spans []span, read func(rows, filter) ([]Row, error)) (found []Row, err error) {
	for _, s := range spans {
		if s.to <= max(f.from, f.after.ID) || s.from >= f.to {
			continue
		}
		err := r.closed(ctx, s.month, func(r rows) error {
			g := f
			g.limit -= len(found)
			more, err := read(r, g)
			found = append(found, more...)
			return err
		})
		if err != nil && !errors.Is(err, outcome.NotFound) {
			return nil, fmt.Errorf("reading the segment %s: %w", s.month, err)
		}
		if len(found) == f.limit {
			break
		}
	}
	return found, nil
}

// getOfAll gives one row of any segment and its payload.
func (r rows) getOfAll(ctx context.Context, id gate.RowID) (row Row, sealed []byte, err error) {
	row, sealed, err = r.get(ctx, id)
	if !errors.Is(err, outcome.NotFound) {
		return row, sealed, err
	}
	spans, listing := r.spans()
	if listing != nil {
		return row, nil, listing
	}
	for _, s := range slices.Backward(spans) {
		if id.ID < s.from || id.ID >= s.to {
			continue
		}
		err := r.closed(ctx, s.month, func(r rows) (err error) {
			row, sealed, err = r.get(ctx, id)
			return err
		})
		if !errors.Is(err, outcome.NotFound) {
			return row, sealed, err
		}
	}
	return row, nil, err
}

// firstOfAll is the number of the first row that is there in any segment; zero: there is none.
func (r rows) firstOfAll(ctx context.Context) (first int64, err error) {
	spans, err := r.spans()
	if err != nil {
		return 0, err
	}
	for _, s := range spans {
		err := r.closed(ctx, s.month, func(r rows) (err error) {
			first, err = r.firstRow(ctx)
			return err
		})
		if err != nil && !errors.Is(err, outcome.NotFound) || first > 0 {
			return first, err
		}
	}
	return r.firstRow(ctx)
}
