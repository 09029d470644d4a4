package store

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"regexp"
	"strconv"
	"time"

	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/database"
)

// migrationTable lists the migrations that were applied. Its key is the migration's number, not a time.
const migrationTable = "gatehouse_migration"

// Why a database is not opened. errors.Is finds them.
var (
	ErrNewer   = errors.New("the database was made by a newer Gatehouse")
	ErrChanged = errors.New("the database was made by another Gatehouse")
	ErrBehind  = errors.New("the database was made by an older Gatehouse and must be migrated first")
)

// migration is one file of DDL.
type migration struct {
	version int64
	file    string
	sum     string // SHA-256 of the file, in hex
}

// migrations are all of one module for one engine, in order, and the folder that they stand in.
type migrations struct {
	files fs.FS
	list  []migration
}

var migrationName = regexp.MustCompile(`^(\d{4})_[a-z0-9_]+\.sql$`)

// readMigrations lists the files of one engine. They are numbered from 1 without a gap.
func readMigrations(files fs.FS, e Engine) (migrations, error) {
	if files == nil {
		return migrations{}, errors.New("reading migrations: there are none")
	}
	folder, err := fs.Sub(files, e.String())
	if err != nil {
		return migrations{}, err
	}
	entries, err := fs.ReadDir(folder, ".")
	if err != nil {
		return migrations{}, fmt.Errorf("reading migrations of %s: %w", e, err)
	}
	all := migrations{files: folder}
	for _, entry := range entries {
		match := migrationName.FindStringSubmatch(entry.Name())
		if match == nil {
			return migrations{}, fmt.Errorf("reading migrations of %s: %s is not named like 0001_what.sql", e, entry.Name())
		}
		number, err := strconv.ParseInt(match[1], 10, 64)
		if err != nil || number != int64(len(all.list)+1) {
			return migrations{}, fmt.Errorf("reading migrations of %s: %s is not number %d", e, entry.Name(), len(all.list)+1)
		}
		text, err := fs.ReadFile(folder, entry.Name())
		if err != nil {
			return migrations{}, fmt.Errorf("reading migration %s: %w", entry.Name(), err)
		}
		sum := sha256.Sum256(text)
		all.list = append(all.list, migration{number, entry.Name(), hex.EncodeToString(sum[:])})
	}
	if len(all.list) == 0 {
		return migrations{}, fmt.Errorf("reading migrations of %s: there are none", e)
	}
	return all, nil
}

// last is the number of the newest one.
func (m migrations) last() int64 { return int64(len(m.list)) }

// pending compares what a database says of itself with the files: how many are still to be applied, or why it is not
// ours to open. applied is nil when there is no table yet.
func (m migrations) pending(applied []migration) (int64, error) {
	for _, a := range applied {
		if a.version > m.last() {
			return 0, fmt.Errorf("%w: it has migration %s", ErrNewer, a.file)
		}
	}
	for i, a := range applied {
		if ours := m.list[i]; a.version != ours.version || a.sum != ours.sum {
			return 0, fmt.Errorf("%w: migration %s is not the one that was applied", ErrChanged, ours.file)
		}
	}
	return m.last() - int64(len(applied)), nil
}

// apply brings db to the newest migration. Each is one transaction with its own row.
func (m migrations) apply(ctx context.Context, db *sql.DB, e Engine) error {
	provider, err := goose.NewProvider(goose.DialectCustom, db, m.files,
		goose.WithStore(ledger{engine: e, migrations: m}), goose.WithDisableGlobalRegistry(true), goose.WithLogger(goose.NopLogger()))
	if err != nil {
		return fmt.Errorf("reading migrations: %w", err)
	}
	if _, err := provider.Up(ctx); err != nil {
		return fmt.Errorf("migrating: %w", err)
	}
	return nil
}

// ledger keeps goose's record in our own table, with the SHA-256 of each file beside its number, in the transaction of the
// migration itself: goose's own table would accept an applied file that was edited.
type ledger struct {
	engine     Engine
	migrations migrations
}

