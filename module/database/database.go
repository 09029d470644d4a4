// Package database lets agents ask the databases that the configuration names, and change those that it calls writable.
// It must never run what was not asked for: exactly one statement, reading only (or, for database.execute, changing rows
// only), with bounded time and size, and nothing but the connection's own file in reach. It must never show where that
// file lies.
//
// SQLite is what is built. A query runs on a connection that is read-only three times over: the file is opened with
// mode=ro, query_only is set, and an authorizer refuses every action but reading when a statement is compiled. Nothing of
// a call stays on a connection for the next one. A [Module] may be used from any goroutine; [Module.Close] waits for none.
package database

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"time"

	"gatehouse/canon"
	"gatehouse/gate"
	"gatehouse/module"
	"gatehouse/outcome"
)

var (
	queryKey    = gate.NewKey("database/query")
	executeKey  = gate.NewKey("database/execute")
	tablesKey   = gate.NewKey("database/tables")
	describeKey = gate.NewKey("database/describe")
)

// deadline bounds a statement. Sorting much data fills temporary files, so it is shorter than what other tools have.
const deadline = 30 * time.Second

// Module offers database.query, database.tables and database.describe, and database.execute where a connection is writable.
type Module struct{ connections map[string]*connection }

// New takes the connections of the configuration. A file that is not there yet is no error; a path into the data folder,
// a driver that is not built and a dsn that is more than a path are.
func New(_ context.Context, kit module.Kit, cfg Config) (*Module, error) {
	m := &Module{connections: map[string]*connection{}}
	for _, name := range slices.Sorted(maps.Keys(cfg.Connections)) {
		c, err := newConnection(kit, name, cfg.Connections[name])
		if err != nil {
			return nil, errors.Join(err, m.Close())
		}
		m.connections[name] = c
	}
	return m, nil
}

// Name implements [gate.Module].
func (*Module) Name() string { return "database" }

// Close closes all connections.
func (m *Module) Close() error {
	var errs []error
	for _, c := range m.connections {
		errs = append(errs, c.close())
	}
	return errors.Join(errs...)
}

// Tools implements [gate.Module].
func (m *Module) Tools() []gate.Tool {
	tools := []gate.Tool{
		gate.AccessControlled("query", queryKey, gate.Spec{
			Title: "Query a database", Effect: gate.Reads, Deadline: deadline,
			Description: "Runs one reading SQL statement and gives its rows. Bind values with $1, $2, … or ?, never write them into the statement." + m.listed(),
		}, m.query),
		gate.AccessControlled("tables", tablesKey, gate.Spec{
			Title: "List the tables of a database", Effect: gate.Reads, Deadline: deadline,
			Description: "Lists tables and views by name." + m.listed(),
		}, m.tables),
		gate.AccessControlled("describe", describeKey, gate.Spec{
			Title: "Describe a table", Effect: gate.Reads, Deadline: deadline,
			Description: "Gives the columns, indexes and foreign keys of a table or view." + m.listed(),
		}, m.describe),
	}
	for _, c := range m.connections {
		if c.writable {
			return append(tools, gate.AccessControlled("execute", executeKey, gate.Spec{
				Title: "Change rows of a database", Effect: gate.Destroys, Deadline: deadline,
				Description: "Runs one INSERT, UPDATE or DELETE in a transaction of its own and says how many rows it changed. Bind values with $1, $2, … or ?.",
			}, m.execute))
		}
	}
	return tools
}

type queryArgs struct {
	Connection string        `json:"connection" kind:"opaque" jsonschema:"name of the configured connection"`
	SQL        string        `json:"sql" kind:"sql" jsonschema:"one reading statement"`
	Params     []canon.Value `json:"params,omitzero" jsonschema:"values for $1, $2, … or ?: strings, numbers, true, false, null, or {\"base64\": …} for bytes"`
	MaxRows    int           `json:"max_rows,omitzero" jsonschema:"how many rows to give at most: 1 to 1000, 100 if left out"`
}

type executeArgs struct {
	Connection string        `json:"connection" kind:"opaque" carries:"nothing" jsonschema:"name of a writable connection"`
	SQL        string        `json:"sql" kind:"sql" jsonschema:"one INSERT, UPDATE or DELETE"`
	Params     []canon.Value `json:"params,omitzero" jsonschema:"values for $1, $2, … or ?: strings, numbers, true, false, null, or {\"base64\": …} for bytes"`
}

type tablesArgs struct {
	Connection string `json:"connection" kind:"opaque" jsonschema:"name of the configured connection"`
}

type describeArgs struct {
	Connection string `json:"connection" kind:"opaque" jsonschema:"name of the configured connection"`
	Table      string `json:"table" kind:"opaque" jsonschema:"name of a table or view"`
}

func (m *Module) query(ctx context.Context, _ gate.Permit, a queryArgs) (Rows, error) {
	c, err := m.connection(a.Connection)
	if err != nil {
		return Rows{}, err
	}
	most, err := maxRows(a.MaxRows)
	if err != nil {
		return Rows{}, err
	}
	s, err := parse(a.SQL, a.Params)
	if err != nil {
		return Rows{}, err
	}
	return c.query(ctx, s, most)
}

func (m *Module) tables(ctx context.Context, _ gate.Permit, a tablesArgs) (Tables, error) {
	c, err := m.connection(a.Connection)
	if err != nil {
		return Tables{}, err
	}
	return c.tables(ctx)
}

func (m *Module) describe(ctx context.Context, _ gate.Permit, a describeArgs) (Table, error) {
	c, err := m.connection(a.Connection)
	if err != nil {
		return Table{}, err
	}
	return c.describe(ctx, a.Table)
}

func (m *Module) execute(ctx context.Context, _ gate.Permit, a executeArgs) (Changed, error) {
	c, err := m.connection(a.Connection)
	if err != nil {
		return Changed{}, err
	}
	if !c.writable {
		return Changed{}, outcome.Blocked.Because("the connection %s is for reading only; use database.query", c.name)
	}
	s, err := parse(a.SQL, a.Params)
	if err != nil {
		return Changed{}, err
	}
	return c.execute(ctx, s)
}

// connection finds one by its name. The names are no secret: whoever may call the tool sees them in its description.
func (m *Module) connection(name string) (*connection, error) {
	if c := m.connections[name]; c != nil {
		return c, nil
	}
	return nil, outcome.NotFound.Because("there is no connection of that name.%s", m.listed())
}

// listed names the connections, as the end of a sentence's paragraph.
func (m *Module) listed() string {
	if len(m.connections) == 0 {
		return " No connections are configured."
	}
	return " Connections: " + strings.Join(slices.Sorted(maps.Keys(m.connections)), ", ") + "."
}

const (
	defaultRows = 100
	mostRows    = 1000
)

func maxRows(asked int) (int, error) {
	if asked == 0 {
		return defaultRows, nil
	}
	if asked < 0 || asked > mostRows {
		return 0, outcome.WithFaults(outcome.Fault{Path: "/max_rows", Problem: "must be from 1 to 1000"})
	}
	return asked, nil
}
