package upstream

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"

	"gatehouse/egress"
	"gatehouse/gate"
	"gatehouse/module"
	"gatehouse/sandbox"
	"gatehouse/wire"
)

// server is one configured server, as a module.
type server struct {
	name     Name
	config   Server
	identity string        // hash of the command or the address: part of every right to a tool of this server
	cell     *sandbox.Cell // the place where the program runs; nil for an address
	egress   *egress.Egress
	time     timing
	log      *slog.Logger
	changes  chan struct{}
	book     *book
	stderr   ring

	stop    context.CancelFunc
	running sync.WaitGroup

	mu     sync.Mutex // guards the rest
	state  state
	hidden []string // secrets of the environment, which nobody may see
	quiet  []string // other configured values, which results may hold and logs of the program need not
	tools  map[string]*offered
	left   []left
}

// offered is one tool with one definition.
type offered struct {
	definition
	tool    gate.Tool
	rights  string             // names the definition for which the rights to it were given
	headers []wire.ParamHeader // what requests repeat of the arguments, over HTTP
}

func newServer(ctx context.Context, kit module.Kit, r rows, name Name, c Server, t timing) (*server, error) {
	identity, err := c.identity()
	if err != nil {
		return nil, err
	}
	s := &server{
		name: name, config: c, identity: identity.String(), egress: kit.Egress, time: t,
		log: kit.Log.With("server", string(name)), changes: make(chan struct{}, 1), tools: map[string]*offered{},
		state: state{changed: make(chan struct{})},
	}
	if c.URL == "" {
		if s.cell, err = kit.Sandbox.Cell(string(name), c.Command, c.Sandbox); err != nil {
			return nil, err
		}
	}
	if s.book, err = openBook(ctx, r, string(name), s.identity); err != nil {
		return nil, err
	}
	s.offer(s.book.definitions(), nil)
	return s, nil
}

// begin starts the program, or reaches for the address, in the background.
func (s *server) begin() {
	ctx, cancel := context.WithCancel(context.Background())
	s.stop = cancel
	s.running.Go(func() { s.supervise(ctx) })
}

// Close ends the program and all that it started. Calls that are under way end without an answer.
func (s *server) Close() error {
	s.stop()
	s.running.Wait()
	return s.cell.Close()
}

// Name implements [gate.Module].
func (s *server) Name() string { return string(s.name) }

// Changed implements [gate.Changing].
func (s *server) Changed() <-chan struct{} { return s.changes }

// Tools implements [gate.Module]: what the server offers, or offered when it was last seen.
func (s *server) Tools() []gate.Tool {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []gate.Tool
	for _, name := range slices.Sorted(maps.Keys(s.tools)) {
		all = append(all, s.tools[name].tool)
	}
	return all
}

// offer makes tools of definitions, in the place of all before; of two with one name the first is taken. It reports
// whether anything is different.
func (s *server) offer(definitions []definition, out []left) (changed bool) {
	tools, names := map[string]*offered{}, map[string]bool{}
	for _, d := range definitions {
		name := d.name()
		if names[name] {
			out = append(out, left{tidy(d.remote), "there is another tool of this name before it"})
			continue
		}
		o, err := s.make(name, d)
		if err != nil {
			out = append(out, left{tidy(d.remote), tidy(err.Error())})
			continue
		}
		names[name] = true
		tools[d.remote] = o
	}
	slices.SortFunc(out, func(a, b left) int { return cmp.Or(cmp.Compare(a.name, b.name), cmp.Compare(a.reason, b.reason)) })
	s.mu.Lock()
	defer s.mu.Unlock()
	changed = !maps.EqualFunc(s.tools, tools, (*offered).same)
	for remote, o := range tools {
		if before := s.tools[remote]; before != nil && before.same(o) {
			tools[remote] = before
		}
	}
	s.tools, s.left = tools, out
	return changed
}

// same reports whether two are one tool under one right.
func (o *offered) same(other *offered) bool {
	return o.value == other.value && o.rights == other.rights
}

// make makes the tool of a definition. Whatever a foreign server wrote must end in an error here, not in a panic.
func (s *server) make(name string, d definition) (o *offered, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("it cannot be made: %v", r)
		}
	}()
	spec, err := d.spec(s.config.tool(d.remote))
	if err != nil {
		return nil, err
	}
	o = &offered{definition: d}
	if s.config.URL != "" {
		schema, _ := d.value.Member("inputSchema")
		if o.headers, err = wire.ParamHeaders(schema); err != nil {
			return nil, fmt.Errorf("its inputSchema: %w", err)
		}
	}
	o.rights = s.book.rights(d)
	key := gate.KeyFor(string(s.name), d.remote, s.identity+":"+o.rights)
	o.tool = gate.AccessControlled(name, key, spec, func(ctx context.Context, p gate.Permit, args gate.Raw) (gate.Content, error) {
		return s.call(ctx, p, o, args)
	})
	return o, nil
}

// definitions are those of all tools that are offered.
func (s *server) definitions() []definition {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []definition
	for _, o := range s.tools {
		all = append(all, o.definition)
	}
	return all
}

// current reports whether a tool is still what it was when the call was let through.
func (s *server) current(o *offered) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.tools[o.remote]
	return now != nil && now.value == o.value
}

// unknown lists the tools that the configuration names and the server does not have.
func (s *server) unknown() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var names []string
	for _, name := range slices.Sorted(maps.Keys(s.config.Tools)) {
		if s.tools[name] == nil && name != "*" {
			names = append(names, name)
		}
	}
	return names
}
