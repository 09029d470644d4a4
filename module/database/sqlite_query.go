package database

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"strings"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"gatehouse/outcome"
)

// query implements engine.
func (c *sqliteFile) query(ctx context.Context, a asked, most int) (Rows, error) {
	s, err := parse(a.text, a.params)
	if err != nil {
		return Rows{}, err
	}
	p := &page{most: most}
	var columns []Column
	err = c.with(ctx, c.reads, func(r raw) (err error) {
		if columns, err = compile(r, reading, s.text); err != nil {
			return err
		}
		if len(columns) == 0 {
			return outcome.Invalid.Because("/sql: the statement gives no rows")
		}
		if s.explains {
			return explainPlan(ctx, r, s, p)
		}
		return c.collect(ctx, r, s, len(columns), p)
	})
	if err != nil {
		return Rows{}, err
	}
	return p.result(columns), nil
}

// compile lets SQLite compile a statement as it came, under an authorizer: its errors are about what the caller wrote, and
// only what is one whole statement by itself is put into another below.
func compile(r raw, m mode, text string) ([]Column, error) {
	a, err := m.on(r)
	if err != nil {
		return nil, err
	}
	infos, err := r.ColumnInfo(text)
	if err != nil {
		return nil, a.judge(err)
	}
	columns := make([]Column, len(infos))
	for i, info := range infos {
		columns[i] = Column{Name: strings.ToValidUTF8(info.Name, "\uFFFD"), Type: strings.ToValidUTF8(info.DeclType, "\uFFFD")}
	}
	return columns, nil
}

// collect executes the statement as the source of our aggregate. Its columns are numbered, since two may have one name.
func (c *sqliteFile) collect(ctx context.Context, r raw, s statement, columns int, p *page) error {
	a, err := collecting.on(r)
	if err != nil {
		return err
	}
	id := c.rows.open(p)
	defer c.rows.close(id)
	names := make([]string, columns)
	for i := range names {
		names[i] = fmt.Sprintf("c%d", i)
	}
	list := strings.Join(names, ",")
	// The line end closes a comment at the end of the statement.
	text := fmt.Sprintf("WITH gatehouse_rows(%s) AS (%s\n) SELECT %s(%d,%s) FROM gatehouse_rows", list, s.text, collect, id, list)
	_, err = r.ExecContext(ctx, text, s.params)
	if p.full != "" {
		return nil // we ended it ourselves
	}
	return a.judge(err)
}

// explainPlan runs EXPLAIN, which cannot stand inside another statement, and which never runs long.
func explainPlan(ctx context.Context, r raw, s statement, p *page) (err error) {
	rows, err := r.QueryContext(ctx, s.text, s.params)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	values := make([]driver.Value, len(rows.Columns()))
	for {
		if err := rows.Next(values); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		if err := p.add(values); errors.Is(err, errEnough) {
			return nil
		} else if err != nil {
			return err
		}
	}
}

// explain gives an error of SQLite its code. Messages about the statement are shown; those about the file are not, since
// they may name it.
func (c *sqliteFile) explain(ctx context.Context, err error) error {
	if err == nil {
		return nil
	}
	var coded *outcome.Error
	if errors.As(err, &coded) {
		return err
	}
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return outcome.Timeout.From(err, "the statement took too long and was ended; nothing was changed. Ask for less")
	} else if ctx.Err() != nil {
		return ctx.Err()
	}
	var e *sqlite.Error
	if !errors.As(err, &e) {
		return err
	}
	switch e.Code() & 0xff {
	case sqlite3.SQLITE_TOOBIG:
		return outcome.Invalid.From(err, "/sql: a value or the statement is larger than 1 MiB; use substr or length")
	case sqlite3.SQLITE_ERROR, sqlite3.SQLITE_CONSTRAINT, sqlite3.SQLITE_MISMATCH, sqlite3.SQLITE_RANGE:
		return outcome.Invalid.From(err, "/sql: %s", message(e))
	case sqlite3.SQLITE_AUTH:
		return outcome.Blocked.From(err, "/sql: only reading is possible here")
	case sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED:
		return outcome.Upstream.From(err, "the database %s is busy; try again later", c.name)
	}
	return outcome.Upstream.From(err, "the database %s cannot be read or written now; whoever runs the gateway can say why", c.name)
}

// message takes off what the driver puts around SQLite's own words: "SQL logic error: no such table: x (1)".
func message(e *sqlite.Error) string {
	text := strings.TrimSuffix(e.Error(), fmt.Sprintf(" (%d)", e.Code()))
	return strings.TrimPrefix(text, "SQL logic error: ")
}
