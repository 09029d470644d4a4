package database

import (
	"database/sql/driver"
	"encoding/base64"
	"fmt"
	"math"
	"strings"
	"unicode/utf8"

	"gatehouse/canon"
)

// Rows is the result of database.query.
type Rows struct {
	Columns   []Column        `json:"columns"`
	Rows      [][]canon.Value `json:"rows" jsonschema:"integers are exact; bytes are {base64: …}"`
	Truncated bool            `json:"truncated,omitzero" jsonschema:"there was more"`
	Note      string          `json:"note,omitzero" jsonschema:"what was left out or changed"`
}

// Column is one column of a result.
type Column struct {
	Name string `json:"name"`
	Type string `json:"type,omitzero" jsonschema:"as declared in the table; left out for expressions"`
}

const (
	maxBytes = 1 << 20  // of all values together, as JSON
	maxCell  = 64 << 10 // of one value
)

// page takes rows until it is full.
type page struct {
	most  int // rows
	rows  [][]canon.Value
	bytes int
	full  string // why there are no more rows, or nothing
	cut   int    // values that were shortened
	bad   int    // texts that were no UTF-8
}

// add copies one row. errEnough ends the statement.
func (p *page) add(values []driver.Value) error {
	if len(p.rows) >= p.most {
		p.full = fmt.Sprintf("there are more than %d rows; use max_rows, LIMIT and OFFSET", p.most)
		return errEnough
	}
	row := make([]canon.Value, len(values))
	for i, v := range values {
		var err error
		if row[i], err = canon.From(p.show(v)); err != nil {
			return fmt.Errorf("writing a value: %w", err)
		}
		p.bytes += row[i].Len() + 1
	}
	if p.bytes > maxBytes {
		p.full = fmt.Sprintf("only %d rows fit into 1 MiB; ask for fewer columns or rows", len(p.rows))
		return errEnough
	}
	p.rows = append(p.rows, row)
	return nil
}

// blob is how bytes stand in JSON, in results and in parameters.
type blob struct {
	Base64 string `json:"base64"`
}

func newBlob(b []byte) blob { return blob{base64.StdEncoding.EncodeToString(b)} }

// show gives a value as JSON can hold it: one of SQLite's five classes (https://www.sqlite.org/datatype3.html), true,
// false, or what an engine has made a canon.Value of.
func (p *page) show(v driver.Value) any {
	switch v := v.(type) {
	case string:
		if len(v) > maxCell {
			p.cut++
			v = v[:maxCell]
			for len(v) > 0 && !utf8.RuneStart(v[len(v)-1]) {
				v = v[:len(v)-1]
			}
			if r, _ := utf8.DecodeLastRuneInString(v); r == utf8.RuneError && len(v) > 0 {
				v = v[:len(v)-1]
			}
		}
		if !utf8.ValidString(v) {
			p.bad++
		}
		return strings.ToValidUTF8(v, "\uFFFD") // a copy is made when it is written
	case []byte:
		if len(v) > maxCell/4*3 {
			p.cut++
			v = v[:maxCell/4*3]
		}
		return newBlob(v)
	case float64:
		if math.IsInf(v, 0) { // JSON has no such number
			return strings.TrimPrefix(fmt.Sprint(v), "+")
		}
	}
	return v
}

// result gives what was taken, and says what was not.
func (p *page) result(columns []Column) Rows {
	var notes []string
	if p.full != "" {
		notes = append(notes, p.full)
	}
	if p.cut > 0 {
		notes = append(notes, fmt.Sprintf("values that were cut to 64 KiB: %d", p.cut))
	}
	if p.bad > 0 {
		notes = append(notes, fmt.Sprintf("texts that are not UTF-8, with U+FFFD in place of what is not: %d", p.bad))
	}
	return Rows{Columns: columns, Rows: p.rows, Truncated: p.full != "", Note: strings.Join(notes, "; ")}
}
