package database

import (
	"context"
	"encoding/json"

	"gatehouse/canon"
	"gatehouse/gate"
)

// Collect is the name of the SQL function by which rows come.
const Collect = collect

// MaxSQL is how long a statement may be.
const MaxSQL = maxSQL

// Query calls the handler of database.query with an empty permit, which it does not use.
func (m *Module) Query(ctx context.Context, args string) (Rows, error) {
	return handle(ctx, args, m.query)
}

// Execute calls the handler of database.execute.
func (m *Module) Execute(ctx context.Context, args string) (Changed, error) {
	return handle(ctx, args, m.execute)
}

// Describe calls the handler of database.describe.
func (m *Module) Describe(ctx context.Context, args string) (Table, error) {
	return handle(ctx, args, m.describe)
}

// List calls the handler of database.tables.
func (m *Module) List(ctx context.Context, args string) (Tables, error) {
	return handle(ctx, args, m.tables)
}

func handle[A, R any](ctx context.Context, args string, run func(context.Context, gate.Permit, A) (R, error)) (r R, err error) {
	v, err := canon.Parse([]byte(args))
	if err != nil {
		return r, err
	}
	var a A
	if err := v.Decode(&a); err != nil {
		return r, err
	}
	return run(ctx, gate.Permit{}, a)
}

// Args writes the arguments of a statement.
func Args(connection, sql string, params ...any) string {
	all := map[string]any{"connection": connection, "sql": sql}
	if len(params) > 0 {
		all["params"] = params
	}
	b, err := json.Marshal(all)
	if err != nil {
		panic(err)
	}
	return string(b)
}

// Split finds the statement and how many parameters it takes.
func Split(text string) (statement string, params int, err error) {
	t := tokens{text: text}
	err = t.read()
	return text[:t.end], t.wanted(), err
}

// PostgresStart is the first word of a statement and the statement from there on.
var PostgresStart = postgresStart

// MySQLText gives a statement without what stands before and behind it, and its words.
func MySQLText(text string) (statement string, words []string, err error) {
	t, err := readMySQLText(text)
	for _, w := range t.words {
		words = append(words, w.upper)
	}
	return t.text, words, err
}
