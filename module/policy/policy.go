// Package policy keeps the rules on calls: those of the configuration and those that are made at run time, which are
// versioned rows. It checks them against the tools that there are, and answers the gate what they say of a call. It must
// never let a call through because a rule could not be read, checked or worked out. What a rule means stands in the room
// policy, which this module calls.
//
// All rules are in memory as an immutable book behind an atomic pointer, bound to every tool. Writes come one after the
// other; each replaces the book after its commit and before its call returns, so that the next call sees it. Where it is
// not known what a write did, every call is refused until the table was read again. Where replicas share a PostgreSQL
// database, each call asks for a number that every write raises, and reads the rules again where it rose.
package policy

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"gatehouse/gate"
	"gatehouse/module"
	"gatehouse/outcome"
	"gatehouse/policy"
	"gatehouse/store"
)

var (
	listKey    = gate.NewKey("policy/list")
	setKey     = gate.NewKey("policy/set")
	removeKey  = gate.NewKey("policy/remove")
	explainKey = gate.NewKey("policy/explain")
)

// Config is what the configuration says of policy.
type Config struct {
	Rules []policy.Rule // in their order; one without a name is called by its number, from 1
}

// RuleError is what is wrong with a rule of the configuration.
type RuleError struct {
	Rule    int    // its index in Config.Rules
	Field   string // as [policy.Fault] names it
	Problem string
}

// Error names the field and the problem.
func (e *RuleError) Error() string {
	if e.Field == "when" {
		return "the condition " + e.Problem
	}
	return e.Field + " " + e.Problem
}

// Module is the module policy, and the gate's Policy. It is safe for concurrent use.
type Module struct {
	configured []policy.Rule
	rows       rows
	log        *slog.Logger
	shared     bool         // other processes write the table too
	seen       atomic.Int64 // the number of changes that the book holds, where shared
	doubt      atomic.Bool  // it is not known what the table holds
	now        atomic.Pointer[book]

	conditions conditions

	writing sync.Mutex      // one write at a time: the order of commits is that of books. It guards what follows
	fitted  bool            // tools were shown once
	said    map[string]bool // the misfits of the book, which the log has been told of
}

var (
	_ gate.Module = (*Module)(nil)
	_ gate.Policy = (*Module)(nil)
)

// book is all rules and all tools at one moment. It is never changed once it was published.
type book struct {
	set   *policy.Set
	made  []record
	tools []policy.Tool
	bound map[string]fit
}

// fit is the rules on one tool, as it was when they were bound.
type fit struct {
	definition string
	rules      *policy.Bound // nil: no rule is about the tool
}

// New opens the database and reads all rules. The database is closed by whoever made the kit. A rule of the configuration
// that is not good is a [RuleError].
func New(ctx context.Context, kit module.Kit, c Config) (*Module, error) {
	m := &Module{log: kit.Log, said: map[string]bool{}}
	for i, r := range c.Rules {
		if r.Name == "" {
			r.Name = strconv.Itoa(i + 1)
		} else if _, err := strconv.Atoi(r.Name); err == nil {
			return nil, &RuleError{i, "name", "is a number, and numbers name the rules that have no name"}
		}
		m.configured = append(m.configured, r)
	}
	if _, i, fault := policy.Compile(m.configured...); fault != nil {
		return nil, &RuleError{i, fault.Field, fault.Problem}
	}
	db, err := kit.Open(ctx, migrations)
	if err != nil {
		return nil, err
	}
	m.rows, m.shared = rows{db}, db.Engine() == store.Postgres
	if err := m.read(ctx); err != nil {
		return nil, fmt.Errorf("starting the module policy: %w", err)
	}
	return m, nil
}

// Name implements gate.Module.
func (*Module) Name() string { return "policy" }

