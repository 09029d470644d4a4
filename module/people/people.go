// Package people keeps who there is and what each of them may do: the modules people and permissions, and the gate's
// question what a person may do now. It must never show a permission key, which stands in its tables as a number, or one
// person's map to another who does not keep the house.
//
// All people and maps are in memory as immutable snapshots behind an atomic pointer. Writes come one after the other; each
// replaces the snapshot after its commit and before its call returns, so that the next call sees it (P5). Where it is not
// known what a write did, nothing is answered until the tables were read again.
//
// A person and their map share one version. people.db holds two tables: person, and permission with one row for each
// grant that there ever was.
package people

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"

	"gatehouse/gate"
	"gatehouse/module"
	"gatehouse/store"
)

var (
	addKey     = gate.NewKey("people/add")
	listKey    = gate.NewKey("people/list")
	disableKey = gate.NewKey("people/disable")
	enableKey  = gate.NewKey("people/enable")

	getKey   = gate.NewKey("permissions/get")
	setKey   = gate.NewKey("permissions/set")
	toolsKey = gate.NewKey("permissions/tools")
)

// Config is empty: there is nothing to configure yet.
type Config struct{}

// People is both modules, and the gate's Permissions. It is safe for concurrent use.
type People struct {
	rows    rows
	writing sync.Mutex // one write at a time: the order of commits is that of snapshots
	now     atomic.Pointer[snapshot]
	doubt   atomic.Bool  // it is not known what the tables hold
	shared  bool         // other processes write the tables too
	seen    atomic.Int64 // the number of changes that the snapshot holds, where shared
}

var _ gate.Permissions = (*People)(nil)

// New opens the database and reads all of it. The database is closed by whoever made the kit.
func New(ctx context.Context, kit module.Kit, _ Config) (*People, error) {
	db, err := kit.Open(ctx, migrations)
	if err != nil {
		return nil, err
	}
	p := &People{rows: rows{db}, shared: db.Engine() == store.Postgres}
	if err := p.read(ctx); err != nil {
		return nil, fmt.Errorf("starting the module people: %w", err)
	}
	return p, nil
}

// Modules are people and permissions, which share their tables.
func (p *People) Modules() []gate.Module { return []gate.Module{persons{p}, permissions{p}} }

// persons is the module people.
type persons struct{ *People }

func (persons) Name() string { return "people" }

func (p persons) Tools() []gate.Tool {
	return []gate.Tool{
		gate.AccessControlled("add", addKey, gate.Spec{
			Title: "Add a person", Description: "Adds somebody for whom agents can act. An administrator starts with permission to keep the house; anyone else with none.",
			Effect: gate.Writes, Trusted: true, Who: gate.Persons,
		}, p.add),
		gate.AccessControlled("list", listKey, gate.Spec{
			Title: "List people", Description: "Lists people, oldest first, 200 at a time. Who is no administrator sees only themself.",
			Effect: gate.Reads,
		}, p.list),
		gate.AccessControlled("disable", disableKey, gate.Spec{
			Title: "Disable a person", Description: "From now on neither the person nor any agent of theirs can do anything. What they own stays.",
			Effect: gate.Writes, Trusted: true, Who: gate.Persons,
		}, p.disable),
		gate.AccessControlled("enable", enableKey, gate.Spec{
			Title: "Enable a person", Description: "Undoes people.disable. Permissions and tokens are again what they were.",
			Effect: gate.Writes, Trusted: true, Who: gate.Persons,
		}, p.enable),
	}
}

// permissions is the module permissions.
type permissions struct{ *People }

func (permissions) Name() string { return "permissions" }

func (p permissions) Tools() []gate.Tool {
	return []gate.Tool{
		gate.AccessControlled("get", getKey, gate.Spec{
			Title: "Show permissions", Description: "Shows which tools you may use and which of them ask a human first; for administrators also another person's.",
			Effect: gate.Reads,
		}, p.get),
		gate.AccessControlled("set", setKey, gate.Spec{
			Title: "Change permissions", Description: "Changes the named entries of a person's permission map and leaves all others. A version that is not the newest ends in conflict and changes nothing.",
			Effect: gate.Writes, Trusted: true, Who: gate.Persons,
		}, p.set),
		gate.AccessControlled("tools", toolsKey, gate.Spec{
			Title: "List all tools", Description: "Lists every tool that exists, whether or not you may use it.",
			Effect: gate.Reads, Who: gate.Persons,
		}, p.tools),
	}
}
