package database

import (
	"context"
	"errors"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"

	"gatehouse/outcome"
)

// execute implements engine.
func (p *postgres) execute(ctx context.Context, a asked) (done Changed, err error) {
	params, err := postgresParams(a.params)
	if err != nil {
		return Changed{}, err
	}
	first, rest := postgresStart(a.text)
	if err := refuseChange(first, "INSERT", "UPDATE", "DELETE", "MERGE", "WITH"); err != nil {
		return Changed{}, err
	}
	err = p.with(ctx, "BEGIN TRANSACTION READ WRITE", func(conn *pgconn.PgConn) error {
		s, err := conn.Prepare(ctx, "", rest, nil)
		if err != nil {
			return err
		}
		if len(s.ParamOIDs) != len(params) {
			return wrongParams(len(s.ParamOIDs), len(params), "$1, $2, …")
		}
		r := conn.ExecPrepared(ctx, "", params, nil, nil)
		for r.NextRow() { // RETURNING: the answer is a number
		}
		tag, err := r.Close()
		if err != nil {
			return err
		}
		if !tag.Insert() && !tag.Update() && !tag.Delete() && !strings.HasPrefix(tag.String(), "MERGE") {
			return outcome.Invalid.Because("/sql: the statement must be an INSERT, UPDATE, DELETE or MERGE by itself; nothing was changed")
		}
		done.Affected = tag.RowsAffected()
		return p.commit(ctx, conn)
	})
	if err != nil {
		return Changed{}, err
	}
	return done, nil
}

// refuseChange admits what may stand first in a statement that changes rows.
func refuseChange(first string, verbs ...string) error {
	for _, v := range verbs {
		if first == v {
			return nil
		}
	}
	switch first {
	case "":
		return errNoStatement()
	case "SELECT", "VALUES", "TABLE", "EXPLAIN", "SHOW", "DESCRIBE", "DESC":
		return outcome.Invalid.Because("/sql: the statement changes nothing; use database.query")
	}
	return outcome.Blocked.Because("/sql: only rows can be changed here, by %s", strings.Join(verbs, ", "))
}

// commit ends the transaction, whatever the call's context says by now. Where its answer got lost nobody knows.
func (p *postgres) commit(ctx context.Context, conn *pgconn.PgConn) error {
	whole, cancel := context.WithTimeout(context.WithoutCancel(ctx), commitTime)
	defer cancel()
	r, err := run(whole, conn, "COMMIT")
	var pg *pgconn.PgError
	switch {
	case err == nil && r.CommandTag.String() == "COMMIT":
		return nil
	case err == nil:
		return outcome.Upstream.Because("the database %s rolled the change back; nothing was changed", p.name)
	case errors.As(err, &pg) && pg.Severity == "ERROR" && pg.Code != "40003": // statement_completion_unknown
		return p.judge(pg)
	}
	return outcome.Unknown.From(kind(err), "the connection to the database %s was lost while the change was stored; look before repeating", p.name)
}
