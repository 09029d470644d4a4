// Package upstream puts MCP servers behind the gate, programs that speak over stdio and addresses that speak over HTTP: one module for each server of the configuration,
// named after it, with the server's own tools, and the module servers, which shows how they do. It must never start a
// program that the configuration file does not name, hand it more of our environment than PATH and LANG, send it bytes
// that the gate did not check, or let a changed tool run under what was permitted for the one before.
//
// A server is another people's program and is not trusted. A program is confined by package sandbox, started at once, and
// started again with growing pauses when it ends; its process group is killed whole, and it cannot leave that. What it writes is taken line by line within bounds: a line that is too long, that is not
// JSON or that answers nobody is counted and dropped. Its instructions, its log and the _meta of its results go no further.
//
// The right to a tool is bound to the server, its command, the tool and a hash over the tool's definition. So a tool whose
// description or schema changed is another tool, which nobody may call until it was permitted again.
//
// Goroutines: one supervises each server; each run of a program has four more, for its life, its input, its output and
// its errors. All types are safe for concurrent use. Files: upstream.db, and what package sandbox makes.
//
// Sources: MCP 2025-11-25 and 2026-07-28, chapters basic (lifecycle, transports/stdio, cancellation) and server/tools.
package upstream

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"gatehouse/gate"
	"gatehouse/module"
)

// maxServers is how many programs may run at a time.
const maxServers = 32

// Upstream is all configured servers.
type Upstream struct{ servers []*server }

// timing is how long things take. Tests take other values, because programs do not run in a bubble of false time.
type timing struct {
	first, longest time.Duration // the pause before a program is started again: doubled from the first to the longest
	greeting       time.Duration // from a start to the first list of tools; a package runner may have to fetch the program
	list           time.Duration // for one more list of tools
	relist         time.Duration // between two lists that the server asks for
	relook         time.Duration // between two lists of a server over HTTP that does not say when its tools change
	wait           time.Duration // how long a call waits for a server that is not ready
	grace          time.Duration // between the wish to end and the end by force
}

var usual = timing{
	first: time.Second, longest: time.Minute, greeting: time.Minute, list: 30 * time.Second,
	relist: 5 * time.Second, relook: 5 * time.Minute, wait: 30 * time.Second, grace: 2 * time.Second,
}

// New checks the configuration, lists the tools that the servers had when they were last seen, and starts them in the
// background. A server that does not start is no error; closing its module ends it.
func New(ctx context.Context, kit module.Kit, cfg Config) (*Upstream, error) {
	return newUpstream(ctx, kit, cfg, usual)
}

func newUpstream(ctx context.Context, kit module.Kit, cfg Config, t timing) (*Upstream, error) {
	kit.Name = "upstream" // the section is called mcp, the folder and the database are not
	if err := cfg.Check(kit); err != nil {
		return nil, err
	}
	db, err := kit.Open(ctx, migrations)
	if err != nil {
		return nil, err
	}
	u := &Upstream{}
	for _, name := range slices.Sorted(maps.Keys(cfg.Servers)) {
		s, err := newServer(ctx, kit, rows{db}, name, cfg.Servers[name], t)
		if err != nil {
			return nil, fmt.Errorf("server %s: %w", name, err)
		}
		u.servers = append(u.servers, s)
	}
	for _, s := range u.servers {
		s.begin()
	}
	return u, nil
}

// Modules gives one module for each server, and the module servers.
func (u *Upstream) Modules() []gate.Module {
	all := []gate.Module{overview{u}}
	for _, s := range u.servers {
		all = append(all, s)
	}
	return all
}

// find gives a server by its name, or nil.
func (u *Upstream) find(name string) *server {
	for _, s := range u.servers {
		if string(s.name) == name {
			return s
		}
	}
	return nil
}
