package database

import (
	"context"
	"database/sql/driver"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"strconv"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"

	"gatehouse/canon"
	"gatehouse/outcome"
)

const beginReading = "BEGIN TRANSACTION READ ONLY"

// query implements engine.
func (p *postgres) query(ctx context.Context, a asked, most int) (Rows, error) {
	params, err := postgresParams(a.params)
	if err != nil {
		return Rows{}, err
	}
	first, rest := postgresStart(a.text)
	if rest == "" {
		return Rows{}, errNoStatement()
	}
	taken := &page{most: most}
	var columns []Column
	err = p.with(ctx, beginReading, func(conn *pgconn.PgConn) (err error) {
		if first == "EXPLAIN" {
			text, err := postgresExplain(rest)
			if err != nil {
				return err
			}
			columns, err = p.fetch(ctx, conn, text, params, taken)
			return err
		}
		if err := refuseVerb(first); err != nil {
			return err
		}
		// The line end is for a statement that could else go on in ours; the server takes nothing but a query behind FOR.
		if err := bound(ctx, conn, "DECLARE gatehouse NO SCROLL CURSOR WITHOUT HOLD FOR\n"+rest, params); err != nil {
			return err
		}
		columns, err = p.fetch(ctx, conn, "FETCH FORWARD "+strconv.Itoa(most+1)+" FROM gatehouse", nil, taken)
		return err
	})
	if err != nil {
		return Rows{}, err
	}
	return taken.result(columns), nil
}

// refuseVerb explains early what the server would call a syntax error. It is no check: what it lets through meets those.
func refuseVerb(verb string) error {
	switch verb {
	case "INSERT", "UPDATE", "DELETE", "MERGE", "REPLACE", "CREATE", "ALTER", "DROP", "TRUNCATE", "GRANT", "REVOKE", "COPY", "CALL", "DO", "SET", "RESET",
		"BEGIN", "START", "COMMIT", "END", "ROLLBACK", "ABORT", "SAVEPOINT", "RELEASE", "PREPARE", "EXECUTE", "DEALLOCATE", "DECLARE", "FETCH", "MOVE", "CLOSE",
		"LOCK", "LISTEN", "UNLISTEN", "NOTIFY", "VACUUM", "ANALYZE", "CLUSTER", "REINDEX", "REFRESH", "CHECKPOINT", "DISCARD", "LOAD", "COMMENT", "SECURITY",
		"IMPORT", "REASSIGN", "SHOW", "HANDLER", "FLUSH", "KILL", "USE", "RENAME", "INSTALL", "UNINSTALL", "OPTIMIZE", "REPAIR", "CHECK", "PURGE", "SHUTDOWN":
		return outcome.Blocked.Because("/sql: only reading is possible here, by SELECT, VALUES, TABLE, WITH or EXPLAIN; database.tables and database.describe tell what there is")
	}
	return nil
}

// bound prepares a statement, asks how many parameters it takes, and executes it.
func bound(ctx context.Context, conn *pgconn.PgConn, text string, params [][]byte) error {
	s, err := conn.Prepare(ctx, "", text, nil)
	if err != nil {
		return err
	}
	if len(s.ParamOIDs) != len(params) {
		return wrongParams(len(s.ParamOIDs), len(params), "$1, $2, …")
	}
	return conn.ExecPrepared(ctx, "", params, nil, nil).Read().Err
}

func errNoStatement() error {
	return outcome.WithFaults(outcome.Fault{Path: "/sql", Problem: "holds no statement"})
}

func wrongParams(wanted, given int, how string) error {
	return outcome.WithFaults(outcome.Fault{
		Path:    "/params",
		Problem: "the statement takes " + strconv.Itoa(wanted) + ", but there are " + strconv.Itoa(given) + "; here they are written " + how,
	})
}

// fetch reads rows until the page is full. Then it hangs up: whatever else the server wants to send stays there.
func (p *postgres) fetch(ctx context.Context, conn *pgconn.PgConn, text string, params [][]byte, taken *page) ([]Column, error) {
	r := conn.ExecParams(ctx, text, params, nil, nil, nil)
	var fields []pgconn.FieldDescription
	for r.NextRow() {
		fields = r.FieldDescriptions()
		row := make([]driver.Value, len(fields))
		for i, value := range r.Values() {
			row[i] = postgresValue(fields[i].DataTypeOID, value)
		}
		if err := taken.add(row); errors.Is(err, errEnough) {
			columns := postgresColumns(fields)
			_ = conn.Conn().Close()
			_, _ = r.Close()
			return columns, nil
		} else if err != nil {
			return nil, err
		}
	}
	fields = r.FieldDescriptions()
	columns := postgresColumns(fields)
	_, err := r.Close()
	if len(taken.rows) > 0 && errors.As(err, new(*pgproto3.ExceededMaxBodyLenErr)) {
		taken.full = "the next row is larger than 1 MiB; use substr or length, or ask for fewer columns"
		return columns, nil
	}
	return columns, err
}

func postgresColumns(fields []pgconn.FieldDescription) []Column {
	columns := make([]Column, len(fields))
	for i, f := range fields {
		columns[i] = Column{Name: f.Name, Type: postgresTypes[f.DataTypeOID].name}
	}
	return columns
}

// postgresParams writes parameters as text, in which the server reads them as the type that their place asks for.
func postgresParams(params []canon.Value) ([][]byte, error) {
	all := make([][]byte, len(params))
	var faults []outcome.Fault
	for i, v := range params {
		text, problem := postgresParam(v)
		if problem != "" {
			faults = append(faults, outcome.Fault{Path: "/params/" + strconv.Itoa(i), Problem: problem})
		}
		all[i] = text
	}
	if len(faults) > 0 {
		return nil, outcome.WithFaults(faults...)
	}
	return all, nil
}

func postgresParam(v canon.Value) ([]byte, string) {
	if text, ok := v.Text(); ok {
		return []byte(text), ""
	}
	switch s := v.String(); s[0] {
	case 'n':
		return nil, ""
	case '{':
		var b blob
		if err := v.Decode(&b); err != nil {
			return nil, `is an object, but must be a string, a number, true, false, null or {"base64": …}`
		}
		raw, err := base64.StdEncoding.Strict().DecodeString(b.Base64)
		if err != nil {
			return nil, "holds no standard base64"
		}
		return []byte(`\x` + hex.EncodeToString(raw)), ""
	case '[':
		return nil, `is an array; send an array of PostgreSQL as a string like {1,2}, or JSON as a string`
	default:
		return []byte(s), "" // a number as it was written, true or false
	}
}
