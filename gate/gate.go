// Package gate is the one door. Every call of every entry goes through [Gate.Call], which checks it, guards it, runs it
// and writes it down, in nine steps that call.go lists. It must never import a module, an entry or a database, and it
// must never let a handler, a permit or a permission key out: the types make a bypass impossible to write.
//
// An entry needs four methods: [Gate.Authenticate] says who is calling, [Gate.Tools] what they may call, [Gate.Call] does
// it, and [Gate.Watch] tells open streams what changed. A module needs [AccessControlled], [NewKey] and [Permit].
//
// A Gate is safe for concurrent use. What modules answer is asked anew on every call; nothing of a caller's rights is
// remembered between two calls.
package gate

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"reflect"
	"sync"
	"sync/atomic"

	"gatehouse/guard"
	"gatehouse/secret"
)

// Config is what a gate is made of.
type Config struct {
	Modules     []Module
	Parts       Parts
	Guards      []guard.Guard // in the order in which they look
	OperatorKey secret.Text   // zero: there is no operator
	Limits      Limits
	Ended       func(Ended)  // is told of every call that ended, for the figures of the process; must return at once. May be nil
	Log         *slog.Logger // of the process; never sees arguments, results or secrets. nil: slog.Default

	// Refresh makes what Permissions and Tokens know at least as new as its call, where other processes write their tables
	// too, and says whether anything was read. nil: there are none.
	Refresh func(context.Context) (changed bool, err error)
}

// Gate is the door.
type Gate struct {
	parts              Parts
	modules            []Module
	guards             []guard.Guard
	operatorKey        secret.Text
	limiter            *limiter
	strangers          *strangers
	log                *slog.Logger
	ended              func(Ended)
	calls              *inside
	before, act, after []step
	refresh            func(context.Context) (bool, error) // nil: nobody else writes

	catalogue atomic.Pointer[catalogue]

	closing chan struct{} // closed by Close
	running sync.WaitGroup
	mu      sync.Mutex // guards watches, and the making of catalogues
	watches watches
}

// New makes a gate and lists the modules' tools. A part that is missing, two tools with one name, or a key in two places
// are errors.
func New(c Config) (*Gate, error) {
	parts := reflect.ValueOf(c.Parts)
	for i := range parts.NumField() {
		if parts.Field(i).IsNil() {
			return nil, fmt.Errorf("making the gate: part %s is missing", parts.Type().Field(i).Name)
		}
	}
	g := &Gate{
		parts: c.Parts, modules: c.Modules, guards: c.Guards, operatorKey: c.OperatorKey,
		limiter: newLimiter(c.Limits.orDefaults()), log: c.Log, ended: c.Ended, calls: newInside(),
		refresh: c.Refresh, closing: make(chan struct{}), watches: newWatches(),
	}
	if g.log == nil {
		g.log = slog.Default()
	}
	g.strangers = newStrangers(g.log, func(ctx context.Context, r *Row) (RowID, error) {
		return g.parts.Log.Record(ctx, Ticket{}, r)
	})
	g.before, g.act, g.after = g.steps()
	cat, err := newCatalogue(g.modules, g.guards)
	if err != nil {
		return nil, fmt.Errorf("listing the tools: %w", err)
	}
	if err := g.fit(cat); err != nil {
		return nil, fmt.Errorf("checking the rules: %w", err)
	}
	g.catalogue.Store(cat)
	g.running.Go(g.watch)
	for _, m := range g.modules {
		if changing, ok := m.(Changing); ok {
			g.running.Go(func() { g.follow(changing) })
		}
	}
	return g, nil
}

// follow lists the tools again when a module says that they changed. A list that cannot be made leaves the old one.
func (g *Gate) follow(m Changing) {
	for {
		select {
		case <-g.closing:
			return
		case <-m.Changed():
		}
		if err := g.relist(); err != nil {
			g.log.Error("the tools changed and cannot be listed; the old list stays", "module", m.Name(), "error", err)
			continue
		}
		g.wake()
	}
}

func (g *Gate) relist() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	cat, err := newCatalogue(g.modules, g.guards)
	if err != nil {
		return err
	}
	if err := g.fit(cat); err != nil { // before anybody can call what is new
		return fmt.Errorf("checking the rules: %w", err)
	}
	g.catalogue.Store(cat)
	return nil
}

// Directory lists all tools, for the parts of the process that show or store them.
func (g *Gate) Directory() Directory { return g.catalogue.Load() }

// Close writes the summaries that are due and ends all watches. Calls must have ended before.
func (g *Gate) Close() error {
	select {
	case <-g.closing:
		return errors.New("closing the gate: it is closed already")
	default:
	}
	close(g.closing)
	g.running.Wait()
	g.strangers.close()
	return nil
}
