package audit

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"gatehouse/gate"
	"gatehouse/store"
)

// Sums are what some calls came to.
type Sums struct {
	Calls    int64      `json:"calls"`              // that arrived, the refused ones too
	Cost     gate.Money `json:"cost,omitzero"`      // of those that were carried out, in millionths of the operator's unit
	BytesIn  int64      `json:"bytes_in,omitzero"`  // of their arguments
	BytesOut int64      `json:"bytes_out,omitzero"` // of their results
	Took     int64      `json:"took_us,omitzero"`   // microseconds from their arrival to their rows
}

// mostMoney is where costs stop to be counted. It is far above what anybody spends and far below what a column holds: a sum
// that no longer fits must not keep a row from being written.
const mostMoney = gate.Money(1) << 53

func (s *Sums) add(r *Row) {
	s.Calls += r.Count
	s.Cost = min(s.Cost+min(r.Price, mostMoney), mostMoney)
	s.BytesIn += r.BytesIn
	s.BytesOut += r.BytesOut
	s.Took += r.Took
}

// dayOf is the first millisecond of the day, UTC, in which an id was given.
func dayOf(id int64) int64 { return id - id%day }

// day is the length of one, in milliseconds. Unix time has no other days.
const day = 24 * 60 * 60 * 1000

// sumKey is what calls are summed up by.
type sumKey struct {
	day    int64
	person gate.PersonID
	agent  string
	tool   string // empty: there was no such tool for the caller, whatever they called it
}

// sumUp folds the rows of a group, so that a group of many calls of one agent costs one statement.
func sumUp(group []*entry) map[sumKey]*Sums {
	sums := make(map[sumKey]*Sums, 4)
	for _, e := range group {
		if !e.intent {
			sumRow(sums, &e.row, e.id.ID)
		}
	}
	return sums
}

func sumRow(sums map[sumKey]*Sums, r *Row, id int64) {
	key := sumKey{day: dayOf(id), person: r.Person, agent: r.Agent, tool: r.Tool}
	if r.Definition == "" {
		key.tool = "" // strangers must not be able to make us keep a sum for each word that they think of
	}
	s := sums[key]
	if s == nil {
		s = &Sums{}
		sums[key] = s
	}
	s.add(r)
}

// addSums adds what a group came to, in its transaction. The order is the same in every process: two that share a database
// must not wait for each other.
func addSums(ctx context.Context, tx *store.Tx, sums map[sumKey]*Sums) error {
	for _, key := range slices.SortedFunc(maps.Keys(sums), sumKey.compare) {
		if err := addSum(ctx, tx, key, sums[key]); err != nil {
			return fmt.Errorf("adding up: %w", err)
		}
	}
	return nil
}

// compareSums holds the sums against the rows from which they were added up.
func (v *verification) compareSums() error {
	keys := slices.Collect(maps.Keys(v.summed))
	keys = slices.AppendSeq(keys, maps.Keys(v.moment.sums))
	slices.SortFunc(keys, sumKey.compare)
	for _, key := range slices.Compact(keys) {
		if rows, kept := v.summed[key], v.moment.sums[key]; rows == nil || kept == nil || *rows != *kept {
			return wrong("the sums of %s, person %d, agent %q, tool %q say %s, and the rows %s",
				time.UnixMilli(key.day).UTC().Format(time.DateOnly), key.person, key.agent, key.tool, kept, rows)
		}
	}
	return nil
}

// String is a sum as a fault shows it.
func (s *Sums) String() string {
	if s == nil {
		return "nothing"
	}
	return fmt.Sprintf("%d calls, a cost of %d, %d bytes in and %d out, %d microseconds", s.Calls, s.Cost, s.BytesIn, s.BytesOut, s.Took)
}

// Sum is what the calls of one day, person, agent and tool came to. What was not asked to be kept apart is left out.
type Sum struct {
	Day    string        `json:"day,omitzero"` // UTC, as 2026-11-23
	Person gate.PersonID `json:"person,omitzero"`
	Agent  string        `json:"agent,omitzero"`
	Tool   string        `json:"tool,omitzero"`
	Sums
}

// SumPage is what audit.sums gives.
type SumPage struct {
	Rows []Sum `json:"rows"`
	More bool  `json:"more,omitzero" jsonschema:"there are more: ask for fewer days, or to keep less apart"`
}

type sumsArgs struct {
	Person gate.PersonID `json:"person,omitzero" jsonschema:"only calls for this person"`
	Agent  string        `json:"agent,omitzero" jsonschema:"only calls of agents of this name"`
	Tool   string        `json:"tool,omitzero" jsonschema:"only calls of this tool, by its canonical name"`
	From   string        `json:"from,omitzero" jsonschema:"the first day, UTC: 2026-11-23"`
	To     string        `json:"to,omitzero" jsonschema:"the last day, UTC: 2026-11-23"`
	By     []string      `json:"by,omitzero" kind:"opaque" carries:"nothing" jsonschema:"what to keep apart: day, person, agent, tool; left out: all four; an empty list: one sum"`
	Limit  int           `json:"limit,omitzero" jsonschema:"how many sums at most: 1 to 5000, default 500"`
}

const (
	defaultSums = 500
	maxSums     = 5000
)

// sumFilter is a question as the database is asked.
type sumFilter struct {
	person                           gate.PersonID // 0: everybody's
	agent, tool                      string
	from, to                         int64 // milliseconds; to is exclusive
	byDay, byPerson, byAgent, byTool int   // 1 or 0
	limit                            int
}

// sums adds up what calls came to: own ones, or everybody's for those who keep the house.
func (m *Module) sums(ctx context.Context, p gate.Permit, a sumsArgs) (SumPage, error) {
	f, err := a.filter()
	if err != nil {
		return SumPage{}, err
	}
	if !seesAll(p) {
		if f.person != 0 && f.person != p.Person() || p.Person() == 0 {
			return SumPage{Rows: []Sum{}}, nil // as for a person who does not exist
		}
		f.person = p.Person()
	}
	f.limit++
	found, err := m.rows.sums(ctx, f)
	if err != nil {
		return SumPage{}, err
	}
	page := SumPage{Rows: found, More: len(found) == f.limit}
	page.Rows = found[:min(len(found), f.limit-1)]
	return page, nil
}

func (a sumsArgs) filter() (f sumFilter, err error) {
	f = sumFilter{person: a.Person, agent: a.Agent, tool: a.Tool, limit: a.Limit, to: 1 << 62}
	if f.limit == 0 {
		f.limit = defaultSums
	}
	if f.limit < 1 || f.limit > maxSums {
		return f, fault("/limit", "must be from 1 to 5000")
	}
	if a.By == nil {
		a.By = []string{"day", "person", "agent", "tool"}
	}
	for i, by := range a.By {
		apart := map[string]*int{"day": &f.byDay, "person": &f.byPerson, "agent": &f.byAgent, "tool": &f.byTool}[by]
		if apart == nil || *apart == 1 {
			return f, fault(fmt.Sprintf("/by/%d", i), "must be day, person, agent or tool, each once")
		}
		*apart = 1
	}
	if a.From != "" {
		if f.from, err = dayFrom(a.From); err != nil {
			return f, fault("/from", err.Error())
		}
	}
	if a.To != "" {
		if f.to, err = dayFrom(a.To); err != nil {
			return f, fault("/to", err.Error())
		}
		f.to += day
	}
	return f, nil
}

func dayFrom(s string) (int64, error) {
	t, err := time.Parse(time.DateOnly, s)
	if err != nil {
		return 0, fmt.Errorf("is not a day like 2026-11-23")
	}
	return t.UnixMilli(), nil
}
