package database

import (
	"context"
	"errors"
	"time"

	"github.com/go-sql-driver/mysql"

	"gatehouse/outcome"
)

// execute implements engine.
func (m *mysqlServer) execute(ctx context.Context, a asked) (done Changed, err error) {
	params, err := mysqlParams(a.params)
	if err != nil {
		return Changed{}, err
	}
	t, err := readMySQLText(a.text)
	if err != nil {
		return Changed{}, err
	}
	if err := t.checkChanging(); err != nil {
		return Changed{}, err
	}
	err = m.with(ctx, "START TRANSACTION READ WRITE", func(inner context.Context, s *mysqlSession) error {
		st, err := s.prepared(inner, t.text, len(params))
		if err != nil {
			return err
		}
		r, err := st.ExecContext(inner, params)
		if err != nil {
			return m.uncertain(err)
		}
		if done.Affected, err = r.RowsAffected(); err != nil {
			return err
		}
		if ctx.Err() != nil { // it may have been ended half way
			return ctx.Err()
		}
		_ = s.wire.SetDeadline(time.Now().Add(commitTime))
		if err := s.run(inner, "COMMIT"); err != nil {
			return m.uncertain(err)
		}
		s.committed = true
		return nil
	})
	if err != nil {
		return Changed{}, err
	}
	return done, nil
}

// uncertain calls a line that broke in the midst of a change by its name: tables without transactions keep what was done, and
// a COMMIT may have arrived. What the server itself says is certain, unless it was just going down.
func (m *mysqlServer) uncertain(err error) error {
	var e *mysql.MySQLError
	if errors.As(err, &e) && e.Number != 1053 && e.Number != 1927 {
		return err
	}
	return outcome.Unknown.From(kind(err), "the connection to the database %s was lost while the change was made; look before repeating", m.name)
}