// Tools implements gate.Module.
func (m *Module) Tools() []gate.Tool {
	return []gate.Tool{
		gate.AccessControlled("list", listKey, gate.Spec{
			Title:       "List rules",
			Description: "Lists the rules on calls, those of the configuration first, with the tools that each does not fit.",
			Effect:      gate.Reads, Trusted: true,
		}, m.list),
		gate.AccessControlled("set", setKey, gate.Spec{
			Title:       "Make or change a rule",
			Description: "Makes a rule on calls, or replaces one that was made before. It holds from the next call on.",
			Effect:      gate.Writes, Trusted: true, Who: gate.Persons,
		}, m.set),
		gate.AccessControlled("remove", removeKey, gate.Spec{
			Title:       "Remove a rule",
			Description: "Removes a rule that was made with policy.set, from the next call on.",
			Effect:      gate.Writes, Trusted: true, Who: gate.Persons,
		}, m.remove),
		gate.AccessControlled("explain", explainKey, gate.Spec{
			Title:       "Explain a call",
			Description: "Says step by step what would become of a call, and why. Nothing is carried out and nothing is used up.",
			Effect:      gate.Reads, Trusted: true,
		}, m.explain),
	}
}

func nameOf(id int64) string { return strconv.FormatInt(id, 10) }

// Fit implements gate.Policy. At the start a rule of the configuration that does not fit a tool of ours is a [RuleError];
// a tool of a system that comes and goes stops nothing, and neither does a rule that was made at run time, which could
// not be mended then.
func (m *Module) Fit(tools []policy.Tool) error {
	m.writing.Lock()
	defer m.writing.Unlock()
	next, err := m.now.Load().with(tools)
	if err != nil {
		return err
	}
	if !m.fitted {
		for i, r := range m.configured {
			for _, t := range tools {
				for _, misfit := range next.bound[t.Name].rules.Misfits() {
					if misfit.Rule == r.Name && !t.Comes {
						return &RuleError{i, "when", misfit.Error()}
					}
				}
			}
		}
		m.fitted = true
	}
	m.publish(next)
	return nil
}

// with is the book with other tools. Those that are as they were are not bound again.
func (b *book) with(tools []policy.Tool) (*book, error) {
	next := &book{set: b.set, made: b.made, tools: tools, bound: make(map[string]fit, len(tools))}
	var changed []policy.Tool
	for _, t := range tools {
		if f, known := b.bound[t.Name]; known && f.definition == t.Definition {
			next.bound[t.Name] = f
		} else {
			changed = append(changed, t)
		}
	}
	bound, err := b.set.Bind(changed...)
	if err != nil {
		return nil, err
	}
	for i, t := range changed {
		next.bound[t.Name] = fit{t.Definition, bound[i]}
	}
	return next, nil
}

// publish makes a book the one that counts, and tells the log of each misfit once. Whoever calls it holds writing.
func (m *Module) publish(b *book) {
	m.now.Store(b)
	said := map[string]bool{}
	for _, t := range b.tools {
		for _, misfit := range b.bound[t.Name].rules.Misfits() {
			key := misfit.Rule + "\x00" + t.Name + "\x00" + t.Definition
			if said[key] = true; m.said[key] {
				continue
			}
			if misfit.OnTrial {
				m.log.Warn("a rule on trial does not fit a tool", "rule", misfit.Rule, "tool", t.Name, "problem", misfit.Err.Error())
			} else {
				m.log.Error("a rule does not fit a tool, whose calls are refused", "rule", misfit.Rule, "tool", t.Name, "problem", misfit.Err.Error())
			}
		}
	}
	m.said = said
}

