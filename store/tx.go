package store

import (
	"context"
)

// Tx is a transaction that runs. It belongs to the function that it was given to, and to one goroutine.
//
// After the first error of the database nothing more is done in it: every later call gives that error back, and the
// transaction is rolled back whatever its function returns. PostgreSQL does so by itself; SQLite would roll back on some
// errors and go on without a transaction.
type Tx struct {
	statements
}

// transaction is one engine's side of a Tx.
type transaction interface {
	runner
	failed() error // the first error of the database, if there was one
	commit(ctx context.Context) error
	rollback()
}

// Tx runs do in one transaction: what it wrote is durable when Tx returns nil, and gone when it returns an error.
// On SQLite there is one writer at a time, and do must not write past its Tx (it would wait for itself). On PostgreSQL
// a transaction that lost against another is outcome.Conflict: do can be run again. When ctx ends before the COMMIT
// nothing is written. outcome.Unknown: the connection broke in COMMIT; look before repeating.
func (db *DB) Tx(ctx context.Context, do func(*Tx) error) error {
	t, err := db.backend.begin(ctx)
	if err != nil {
		return err
	}
	done := false
	defer func() { // do may panic, and so end without a return
		if !done {
			t.rollback()
		}
	}()
	if err := do(&Tx{statements{run: t, clock: db.clock}}); err != nil {
		return err
	}
	if err := t.failed(); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	done = true
	return t.commit(ctx)
}
