package upstream

import (
	"context"
	"maps"
	"path/filepath"
	"slices"
	"time"

	"gatehouse/canon"
	"gatehouse/gate"
	"gatehouse/outcome"
)

var (
	listKey   = gate.NewKey("servers/list")
	reviewKey = gate.NewKey("servers/review")
	acceptKey = gate.NewKey("servers/accept")
)

// overview is the module servers.
type overview struct{ *Upstream }

// Name implements [gate.Module].
func (overview) Name() string { return "servers" }

// Tools implements [gate.Module].
func (o overview) Tools() []gate.Tool {
	return []gate.Tool{
		gate.AccessControlled("list", listKey, gate.Spec{
			Title: "List upstream servers", Effect: gate.Reads,
			Description: "Shows each configured MCP server: whether it runs, why not, how many tools it offers and which of them are left out.",
		}, o.list),
		gate.AccessControlled("review", reviewKey, gate.Spec{
			Title: "Review an upstream server's tools", Effect: gate.Reads,
			Description: "Shows what a server says of its tools now, and what it said of each when a call of it was last let through. A tool whose definition changed cannot be called until it was accepted with servers.accept or permitted again.",
		}, o.review),
		gate.AccessControlled("accept", acceptKey, gate.Spec{
			Title: "Accept a changed tool of an upstream server", Effect: gate.Writes, Who: gate.Persons, Trusted: true,
			Description: "Lets those who were permitted a tool call it with its changed definition, as servers.review shows it. Read the difference first: descriptions are instructions to agents.",
		}, o.accept),
	}
}

type listArgs struct{}

// Listing is the result of servers.list.
type Listing struct {
	Servers []Status `json:"servers"`
}

// Status is how one server does.
type Status struct {
	Server   string    `json:"server"`
	Program  string    `json:"program,omitzero"` // without its folder and its arguments
	Address  string    `json:"address,omitzero"` // of a server over HTTP, without its query
	Sandbox  string    `json:"sandbox,omitzero"` // how the program is confined; off, or why it cannot be
	State    string    `json:"state"`            // starting, ready, down, refused or stopped
	Since    string    `json:"since,omitzero"`
	Next     string    `json:"next_start,omitzero"`
	Failure  string    `json:"failure,omitzero"` // why the last run ended
	Starts   int       `json:"starts"`
	Revision string    `json:"revision,omitzero"`
	Tools    int       `json:"tools"`
	LeftOut  []LeftOut `json:"left_out,omitzero"`
	Unknown  []string  `json:"unknown_tools,omitzero"` // named in the configuration alone
	Dropped  Dropped   `json:"dropped"`
	Errors   Errors    `json:"stderr"`
}

// LeftOut is a tool that is not offered.
type LeftOut struct {
	Tool   string `json:"tool,omitzero"` // as the server calls it; empty: the reason is about the list
	Reason string `json:"reason"`
}

// Dropped counts what the program that runs now wrote in vain.
type Dropped struct {
	Long    int64 `json:"too_long"`
	Unread  int64 `json:"not_json_rpc"`
	Foreign int64 `json:"answers_to_nothing"`
}

// Errors is about the program's standard error, over all runs.
type Errors struct {
	Bytes int64  `json:"bytes"`
	Lines int64  `json:"lines"`
	Last  string `json:"last,omitzero"`
}

func (o overview) list(context.Context, gate.Permit, listArgs) (Listing, error) {
	all := Listing{Servers: []Status{}}
	for _, s := range o.servers {
		all.Servers = append(all.Servers, s.status())
	}
	return all, nil
}

