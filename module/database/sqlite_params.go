package database

import (
	"database/sql/driver"
	"encoding/base64"
	"strconv"
	"strings"

	"gatehouse/canon"
	"gatehouse/outcome"
)

// bind gives parameters to SQLite as they were written; a number that it cannot hold is refused, never rounded.
func bind(params []canon.Value) ([]driver.NamedValue, error) {
	bound := make([]driver.NamedValue, len(params))
	var faults []outcome.Fault
	for i, p := range params {
		value, problem := value(p)
		if problem != "" {
			faults = append(faults, outcome.Fault{Path: "/params/" + strconv.Itoa(i), Problem: problem})
		}
		bound[i] = driver.NamedValue{Ordinal: i + 1, Value: value}
	}
	if len(faults) > 0 {
		return nil, outcome.WithFaults(faults...)
	}
	return bound, nil
}

func value(v canon.Value) (_ driver.Value, problem string) {
	if text, ok := v.Text(); ok {
		return text, ""
	}
	switch s := v.String(); s[0] {
	case 'n':
		return nil, ""
	case 't', 'f':
		return s == "true", ""
	case '{':
		var b blob
		if err := v.Decode(&b); err != nil {
			return nil, `is an object, but must be a string, a number, true, false, null or {"base64": …}`
		}
		bytes, err := base64.StdEncoding.Strict().DecodeString(b.Base64)
		if err != nil {
			return nil, "holds no standard base64"
		}
		return bytes, ""
	case '[':
		return nil, "is an array; send one value for each parameter, or JSON as a string"
	default:
		return number(v)
	}
}

// number takes integers of 64 bits, and decimals that a double holds.
func number(v canon.Value) (driver.Value, string) {
	s := v.String()
	if n, err := strconv.ParseInt(s, 10, 64); err == nil {
		return n, ""
	}
	if !strings.ContainsAny(s, ".eE") {
		return nil, "is an integer of more than 64 bits, which SQLite cannot hold; send it as a string"
	}
	f, err := strconv.ParseFloat(s, 64)
	if err != nil {
		return nil, "is a number that SQLite cannot hold; send it as a string"
	}
	if same, err := canon.From(f); err != nil || same != v {
		return nil, "has more digits than SQLite can hold; send it as a string"
	}
	return f, ""
}
