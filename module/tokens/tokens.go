// Package tokens keeps the sub-tokens that agents show: it issues, narrows, lists and revokes them, and answers the gate
// who shows one. It must never store, log or show a token after it was issued, nor make one that is wider or lives longer
// than what it was made from (P4).
//
// Of a token the SHA-256 is stored; format.go says how one is written. All tokens that count are in memory as an immutable
// book behind an atomic pointer, each with its chain worked out. Writes come one after the other; each replaces the book
// after its commit and before its call returns, so that the next call sees it (P5). Time and network are checked on every
// call. Where it is not known what a write did, no token is good until the table was read again.
//
// Where replicas share a PostgreSQL database, the others' writes are seen by [Module.Refresh], and what the gate decided
// with an older book is refused by the log, which compares versions in the transaction that admits a call.
package tokens

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"gatehouse/gate"
	"gatehouse/module"
	"gatehouse/outcome"
	"gatehouse/secret"
	"gatehouse/store"
)

var (
	issueKey  = gate.NewKey("tokens/issue")
	listKey   = gate.NewKey("tokens/list")
	revokeKey = gate.NewKey("tokens/revoke")
)

// Config is what tokens need besides their store.
type Config struct {
	DefaultTTL   time.Duration // of a token of which nothing is said; 0: 24 hours, or MaxTTL if that is shorter
	MaxTTL       time.Duration // no token lives longer; 0: 90 days
	MaxPerPerson int           // live tokens; 0: 1000
	Permissions  gate.Permissions

	// Counts says what the log has counted for some tokens. nil: the counters are not known and not shown.
	Counts func(context.Context, ...gate.TokenID) (map[gate.TokenID]Count, error)
}

// Count is what the log knows of a token.
type Count struct {
	Calls       int64     // that arrived
	Uses        int64     // that were carried out
	LastUsed    time.Time // the zero time: never
	LastAddress string
	Cost        gate.Money // of those that were carried out, with it and with what was made from it
}

// Module is the module tokens, and the gate's Tokens. It is safe for concurrent use.
type Module struct {
	config  Config
	rows    rows
	writing sync.Mutex // one write at a time: the order of commits is that of books
	now     atomic.Pointer[book]
	doubt   atomic.Bool  // it is not known what the table holds
	shared  bool         // other processes write the table too
	seen    atomic.Int64 // the number of changes that the book holds, where shared
}

var (
	_ gate.Module = (*Module)(nil)
	_ gate.Tokens = (*Module)(nil)
)

// New opens the database and reads all tokens that count. The database is closed by whoever made the kit.
func New(ctx context.Context, kit module.Kit, c Config) (*Module, error) {
	if c.MaxTTL == 0 {
		c.MaxTTL = 90 * 24 * time.Hour
	}
	if c.DefaultTTL == 0 {
		c.DefaultTTL = min(24*time.Hour, c.MaxTTL)
	}
	if c.MaxPerPerson == 0 {
		c.MaxPerPerson = 1000
	}
	switch {
	case c.Permissions == nil:
		return nil, errors.New("starting the module tokens: nobody says who may own one")
	case c.DefaultTTL < time.Second || c.DefaultTTL > c.MaxTTL:
		return nil, fmt.Errorf("starting the module tokens: the default life of %s is not between a second and the longest, %s", c.DefaultTTL, c.MaxTTL)
	case c.MaxPerPerson < 0:
		return nil, fmt.Errorf("starting the module tokens: a person cannot have %d tokens", c.MaxPerPerson)
	}
	db, err := kit.Open(ctx, migrations)
	if err != nil {
		return nil, err
	}
	m := &Module{config: c, rows: rows{db}, shared: db.Engine() == store.Postgres}
	if err := m.read(ctx); err != nil {
		return nil, fmt.Errorf("starting the module tokens: %w", err)
	}
	return m, nil
}

// Name implements gate.Module.
func (*Module) Name() string { return "tokens" }

// Tools implements gate.Module.
func (m *Module) Tools() []gate.Tool {
	return []gate.Tool{
		gate.AccessControlled("issue", issueKey, gate.Spec{
			Title:       "Issue a token",
			Description: "Makes a token for an agent and shows it once. Asked for with a token, it makes a child, which can do no more and lives no longer than that token.",
			Effect:      gate.Writes, Trusted: true,
		}, m.issue),
		gate.AccessControlled("list", listKey, gate.Spec{
			Title:       "List tokens",
			Description: "Lists tokens, newest first, 200 at a time, never the tokens themselves. A token sees itself and what was made from it.",
			Effect:      gate.Reads,
		}, m.list),
		// Nothing undoes it, but nothing is lost either, and it must never have to wait for a human: so it is no destroying.
		gate.AccessControlled("revoke", revokeKey, gate.Spec{
			Title:       "Revoke a token",
			Description: "Ends a token and all that were made from it, at once and for good. A token may end itself and what was made from it.",
			Effect:      gate.Writes, Trusted: true,
		}, m.revoke),
	}
}

