package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"

	"gatehouse/outcome"
)

// ErrNotEmpty is a PostgreSQL schema in which there are rows already.
var ErrNotEmpty = errors.New("there are rows already")

// Moved counts the rows that [Move] moved, by schema.
type Moved map[string]int64

// Move copies all rows of the SQLite files in a folder into PostgreSQL, as they are, in one transaction: all of it is there
// afterwards, or nothing. The schemas are made and migrated first; one that has rows is [ErrNotEmpty]. The files are only
// read, and nobody may be writing them. Each must be at our newest migration, else [ErrBehind].
func Move(ctx context.Context, dir string, to Source, known []Schema) (Moved, error) {
	var there []Schema
	for _, s := range known {
		st, err := s.Status(ctx, Source{Dir: dir})
		switch {
		case err != nil:
			return nil, err
		case st.There && st.Applied < st.Newest:
			return nil, fmt.Errorf("moving the database %s: %w", s.Name, ErrBehind)
		case st.There:
			there = append(there, s)
		}
	}
	for _, s := range there {
		db, err := Open(ctx, Config{Source: to, Name: s.Name, Migrations: s.Migrations, Migrate: true, AppendOnly: s.AppendOnly, Reads: s.Reads, Calls: s.Calls})
		if err != nil {
			return nil, err
		}
		if err := db.Close(); err != nil {
			return nil, err
		}
	}
	moved, err := moveAll(ctx, dir, to, there)
	if err != nil {
		return nil, fmt.Errorf("moving the databases: %w", err)
	}
	return moved, nil
}

func moveAll(ctx context.Context, dir string, to Source, there []Schema) (_ Moved, err error) {
	owner := to.Owner
	if owner.IsZero() {
		owner = to.Run
	}
	config, err := postgresConfig(owner, "move")
	if err != nil {
		return nil, err
	}
	delete(config.RuntimeParams, "idle_in_transaction_session_timeout")
	db := stdlib.OpenDB(*config)
	defer func() { err = errors.Join(err, db.Close()) }()
	conn, err := db.Conn(ctx)
	if err != nil {
		return nil, translate(ctx, err)
	}
	defer func() { err = errors.Join(err, conn.Close()) }()
	end := func(how string) error {
		_, err := conn.ExecContext(context.WithoutCancel(ctx), how)
		return err
	}
	if _, err := conn.ExecContext(ctx, "BEGIN"); err != nil {
		return nil, translate(ctx, err)
	}
	moved := Moved{}
	for _, s := range there {
		if moved[s.Name], err = moveOne(ctx, dir, conn, s); err != nil {
			return nil, errors.Join(fmt.Errorf("%s: %w", s.Name, translate(ctx, err)), end("ROLLBACK"))
		}
	}
	if err := ctx.Err(); err != nil {
		return nil, errors.Join(err, end("ROLLBACK"))
	}
	if err := end("COMMIT"); err != nil {
		return nil, unclear(translate(ctx, err))
	}
	return moved, nil
}

// moveOne fills one schema. Its tables are locked first, so a gateway that starts meanwhile writes nothing between.
func moveOne(ctx context.Context, dir string, conn *sql.Conn, s Schema) (int64, error) {
	// Triggers look for their tables where a handle of the module would.
	if _, err := conn.ExecContext(ctx, "SET LOCAL search_path = "+quoted(s.Name)+", pg_temp"); err != nil {
		return 0, err
	}
	for _, text := range s.Prepare {
		if _, err := conn.ExecContext(ctx, text); err != nil {
			return 0, fmt.Errorf("making room: %w", err)
		}
	}
	into, err := readTables(ctx, conn, tablesPostgres, s.Name)
	if err != nil {
		return 0, err
	}
	if err := readRefers(ctx, conn, s.Name, into); err != nil {
		return 0, err
	}
	order, err := filling(s.moves(into))
	if err != nil {
		return 0, err
	}
	for _, t := range order {
		if err := lockEmpty(ctx, conn, s.Name, t.name); err != nil {
			return 0, err
		}
	}
	files, err := filesOf(dir, s.Name)
	if err != nil {
		return 0, err
	}
	var moved int64
	for _, file := range files {
		n, err := moveFile(ctx, file, conn, s, into, order)
		if err != nil {
			return 0, fmt.Errorf("%s: %w", filepath.Base(file), err)
		}
		moved += n
	}
	for _, text := range s.Settle {
		if _, err := conn.ExecContext(ctx, text); err != nil {
			return 0, fmt.Errorf("settling what only PostgreSQL keeps: %w", err)
		}
	}
	return moved, nil
}