// Judge implements gate.Policy. Where replicas share the table, each call asks whether it was written: a rule that one
// replica took must hold for the next call of every other, and the log compares no versions of rules.
func (m *Module) Judge(ctx context.Context, t *policy.Tool, c *policy.Call) (policy.Verdict, error) {
	b, err := m.fresh(ctx)
	if err != nil {
		return policy.Verdict{}, err
	}
	if len(b.set.Rules()) == 0 {
		return policy.Verdict{Decision: policy.Allow}, nil
	}
	if f, known := b.bound[t.Name]; known && f.definition == t.Definition {
		return f.rules.Judge(c), nil
	}
	// The call began with a list of tools that is not the one of now.
	bound, err := b.set.Bind(*t)
	if err != nil {
		return policy.Verdict{}, err
	}
	return bound[0].Judge(c), nil
}

// current is the book, read anew first if a write left it in doubt.
func (m *Module) current(ctx context.Context) (*book, error) {
	if !m.doubt.Load() {
		return m.now.Load(), nil
	}
	m.writing.Lock()
	defer m.writing.Unlock()
	if m.doubt.Load() {
		if err := m.read(ctx); err != nil {
			return nil, outcome.Unavailable.From(err, "the rules cannot be read; try again later")
		}
	}
	return m.now.Load(), nil
}

// Refresh reads the table again if another replica has written since. It says whether it did. Where there is one process,
// there is nothing to do.
func (m *Module) Refresh(ctx context.Context) (changed bool, err error) {
	if !m.shared {
		return false, nil
	}
	n, err := m.rows.changes(ctx)
	if err != nil {
		return false, outcome.Unavailable.From(err, "the rules cannot be read; try again later")
	}
	if n == m.seen.Load() {
		return false, nil
	}
	m.writing.Lock()
	defer m.writing.Unlock()
	if m.seen.Load() >= n {
		return true, nil // somebody else has read it meanwhile
	}
	if err := m.read(ctx); err != nil {
		return false, outcome.Unavailable.From(err, "the rules cannot be read; try again later")
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

// read makes the book of the whole table. Whoever calls it holds writing, or is the only one.
func (m *Module) read(ctx context.Context) error {
	var n int64
	if m.shared { // before the table: it is at least as new as the number
		var err error
		if n, err = m.rows.changes(ctx); err != nil {
			return err
		}
	}
	made, err := m.rows.all(ctx, m.rows.db)
	if err != nil {
		return err
	}
	if err := m.hold(made); err != nil {
		return err
	}
	m.seen.Store(n)
	m.doubt.Store(false)
	return nil
}

// hold publishes the book of what the table holds. Whoever calls it holds writing, or is the only one.
func (m *Module) hold(made []record) error {
	set, err := m.compile(made)
	if err != nil {
		return err
	}
	var tools []policy.Tool
	if b := m.now.Load(); b != nil {
		tools = b.tools
	}
	next, err := (&book{set: set, made: made}).with(tools)
	if err != nil {
		return err
	}
	m.publish(next)
	return nil
}

// compile puts the rules that were made behind those of the configuration. A row that is no good rule is an error: it was
// one when it was written, and a rule that is left out would let calls through.
func (m *Module) compile(made []record) (*policy.Set, error) {
	all := append([]policy.Rule{}, m.configured...)
	for _, r := range made {
		all = append(all, r.rule)
	}
	set, i, fault := policy.Compile(all...)
	if fault != nil {
		return nil, fmt.Errorf("rule %s: %w", all[i].Name, fault)
	}
	return set, nil
}

// rereadTime bounds the reading after a write of which nobody knows what it did.
const rereadTime = 10 * time.Second

// write runs one change in a transaction and publishes what the table then holds. Whoever calls it holds writing.
func (m *Module) write(ctx context.Context, do func(*store.Tx) error) error {
	var made []record
	err := m.rows.db.Tx(ctx, func(tx *store.Tx) (err error) {
		if err = do(tx); err != nil {
			return err
		}
		made, err = m.rows.all(ctx, tx)
		return err
	})
	if errors.Is(err, outcome.Unknown) {
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
	if err := m.hold(made); err != nil {
		m.doubt.Store(true) // the table holds what the memory does not
		return err
	}
	return nil
}
