package database

import (
	"context"
	"database/sql/driver"
	"encoding/base64"
	"errors"
	"io"
	"strconv"
	"strings"

	"gatehouse/canon"
	"gatehouse/outcome"
)

// query implements engine.
func (m *mysqlServer) query(ctx context.Context, a asked, most int) (Rows, error) {
	params, err := mysqlParams(a.params)
	if err != nil {
		return Rows{}, err
	}
	t, err := readMySQLText(a.text)
	if err != nil {
		return Rows{}, err
	}
	if err := t.checkReading(); err != nil {
		return Rows{}, err
	}
	taken := &page{most: most}
	var columns []Column
	err = m.with(ctx, "START TRANSACTION READ ONLY", func(ctx context.Context, s *mysqlSession) error {
		st, err := s.prepared(ctx, t.text, len(params))
		if err != nil {
			return err
		}
		rows, err := st.QueryContext(ctx, params)
		if err != nil {
			return err
		}
		columns, err = s.fetch(rows, taken)
		return err
	})
	if err != nil {
		return Rows{}, err
	}
	if len(columns) == 0 {
		return Rows{}, outcome.Invalid.Because("/sql: the statement gives no rows")
	}
	return taken.result(columns), nil
}

// mysqlPrepared is what we use of the driver's statement.
type mysqlPrepared interface {
	driver.Stmt
	driver.StmtQueryContext
	driver.StmtExecContext
}

// prepared lets the server prepare exactly one statement; the text never goes the way on which it could be several.
func (s *mysqlSession) prepared(ctx context.Context, text string, params int) (mysqlPrepared, error) {
	p, ok := s.conn.(driver.ConnPrepareContext)
	if !ok {
		return nil, errors.New("the driver prepares nothing")
	}
	st, err := p.PrepareContext(ctx, text)
	if err != nil {
		return nil, err
	}
	if n := st.NumInput(); n != params {
		return nil, wrongParams(n, params, "?")
	}
	all, ok := st.(mysqlPrepared)
	if !ok {
		return nil, errors.New("the driver's statements take no context")
	}
	return all, nil
}

// fetch reads rows until the page is full. Then it hangs up: whatever else the server wants to send stays there.
func (s *mysqlSession) fetch(rows driver.Rows, taken *page) (columns []Column, err error) {
	names := rows.Columns()
	types := make([]string, len(names))
	for i, name := range names {
		if t, ok := rows.(driver.RowsColumnTypeDatabaseTypeName); ok {
			types[i] = t.ColumnTypeDatabaseTypeName(i)
		}
		columns = append(columns, Column{Name: strings.ToValidUTF8(name, "\uFFFD"), Type: strings.ToLower(types[i])})
	}
	values := make([]driver.Value, len(names))
	for {
		err := rows.Next(values)
		if errors.Is(err, io.EOF) {
			return columns, rows.Close()
		}
		if err != nil && s.wire.toomuch.Load() && len(taken.rows) > 0 {
			taken.full = "the next row is larger than fits; use substr or length, or ask for fewer columns"
			return columns, nil
		}
		if err != nil {
			return nil, err
		}
		for i, v := range values {
			values[i] = mysqlValue(types[i], v)
		}
		if err := taken.add(values); errors.Is(err, errEnough) {
			s.wire.broken.Store(true)
			_ = s.wire.Close()
			_ = rows.Close()
			return columns, nil
		} else if err != nil {
			return nil, err
		}
	}
}

// mysqlValue makes of a value what stands in JSON: numbers exactly, bytes as base64, JSON as itself; times and all else are
// the server's text. The driver's bytes are good until the next row only.
func mysqlValue(kind string, v driver.Value) driver.Value {
	switch v := v.(type) {
	case float32:
		return exactNumber(strconv.FormatFloat(float64(v), 'g', -1, 32))
	case []byte:
		switch {
		case kind == "DECIMAL" || strings.HasPrefix(kind, "UNSIGNED"):
			return exactNumber(string(v))
		case kind == "JSON":
			return exactJSON(string(v))
		case kind == "BIT" && len(v) <= 8:
			var n uint64
			for _, b := range v {
				n = n<<8 | uint64(b)
			}
			return exactNumber(strconv.FormatUint(n, 10))
		case kind == "BINARY" || kind == "VARBINARY" || strings.HasSuffix(kind, "BLOB") || kind == "GEOMETRY" || kind == "BIT":
			return v
		}
		return string(v)
	}
	return v
}

// mysqlParams gives parameters to the server as they were written; a number that it cannot hold is refused, never rounded.
func mysqlParams(params []canon.Value) ([]driver.NamedValue, error) {
	all := make([]driver.NamedValue, len(params))
	var faults []outcome.Fault
	for i, p := range params {
		v, problem := mysqlParam(p)
		if problem != "" {
			faults = append(faults, outcome.Fault{Path: "/params/" + strconv.Itoa(i), Problem: problem})
		}
		all[i] = driver.NamedValue{Ordinal: i + 1, Value: v}
	}
	if len(faults) > 0 {
		return nil, outcome.WithFaults(faults...)
	}
	return all, nil
}

func mysqlParam(v canon.Value) (driver.Value, string) {
	if text, ok := v.Text(); ok {
		return text, ""
	}
	switch s := v.String(); s[0] {
	case 'n':
		return nil, ""
	case 't':
		return int64(1), ""
	case 'f':
		return int64(0), ""
	case '{':
		var b blob
		if err := v.Decode(&b); err != nil {
			return nil, `is an object, but must be a string, a number, true, false, null or {"base64": …}`
		}
		raw, err := base64.StdEncoding.Strict().DecodeString(b.Base64)
		if err != nil {
			return nil, "holds no standard base64"
		}
		return raw, ""
	case '[':
		return nil, "is an array; send one value for each parameter, or JSON as a string"
	default:
		if n, err := strconv.ParseUint(s, 10, 64); err == nil && n > 1<<63-1 {
			return n, ""
		}
		return number(v)
	}
}
