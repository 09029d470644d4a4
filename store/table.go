package store

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strings"
)

// table is what a move of rows must know of a table.
type table struct {
	name    string
	columns []string
	types   map[string]string // by column, as the engine names it
	key     []string          // the primary key, in its order
	refers  []string          // tables of the same schema that must be filled before
}

// inOrder says how rows are read: by their key, so that a log comes as its chain goes.
func (t table) inOrder(from string, text func(column string) string) string {
	columns, key := make([]string, len(t.columns)), make([]string, len(t.key))
	for i, c := range t.columns {
		columns[i] = text(c)
	}
	for i, c := range t.key {
		key[i] = quoted(c)
	}
	return "SELECT " + strings.Join(columns, ", ") + " FROM " + from + " ORDER BY " + strings.Join(key, ", ")
}

// rowReader runs a query, for the schema of a database.
type rowReader interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

const tablesSQLite = `SELECT s.name, c.name, c.type, c.pk FROM sqlite_schema AS s, pragma_table_info(s.name) AS c
	WHERE s.type = 'table' AND s.name NOT LIKE 'sqlite\_%' ESCAPE '\' AND s.name <> $1 ORDER BY s.name, c.cid`

const tablesPostgres = `SELECT c.relname, a.attname, format_type(a.atttypid, a.atttypmod),
	COALESCE((SELECT array_position(i.indkey::int2[], a.attnum) + 1 FROM pg_index i WHERE i.indrelid = c.oid AND i.indisprimary), 0)
	FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
	WHERE c.relnamespace = to_regnamespace(quote_ident($2)) AND c.relkind IN ('r', 'p') AND NOT c.relispartition AND c.relname <> $1
	ORDER BY c.relname, a.attnum`

const refersPostgres = `SELECT f.relname, t.relname FROM pg_constraint k JOIN pg_class f ON f.oid = k.conrelid JOIN pg_class t ON t.oid = k.confrelid
	WHERE k.contype = 'f' AND f.relnamespace = to_regnamespace(quote_ident($1)) AND t.oid <> f.oid`

// readTables reads a schema's tables, sorted by name, our own record of migrations left out.
func readTables(ctx context.Context, from rowReader, query string, args ...any) (map[string]*table, error) {
	rows, err := from.QueryContext(ctx, query, append([]any{migrationTable}, args...)...)
	if err != nil {
		return nil, err
	}
	all := map[string]*table{}
	at := map[string]map[int]string{} // the key's columns by their place
	err = drain(rows, func(rows *sql.Rows) error {
		for rows.Next() {
			var name, column, kind string
			var place int
			if err := rows.Scan(&name, &column, &kind, &place); err != nil {
				return err
			}
			t := all[name]
			if t == nil {
				t = &table{name: name, types: map[string]string{}}
				all[name], at[name] = t, map[int]string{}
			}
			t.columns = append(t.columns, column)
			t.types[column] = strings.ToLower(kind)
			if place > 0 {
				at[name][place] = column
			}
		}
		return rows.Err()
	})
	if err != nil {
		return nil, err
	}
	for name, t := range all {
		for place := range len(at[name]) {
			t.key = append(t.key, at[name][place+1])
		}
		if len(t.key) == 0 || slices.Contains(t.key, "") {
			return nil, fmt.Errorf("the table %s has no primary key to read it by", name)
		}
	}
	return all, nil
}

// readRefers adds which table refers to which.
func readRefers(ctx context.Context, from rowReader, schema string, all map[string]*table) error {
	rows, err := from.QueryContext(ctx, refersPostgres, schema)
	if err != nil {
		return err
	}
	return drain(rows, func(rows *sql.Rows) error {
		for rows.Next() {
			var name, to string
			if err := rows.Scan(&name, &to); err != nil {
				return err
			}
			if t := all[name]; t != nil {
				t.refers = append(t.refers, to)
			}
		}
		return rows.Err()
	})
}

// filling gives the tables so that none comes before one that it refers to.
func filling(all map[string]*table) ([]*table, error) {
	var order []*table
	done := map[string]bool{}
	for len(order) < len(all) {
		before := len(order)
		for _, name := range sortedNames(all) {
			t := all[name]
			if done[name] || slices.ContainsFunc(t.refers, func(to string) bool { return !done[to] }) {
				continue
			}
			done[name] = true
			order = append(order, t)
		}
		if len(order) == before {
			return nil, fmt.Errorf("tables refer to each other in a circle")
		}
	}
	return order, nil
}

func sortedNames(all map[string]*table) []string {
	names := make([]string, 0, len(all))
	for name := range all {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// sameTables refuses two forms of one schema that do not hold the same: rows moved between them would lose something.
func sameTables(schema string, a, b map[string]*table) error {
	if !slices.Equal(sortedNames(a), sortedNames(b)) {
		return fmt.Errorf("the schema %s has the tables %v on one engine and %v on the other", schema, sortedNames(a), sortedNames(b))
	}
	for name, t := range a {
		ours, theirs := slices.Sorted(slices.Values(t.columns)), slices.Sorted(slices.Values(b[name].columns))
		if !slices.Equal(ours, theirs) {
			return fmt.Errorf("the table %s.%s has the columns %v on one engine and %v on the other", schema, name, ours, theirs)
		}
	}
	return nil
}
