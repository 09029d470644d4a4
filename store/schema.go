package store

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
)

// Schema is what is known of one module's database without opening it: what backups, moves and migrations need.
type Schema struct {
	Name       string   // as in [Config]
	Migrations fs.FS    // as in [Config]
	AppendOnly []string // as in [Config]
	Reads      []string // as in [Config]: the schemas of these views come before this one wherever several are opened

	// Shared are the tables, and columns as table.column, that only PostgreSQL has: what processes tell each other there. They
	// say nothing of another moment or another place, so they are in no backup and are not moved.
	Shared []string
	// Spread are the tables of which each closed file of the database holds its own part, see [DB.Rotate]. Of all others the
	// live file holds everything.
	Spread []string

	// Prepare are statements on PostgreSQL that make room for rows, before they are moved in.
	Prepare []string
	// Calls are as in [Config].
	Calls []string
	// Settle are statements on PostgreSQL that work out what is in Shared and not empty by itself, after rows were moved in.
	Settle []string
}

// moves takes the tables and columns out that are not moved.
func (s Schema) moves(all map[string]*table) map[string]*table {
	for name, t := range all {
		if slices.Contains(s.Shared, name) {
			delete(all, name)
			continue
		}
		t.columns = slices.DeleteFunc(t.columns, func(column string) bool { return slices.Contains(s.Shared, name+"."+column) })
	}
	return all
}

// Status is how far a database was migrated.
type Status struct {
	There   bool  // there is a database at all
	Applied int64 // migrations that were applied
	Newest  int64 // migrations that this Gatehouse has
}

// Status tells how far a module's database was migrated, and writes nothing. A database that is not ours to open is
// [ErrNewer] or [ErrChanged].
func (s Schema) Status(ctx context.Context, source Source) (st Status, err error) {
	all, err := readMigrations(s.Migrations, source.engine())
	if err != nil {
		return st, err
	}
	st.Newest = all.last()
	var applied []migration
	if source.engine() == Postgres {
		applied, err = appliedPostgres(ctx, source, s.Name)
	} else {
		file := liveFile(filepath.Join(source.Dir, s.Name+".db"))
		if info, err := os.Stat(file); errors.Is(err, fs.ErrNotExist) || err == nil && info.Size() == 0 {
			return st, nil
		} else if err != nil {
			return st, translate(ctx, err)
		}
		applied, err = appliedSQLite(ctx, file)
	}
	if err != nil {
		return st, fmt.Errorf("reading how far the database %s was migrated: %w", s.Name, err)
	}
	st.There, st.Applied = len(applied) > 0, int64(len(applied))
	if _, err := all.pending(applied); err != nil {
		return st, fmt.Errorf("the database %s: %w", s.Name, err)
	}
	return st, nil
}
