package audit

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"gatehouse/gate"
	"gatehouse/outcome"
	"gatehouse/store"
)

// noRoom is why a row cannot be written to a disk that is full.
type noRoom struct{}

func (noRoom) Error() string { return "there is no room left for the log" }

// Word is what readiness tells to whoever asks.
func (noRoom) Word() string { return "disk full" }

var errNoRoom = noRoom{}

const reasonFull = "the gateway's disk is full, so nothing can be written down and nothing new is begun; try again later"

var errFull = outcome.Unavailable.From(errNoRoom, reasonFull)

// room is what is done about a full disk: calls under way get their rows, from a reserve where there is one; new ones are
// turned away, and stand in one row when there is room again. Any goroutine may use it.
type room struct {
	reserve *reserve // nil on PostgreSQL, whose disk is not ours
	lacks   func(error) bool
	summary func(context.Context, *gate.Row) (*entry, error)

	full atomic.Bool // set by the writer's goroutine; unset under mu
	mu   sync.Mutex  // guards below
	away int64       // calls turned away that stand in no row yet
	from time.Time   // when the first of them came
}

// makeRoom is the room of a log whose database lies in dir, if it lies in a folder of ours at all.
func (m *Module) makeRoom(dir string, lacks func(error) bool) *room {
	r := &room{lacks: lacks, summary: func(ctx context.Context, row *gate.Row) (*entry, error) { return m.entry(ctx, row, nil, nil) }}
	if r.lacks == nil {
		r.lacks = store.Full
	}
	if !m.rows.shared() {
		r.reserve = newReserve(dir)
	}
	return r
}

// begin makes the reserve. Without it no call is let through.
func (r *room) begin() error {
	if r.reserve == nil {
		return nil
	}
	err := r.reserve.make(0)
	if err != nil {
		r.full.Store(true)
		return outcome.Unavailable.From(errors.Join(errNoRoom, err), reasonFull)
	}
	return nil
}

// count counts a call that gets no row of its own because the disk is full; false: it is not, or not any more.
func (r *room) count(row *gate.Row) bool {
	if !r.full.Load() {
		return false
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.full.Load() {
		return false
	}
	if r.away == 0 {
		r.from = row.Began
	}
	r.away += max(row.Count, 1)
	return true
}

// over ends the shortage, unless there are calls that stand in no row yet: those it hands over to be written.
func (r *room) over() (away int64, from time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	away, from = r.away, r.from
	if away == 0 {
		r.full.Store(false)
	}
	r.away = 0
	return away, from
}

// again takes back what over handed out and could not be written.
func (r *room) again(away int64, from time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.away, r.from = r.away+away, from
}

// lacking recognizes an error that comes from a full disk, and frees the reserve.
func (w *writer) lacking(err error) error {
	if err == nil || !w.room.lacks(err) && !w.room.reserve.tight(err) {
		return err
	}
	w.room.full.Store(true)
	freed := w.room.reserve.free()
	return outcome.Unavailable.From(errors.Join(errNoRoom, err, freed), reasonFull)
}

// turnAway answers those in a group who are not owed a row, and gives the others.
func (w *writer) turnAway(group []*entry) (owed []*entry) {
	for _, e := range group {
		if e.owed {
			owed = append(owed, e)
		} else {
			w.answer([]*entry{e}, errFull)
		}
	}
	return owed
}

// relieve ends the shortage if there is room again: for the reserve, and for the row of those who were turned away.
func (w *writer) relieve(ctx context.Context) error {
	if err := w.room.reserve.make(reserveSize); err != nil {
		return outcome.Unavailable.From(errors.Join(errNoRoom, err), reasonFull)
	}
	for {
		away, from := w.room.over()
		if away == 0 {
			return nil
		}
		if err := w.sumAway(ctx, away, from); err != nil {
			w.room.again(away, from)
			return err
		}
		w.log.Info("calls were turned away while the disk was full; one row says how many", "calls", away)
	}
}

// sumAway writes the one row that stands for all who were turned away.
func (w *writer) sumAway(ctx context.Context, away int64, from time.Time) error {
	e, err := w.room.summary(ctx, &gate.Row{
		Began: from, Took: time.Since(from), Count: away, Decision: gate.Refuse, Rule: "disk full", Outcome: outcome.Unavailable,
	})
	if err == nil {
		err = w.commit([]*entry{e})
	}
	if err != nil {
		return fmt.Errorf("writing the row of the calls that were turned away: %w", err)
	}
	return nil
}

// lastWords writes the row of those who were turned away before the log is closed, if it can be.
func (w *writer) lastWords() {
	if !w.room.full.Load() {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), lookTime)
	defer cancel()
	away, from := w.room.over()
	if away == 0 {
		return
	}
	if err := w.sumAway(ctx, away, from); err != nil {
		w.log.Error("calls were turned away while the disk was full, and no row says so", "calls", away, "error", err)
	}
}
