package database

import (
	"context"
	"errors"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"gatehouse/outcome"
)

// execute implements engine.
func (c *sqliteFile) execute(ctx context.Context, a asked) (done Changed, err error) {
	s, err := parse(a.text, a.params)
	if err != nil {
		return Changed{}, err
	}
	if s.explains {
		return Changed{}, outcome.Invalid.Because("/sql: EXPLAIN changes nothing; use database.query")
	}
	err = c.with(ctx, c.writes, func(r raw) error {
		if err := bracket(ctx, r, "BEGIN IMMEDIATE"); err != nil {
			return err
		}
		done.Affected, err = change(ctx, r, s)
		// Whatever the call's context says by now, the transaction must end.
		whole := context.WithoutCancel(ctx)
		if err != nil {
			// SQLite may have rolled back by itself, and then says that there is no transaction: that is well.
			_ = bracket(whole, r, "ROLLBACK")
			return err
		}
		return c.commit(whole, r)
	})
	if err != nil {
		return Changed{}, err
	}
	return done, nil
}

// commit ends the transaction. Where the disk failed under it, nobody knows what is on the disk.
func (c *sqliteFile) commit(ctx context.Context, r raw) error {
	err := bracket(ctx, r, "COMMIT")
	if err == nil {
		return nil
	}
	_ = bracket(ctx, r, "ROLLBACK")
	var e *sqlite.Error
	if errors.As(err, &e) && e.Code()&0xff == sqlite3.SQLITE_IOERR {
		return outcome.Unknown.From(err, "the disk of the database %s failed while the change was stored; look before repeating", c.name)
	}
	return err
}

// change compiles the statement alone first, so that one that would change nothing is refused before it runs.
func change(ctx context.Context, r raw, s statement) (int64, error) {
	a, err := changing.on(r)
	if err != nil {
		return 0, err
	}
	if _, err := r.ColumnInfo(s.text); err != nil {
		return 0, a.judge(err)
	}
	if !a.changes {
		return 0, outcome.Invalid.Because("/sql: the statement changes nothing; use database.query")
	}
	result, err := r.ExecContext(ctx, s.text, s.params)
	if err != nil {
		return 0, a.judge(err)
	}
	if result == nil {
		return 0, errors.New("the driver ran no statement")
	}
	return result.RowsAffected()
}

// bracket says BEGIN, COMMIT or ROLLBACK, which no statement of a caller may.
func bracket(ctx context.Context, r raw, text string) error {
	if _, err := bracketing.on(r); err != nil {
		return err
	}
	_, err := r.ExecContext(ctx, text, nil)
	return err
}
