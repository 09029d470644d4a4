package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"strings"

	"github.com/jackc/pgx/v5/stdlib"
)

// postgresMoment is one transaction that sees the whole database as it was when it began. It reads each schema under that
// module's role, which the run login may become.
type postgresMoment struct {
	db      *sql.DB
	tx      *sql.Tx
	login   string
	schemas []Schema
}

func cutPostgres(ctx context.Context, source Source, known []Schema) (_ *Cut, err error) {
	config, err := postgresConfig(source.Run, "backup")
	if err != nil {
		return nil, err
	}
	config.RuntimeParams["search_path"] = "pg_temp" // every name is written out
	delete(config.RuntimeParams, "idle_in_transaction_session_timeout")
	m := &postgresMoment{db: stdlib.OpenDB(*config), login: config.User}
	m.db.SetMaxOpenConns(1)
	defer func() {
		if err != nil {
			err = errors.Join(translate(ctx, err), m.close())
		}
	}()
	// The transaction outlives the call that begins it, and ends with close.
	if m.tx, err = m.db.BeginTx(context.WithoutCancel(ctx), &sql.TxOptions{Isolation: sql.LevelRepeatableRead, ReadOnly: true}); err != nil {
		return nil, err
	}
	for _, s := range known {
		var there bool
		if err := m.tx.QueryRowContext(ctx, "SELECT to_regnamespace(quote_ident($1)) IS NOT NULL", s.Name).Scan(&there); err != nil {
			return nil, err
		}
		if there {
			m.schemas = append(m.schemas, s)
		}
	}
	return &Cut{moment: m}, nil
}

func (m *postgresMoment) names() (names []string) {
	for _, s := range m.schemas {
		names = append(names, s.Name)
	}
	return names
}

// copy makes a SQLite file by the module's own migrations, and moves the rows into it.
func (m *postgresMoment) copy(ctx context.Context, name, to string) (err error) {
	draft := to + ".rows"
	defer func() {
		for _, end := range []string{"", "-wal", "-shm"} {
			if removing := os.Remove(draft + end); !errors.Is(removing, os.ErrNotExist) {
				err = errors.Join(err, removing)
			}
		}
	}()
	var schema Schema
	for _, s := range m.schemas {
		if s.Name == name {
			schema = s
		}
	}
	if err := m.become(ctx, name); err != nil {
		return err
	}
	if err := m.current(ctx, schema); err != nil {
		return err
	}
	if err := bringUpSQLite(ctx, draft, Config{Name: name, Migrations: schema.Migrations, Migrate: true}); err != nil {
		return err
	}
	db := sql.OpenDB(newConnector(dsnMigrate(draft), nil))
	db.SetMaxOpenConns(1)
	err = m.fill(ctx, schema, db)
	if err := errors.Join(translate(ctx, err), db.Close()); err != nil {
		return err
	}
	return copyFrom(ctx, dsn(draft, "ro", url.Values{}), to)
}

// become takes the module's role, for the rest of the transaction or until the next.
func (m *postgresMoment) become(ctx context.Context, name string) error {
	role, err := roleOf(m.login, name)
	if err != nil {
		return err
	}
	_, err = m.tx.ExecContext(ctx, "SET LOCAL ROLE "+quoted(role)+"; SET LOCAL search_path = "+quoted(name)+", pg_temp")
	return translate(ctx, err)
}

// current refuses a schema that is not at our migrations: its rows would not fit our files.
func (m *postgresMoment) current(ctx context.Context, s Schema) error {
	all, err := readMigrations(s.Migrations, Postgres)
	if err != nil {
		return err
	}
	applied, err := ledger{engine: Postgres}.applied(ctx, txConn{m.tx})
	if err != nil {
		return translate(ctx, err)
	}
	pending, err := all.pending(applied)
	if err == nil && pending > 0 {
		err = ErrBehind
	}
	return err
}

// txConn is a transaction as goose's interface has it.
type txConn struct{ *sql.Tx }

// fill moves every row of a schema into a SQLite file that holds its empty tables.
func (m *postgresMoment) fill(ctx context.Context, s Schema, db *sql.DB) error {
	name := s.Name
	from, err := readTables(ctx, m.tx, tablesPostgres, name)
	if err != nil {
		return err
	}
	from = s.moves(from)
	into, err := readTables(ctx, db, tablesSQLite)
	if err != nil {
		return err
	}
	if err := sameTables(name, from, into); err != nil {
		return err
	}
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	for _, table := range sortedNames(from) {
		if err := fillTable(ctx, m.tx, tx, quoted(name)+"."+quoted(table), from[table]); err != nil {
			return errors.Join(fmt.Errorf("moving the rows of %s.%s: %w", name, table, err), tx.Rollback())
		}
	}
	return tx.Commit()
}

// fillTable moves the rows of one table, in the order of its key.
func fillTable(ctx context.Context, from rowReader, into *sql.Tx, name string, t *table) error {
	names, places := make([]string, len(t.columns)), make([]string, len(t.columns))
	for i, c := range t.columns {
		names[i], places[i] = quoted(c), fmt.Sprintf("$%d", i+1)
	}
	insert, err := into.PrepareContext(ctx, "INSERT INTO "+quoted(t.name)+" ("+strings.Join(names, ", ")+") VALUES ("+strings.Join(places, ", ")+")")
	if err != nil {
		return err
	}
	defer func() { _ = insert.Close() }()
	rows, err := from.QueryContext(ctx, t.inOrder(name, func(column string) string {
		if t.types[column] == "jsonb" || t.types[column] == "json" {
			return quoted(column) + "::text"
		}
		return quoted(column)
	}))
	if err != nil {
		return err
	}
	return drain(rows, func(rows *sql.Rows) error {
		values, targets := holders(len(t.columns))
		for rows.Next() {
			if err := rows.Scan(targets...); err != nil {
				return err
			}
			if _, err := insert.ExecContext(ctx, values...); err != nil {
				return err
			}
		}
		return rows.Err()
	})
}

// holders are places for one row of any types, and pointers to them for Scan.
func holders(n int) (values, targets []any) {
	values, targets = make([]any, n), make([]any, n)
	for i := range values {
		targets[i] = &values[i]
	}
	return values, targets
}

func (m *postgresMoment) close() error {
	var errs []error
	if m.tx != nil {
		errs = append(errs, m.tx.Rollback())
	}
	return errors.Join(append(errs, m.db.Close())...)
}

// appliedPostgres asks a schema what was applied to it; nil where it is not there.
func appliedPostgres(ctx context.Context, source Source, name string) ([]migration, error) {
	m, err := cutPostgres(ctx, source, []Schema{{Name: name}})
	if err != nil {
		return nil, err
	}
	p := m.moment.(*postgresMoment)
	var applied []migration
	if len(p.schemas) > 0 {
		if err = p.become(ctx, name); err == nil {
			applied, err = ledger{engine: Postgres}.applied(ctx, txConn{p.tx})
		}
	}
	return applied, errors.Join(translate(ctx, err), m.Close())
}
