package store

import (
	"context"
	"database/sql"
	"errors"

	"modernc.org/sqlite"
)

// sqliteWriter is the one connection that writes. Whoever took the turn owns all else in it.
//
// Its statements run to their end whatever becomes of the caller's context: an interrupted write would roll back the whole
// transaction behind our back, and a statement that was carried out at the last moment would be reported as cancelled.
// Waiting for the turn does heed the context.
type sqliteWriter struct {
	turn chan struct{} // holds one token while the writer is free
	db   *sql.DB
	conn *sql.Conn
	kept map[string]*sql.Stmt
	gone bool // closed
}

func openWriter(ctx context.Context, dsn string, guard sqlite.AuthorizerFn) (*sqliteWriter, error) {
	db := sql.OpenDB(newConnector(dsn, guard))
	db.SetMaxOpenConns(1)
	conn, err := db.Conn(ctx)
	if err != nil {
		return nil, errors.Join(translate(ctx, err), db.Close())
	}
	w := &sqliteWriter{turn: make(chan struct{}, 1), db: db, conn: conn, kept: map[string]*sql.Stmt{}}
	w.leave()
	return w, nil
}

// take waits for the turn.
func (w *sqliteWriter) take(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	select {
	case <-w.turn:
	case <-ctx.Done():
		return ctx.Err()
	}
	if w.gone {
		w.leave()
		return errClosed
	}
	return nil
}

func (w *sqliteWriter) leave() { w.turn <- struct{}{} }

func (w *sqliteWriter) exec(ctx context.Context, text string, args []any) (int64, error) {
	ctx = context.WithoutCancel(ctx)
	stmt, err := w.stmt(ctx, text)
	if err != nil {
		return 0, err
	}
	var result sql.Result
	if stmt != nil {
		result, err = stmt.ExecContext(ctx, args...)
	} else {
		result, err = w.conn.ExecContext(ctx, text, args...)
	}
	if err != nil {
		return 0, err
	}
	return result.RowsAffected()
}

func (w *sqliteWriter) query(ctx context.Context, text string, args []any) (*sql.Rows, error) {
	ctx = context.WithoutCancel(ctx)
	stmt, err := w.stmt(ctx, text)
	if err != nil {
		return nil, err
	}
	if stmt != nil {
		return stmt.QueryContext(ctx, args...)
	}
	return w.conn.QueryContext(ctx, text, args...)
}

// stmt prepares text once; nil when enough are kept already.
func (w *sqliteWriter) stmt(ctx context.Context, text string) (*sql.Stmt, error) {
	if stmt := w.kept[text]; stmt != nil {
		return stmt, nil
	}
	if len(w.kept) >= maxKept {
		return nil, nil
	}
	stmt, err := w.conn.PrepareContext(ctx, text)
	if err != nil {
		return nil, err
	}
	w.kept[text] = stmt
	return stmt, nil
}

// check prepares text and forgets it.
func (w *sqliteWriter) check(ctx context.Context, text string) error {
	stmt, err := w.conn.PrepareContext(ctx, text)
	if err != nil {
		return err
	}
	return stmt.Close()
}

// undo rolls back. SQLite may have done so by itself, and then says that there is no transaction: that is well.
func (w *sqliteWriter) undo(ctx context.Context) {
	_, _ = w.exec(ctx, "ROLLBACK", nil)
}

// close waits for whoever writes.
func (w *sqliteWriter) close() error {
	<-w.turn
	defer w.leave()
	if w.gone {
		return nil
	}
	w.gone = true
	return w.drop()
}

// drop closes the connection. The caller has the turn.
func (w *sqliteWriter) drop() error {
	if w.db == nil { // there never was one
		return nil
	}
	var errs []error
	for _, stmt := range w.kept {
		errs = append(errs, stmt.Close())
	}
	return errors.Join(append(errs, w.conn.Close(), w.db.Close())...)
}
