package database

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"

	"gatehouse/outcome"
)

// explain gives an error its code. What the server says about a statement is shown; what is said about connecting is not.
func (p *postgres) explain(ctx context.Context, err error) error {
	var refused *pgconn.ConnectError
	var coded *outcome.Error
	var large *pgproto3.ExceededMaxBodyLenErr
	var pg *pgconn.PgError
	connecting := errors.As(err, &refused)
	switch {
	case err == nil:
		return nil
	case !connecting && errors.As(err, &coded):
		return coded
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		return outcome.Timeout.From(kind(err), "the statement took too long and was ended; nothing was changed. Ask for less")
	case ctx.Err() != nil:
		return ctx.Err()
	case !connecting && errors.As(err, &large):
		return outcome.Invalid.Because("/sql: a row of the result is larger than 1 MiB; use substr or length, or ask for fewer columns")
	case !connecting && errors.As(err, &pg):
		return p.judge(pg)
	}
	return p.unreachable(err)
}

// judge goes by the SQLSTATE: https://www.postgresql.org/docs/current/errcodes-appendix.html.
func (p *postgres) judge(e *pgconn.PgError) error {
	said := errors.New(e.Code + ": " + e.Message)
	switch e.Code {
	case "25006": // read_only_sql_transaction
		return outcome.Blocked.From(said, "/sql: only reading is possible here: %s", e.Message)
	case "42501": // insufficient_privilege
		return outcome.Blocked.From(said, "/sql: %s", e.Message)
	case "42P11": // invalid_cursor_definition
		return outcome.Blocked.From(said, "/sql: only reading is possible here: %s", e.Message)
	case "57014": // query_canceled
		return outcome.Timeout.From(said, "the statement was ended by the server; nothing was changed. Ask for less")
	case "55P03", "40001", "40P01": // lock_not_available, serialization_failure, deadlock_detected
		return outcome.Upstream.From(said, "the database %s is busy; nothing was changed. Try again later", p.name)
	}
	if len(e.Code) == 5 {
		switch e.Code[:2] {
		case "0A", "21", "22", "23", "25", "27", "2B", "2F", "34", "38", "39", "42", "44", "54", "55", "P0":
			return outcome.Invalid.From(said, "/sql: %s", e.Message)
		}
	}
	return outcome.Upstream.From(said, "the database %s failed; nothing was changed. Whoever runs the gateway can say why", p.name)
}
