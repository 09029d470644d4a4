// Package database lets agents ask the databases that the configuration names, and change those that it calls writable:
// SQLite files, and servers of PostgreSQL, MariaDB and MySQL. It must never run what was not asked for: exactly one
// statement, reading only (or, for database.execute, changing rows only), with bounded time and size, and nothing but the
// connection's own database in reach. It must never show where that database lies, nor with which login it is reached.
//
// Each engine is read-only in several ways at once, and none of them is our reading of the statement's text alone:
// sqlite.go, postgres.go and mysql.go say which. Nothing of a call stays on a connection for the next one. A server that
// is down stops nothing but the calls to it. A [Module] may be used from any goroutine; [Module.Close] waits for none.
package database

import (
	"context"
	"errors"
	"fmt"
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
type Module struct{ connections map[string]connection }

// connection is one configured database.
type connection struct {
	engine
	name     string
	dialect  string // for people and models
	writable bool
}

// engine is a database of one kind. Its methods may be called from any goroutine.
type engine interface {
	// query runs one reading statement and gives at most so many of its rows.
	query(ctx context.Context, a asked, most int) (Rows, error)
	// execute runs one statement that changes rows, in a transaction of its own.
	execute(ctx context.Context, a asked) (Changed, error)
	tables(ctx context.Context) (Tables, error)
	describe(ctx context.Context, table string) (Table, error)
	close() error
}

// asked is a statement as it came, with its parameters.
type asked struct {
	text   string
	params []canon.Value
}

const (
	maxSQL    = 64 << 10 // bytes of one statement
	maxParams = 500
)

// check refuses what no engine takes.
func (a asked) check() error {
	switch {
	case len(a.text) > maxSQL:
		return outcome.WithFaults(outcome.Fault{Path: "/sql", Problem: "is longer than 64 KiB"})
	case strings.ContainsRune(a.text, 0):
		return outcome.WithFaults(outcome.Fault{Path: "/sql", Problem: "holds U+0000"})
	case len(a.params) > maxParams:
		return outcome.WithFaults(outcome.Fault{Path: "/params", Problem: "holds more than 500 values"})
	}
	return nil
}

// New takes the connections of the configuration. A file that is not there yet, or a server that is down, is no error; a
// path into the data folder, an unknown driver and a dsn that cannot be read are. It connects to nothing.
func New(_ context.Context, kit module.Kit, cfg Config) (*Module, error) {
	m := &Module{connections: map[string]connection{}}
	for _, name := range slices.Sorted(maps.Keys(cfg.Connections)) {
		c, err := newConnection(kit, name, cfg.Connections[name])
		if err != nil {
			return nil, errors.Join(fmt.Errorf("connection %s: %w", name, err), m.Close())
		}
		m.connections[name] = c
	}
	return m, nil
}

func newConnection(kit module.Kit, name string, cfg Connection) (connection, error) {
	c := connection{name: name, writable: cfg.Writable}
	err := cfg.check(name)
	if err != nil {
		return c, err
	}
	switch cfg.Driver {
	case "postgres":
		c.dialect = "PostgreSQL"
		c.engine, err = newPostgres(kit, name, cfg)
	case "mysql":
		c.dialect = "MySQL"
		c.engine, err = newMySQL(kit, name, cfg)
	default:
		c.dialect = "SQLite"
		c.engine, err = newSQLite(kit, name, cfg)
	}
	return c, err
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
			Description: "Runs one reading SQL statement and gives its rows. Bind values, never write them into the statement: with $1, $2, … (SQLite, PostgreSQL) or ? (SQLite, MySQL)." + m.listed(),
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
				Description: "Runs one INSERT, UPDATE or DELETE in a transaction of its own and says how many rows it changed. Bind values with $1, $2, … (SQLite, PostgreSQL) or ? (SQLite, MySQL)." + m.listed(),
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
	s := asked{a.SQL, a.Params}
	if err := s.check(); err != nil {
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
	s := asked{a.SQL, a.Params}
	if err := s.check(); err != nil {
		return Changed{}, err
	}
	return c.execute(ctx, s)
}

// connection finds one by its name. The names are no secret: whoever may call the tool sees them in its description.
func (m *Module) connection(name string) (connection, error) {
	if c, ok := m.connections[name]; ok {
		return c, nil
	}
	return connection{}, outcome.NotFound.Because("there is no connection of that name.%s", m.listed())
}

// listed names the connections, as the end of a sentence's paragraph.
func (m *Module) listed() string {
	if len(m.connections) == 0 {
		return " No connections are configured."
	}
	list := make([]string, 0, len(m.connections))
	for _, name := range slices.Sorted(maps.Keys(m.connections)) {
		list = append(list, name+" ("+m.connections[name].dialect+")")
	}
	return " Connections: " + strings.Join(list, ", ") + "."
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
