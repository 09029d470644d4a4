package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"hash/fnv"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5/stdlib"
)

// bringUpPostgres makes the module's schema and role, migrates, and grants, as the owner. Replicas that start together do
// so one after the other.
func bringUpPostgres(ctx context.Context, c Config, all migrations, login, role string) error {
	owner := c.Source.Owner
	if owner.IsZero() {
		owner = c.Source.Run
	}
	config, err := postgresConfig(owner, c.Name)
	if err != nil {
		return err
	}
	delete(config.RuntimeParams, "lock_timeout") // a migration may wait for a table, and for another replica's migration
	db := stdlib.OpenDB(*config)
	db.SetMaxOpenConns(2) // one holds the lock, one works
	lock, err := db.Conn(ctx)
	if err != nil {
		return errors.Join(translate(ctx, err), db.Close())
	}
	err = func() error {
		// The lock ends with its session. It covers the making of the schema too, which goose's own locker would not.
		if _, err := lock.ExecContext(ctx, "SELECT pg_advisory_lock($1)", lockKey(c.Name)); err != nil {
			return err
		}
		if err := makeRoom(ctx, db, c.Name, login, role); err != nil {
			return err
		}
		if err := migratePostgres(ctx, db, all); err != nil {
			return err
		}
		return grant(ctx, db, c, role)
	}()
	return errors.Join(translate(ctx, err), lock.Close(), db.Close())
}

// lockKey is the advisory lock of a module's migrations.
func lockKey(name string) int64 {
	h := fnv.New64a()
	_, _ = h.Write([]byte("gatehouse migrate " + name))
	return int64(h.Sum64())
}

func migratePostgres(ctx context.Context, db *sql.DB, all migrations) error {
	conn, err := db.Conn(ctx)
	if err != nil {
		return err
	}
	applied, err := ledger{engine: Postgres}.applied(ctx, conn)
	if err := errors.Join(err, conn.Close()); err != nil {
		return err
	}
	if pending, err := all.pending(applied); err != nil || pending == 0 {
		return err
	}
	return all.apply(ctx, db, Postgres)
}

// makeRoom makes the schema, the role, and the run login a member that must SET ROLE to have the role's rights.
func makeRoom(ctx context.Context, db *sql.DB, schema, login, role string) error {
	var has, inherits bool
	var version int
	err := db.QueryRowContext(ctx, `SELECT current_setting('server_version_num')::int,
		EXISTS (SELECT 1 FROM pg_roles WHERE rolname = $1), COALESCE((SELECT rolinherit FROM pg_roles WHERE rolname = $2), true)`,
		role, login).Scan(&version, &has, &inherits)
	if err != nil {
		return err
	}
	todo := []string{"CREATE SCHEMA IF NOT EXISTS " + quoted(schema)}
	if !has {
		todo = append(todo, "CREATE ROLE "+quoted(role)+" NOLOGIN NOINHERIT")
	}
	if version >= 160000 {
		todo = append(todo, "GRANT "+quoted(role)+" TO "+quoted(login)+" WITH INHERIT FALSE, SET TRUE")
	} else {
		if inherits {
			todo = append(todo, "ALTER ROLE "+quoted(login)+" NOINHERIT") // there a login inherits from all its roles or none
		}
		todo = append(todo, "GRANT "+quoted(role)+" TO "+quoted(login))
	}
	todo = append(todo, "GRANT USAGE ON SCHEMA "+quoted(schema)+" TO "+quoted(role))
	return together(ctx, db, todo)
}

// together runs statements in one transaction.
func together(ctx context.Context, db *sql.DB, todo []string) error {
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	for _, text := range todo {
		if _, err := tx.ExecContext(ctx, text); err != nil {
			return errors.Join(fmt.Errorf("%s: %w", text, err), tx.Rollback())
		}
	}
	return tx.Commit()
}

// grant gives the role what the module's SQL needs, and no more: tables that only grow, with all their partitions, can be
// read and added to; the record of migrations can be read; partitions can be reached only by the table that they are of. Rights that an older Gatehouse gave go in the same transaction.
func grant(ctx context.Context, db *sql.DB, c Config, role string) error {
	rows, err := db.QueryContext(ctx, `SELECT c.relname, c.relkind::text FROM pg_class c
		WHERE c.relnamespace = to_regnamespace(quote_ident($1)) AND c.relkind IN ('r', 'p', 'v', 'm') AND NOT c.relispartition ORDER BY c.relname`, c.Name)
	if err != nil {
		return err
	}
	todo := []string{"REVOKE ALL ON ALL TABLES IN SCHEMA " + quoted(c.Name) + " FROM " + quoted(role)}
	err = drain(rows, func(rows *sql.Rows) error {
		for rows.Next() {
			var table, kind string
			if err := rows.Scan(&table, &kind); err != nil {
				return err
			}
			rights := "SELECT, INSERT, UPDATE, DELETE"
			switch {
			case table == migrationTable || kind == "v" || kind == "m":
				rights = "SELECT"
			case slices.Contains(c.AppendOnly, table):
				rights = "SELECT, INSERT"
			}
			todo = append(todo, fmt.Sprintf("GRANT %s ON %s.%s TO %s", rights, quoted(c.Name), quoted(table), quoted(role)))
		}
		return rows.Err()
	})
	if err != nil {
		return err
	}
	if len(c.Calls) > 0 {
		todo = append(todo, "REVOKE ALL ON ALL FUNCTIONS IN SCHEMA "+quoted(c.Name)+" FROM PUBLIC, "+quoted(role))
	}
	for _, function := range c.Calls {
		todo = append(todo, "GRANT EXECUTE ON FUNCTION "+quoted(c.Name)+"."+quoted(function)+"() TO "+quoted(role))
	}
	elsewhere, err := grantElsewhere(ctx, db, c, role)
	if err != nil {
		return err
	}
	return together(ctx, db, append(todo, elsewhere...))
}

// grantElsewhere lets the role read the views of other modules that its own reads, and nothing else of theirs.
func grantElsewhere(ctx context.Context, db *sql.DB, c Config, role string) (todo []string, err error) {
	rows, err := db.QueryContext(ctx, `SELECT n.nspname FROM pg_namespace n JOIN pg_roles o ON o.oid = n.nspowner
		WHERE o.rolname = current_user AND n.nspname <> $1 AND n.nspname NOT IN ('public', 'information_schema')
		AND n.nspname NOT LIKE 'pg\_%' AND has_schema_privilege($2, n.oid, 'USAGE') ORDER BY n.nspname`, c.Name, role)
	if err != nil {
		return nil, err
	}
	err = drain(rows, func(rows *sql.Rows) error {
		for rows.Next() {
			var schema string
			if err := rows.Scan(&schema); err != nil {
				return err
			}
			todo = append(todo, "REVOKE ALL ON ALL TABLES IN SCHEMA "+quoted(schema)+" FROM "+quoted(role),
				"REVOKE USAGE ON SCHEMA "+quoted(schema)+" FROM "+quoted(role))
		}
		return rows.Err()
	})
	for _, name := range c.Reads {
		schema, view, _ := strings.Cut(name, ".")
		todo = append(todo, "GRANT USAGE ON SCHEMA "+quoted(schema)+" TO "+quoted(role),
			"GRANT SELECT ON "+quoted(schema)+"."+quoted(view)+" TO "+quoted(role))
	}
	return todo, err
}