// lockEmpty keeps everybody from a table, in which there must be nothing yet.
func lockEmpty(ctx context.Context, conn *sql.Conn, schema, table string) error {
	if _, err := conn.ExecContext(ctx, "LOCK TABLE "+quoted(table)+" IN ACCESS EXCLUSIVE MODE"); err != nil {
		return err
	}
	var rows bool
	if err := conn.QueryRowContext(ctx, "SELECT EXISTS (SELECT 1 FROM "+quoted(table)+")").Scan(&rows); err != nil {
		return err
	}
	if rows {
		return outcome.Conflict.From(ErrNotEmpty, "the table %s.%s in PostgreSQL has rows already", schema, table)
	}
	return nil
}

// filesOf are a module's files: closed months of the log in their order, and then the one that is written.
func filesOf(dir, name string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	match := fileNames([]Schema{{Name: name}}, nil)
	var closed []string
	for _, e := range entries {
		base, isDB := strings.CutSuffix(e.Name(), ".db")
		if isDB && base != name && match.MatchString(base) {
			closed = append(closed, filepath.Join(dir, e.Name()))
		}
	}
	slices.Sort(closed)
	return append(closed, filepath.Join(dir, name+".db")), nil
}

// moveFile moves the rows of one file; of a closed one those that it alone holds.
func moveFile(ctx context.Context, file string, conn *sql.Conn, s Schema, into map[string]*table, order []*table) (moved int64, err error) {
	db := sql.OpenDB(newConnector(dsn(file, "ro", url.Values{"_query_only": {"1"}}), nil))
	defer func() { err = errors.Join(err, db.Close()) }()
	from, err := readTables(ctx, db, tablesSQLite)
	if err != nil {
		return 0, err
	}
	if filepath.Base(file) != s.Name+".db" {
		from = s.spread(from)
		into = only(into, from)
	}
	if err := sameTables(s.Name, from, into); err != nil {
		return 0, err
	}
	for _, t := range order {
		if from[t.name] == nil {
			continue
		}
		n, err := moveTable(ctx, db, conn, s.Name, from[t.name], t)
		if err != nil {
			return 0, fmt.Errorf("the table %s: %w", t.name, err)
		}
		moved += n
	}
	return moved, nil
}

func moveTable(ctx context.Context, db *sql.DB, conn *sql.Conn, schema string, from, into *table) (int64, error) {
	rows, err := db.QueryContext(ctx, from.inOrder(quoted(from.name), quoted))
	if err != nil {
		return 0, err
	}
	var moved int64
	err = drain(rows, func(rows *sql.Rows) error {
		values, targets := holders(len(from.columns))
		next := func() ([]any, error) {
			if !rows.Next() {
				return nil, rows.Err()
			}
			if err := rows.Scan(targets...); err != nil {
				return nil, err
			}
			for i, c := range from.columns {
				values[i] = fitting(values[i], into.types[c])
			}
			return values, nil
		}
		return conn.Raw(func(c any) (err error) {
			moved, err = c.(*stdlib.Conn).Conn().CopyFrom(ctx, pgx.Identifier{schema, into.name}, from.columns, pgx.CopyFromFunc(next))
			return err
		})
	})
	return moved, err
}

// fitting turns what SQLite gave into what a column of PostgreSQL takes: SQLite has no truth values, and takes text for bytes.
func fitting(v any, kind string) any {
	switch v := v.(type) {
	case int64:
		if kind == "boolean" {
			return v != 0
		}
	case string:
		if kind == "bytea" {
			return []byte(v)
		}
	case []byte:
		if kind != "bytea" && v != nil {
			return string(v)
		}
	}
	return v
}
