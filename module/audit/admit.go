package audit

import (
	"context"
	"errors"

	"gatehouse/gate"
	"gatehouse/outcome"
)

// errTicket is a caller's bug: a ticket is good for one row.
var errTicket = errors.New("the ticket has no call under way: its row is written already, or it was not given out here")

const reasonUnwritable = "the log cannot be written now; try again later"

// Left implements gate.Log. It binds nothing: Admit compares again.
func (m *Module) Left(_ context.Context, chain []gate.Link) error { return m.uses.left(chain) }

// Admit implements gate.Log. Once the intent is on its way to the database the end of ctx is not heeded: an intent that
// nobody waits for would become a row of a call that never was.
func (m *Module) Admit(ctx context.Context, r *gate.Row, chain []gate.Link) (gate.Ticket, error) {
	if m.writer.room.full.Load() {
		return gate.Ticket{}, errFull
	}
	taken, err := m.uses.take(chain)
	if err != nil {
		return gate.Ticket{}, err
	}
	if err := m.budgets.take(r, chain); err != nil {
		m.uses.giveBack(taken)
		return gate.Ticket{}, err
	}
	t := gate.Ticket{Admitted: true, Uses: taken}
	if r.Effect == gate.Reads {
		m.writer.underway.Add(1)
		return t, nil
	}
	e, err := m.entry(ctx, r, taken, nil)
	if err != nil {
		m.giveBack(r, taken)
		return gate.Ticket{}, err
	}
	e.intent = true
	if err := m.writer.write(ctx, e); err != nil {
		m.giveBack(r, taken)
		if e.unclear {
			m.uses.lose(&held{key: e.id})
		}
		return gate.Ticket{}, err
	}
	m.writer.underway.Add(1)
	t.Intent = m.uses.hold(&held{key: e.id, uses: taken, dispatched: true, person: r.Person, price: r.Price})
	return t, nil
}

// Record implements gate.Log.
func (m *Module) Record(ctx context.Context, t gate.Ticket, r *gate.Row) (gate.RowID, error) {
	var ends *held
	if t.Admitted {
		defer m.writer.underway.Add(-1)
	}
	if t.Intent != 0 {
		if ends = m.uses.end(t.Intent); ends == nil {
			return gate.RowID{}, errTicket
		}
	}
	if !t.Admitted && m.writer.room.count(r) {
		return gate.RowID{}, errFull
	}
	e, err := m.entry(ctx, r, t.Uses, ends)
	if err == nil {
		e.holds, e.owed = true, t.Admitted
		err = m.writer.write(ctx, e)
	}
	switch {
	case err == nil:
		return e.id, nil
	case ends != nil:
		m.uses.lose(ends)
	default:
		m.giveBack(r, t.Uses)
		if outcome.Of(err) == outcome.Unavailable && (e == nil || !e.unclear) {
			m.writer.room.count(r) // if that is why: it will stand in the row of all who had to be turned away
		}
	}
	return gate.RowID{}, err
}

// giveBack ends what a call held that will have no row.
func (m *Module) giveBack(r *gate.Row, taken []gate.TokenID) {
	m.uses.giveBack(taken)
	m.budgets.giveBack(r.Person, r.Price, taken)
}

// entry prepares a row for the writer: all that can be done before its place in the chain is known.
func (m *Module) entry(ctx context.Context, r *gate.Row, used []gate.TokenID, ends *held) (*entry, error) {
	row := newRow(r)
	row.Used = used
	if ends != nil {
		row.Intent = ends.key.String()
	}
	sealed, c, err := seal(ctx, m.sealer, row.Person, newPayload(r.Payload, m.payload))
	if err != nil {
		return nil, outcome.Unavailable.From(err, reasonUnwritable)
	}
	row.Commitment = c.String()
	return &entry{draft: newDraft(row, sealed), ends: ends, compare: r.Compare, chain: r.Chain, done: make(chan struct{})}, nil
}
