package database

import (
	"database/sql/driver"
	"encoding/hex"
	"strings"

	"gatehouse/canon"
)

// postgresType is a type that is more than text in JSON.
type postgresType struct {
	name    string
	element uint32 // of an array, the type of its elements
}

// Types by their OID: https://github.com/postgres/postgres/blob/master/src/include/catalog/pg_type.dat.
const (
	oidBool, oidBytea                              = 16, 17
	oidInt8, oidInt2, oidInt4, oidOID              = 20, 21, 23, 26
	oidJSON, oidJSONB                              = 114, 3802
	oidFloat4, oidFloat8, oidNumeric               = 700, 701, 1700
	oidText, oidVarchar, oidBpchar, oidName        = 25, 1043, 1042, 19
	oidDate, oidTime, oidTimestamp, oidTimestamptz = 1082, 1083, 1114, 1184
)

var postgresTypes = map[uint32]postgresType{
	oidBool: {name: "boolean"}, oidBytea: {name: "bytea"}, oidInt8: {name: "bigint"}, oidInt2: {name: "smallint"}, oidInt4: {name: "integer"}, oidOID: {name: "oid"},
	oidJSON: {name: "json"}, oidJSONB: {name: "jsonb"}, oidFloat4: {name: "real"}, oidFloat8: {name: "double precision"}, oidNumeric: {name: "numeric"},
	oidText: {name: "text"}, oidVarchar: {name: "character varying"}, oidBpchar: {name: "character"}, oidName: {name: "name"},
	oidDate: {name: "date"}, oidTime: {name: "time"}, oidTimestamp: {name: "timestamp"}, oidTimestamptz: {name: "timestamp with time zone"},
	1266: {name: "time with time zone"}, 1186: {name: "interval"}, 2950: {name: "uuid"}, 869: {name: "inet"}, 650: {name: "cidr"}, 829: {name: "macaddr"},
	142: {name: "xml"}, 790: {name: "money"}, 1560: {name: "bit"}, 1562: {name: "bit varying"}, 3614: {name: "tsvector"}, 600: {name: "point"},
	1000: {"boolean[]", oidBool}, 1001: {"bytea[]", oidBytea}, 1016: {"bigint[]", oidInt8}, 1005: {"smallint[]", oidInt2}, 1007: {"integer[]", oidInt4},
	1028: {"oid[]", oidOID}, 199: {"json[]", oidJSON}, 3807: {"jsonb[]", oidJSONB}, 1021: {"real[]", oidFloat4}, 1022: {"double precision[]", oidFloat8},
	1231: {"numeric[]", oidNumeric}, 1009: {"text[]", oidText}, 1015: {"character varying[]", oidVarchar}, 1014: {"character[]", oidBpchar}, 1003: {"name[]", oidName},
	1182: {"date[]", oidDate}, 1183: {"time[]", oidTime}, 1115: {"timestamp[]", oidTimestamp}, 1185: {"timestamp with time zone[]", oidTimestamptz}, 2951: {"uuid[]", oidText},
}

// postgresValue makes of a value's text what stands in JSON: numbers exactly, bytes as base64, JSON and arrays as
// themselves; all else is the server's text, and so is what JSON cannot hold exactly (NaN, more digits than canon takes).
func postgresValue(oid uint32, raw []byte) driver.Value {
	if raw == nil {
		return nil
	}
	text := string(raw)
	switch oid {
	case oidBool:
		return text == "t"
	case oidInt2, oidInt4, oidInt8, oidOID, oidFloat4, oidFloat8, oidNumeric:
		return exactNumber(text)
	case oidBytea:
		if b, err := hex.DecodeString(strings.TrimPrefix(text, `\x`)); err == nil && strings.HasPrefix(text, `\x`) {
			return b
		}
	case oidJSON, oidJSONB:
		return exactJSON(text)
	}
	if element := postgresTypes[oid].element; element != 0 && len(text) <= maxCell {
		if list, ok := postgresArray(text, element); ok {
			return list
		}
	}
	return text
}

// exactNumber gives a number that canon takes as it is, and the text of any other.
func exactNumber(text string) driver.Value {
	if v, err := canon.Parse([]byte(text)); err == nil && text != "" && (text[0] == '-' || text[0] >= '0' && text[0] <= '9') {
		return v
	}
	return text
}

// exactJSON gives JSON that canon takes, and the text of any other: PostgreSQL's json may hold a name twice.
func exactJSON(text string) driver.Value {
	if len(text) <= maxCell {
		if v, err := canon.Parse([]byte(text)); err == nil {
			return v
		}
	}
	return text
}

// postgresArray reads the text of an array: https://www.postgresql.org/docs/current/arrays.html#ARRAYS-IO.
func postgresArray(text string, element uint32) (canon.Value, bool) {
	if i := strings.Index(text, "={"); i > 0 && text[0] == '[' { // bounds that do not begin at 1
		text = text[i+1:]
	}
	r := arrayReader{text: text, element: element}
	list, ok := r.list(0)
	if !ok || r.at != len(r.text) {
		return canon.Value{}, false
	}
	v, err := canon.From(list)
	return v, err == nil
}

type arrayReader struct {
	text    string
	at      int
	element uint32
}

// list reads {…}. PostgreSQL has at most six dimensions.
func (r *arrayReader) list(depth int) ([]any, bool) {
	if depth > 6 || !r.take('{') {
		return nil, false
	}
	all := []any{}
	if r.take('}') {
		return all, true
	}
	for {
		item, ok := r.item(depth)
		if !ok {
			return nil, false
		}
		all = append(all, item)
		if r.take('}') {
			return all, true
		}
		if !r.take(',') {
			return nil, false
		}
	}
}

func (r *arrayReader) item(depth int) (any, bool) {
	if r.at < len(r.text) && r.text[r.at] == '{' {
		return r.list(depth + 1)
	}
	if r.take('"') {
		word, ok := r.quoted()
		return r.show(word), ok
	}
	start := r.at
	for r.at < len(r.text) && !strings.ContainsRune(`,{}"`, rune(r.text[r.at])) {
		r.at++
	}
	word := r.text[start:r.at]
	if word == "NULL" {
		return nil, true
	}
	return r.show(word), word != ""
}

func (r *arrayReader) show(word string) any {
	v := postgresValue(r.element, []byte(word))
	if b, ok := v.([]byte); ok {
		return newBlob(b)
	}
	return v
}

// quoted reads to the closing mark; a backslash takes the next byte as it is.
func (r *arrayReader) quoted() (string, bool) {
	var word strings.Builder
	for ; r.at < len(r.text); r.at++ {
		switch c := r.text[r.at]; c {
		case '"':
			r.at++
			return word.String(), true
		case '\\':
			if r.at++; r.at == len(r.text) {
				return "", false
			}
			word.WriteByte(r.text[r.at])
		default:
			word.WriteByte(c)
		}
	}
	return "", false
}

func (r *arrayReader) take(c byte) bool {
	if r.at < len(r.text) && r.text[r.at] == c {
		r.at++
		return true
	}
	return false
}
