package database

import (
	"context"
	"errors"
	"fmt"
	"regexp"

	"github.com/go-sql-driver/mysql"

	"gatehouse/outcome"
)

// explain gives an error its code. What the server says about a statement is shown, without the login that it names.
func (m *mysqlServer) explain(ctx context.Context, s *mysqlSession, err error) error {
	var coded *outcome.Error
	var e *mysql.MySQLError
	switch {
	case s != nil && s.committed:
		return err
	case errors.Is(ctx.Err(), context.DeadlineExceeded) && outcome.Of(err) != outcome.Unknown:
		// SELECT SLEEP(…) ends well when it is killed.
		return outcome.Timeout.From(causeOf(err), "the statement took too long and was ended; nothing was changed. Ask for less")
	case err == nil:
		return nil
	case errors.As(err, &coded):
		return coded
	case ctx.Err() != nil:
		return ctx.Err()
	case s != nil && s.wire.toomuch.Load():
		return outcome.Invalid.Because("/sql: a row of the result is larger than 4 MiB; use substr or length, or ask for fewer columns")
	case errors.As(err, &e):
		return m.judge(e)
	}
	return m.unreachable(err)
}

func causeOf(err error) error {
	if err == nil {
		return context.DeadlineExceeded
	}
	return kind(err)
}

// logins are how the server writes them: 'reader'@'10.0.0.7'.
var logins = regexp.MustCompile("(user )?(['`])[^'`]*['`]@['`][^'`]*['`]")

// judge goes by the number: https://mariadb.com/kb/en/mariadb-error-code-reference/.
func (m *mysqlServer) judge(e *mysql.MySQLError) error {
	text := logins.ReplaceAllString(e.Message, "this login")
	said := fmt.Errorf("%d: %s", e.Number, text)
	switch e.Number {
	case 1792: // ER_CANT_EXECUTE_IN_READ_ONLY_TRANSACTION
		return outcome.Blocked.From(said, "/sql: only reading is possible here: %s", text)
	case 1044, 1045, 1142, 1143, 1227, 1290, 1345, 1370, 1419: // rights
		return outcome.Blocked.From(said, "/sql: %s", text)
	case 1317, 1969, 3024: // interrupted, by us or by its time
		return outcome.Timeout.From(said, "the statement was ended by the server; nothing was changed. Ask for less")
	case 1205, 1213: // locks
		return outcome.Upstream.From(said, "the database %s is busy; nothing was changed. Try again later", m.name)
	case 1021, 1026, 1030, 1040, 1041, 1053, 1077, 1114, 1129, 1130, 1152, 1153, 1154, 1155, 1156, 1157, 1158, 1159, 1160, 1161, 1180, 1203, 1226, 1836, 1927:
		return outcome.Upstream.From(said, "the database %s failed; whoever runs the gateway can say why. Try again later", m.name)
	}
	return outcome.Invalid.From(said, "/sql: %s", text)
}