var (
	_ database.Store = ledger{}
	_ interface {
		TableExists(context.Context, database.DBTxConn) (bool, error)
	} = ledger{}
)

// Tablename implements database.Store.
func (ledger) Tablename() string { return migrationTable }

// CreateVersionTable implements database.Store.
func (ledger) CreateVersionTable(ctx context.Context, db database.DBTxConn) error {
	_, err := db.ExecContext(ctx, `CREATE TABLE `+migrationTable+` (
		version BIGINT PRIMARY KEY, file TEXT NOT NULL, sha256 TEXT NOT NULL, applied BIGINT NOT NULL)`)
	return err
}

// Insert implements database.Store. Version 0 is goose's own, for a database without any migration.
func (l ledger) Insert(ctx context.Context, db database.DBTxConn, r database.InsertRequest) error {
	if r.Version == 0 {
		return nil
	}
	if l.engine == SQLite {
		if err := checkForeignKeys(ctx, db); err != nil {
			return err
		}
	}
	m := l.migrations.list[r.Version-1]
	_, err := db.ExecContext(ctx, `INSERT INTO `+migrationTable+` (version, file, sha256, applied) VALUES ($1, $2, $3, $4)`,
		m.version, m.file, m.sum, time.Now().UnixMilli())
	return err
}

// Delete implements database.Store. Nothing is migrated down: a copy made before is put back instead.
func (ledger) Delete(context.Context, database.DBTxConn, int64) error {
	return database.ErrNotImplemented
}

// GetMigration implements database.Store.
func (l ledger) GetMigration(ctx context.Context, db database.DBTxConn, version int64) (*database.GetMigrationResult, error) {
	var at int64
	err := db.QueryRowContext(ctx, `SELECT applied FROM `+migrationTable+` WHERE version = $1`, version).Scan(&at)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, database.ErrVersionNotFound
	} else if err != nil {
		return nil, err
	}
	return &database.GetMigrationResult{Timestamp: time.UnixMilli(at), IsApplied: true}, nil
}

// GetLatestVersion implements database.Store.
func (l ledger) GetLatestVersion(ctx context.Context, db database.DBTxConn) (int64, error) {
	var version int64
	err := db.QueryRowContext(ctx, `SELECT COALESCE(max(version), 0) FROM `+migrationTable).Scan(&version)
	return version, err
}

// ListMigrations implements database.Store: newest first, and goose's version 0 last.
func (l ledger) ListMigrations(ctx context.Context, db database.DBTxConn) ([]*database.ListMigrationsResult, error) {
	applied, err := l.applied(ctx, db)
	if err != nil {
		return nil, err
	}
	list := []*database.ListMigrationsResult{}
	for i := len(applied) - 1; i >= 0; i-- {
		list = append(list, &database.ListMigrationsResult{Version: applied[i].version, IsApplied: true})
	}
	return append(list, &database.ListMigrationsResult{IsApplied: true}), nil
}

// TableExists spares goose a query that fails.
func (l ledger) TableExists(ctx context.Context, db database.DBTxConn) (bool, error) {
	text := `SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name = $1`
	if l.engine == Postgres {
		text = `SELECT count(*) FROM pg_tables WHERE schemaname = current_schema() AND tablename = $1`
	}
	var n int
	err := db.QueryRowContext(ctx, text, migrationTable).Scan(&n)
	return n > 0, err
}

// applied reads the record, oldest first; nil when there is none yet.
func (l ledger) applied(ctx context.Context, db database.DBTxConn) (list []migration, err error) {
	if exists, err := l.TableExists(ctx, db); err != nil || !exists {
		return nil, err
	}
	rows, err := db.QueryContext(ctx, `SELECT version, file, sha256 FROM `+migrationTable+` ORDER BY version`)
	if err != nil {
		return nil, err
	}
	err = drain(rows, func(rows *sql.Rows) error {
		for rows.Next() {
			var m migration
			if err := rows.Scan(&m.version, &m.file, &m.sum); err != nil {
				return err
			}
			m.file = path.Base(m.file)
			list = append(list, m)
		}
		return rows.Err()
	})
	return list, err
}
