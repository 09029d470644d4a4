package audit

import (
	"context"
	"errors"
	"fmt"
	"time"

	"gatehouse/gate"
	"gatehouse/outcome"
)

const (
	defaultLimit = 50
	maxLimit     = 500
	maxWait      = 30 * time.Second
	pollEvery    = time.Second // while following, for rows that another process writes
)

type searchArgs struct {
	Person  gate.PersonID `json:"person,omitzero" jsonschema:"only rows of this person"`
	Agent   string        `json:"agent,omitzero" jsonschema:"only rows of agents of this name"`
	Tool    string        `json:"tool,omitzero" jsonschema:"only rows of this tool, by its canonical name"`
	Outcome string        `json:"outcome,omitzero" jsonschema:"only rows with this outcome, for example not_allowed"`
	From    string        `json:"from,omitzero" jsonschema:"only rows since then: RFC 3339, for example 2026-11-23T18:00:00Z"`
	To      string        `json:"to,omitzero" jsonschema:"only rows before then: RFC 3339"`
	Limit   int           `json:"limit,omitzero" jsonschema:"how many rows at most: 1 to 500, default 50"`
	Cursor  string        `json:"cursor,omitzero" jsonschema:"the cursor of the page before, for the next page"`
	After   string        `json:"after,omitzero" jsonschema:"follow the log instead: rows after this id, oldest first, without those of audit.search"`
	Wait    int           `json:"wait_seconds,omitzero" jsonschema:"with after: how long to wait for the first row, at most 30"`
}

// Page is what audit.search gives.
type Page struct {
	Rows   []Row  `json:"rows"`
	Cursor string `json:"cursor,omitzero" jsonschema:"for the next page, or with after for the next call; none: there is no further page"`
}

// filter is a search as the database is asked. Empty members ask for nothing.
type filter struct {
	person        gate.PersonID // 0: everybody's
	agent, tool   string
	outcome       string
	from, to      int64      // milliseconds; to is exclusive
	before, after gate.RowID // exclusive
	limit         int
	withoutSearch bool
}

func (m *Module) search(ctx context.Context, p gate.Permit, a searchArgs) (Page, error) {
	f, err := a.filter()
	if err != nil {
		return Page{}, err
	}
	if !seesAll(p) {
		if f.person != 0 && f.person != p.Person() || p.Person() == 0 {
			return Page{Rows: []Row{}}, nil // as for a person who does not exist
		}
		f.person = p.Person()
	}
	if a.After != "" {
		return m.follow(ctx, f, time.Duration(a.Wait)*time.Second)
	}
	return m.page(ctx, f)
}

// seesAll reports whether a caller sees everybody's metadata. Whoever does not sees the own rows alone.
func seesAll(p gate.Permit) bool { return p.Operator() || p.Administrator() }

func (a searchArgs) filter() (f filter, err error) {
	f = filter{person: a.Person, agent: a.Agent, tool: a.Tool, outcome: a.Outcome, limit: a.Limit, to: 1 << 62}
	if f.limit == 0 {
		f.limit = defaultLimit
	}
	switch {
	case f.limit < 1 || f.limit > maxLimit:
		return f, fault("/limit", "must be from 1 to 500")
	case a.Wait < 0 || time.Duration(a.Wait)*time.Second > maxWait:
		return f, fault("/wait_seconds", "must be from 0 to 30")
	case a.Wait > 0 && a.After == "":
		return f, fault("/wait_seconds", "goes with after")
	case a.Cursor != "" && a.After != "":
		return f, fault("/cursor", "does not go with after")
	}
	if _, known := outcome.Parse(a.Outcome); !known && a.Outcome != "" {
		return f, fault("/outcome", "is no outcome")
	}
	if a.From != "" {
		if f.from, err = instant(a.From); err != nil {
			return f, fault("/from", err.Error())
		}
	}
	if a.To != "" {
		if f.to, err = instant(a.To); err != nil {
			return f, fault("/to", err.Error())
		}
	}
	f.before = gate.RowID{ID: 1 << 62}
	if a.Cursor != "" {
		if f.before, err = gate.ParseRowID(a.Cursor); err != nil {
			return f, fault("/cursor", "is not one that this tool gave")
		}
	}
	if a.After != "" {
		if f.after, err = gate.ParseRowID(a.After); err != nil {
			return f, fault("/after", "is not a row's id; one looks like 1763871234567-3")
		}
		f.withoutSearch = true
	}
	return f, nil
}

