package database

import (
	"database/sql/driver"
	"errors"
	"sync"
	"sync/atomic"

	"modernc.org/sqlite"
)

// collect is the SQL function by which rows come to us.
//
// The driver ends a statement at a deadline only up to its first row: the step to the second one cannot be interrupted,
// and SELECT 1 UNION ALL SELECT count(*) FROM an endless CTE would run for ever. What it executes without reading rows can
// be interrupted all the time. So a statement is executed as the source of an aggregate of ours, which takes the rows as
// they come; an aggregate also keeps their order. And it sees values as they are stored: the driver itself turns a text in
// a column declared DATE into a time.
const collect = "gatehouse_collect"

var errEnough = errors.New("enough rows")

// collectors are the calls under way on one connection, by number.
type collectors struct {
	next  atomic.Int64
	mu    sync.Mutex
	calls map[int64]*page // guarded by mu
}

func newCollectors() *collectors { return &collectors{calls: map[int64]*page{}} }

// open gives a page its number; close takes it back.
func (c *collectors) open(p *page) (id int64) {
	id = c.next.Add(1)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.calls[id] = p
	return id
}

func (c *collectors) close(id int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.calls, id)
}

func (c *collectors) find(id int64) *page {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.calls[id]
}

func (c *collectors) function() *sqlite.FunctionImpl {
	return &sqlite.FunctionImpl{
		NArgs:         -1,
		MakeAggregate: func(sqlite.FunctionContext) (sqlite.AggregateFunction, error) { return collecter{c}, nil },
		VolatileArgs:  true, // page.add copies; else a text would end at its first U+0000
	}
}

// collecter is one run of the aggregate: its first argument is the number of the page, the others are a row.
type collecter struct{ *collectors }

// Step implements sqlite.AggregateFunction.
func (c collecter) Step(_ *sqlite.FunctionContext, args []driver.Value) error {
	id, _ := args[0].(int64)
	p := c.find(id)
	if p == nil {
		return errors.New("a row came that nobody asked for")
	}
	return p.add(args[1:])
}

// WindowInverse implements sqlite.AggregateFunction; it is never a window function.
func (collecter) WindowInverse(*sqlite.FunctionContext, []driver.Value) error {
	return errors.New("not a window function")
}

// WindowValue implements sqlite.AggregateFunction.
func (collecter) WindowValue(*sqlite.FunctionContext) (driver.Value, error) { return nil, nil }

// Final implements sqlite.AggregateFunction.
func (collecter) Final(*sqlite.FunctionContext) {}
