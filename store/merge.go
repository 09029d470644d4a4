package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"slices"
)

// CopyWhole is [Cut.Copy] of a database that may have closed files: all of them become one file, as if none had ever been
// closed. Of the closed ones only the rows of [Schema].Spread are taken.
func (c *Cut) CopyWhole(ctx context.Context, s Schema, to string) error {
	m, ok := c.moment.(*sqliteMoment)
	if !ok || len(m.files(s.Name)) < 2 {
		return c.Copy(ctx, s.Name, to)
	}
	if err := m.merge(ctx, s, to); err != nil {
		return fmt.Errorf("copying the database %s: %w", s.Name, err)
	}
	return nil
}

// files are the names of a database's files in the cut: closed months in their order, and then the live one.
func (m *sqliteMoment) files(name string) (files []string) {
	match := fileNames([]Schema{{Name: name}}, nil)
	for file := range m.conns {
		if file != name && match.MatchString(file) {
			files = append(files, file)
		}
	}
	slices.Sort(files)
	if m.conns[name] != nil {
		files = append(files, name)
	}
	return files
}

// merge fills an empty file from all others.
func (m *sqliteMoment) merge(ctx context.Context, s Schema, to string) (err error) {
	draft := to + ".rows"
	defer func() { err = errors.Join(err, removeFile(draft)) }()
	if err := bringUpSQLite(ctx, draft, Config{Name: s.Name, Migrations: s.Migrations, Migrate: true}); err != nil {
		return err
	}
	db := sql.OpenDB(newConnector(dsnMigrate(draft), nil))
	db.SetMaxOpenConns(1)
	err = m.fillFrom(ctx, s, db)
	if err := errors.Join(translate(ctx, err), db.Close()); err != nil {
		return err
	}
	return copyFrom(ctx, dsn(draft, "ro", url.Values{}), to)
}

func (m *sqliteMoment) fillFrom(ctx context.Context, s Schema, db *sql.DB) error {
	into, err := readTables(ctx, db, tablesSQLite)
	if err != nil {
		return err
	}
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	for _, file := range m.files(s.Name) {
		from, err := readTables(ctx, m.conns[file], tablesSQLite)
		if err == nil && file != s.Name {
			from = s.spread(from)
		}
		if err == nil {
			err = sameTables(file, from, only(into, from))
		}
		for _, name := range sortedNames(from) {
			if err == nil {
				err = fillTable(ctx, m.conns[file], tx, quoted(name), from[name])
			}
		}
		if err != nil {
			return errors.Join(fmt.Errorf("moving the rows of %s: %w", file, err), tx.Rollback())
		}
	}
	return tx.Commit()
}

// spread leaves only the tables of which a closed file holds its own part.
func (s Schema) spread(all map[string]*table) map[string]*table {
	kept := map[string]*table{}
	for _, name := range s.Spread {
		if t := all[name]; t != nil {
			kept[name] = t
		}
	}
	return kept
}

// only leaves the tables that are in others as well.
func only(all, others map[string]*table) map[string]*table {
	kept := map[string]*table{}
	for name, t := range all {
		if others[name] != nil {
			kept[name] = t
		}
	}
	return kept
}
