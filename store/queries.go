package store

import (
	"context"
	"database/sql"
	"fmt"
	"strings"

	"gatehouse/outcome"
)

// Queries is what a [DB] and a [Tx] can both do, so that a module's SQL can be written once for either.
type Queries interface {
	// Get reads the first row into dest, which is what database/sql can scan into. No row is outcome.NotFound.
	Get(ctx context.Context, dest []any, sql string, args ...any) error
	// All calls row once for each row, in order; an error of row ends the reading and is returned as it is. Inside a Tx row
	// must not use the Tx: its connection still delivers. On a DB it should not wait for the same DB.
	All(ctx context.Context, row func(scan func(dest ...any) error) error, sql string, args ...any) error
	// Insert adds one row under a new id, which it gives back. The statement's $1 is the id, args are $2 and so on, and it
	// must be INSERT … VALUES … ON CONFLICT (id) DO NOTHING: an id that is taken is answered with the next millisecond.
	// Another value that must be unique and is taken is outcome.Conflict.
	Insert(ctx context.Context, sql string, args ...any) (id int64, err error)
	// Update changes rows. No row changed is outcome.Conflict: someone else wrote in between.
	Update(ctx context.Context, sql string, args ...any) error
	// Exec runs a statement and says how many rows it changed, none included.
	Exec(ctx context.Context, sql string, args ...any) (changed int64, err error)
}

var (
	_ Queries = (*DB)(nil)
	_ Queries = (*Tx)(nil)
)

// runner runs one statement. Its errors are already translated.
type runner interface {
	query(ctx context.Context, text string, args []any, read func(*sql.Rows) error) error
	exec(ctx context.Context, text string, args []any) (changed int64, err error)
}

// statements implements Queries on a runner.
type statements struct {
	run   runner
	clock *Clock
}

// Get implements Queries.
func (s statements) Get(ctx context.Context, dest []any, text string, args ...any) error {
	return s.run.query(ctx, text, args, func(rows *sql.Rows) error {
		if !rows.Next() {
			if err := rows.Err(); err != nil {
				return err
			}
			return outcome.NotFound
		}
		return rows.Scan(dest...)
	})
}

// All implements Queries.
func (s statements) All(ctx context.Context, row func(scan func(dest ...any) error) error, text string, args ...any) error {
	return s.run.query(ctx, text, args, func(rows *sql.Rows) error {
		for rows.Next() {
			if err := row(rows.Scan); err != nil {
				return callerError{err}
			}
		}
		return rows.Err()
	})
}

// callerError keeps an error of All's callback from being taken for one of the database.
type callerError struct{ error }

const takesNextID = "ON CONFLICT (id) DO NOTHING"

// maxTaken is how many ids in a row may be taken. After a restart within one second there can be 1,000.
const maxTaken = 2000

// Insert implements Queries.
func (s statements) Insert(ctx context.Context, text string, args ...any) (int64, error) {
	if !strings.Contains(text, takesNextID) {
		return 0, fmt.Errorf("inserting with %q: it must say %s", text, takesNextID)
	}
	all := make([]any, len(args)+1)
	copy(all[1:], args)
	for range maxTaken {
		id, err := s.clock.NewID(ctx)
		if err != nil {
			return 0, err
		}
		all[0] = id
		n, err := s.run.exec(ctx, text, all)
		if err != nil || n == 1 {
			return id, err
		}
	}
	return 0, outcome.Conflict.Because("%d ids in a row were taken; try again", maxTaken)
}

// Update implements Queries.
func (s statements) Update(ctx context.Context, text string, args ...any) error {
	n, err := s.run.exec(ctx, text, args)
	if err == nil && n == 0 {
		return outcome.Conflict.Because("it was changed or removed by someone else; read it again")
	}
	return err
}

// Exec implements Queries.
func (s statements) Exec(ctx context.Context, text string, args ...any) (int64, error) {
	return s.run.exec(ctx, text, args)
}
