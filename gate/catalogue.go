package gate

import (
	"fmt"
	"slices"
	"strings"

	"gatehouse/guard"
	"gatehouse/policy"
)

// Module is one downstream system or one built-in area. Tools is called at start, and again when a [Changing] module says
// that they changed.
type Module interface {
	Name() string // ^[a-z][a-z0-9]*(-[a-z0-9]+)*$, at most 24 characters
	Tools() []Tool
}

// Changing is a module whose tools come and go. It sends (never closes) when Tools would answer differently.
type Changing interface {
	Module
	Changed() <-chan struct{}
}

// Directory answers questions about tools without giving away a permission key.
type Directory interface {
	// Find gives a tool by its canonical or its exported name.
	Find(name string) (Entry, bool)
	// ByNumber gives the tool that a stored grant is for; a grant for a definition that is gone finds none.
	ByNumber(KeyNumber) (Entry, bool)
	// All gives every tool, sorted by name.
	All() []Entry
}

// Entry is what the directory shows of a tool.
type Entry struct {
	Name       ToolName
	Title      string // for people; may be empty
	Key        KeyNumber
	Effect     Effect
	Who        Who
	Default    Decision // what a grant means that does not say allow or ask
	Definition string
}

// catalogue is immutable: a change makes a new one. A call in flight keeps the one that it began with.
type catalogue struct {
	tools    []*listed // sorted by name
	byName   map[string]*listed
	byNumber map[KeyNumber]*listed
}

// listed is a tool in its place: under its module's name, with the guards that look at it.
type listed struct {
	Tool
	name     ToolName
	exported string
	module   string
	number   KeyNumber
	offer    Offer
	before   []inspection
	after    []guard.Guard
	ruled    policy.Tool // as rules know it
}

// newCatalogue lists the tools of all modules. Two modules or tools with one name, or a key that two modules use, are refused.
func newCatalogue(modules []Module, guards []guard.Guard) (*catalogue, error) {
	c := &catalogue{byName: map[string]*listed{}, byNumber: map[KeyNumber]*listed{}}
	seen := map[string]bool{}
	for _, m := range modules {
		name := m.Name()
		if !moduleNames.MatchString(name) || len(name) > 24 {
			return nil, fmt.Errorf("module %q: a name is lower-case letters, digits and single dashes, at most 24", name)
		}
		if seen[name] {
			return nil, fmt.Errorf("module %q is there twice", name)
		}
		seen[name] = true
		_, comes := m.(Changing)
		for _, t := range m.Tools() {
			if err := c.add(name, t, guards, comes); err != nil {
				return nil, err
			}
		}
	}
	slices.SortFunc(c.tools, func(a, b *listed) int { return strings.Compare(string(a.name), string(b.name)) })
	return c, c.export()
}

func (c *catalogue) add(module string, t Tool, guards []guard.Guard, comes bool) error {
	l := &listed{Tool: t, name: ToolName(module + "." + t.name), module: module, number: t.key.number()}
	if t.run == nil || l.number == 0 {
		return fmt.Errorf("module %s offers a tool that was not made by AccessControlled", module)
	}
	if c.byName[string(l.name)] != nil {
		return fmt.Errorf("tool %s is there twice", l.name)
	}
	if other := c.byNumber[l.number]; other != nil {
		return fmt.Errorf("tools %s and %s have one permission key", other.name, l.name)
	}
	l.before, l.after = inspections(t, guards)
	l.ruled = policy.Tool{
		Name: string(l.name), Module: module, Effect: t.spec.Effect.String(), Definition: t.definition, Input: t.input.raw, Comes: comes,
	}
	c.tools = append(c.tools, l)
	c.byName[string(l.name)] = l
	c.byNumber[l.number] = l
	return nil
}

// export gives every tool the name that model APIs accept, which follows from the canonical names alone, and its offer.
func (c *catalogue) export() (err error) {
	names := make([]string, len(c.tools))
	for i, t := range c.tools {
		names[i] = string(t.name)
	}
	for i, exported := range exportNames(names) {
		c.tools[i].exported = exported
		if c.byName[exported] == nil {
			c.byName[exported] = c.tools[i]
		}
		if c.tools[i].offer, err = newOffer(c.tools[i]); err != nil {
			return fmt.Errorf("tool %s: %w", c.tools[i].name, err)
		}
	}
	return nil
}

func (c *catalogue) find(name ToolName) *listed { return c.byName[string(name)] }

// Find implements Directory.
func (c *catalogue) Find(name string) (Entry, bool) {
	t, ok := c.byName[name]
	if !ok {
		return Entry{}, false
	}
	return t.entry(), true
}

// ByNumber implements Directory.
func (c *catalogue) ByNumber(n KeyNumber) (Entry, bool) {
	t, ok := c.byNumber[n]
	if !ok {
		return Entry{}, false
	}
	return t.entry(), true
}

// All implements Directory.
func (c *catalogue) All() []Entry {
	all := make([]Entry, len(c.tools))
	for i, t := range c.tools {
		all[i] = t.entry()
	}
	return all
}

func (l *listed) entry() Entry {
	return Entry{l.name, l.spec.Title, l.number, l.spec.Effect, l.spec.Who, l.byDefault(), l.definition}
}
