package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"github.com/pressly/goose/v3/database"
)

// bringUpSQLite makes file, copies an older one aside and migrates it; without c.Migrate it only looks.
func bringUpSQLite(ctx context.Context, file string, c Config) error {
	all, err := readMigrations(c.Migrations, SQLite)
	if err != nil {
		return err
	}
	if c.Migrate {
		if err := settleRotation(file); err != nil {
			return translate(ctx, err)
		}
	} else {
		file = liveFile(file)
	}
	info, err := os.Stat(file)
	isNew := errors.Is(err, fs.ErrNotExist) || err == nil && info.Size() == 0
	switch {
	case err != nil && !isNew:
		return translate(ctx, err)
	case isNew && !c.Migrate:
		return fmt.Errorf("%w: there is none yet", ErrBehind)
	case isNew:
		if err := makeFile(file); err != nil {
			return translate(ctx, err)
		}
		return migrateSQLite(ctx, file, all)
	}
	applied, err := appliedSQLite(ctx, file)
	if err != nil {
		return err
	}
	pending, err := all.pending(applied)
	switch {
	case err != nil || pending == 0:
		return err
	case !c.Migrate:
		return fmt.Errorf("%w: %d migrations are missing", ErrBehind, pending)
	}
	if len(applied) > 0 {
		aside := fmt.Sprintf("%s.before-%04d.db", strings.TrimSuffix(file, ".db"), len(applied)+1)
		if err := copyAside(ctx, file, aside); err != nil {
			return err
		}
	}
	return migrateSQLite(ctx, file, all)
}

// copyAside keeps the newest state before a migration: an older copy comes from one that failed and changed nothing.
func copyAside(ctx context.Context, file, aside string) error {
	part := aside + ".part"
	if err := os.Remove(part); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return translate(ctx, err)
	}
	if err := Copy(ctx, file, part); err != nil {
		return err
	}
	return translate(ctx, os.Rename(part, aside))
}

// appliedSQLite asks a file what was applied to it, without writing to it.
func appliedSQLite(ctx context.Context, file string) ([]migration, error) {
	db := sql.OpenDB(newConnector(dsnReader(file), nil))
	applied, err := ledger{engine: SQLite}.applied(ctx, db)
	return applied, errors.Join(translate(ctx, err), db.Close())
}

func migrateSQLite(ctx context.Context, file string, all migrations) error {
	db := sql.OpenDB(newConnector(dsnMigrate(file), nil))
	db.SetMaxOpenConns(1)
	err := all.apply(ctx, db, SQLite)
	return errors.Join(translate(ctx, err), db.Close())
}

// checkForeignKeys finds a row that refers to one that is not there. Foreign keys are off while a migration runs; this runs
// in its transaction, so that one which breaks them is undone.
func checkForeignKeys(ctx context.Context, db database.DBTxConn) error {
	rows, err := db.QueryContext(ctx, `SELECT "table" FROM pragma_foreign_key_check`)
	if err != nil {
		return err
	}
	return drain(rows, func(rows *sql.Rows) error {
		if !rows.Next() {
			return rows.Err()
		}
		var table string
		if err := rows.Scan(&table); err != nil {
			return err
		}
		return fmt.Errorf("a row of %s refers to a row that is not there", table)
	})
}
