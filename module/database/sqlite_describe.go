package database

import (
	"context"
	"database/sql/driver"
	"errors"
	"io"

	"gatehouse/outcome"
)

func (c *sqliteFile) tables(ctx context.Context) (Tables, error) {
	t := Tables{Tables: []Named{}}
	err := c.with(ctx, c.reads, func(r raw) error {
		return ask(ctx, r, "SELECT name, type FROM pragma_table_list WHERE schema = 'main' AND type <> 'shadow' "+
			"AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' ORDER BY name", func(v []driver.Value) {
			if len(t.Tables) < maxTables {
				t.Tables = append(t.Tables, Named{text(v[0]), text(v[1])})
			}
		})
	})
	return t, err
}

func (c *sqliteFile) describe(ctx context.Context, name string) (Table, error) {
	t := Table{Columns: []Field{}, Indexes: []Index{}, ForeignKeys: []Reference{}}
	err := c.with(ctx, c.reads, func(r raw) error {
		err := ask(ctx, r, "SELECT name, type FROM pragma_table_list WHERE schema = 'main' AND name = ? COLLATE NOCASE", func(v []driver.Value) {
			t.Name, t.Kind = text(v[0]), text(v[1])
		}, name)
		if err != nil {
			return err
		}
		if t.Name == "" {
			return outcome.NotFound.Because("there is no such table; database.tables lists what there is")
		}
		return t.fill(ctx, r)
	})
	return t, err
}

// fill asks for what belongs to a table: https://www.sqlite.org/pragma.html#pragma_table_xinfo.
func (t *Table) fill(ctx context.Context, r raw) error {
	err := ask(ctx, r, `SELECT name, type, "notnull", dflt_value, pk, hidden FROM pragma_table_xinfo(?) ORDER BY cid`, func(v []driver.Value) {
		if hidden := whole(v[5]); hidden != 1 { // 1 is a hidden column of a virtual table; 2 and 3 are generated
			t.Columns = append(t.Columns, Field{text(v[0]), text(v[1]), whole(v[2]) != 0, text(v[3]), whole(v[4]), hidden > 1})
		}
	}, t.Name)
	if err != nil {
		return err
	}
	err = ask(ctx, r, `SELECT l.name, l."unique", i.name FROM pragma_index_list(?) AS l, pragma_index_info(l.name) AS i ORDER BY l.seq, i.seqno`, func(v []driver.Value) {
		t.addIndex(text(v[0]), whole(v[1]) != 0, text(v[2]))
	}, t.Name)
	if err != nil {
		return err
	}
	return ask(ctx, r, `SELECT "from", "table", "to" FROM pragma_foreign_key_list(?) ORDER BY id, seq`, func(v []driver.Value) {
		t.ForeignKeys = append(t.ForeignKeys, Reference{text(v[0]), text(v[1]), text(v[2])})
	}, t.Name)
}

// ask runs a statement of our own.
func ask(ctx context.Context, r raw, query string, row func([]driver.Value), args ...string) (err error) {
	if _, err := describing.on(r); err != nil {
		return err
	}
	bound := make([]driver.NamedValue, len(args))
	for i, a := range args {
		bound[i] = driver.NamedValue{Ordinal: i + 1, Value: a}
	}
	rows, err := r.QueryContext(ctx, query, bound)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	values := make([]driver.Value, len(rows.Columns()))
	for {
		if err := rows.Next(values); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		row(values)
	}
}

func text(v driver.Value) string {
	s, _ := v.(string)
	return s
}

func whole(v driver.Value) int64 {
	n, _ := v.(int64)
	return n
}
