package upstream

import (
	"context"
	"fmt"
	"maps"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"

	"gatehouse/canon"
	"gatehouse/gate"
)

var _ gate.Examined = overview{}

// Examine implements [gate.Examined]: it waits until each server is ready or has failed, and proposes a classification of
// the tools of which the configuration says nothing.
func (o overview) Examine(ctx context.Context) []gate.Checkup {
	ctx, cancel := context.WithTimeout(ctx, usual.greeting)
	defer cancel()
	found := make([]gate.Checkup, len(o.servers))
	var all sync.WaitGroup
	for i, s := range o.servers {
		all.Go(func() { found[i] = s.examine(ctx) })
	}
	all.Wait()
	return found
}

func (s *server) examine(ctx context.Context) gate.Checkup {
	ready := s.settled(ctx)
	now := s.status()
	one := gate.Checkup{Subject: "server " + now.Server, Notes: s.notes(now)}
	switch {
	case !ready && now.Failure != "":
		one.Problem = "it is down: " + now.Failure
	case !ready:
		one.Problem = "it did not become ready in time"
	case len(now.Unknown) > 0:
		one.Problem = "the configuration names tools that it does not have: " + tidy(strings.Join(now.Unknown, ", "))
		one.Hint = "what stands under such a name holds for no tool; correct it"
		one.Proposal = s.propose()
		return one
	default:
		one.Proposal = s.propose()
		return one
	}
	one.Hint = "see modules.mcp.servers." + now.Server + " in the configuration"
	if now.Errors.Last != "" {
		one.Notes = append(one.Notes, "the last that it wrote to its standard error: "+now.Errors.Last)
	}
	return one
}

// settled waits until a server takes calls, or has failed. It reports which.
func (s *server) settled(ctx context.Context) (ready bool) {
	for {
		s.mu.Lock()
		now := s.state
		s.mu.Unlock()
		if now.session != nil || now.closed || !now.next.IsZero() {
			return now.session != nil
		}
		select {
		case <-now.changed:
		case <-ctx.Done():
			return false
		}
	}
}

func (s *server) notes(now Status) (all []string) {
	if now.Revision != "" {
		all = append(all, fmt.Sprintf("%d tools, revision %s", now.Tools, now.Revision))
	}
	for _, l := range now.LeftOut {
		all = append(all, strings.TrimSpace("left out: "+l.Tool)+": "+l.Reason)
	}
	before := s.book.snapshot()
	for _, d := range s.definitions() {
		if accepted := before[d.remote].accepted; accepted != "" && accepted != d.value.String() {
			all = append(all, "changed since it was last called: "+tidy(d.remote)+"; servers.review shows how, servers.accept takes it")
		}
	}
	slices.Sort(all)
	if s.config.plaintext() {
		all = append(all, "its credentials cross a network in the clear: use https")
	}
	return all
}

// plaintext reports whether credentials leave this machine without encryption.
func (s Server) plaintext() bool {
	u, err := url.Parse(s.URL)
	if err != nil || u.Scheme != "http" || len(s.HeadersFrom) == 0 {
		return false
	}
	ip, err := netip.ParseAddr(u.Hostname())
	return err != nil || !ip.Unmap().IsLoopback()
}

var plainYAML = regexp.MustCompile(`^[a-z][a-z0-9_-]*$`)

// propose writes, for each tool of which the configuration says nothing by name, what the server claims of it as a line
// of the configuration. It is a claim: nothing of it holds until a person has copied it.
func (s *server) propose() string {
	s.mu.Lock()
	tools := maps.Clone(s.tools)
	s.mu.Unlock()
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(tools)) {
		if _, said := s.config.Tools[name]; said {
			continue
		}
		if b.Len() == 0 {
			b.WriteString("# What the server claims of its tools. Judge it; say under args what each argument is, or every call asks.\ntools:\n")
		}
		key := name
		// Words that YAML reads as something else are quoted too.
		if !plainYAML.MatchString(name) || slices.Contains(strings.Fields("true false null yes no on off y n"), name) {
			key = string(canon.AppendString(nil, name))
		}
		effect, claim := tools[name].claims()
		fmt.Fprintf(&b, "  %s: {effect: %s} # %s\n", key, effect, claim)
	}
	return b.String()
}

// claims reads the annotations of a tool. What they do not say is the careful value, as the specification has it too.
func (d definition) claims() (gate.Effect, string) {
	said := func(name string) string {
		v, _ := d.value.Lookup("/annotations/" + name)
		return v.String()
	}
	var claims []string
	for _, name := range []string{"readOnlyHint", "destructiveHint", "idempotentHint", "openWorldHint"} {
		if v := said(name); v == "true" || v == "false" {
			claims = append(claims, name+": "+v)
		}
	}
	text := strings.Join(claims, ", ")
	switch {
	case len(claims) == 0:
		return gate.Destroys, "it claims nothing"
	case said("readOnlyHint") == "true":
		return gate.Reads, text
	case said("destructiveHint") == "false":
		return gate.Writes, text
	}
	return gate.Destroys, text
}
