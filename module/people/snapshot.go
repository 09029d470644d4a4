package people

import (
	"context"
	"errors"
	"maps"
	"strings"
	"time"

	"gatehouse/gate"
	"gatehouse/outcome"
	"gatehouse/store"
)

// snapshot is everybody at one moment. It is never changed once it was published.
type snapshot struct{ people map[gate.PersonID]*person }

// person is somebody with their map, as the tables had it. It is never changed once it was published.
type person struct {
	record
	rights gate.Rights
	grants []grant // those taken away included
}

func newPerson(r record, all []grant) *person {
	p := &person{record: r, grants: all, rights: gate.Rights{
		Person: r.id, Active: r.active, Administrator: r.administrator, Email: strings.ToLower(r.email), Version: r.version,
		Grants: make(map[gate.KeyNumber]gate.Grant, len(all)),
	}}
	for _, one := range all {
		if one.decision != gate.Refuse {
			p.rights.Grants[one.number] = gate.Grant{Decision: one.decision, Version: one.version}
		}
	}
	return p
}

// Rights implements gate.Permissions: outcome.NotFound for a person who does not exist, outcome.Unavailable while it is
// not known what the tables hold.
func (p *People) Rights(ctx context.Context, id gate.PersonID) (*gate.Rights, error) {
	s, err := p.current(ctx)
	if err != nil {
		return nil, err
	}
	one := s.people[id]
	if one == nil {
		return nil, outcome.NotFound
	}
	return &one.rights, nil
}

// Fresh is People for modules that ask of a person now and then: it has all that any replica wrote before it was asked. The
// gate has no need of it, since the log compares what it decided with.
type Fresh struct{ *People }

var _ gate.Permissions = Fresh{}

// Rights implements gate.Permissions, with the errors of [People.Rights].
func (f Fresh) Rights(ctx context.Context, id gate.PersonID) (*gate.Rights, error) {
	if _, err := f.Refresh(ctx); err != nil {
		return nil, err
	}
	return f.People.Rights(ctx, id)
}

// current is the snapshot, read anew first if a write left it in doubt.
func (p *People) current(ctx context.Context) (*snapshot, error) {
	if !p.doubt.Load() {
		return p.now.Load(), nil
	}
	p.writing.Lock()
	defer p.writing.Unlock()
	if p.doubt.Load() {
		if err := p.read(ctx); err != nil {
			return nil, outcome.Unavailable.From(err, "the people cannot be read; try again later")
		}
	}
	return p.now.Load(), nil
}

// Refresh reads the tables again if another replica has written since: what is asked afterwards is at least as new as the
// call. It says whether it did. Where there is one process, there is nothing to do.
func (p *People) Refresh(ctx context.Context) (changed bool, err error) {
	if !p.shared {
		return false, nil
	}
	asked := p.seen.Load()
	n, err := p.rows.changes(ctx)
	if err != nil {
		return false, outcome.Unavailable.From(err, "the people cannot be read; try again later")
	}
	if n == asked {
		return false, nil
	}
	p.writing.Lock()
	defer p.writing.Unlock()
	if p.seen.Load() >= n {
		return true, nil // somebody else has read it meanwhile
	}
	if err := p.read(ctx); err != nil {
		return false, outcome.Unavailable.From(err, "the people cannot be read; try again later")
	}
	return true, nil
}

// fresh is the snapshot with all that any replica wrote before the call.
func (p *People) fresh(ctx context.Context) (*snapshot, error) {
	if _, err := p.Refresh(ctx); err != nil {
		return nil, err
	}
	return p.current(ctx)
}

// read makes the snapshot of the whole tables. Whoever calls it is the only writer.
func (p *People) read(ctx context.Context) error {
	var n int64
	if p.shared { // before the tables: they are at least as new as the number
		var err error
		if n, err = p.rows.changes(ctx); err != nil {
			return err
		}
	}
	records, grants, err := p.rows.all(ctx)
	if err != nil {
		return err
	}
	of := map[gate.PersonID][]grant{}
	for _, one := range grants {
		of[one.person] = append(of[one.person], one)
	}
	s := &snapshot{make(map[gate.PersonID]*person, len(records))}
	for _, r := range records {
		s.people[r.id] = newPerson(r, of[r.id])
	}
	p.now.Store(s)
	p.seen.Store(n)
	p.doubt.Store(false)
	return nil
}

// rereadTime bounds the reading after a write of which nobody knows what it did.
const rereadTime = 10 * time.Second

// write runs one change to one person in a transaction and publishes what it left. do says whom it changed. This is the
// only place where a snapshot is replaced after the start.
func (p *People) write(ctx context.Context, do func(*store.Tx) (gate.PersonID, error)) (*person, error) {
	if _, err := p.current(ctx); err != nil {
		return nil, err
	}
	p.writing.Lock()
	defer p.writing.Unlock()
	var changed *person
	err := p.rows.db.Tx(ctx, func(tx *store.Tx) error {
		id, err := do(tx)
		if err != nil {
			return err
		}
		r, all, err := p.rows.one(ctx, tx, id)
		changed = newPerson(r, all)
		return err
	})
	if errors.Is(err, outcome.Unknown) {
		// It may be in the tables. Until they were read, what is in memory may allow what was just taken away.
		p.doubt.Store(true)
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), rereadTime)
		defer cancel()
		if rereading := p.read(ctx); rereading != nil {
			err = errors.Join(err, rereading)
		}
	}
	if err != nil {
		return nil, err
	}
	next := &snapshot{maps.Clone(p.now.Load().people)}
	next.people[changed.id] = changed
	p.now.Store(next)
	return changed, nil
}

// Empty reports whether nobody was ever added, so that a first start can say what to do next.
func (p *People) Empty() bool { return len(p.now.Load().people) == 0 }