// Find implements gate.Tokens.
func (m *Module) Find(ctx context.Context, text secret.Text, from netip.Addr) (*gate.Bearer, error) {
	sum, ok := parse(text)
	if !ok {
		return nil, outcome.Unauthenticated
	}
	b, err := m.current(ctx)
	if err != nil {
		return nil, err
	}
	// How long the look-up takes tells something of a hash, and nothing of a token that has it.
	return b.byHash[sum].good(from, m.clock().Now())
}

// Current implements gate.Tokens.
func (m *Module) Current(ctx context.Context, id gate.TokenID, from netip.Addr) (*gate.Bearer, error) {
	b, err := m.current(ctx)
	if err != nil {
		return nil, err
	}
	return b.byID[id].good(from, m.clock().Now())
}

// clock is the one that decides when a token ends: the database's, where replicas share one.
func (m *Module) clock() *store.Clock { return m.rows.db.Clock() }

// current is the book, read anew first if a write left it in doubt.
func (m *Module) current(ctx context.Context) (*book, error) {
	if !m.doubt.Load() {
		return m.now.Load(), nil
	}
	m.writing.Lock()
	defer m.writing.Unlock()
	if m.doubt.Load() {
		if err := m.read(ctx); err != nil {
			return nil, outcome.Unavailable.From(err, "the tokens cannot be read; try again later")
		}
	}
	return m.now.Load(), nil
}

// Refresh reads the table again if another replica has written since: what is asked afterwards is at least as new as the
// call. It says whether it did. Where there is one process, there is nothing to do.
func (m *Module) Refresh(ctx context.Context) (changed bool, err error) {
	if !m.shared {
		return false, nil
	}
	asked := m.seen.Load()
	n, err := m.rows.changes(ctx)
	if err != nil {
		return false, outcome.Unavailable.From(err, "the tokens cannot be read; try again later")
	}
	if n == asked {
		return false, nil
	}
	m.writing.Lock()
	defer m.writing.Unlock()
	if m.seen.Load() >= n {
		return true, nil // somebody else has read it meanwhile
	}
	if err := m.read(ctx); err != nil {
		return false, outcome.Unavailable.From(err, "the tokens cannot be read; try again later")
	}
	return true, nil
}

// fresh is the book with all that any replica wrote before the call.
func (m *Module) fresh(ctx context.Context) (*book, error) {
	if _, err := m.Refresh(ctx); err != nil {
		return nil, err
	}
	return m.current(ctx)
}

// read makes the book of the whole table. Whoever calls it is the only writer.
func (m *Module) read(ctx context.Context) error {
	var n int64
	if m.shared { // before the table: it is at least as new as the number
		var err error
		if n, err = m.rows.changes(ctx); err != nil {
			return err
		}
	}
	records, err := m.rows.all(ctx, m.rows.db, m.clock().Now())
	if err != nil {
		return err
	}
	m.now.Store(newBook(records))
	m.seen.Store(n)
	m.doubt.Store(false)
	return nil
}

// rereadTime bounds the reading after a write of which nobody knows what it did.
const rereadTime = 10 * time.Second

// write runs one change in a transaction and publishes the tokens that do gives back: with each that changed, all its
// descendants. Whoever calls it holds writing. This is the only place where the book is replaced after the start.
func (m *Module) write(ctx context.Context, do func(*store.Tx) ([]record, error)) error {
	var changed []record
	err := m.rows.db.Tx(ctx, func(tx *store.Tx) (err error) {
		changed, err = do(tx)
		return err
	})
	if errors.Is(err, outcome.Unknown) {
		// It may be in the table. Until that was read, what is in memory may let in what was just revoked.
		m.doubt.Store(true)
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), rereadTime)
		defer cancel()
		if rereading := m.read(ctx); rereading != nil {
			err = errors.Join(err, rereading)
		}
	}
	if err != nil {
		return err
	}
	m.now.Store(m.now.Load().with(changed))
	return nil
}
