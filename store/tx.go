package store

import (
	"context"
	"database/sql"
	"errors"
)

// Tx is a transaction that runs. It belongs to the function that it was given to, and to one goroutine.
//
// After the first error of the database nothing more is done in it: every later call gives that error back, and the
// transaction is rolled back whatever its function returns. PostgreSQL does so by itself; SQLite would roll back on some
// errors and go on without a transaction.
type Tx struct {
	statements
}

// Tx runs do in one transaction: what it wrote is durable when Tx returns nil, and gone when it returns an error.
// On SQLite there is one writer at a time, and do must not write past its Tx (it would wait for itself). On PostgreSQL
// a transaction that lost against another is outcome.Conflict: do can be run again. When ctx ends before the COMMIT
// nothing is written. outcome.Unknown: the connection broke in COMMIT; look before repeating.
func (db *DB) Tx(ctx context.Context, do func(*Tx) error) error {
	c, err := db.backend.begin(ctx)
	if err != nil {
		return err
	}
	t := &transaction{on: c}
	done := false
	defer func() { // do may panic, and so end without a return
		if !done {
			c.rollback()
		}
	}()
	if err := do(&Tx{statements{run: t, clock: db.clock}}); err != nil {
		return err
	}
	if t.first != nil {
		return t.first
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	done = true
	if err := c.commit(ctx); err != nil {
		return unclear(translate(ctx, err))
	}
	return nil
}

// course is one engine's transaction, from BEGIN to commit or rollback, one of which ends it. Its errors are the driver's.
type course interface {
	query(ctx context.Context, text string, args []any) (*sql.Rows, error)
	exec(ctx context.Context, text string, args []any) (changed int64, err error)
	commit(ctx context.Context) error
	rollback()
}

// transaction is the runner of a Tx.
type transaction struct {
	on    course
	busy  bool  // an All delivers rows
	first error // the first error of the database
}

var errBusy = errors.New("the transaction still delivers the rows of an All")

func (t *transaction) query(ctx context.Context, text string, args []any, read func(*sql.Rows) error) error {
	if err := t.ready(ctx); err != nil {
		return err
	}
	rows, err := t.on.query(ctx, text, args)
	if err != nil {
		return t.note(ctx, err)
	}
	t.busy = true
	defer func() { t.busy = false }()
	return t.note(ctx, drain(rows, read))
}

func (t *transaction) exec(ctx context.Context, text string, args []any) (int64, error) {
	if err := t.ready(ctx); err != nil {
		return 0, err
	}
	n, err := t.on.exec(ctx, text, args)
	return n, t.note(ctx, err)
}

func (t *transaction) ready(ctx context.Context) error {
	switch {
	case t.first != nil:
		return t.first
	case t.busy:
		return errBusy
	}
	return ctx.Err()
}

// note translates an error, and keeps it if it is the database's own: not "no row" and not the caller's.
func (t *transaction) note(ctx context.Context, err error) error {
	translated := translate(ctx, err)
	if isDatabases(err) {
		t.first = translated
	}
	return translated
}

// drain reads and closes rows; an error of closing counts, because that is where a driver says that reading broke off.
func drain(rows *sql.Rows, read func(*sql.Rows) error) (err error) {
	defer func() { // read may panic
		if closing := rows.Close(); err == nil {
			err = closing
		}
	}()
	return read(rows)
}