func fault(path, problem string) error {
	return outcome.WithFaults(outcome.Fault{Path: path, Problem: problem})
}

func instant(s string) (int64, error) {
	t, err := time.Parse(time.RFC3339, s)
	if err != nil {
		return 0, errors.New("is not a time like 2026-11-23T18:00:00Z")
	}
	return t.UnixMilli(), nil
}

// page gives the newest rows before the cursor.
func (m *Module) page(ctx context.Context, f filter) (Page, error) {
	found, err := m.rows.newestOfAll(ctx, f)
	if err != nil {
		return Page{}, err
	}
	page := Page{Rows: found}
	if len(found) == f.limit {
		page.Cursor = found[len(found)-1].ID
	}
	return page, nil
}

// follow gives the rows after one, and waits for the first of them.
func (m *Module) follow(ctx context.Context, f filter, wait time.Duration) (Page, error) {
	ctx, cancel := context.WithTimeout(ctx, max(wait, time.Millisecond))
	defer cancel()
	page := Page{Rows: []Row{}, Cursor: f.after.String()}
	for {
		grown := m.writer.grown.next()
		// What a poll reads must not be lost when the wait is over: it is read to its end whatever becomes of ctx.
		found, err := m.rows.afterInAll(context.WithoutCancel(ctx), f)
		if err != nil {
			return Page{}, err
		}
		if len(found) > 0 {
			page.Rows, page.Cursor = found, found[len(found)-1].ID
			return page, nil
		}
		poll := time.NewTimer(pollEvery)
		select {
		case <-grown:
		case <-poll.C:
		case <-ctx.Done():
			poll.Stop()
			return page, nil
		}
		poll.Stop()
	}
}

type getArgs struct {
	ID string `json:"id" jsonschema:"the row's id, for example 1763871234567-3"`
}

// Whole is one row, with its payload for those whose it is.
type Whole struct {
	Row     Row     `json:"row"`
	Payload Payload `json:"payload,omitzero"`
	// Withheld says why there is no payload.
	Withheld string `json:"withheld,omitzero"`
}

func (m *Module) get(ctx context.Context, p gate.Permit, a getArgs) (Whole, error) {
	id, err := gate.ParseRowID(a.ID)
	if err != nil {
		return Whole{}, fault("/id", "is not a row's id; one looks like 1763871234567-3")
	}
	row, sealed, err := m.rows.getOfAll(ctx, id)
	if errors.Is(err, outcome.NotFound) {
		return Whole{}, noRow()
	}
	if err != nil {
		return Whole{}, err
	}
	own := p.Person() != 0 && row.Person == p.Person()
	switch {
	case !own && !seesAll(p):
		return Whole{}, noRow()
	case !own:
		return Whole{Row: row, Withheld: "it is not yours"}, nil
	case p.Bearer() != nil && !belongs(row, p.Root()):
		// A token must not read here what another one of the same person was given: it may be narrower.
		return Whole{Row: row, Withheld: "another token made the call"}, nil
	case p.Bearer() != nil && !p.MaySee(gate.ToolName(row.Tool), row.Token):
		// Nor what its parent was given by a tool that it may not call itself.
		return Whole{Row: row, Withheld: "this token may not call the tool"}, nil
	}
	if sealed == nil {
		at, err := m.rows.endedAt(ctx, id)
		if errors.Is(err, outcome.NotFound) {
			return Whole{}, fmt.Errorf("the payload of row %s is missing, and no range says that it was removed", id)
		}
		if err != nil {
			return Whole{}, err
		}
		return Whole{Row: row, Withheld: "its time was over, and it was removed on " + at.Format(time.RFC3339)}, nil
	}
	payload, err := open(ctx, m.sealer, row.Person, row.Commitment, sealed)
	if errors.Is(err, outcome.NotFound) {
		return Whole{Row: row, Withheld: "its key was destroyed"}, nil
	}
	if err != nil {
		return Whole{}, err
	}
	if p.Bearer() != nil {
		for i := range payload.Findings {
			payload.Findings[i].Rule = "" // for people who keep the guards, not for agents who try them
		}
	}
	return Whole{Row: row, Payload: payload}, nil
}

// noRow is the one answer for a row that is not there and for one of which the caller may not know.
func noRow() error { return outcome.NotFound.Because("there is no such row for you") }

// belongs reports whether a call was made under a root token.
func belongs(r Row, root gate.TokenID) bool {
	if len(r.Ancestors) > 0 {
		return r.Ancestors[len(r.Ancestors)-1] == root
	}
	return r.Token != 0 && r.Token == root
}
