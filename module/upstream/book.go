package upstream

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"

	"gatehouse/canon"
	"gatehouse/outcome"
	"gatehouse/store"
)

// book remembers the tools of one server: as they were last seen, and as they were when a call was last let through.
type book struct {
	rows             rows
	server, identity string

	mu    sync.Mutex // guards known, and lets one write at a time go to the table
	known map[string]row
}

func openBook(ctx context.Context, r rows, server, identity string) (*book, error) {
	known, err := r.of(ctx, r.db, server, identity)
	return &book{rows: r, server: server, identity: identity, known: known}, err
}

// definitions gives what was last seen. A row that cannot be read any more is left out: the server will say it again.
func (b *book) definitions() []definition {
	b.mu.Lock()
	defer b.mu.Unlock()
	var all []definition
	for _, name := range slices.Sorted(maps.Keys(b.known)) {
		if v, err := canon.ParseObject([]byte(b.known[name].definition)); err == nil {
			all = append(all, definition{name, v})
		}
	}
	return all
}

// snapshot is a copy of all that is known, by name.
func (b *book) snapshot() map[string]row {
	b.mu.Lock()
	defer b.mu.Unlock()
	return maps.Clone(b.known)
}

// see keeps what the server has now.
func (b *book) see(ctx context.Context, definitions []definition) error {
	seen := map[string]string{}
	for _, d := range definitions {
		seen[d.remote] = d.value.String()
	}
	return b.write(ctx, func(known map[string]row) map[string]row {
		next := map[string]row{}
		for name, r := range known {
			// What is gone stays for the review only if somebody used it, so that no server can fill the table.
			if _, has := seen[name]; has || r.accepted != "" {
				r.definition = seen[name]
				next[name] = r
			}
		}
		for name, text := range seen {
			if _, has := next[name]; !has {
				next[name] = row{name: name, definition: text}
			}
		}
		return next
	})
}

// accept keeps that a call of the tool was let through with this definition. It writes once for each definition.
func (b *book) accept(ctx context.Context, d definition) error {
	b.mu.Lock()
	same := b.known[d.remote].accepted == d.value.String()
	b.mu.Unlock()
	if same {
		return nil
	}
	return b.write(ctx, func(known map[string]row) map[string]row {
		next := maps.Clone(known)
		r := next[d.remote]
		r.name, r.accepted, r.rights = d.remote, d.value.String(), ""
		next[d.remote] = r
		return next
	})
}

// adopt keeps that a person accepted a definition in the place of the one before it: the rights given for that one hold
// on. It is outcome.Conflict where there is none before it.
func (b *book) adopt(ctx context.Context, d definition) error {
	var refusal error
	err := b.write(ctx, func(known map[string]row) map[string]row {
		next := maps.Clone(known)
		r := next[d.remote]
		before, err := canon.ParseObject([]byte(r.accepted))
		if r.accepted == "" || err != nil {
			refusal = outcome.Conflict.Because("no call of this tool was let through yet, so there are no rights to carry over: permit it instead")
			return known
		}
		refusal = nil
		if before == d.value {
			return known // somebody accepted it already, or permitted it anew and called it
		}
		if r.rights == "" {
			r.rights = before.Digest().String()
		}
		r.accepted = d.value.String()
		next[d.remote] = r
		return next
	})
	return errors.Join(refusal, err)
}

// rights names the definition for which the rights to a definition are given: itself, unless a person accepted it in the
// place of another.
func (b *book) rights(d definition) string {
	if b == nil {
		return d.hash()
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if r := b.known[d.remote]; r.rights != "" && r.accepted == d.value.String() {
		return r.rights
	}
	return d.hash()
}

// write brings the table to what change makes of it. Another process that wrote in between is heard first.
func (b *book) write(ctx context.Context, change func(map[string]row) map[string]row) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	err := b.writeLocked(ctx, change(b.known))
	if !errors.Is(err, outcome.Conflict) {
		return err
	}
	known, err := b.rows.of(ctx, b.rows.db, b.server, b.identity)
	if err != nil {
		return err
	}
	b.known = known
	return b.writeLocked(ctx, change(b.known))
}

func (b *book) writeLocked(ctx context.Context, next map[string]row) error {
	written := map[string]row{}
	err := b.rows.db.Tx(ctx, func(tx *store.Tx) error {
		for name, before := range b.known {
			if _, stays := next[name]; !stays {
				if err := b.rows.remove(ctx, tx, before); err != nil {
					return err
				}
			}
		}
		for _, name := range slices.Sorted(maps.Keys(next)) {
			r, err := b.put(ctx, tx, next[name])
			if err != nil {
				return err
			}
			written[name] = r
		}
		return nil
	})
	if err == nil {
		b.known = written
	}
	return err
}

func (b *book) put(ctx context.Context, tx *store.Tx, r row) (_ row, err error) {
	switch before := b.known[r.name]; {
	case r.id == 0:
		r.id, err = b.rows.add(ctx, tx, b.server, b.identity, r)
		r.version = 1
	case before.definition != r.definition || before.accepted != r.accepted, before.rights != r.rights:
		err = b.rows.change(ctx, tx, b.identity, r)
		r.version++
	}
	return r, err
}
