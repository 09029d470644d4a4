package store

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"gatehouse/outcome"
)

// What a step of the clock leads to.
const (
	stepLogged  = 2 * time.Second  // a larger one is written to the process log
	stepRefused = 60 * time.Second // a clock that is further behind its newest id is an error, see Clock.Err
)

// Clock makes primary keys of time: milliseconds since 1970, so that id / 1000 is the Unix second in which the row was
// made, at any rate of writes. Ids only rise. An id may run ahead of the clock inside the second that the clock shows, and
// never into a later one: a writer that gets there waits. When the clock goes back ids stay at the last one, and go on
// when it has caught up. All methods may be called from any goroutine.
//
// A new Clock knows nothing of ids that were given before it: Insert finds them taken and asks for the next; whoever
// needs an order across restarts, as the log does, calls [Clock.Resume] with the newest one stored.
type Clock struct {
	Log *slog.Logger // where steps of the clock are written; nil: slog.Default(); set before use

	now   func() time.Time                          // what this process takes for the time
	read  func() (wall int64, steady time.Duration) // milliseconds since 1970, and a clock that is never set
	ahead *atomic.Int64                             // milliseconds by which the database's clock is ahead of ours; nil: ours counts

	mu   sync.Mutex
	last int64 // the newest id
	seq  int   // its newest number
	// The last reading, to tell a step of the clock from time that passed.
	wall   int64
	steady time.Duration
}

// NewClock starts a clock.
func NewClock() *Clock { return newClock(time.Now) }

func newClock(now func() time.Time) *Clock {
	start := now()
	return &Clock{now: now, read: func() (int64, time.Duration) {
		t := now()
		return t.UnixMilli(), t.Sub(start)
	}}
}

// NewID gives an id that this clock did not give before, in the second that the clock shows. It waits when that second's
// thousand ids are used up; ctx ends the waiting. A clock more than a minute behind is outcome.Unavailable at once.
func (c *Clock) NewID(ctx context.Context) (int64, error) {
	for {
		id, wait := c.tryNew()
		if wait == 0 {
			return id, nil
		}
		if wait > stepRefused {
			return 0, c.Err()
		}
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return 0, ctx.Err()
		}
	}
}

func (c *Clock) tryNew() (id int64, wait time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := c.look()
	id = max(now, c.last+1)
	if id/1000 > max(now, c.last)/1000 {
		return 0, time.Duration(id-now) * time.Millisecond
	}
	c.last, c.seq = id, 0
	return id, 0
}

// Now is the time by which ids are made: that of the database where several processes share one, so that they agree.
func (c *Clock) Now() time.Time {
	now := c.now()
	if c.ahead != nil {
		now = now.Add(time.Duration(c.ahead.Load()) * time.Millisecond)
	}
	return now
}

// Next gives the key of the next row of a log: the millisecond and a number in it. Keys only rise; it never waits. In one
// millisecond, and while the clock is behind the last key, the number rises alone.
func (c *Clock) Next() (id int64, seq int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.next(c.look())
}

// NextAt is Next by another clock: that of a database which several processes share. now is in milliseconds since 1970.
func (c *Clock) NextAt(now int64) (id int64, seq int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.next(now)
}

func (c *Clock) next(now int64) (id int64, seq int) {
	if now > c.last {
		c.last, c.seq = now, 0
	} else {
		c.seq++
	}
	return c.last, c.seq
}

// Resume makes everything that follows higher than (id, seq), the newest key that is stored. A lower one changes nothing.
func (c *Clock) Resume(id int64, seq int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if id > c.last || id == c.last && seq > c.seq {
		c.last, c.seq = id, seq
	}
}

// Skew is how far the clock is behind the newest id, zero if it is not. Up to one second is usual under load.
func (c *Clock) Skew() time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	return time.Duration(max(0, c.last-c.look())) * time.Millisecond
}

// Err is outcome.Unavailable while the clock is more than a minute behind the newest id: it was set back, or the rows were
// written with a wrong one. Readiness asks it.
func (c *Clock) Err() error {
	if skew := c.Skew(); skew > stepRefused {
		return outcome.Unavailable.Because("the clock is %s behind the newest row; set it right", skew.Round(time.Second))
	}
	return nil
}

// look reads the clock, and logs a step of it. The caller holds mu.
func (c *Clock) look() int64 {
	wall, steady := c.read()
	if c.wall != 0 {
		step := time.Duration(wall-c.wall)*time.Millisecond - (steady - c.steady)
		if step.Abs() > stepLogged {
			c.logger().Warn("the clock was set", "step", step.Round(time.Millisecond).String())
		}
	}
	c.wall, c.steady = wall, steady
	if c.ahead != nil {
		wall += c.ahead.Load()
	}
	return wall
}

func (c *Clock) logger() *slog.Logger {
	if c.Log == nil {
		return slog.Default()
	}
	return c.Log
}