func (s *server) status() Status {
	one := Status{Server: string(s.name), Address: s.config.address(), State: "starting", Unknown: s.unknown()}
	if len(s.config.Command) > 0 {
		one.Program, one.Sandbox = filepath.Base(s.config.Command[0]), s.cell.String()
	}
	one.Errors.Last, one.Errors.Lines, one.Errors.Bytes = s.stderr.last(s.hush)
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.state
	one.Since, one.Failure, one.Starts, one.Tools = stamp(now.since), now.failure, now.starts, len(s.tools)
	switch {
	case now.closed:
		one.State = "stopped"
	case now.refused:
		one.State = "refused"
	case now.session != nil:
		one.State, one.Revision = "ready", string(now.session.revision)
		noise := &now.session.noise
		one.Dropped = Dropped{noise.long.Load(), noise.unread.Load(), noise.foreign.Load()}
	case !now.next.IsZero():
		one.State, one.Next = "down", stamp(now.next)
	}
	for _, l := range s.left {
		one.LeftOut = append(one.LeftOut, LeftOut{l.name, l.reason})
	}
	return one
}

type reviewArgs struct {
	Server string `json:"server" kind:"opaque" jsonschema:"name of the server"`
	Tool   string `json:"tool,omitzero" kind:"opaque" jsonschema:"only this tool, as the server or Gatehouse calls it"`
}

// Review is the result of servers.review.
type Review struct {
	Server  string     `json:"server"`
	Tools   []Reviewed `json:"tools"`
	LeftOut []LeftOut  `json:"left_out,omitzero"`
	Cut     bool       `json:"cut,omitzero"` // definitions are left out, because they would be too much: ask for one tool
}

// Reviewed is one tool.
type Reviewed struct {
	Tool   gate.ToolName `json:"tool"`
	State  string        `json:"state"` // same, changed, added (no call was let through yet) or gone
	Effect string        `json:"effect,omitzero"`
	// Definition names what the server says of it now; servers.accept takes it.
	Definition string      `json:"definition,omitzero"`
	Now        canon.Value `json:"now,omitzero"`    // what the server says of it
	Before     canon.Value `json:"before,omitzero"` // what it said when a call was last let through, if that is something else
	Changes    []Change    `json:"changes,omitzero"`
}

// maxReview is how much of definitions one review shows.
const maxReview = 2 << 20

func (o overview) review(_ context.Context, _ gate.Permit, a reviewArgs) (Review, error) {
	s := o.find(a.Server)
	if s == nil {
		return Review{}, outcome.NotFound.Because("there is no server of that name; servers.list shows them")
	}
	before := s.book.snapshot()
	s.mu.Lock()
	now := maps.Clone(s.tools)
	all := Review{Server: a.Server, Tools: []Reviewed{}}
	for _, l := range s.left {
		all.LeftOut = append(all.LeftOut, LeftOut{l.name, l.reason})
	}
	s.mu.Unlock()
	names := map[string]bool{}
	for name := range before {
		names[name] = true
	}
	for name := range now {
		names[name] = true
	}
	room := maxReview
	for _, remote := range slices.Sorted(maps.Keys(names)) {
		one := s.reviewed(remote, now[remote], before[remote].accepted)
		if one.State == "" || a.Tool != "" && a.Tool != remote && a.Tool != string(one.Tool) {
			continue
		}
		if room -= one.Now.Len() + one.Before.Len(); room < 0 {
			one.Now, one.Before, one.Changes, all.Cut = canon.Value{}, canon.Value{}, nil, true
		}
		all.Tools = append(all.Tools, one)
	}
	return all, nil
}

// reviewed compares what a tool is with what it was. An empty state is a tool that never was.
func (s *server) reviewed(remote string, now *offered, accepted string) Reviewed {
	one := Reviewed{Tool: gate.ToolName(string(s.name) + "." + definition{remote: remote}.name())}
	before, err := canon.ParseObject([]byte(accepted))
	if err != nil {
		before = canon.Value{}
	}
	if now == nil {
		if one.Before = before; !before.IsZero() {
			one.State = "gone"
		}
		return one
	}
	one.Now, one.Definition, one.Effect = now.value, now.hash(), s.config.tool(remote).Effect.String()
	switch before {
	case canon.Value{}:
		one.State = "added"
	case now.value:
		one.State = "same"
	default:
		one.State, one.Before, one.Changes = "changed", before, difference(before, now.value)
	}
	return one
}

// stamp is how times stand in results.
func stamp(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format("2006-01-02T15:04:05.000Z")
}
