package wire

import (
	"strconv"

	"gatehouse/canon"
)

// maxID bounds what a peer can make us keep for each open request.
const maxID = 256

// ID is the id of a request: a string or an integer. The zero ID is none. It is comparable: 1 and "1" differ, as they do
// in JSON, while 1.0 is 1.
type ID struct{ v canon.Value }

// IntID makes an id of our own.
func IntID(n int64) ID {
	v, err := canon.Parse(strconv.AppendInt(nil, n, 10))
	if err != nil {
		panic("wire: an integer is no JSON: " + err.Error())
	}
	return ID{v}
}

// IsZero says that there is no id.
func (id ID) IsZero() bool { return id.v.IsZero() }

// String gives the id as it stands in JSON: 1 or "1"; null if there is none.
func (id ID) String() string {
	if id.IsZero() {
		return "null"
	}
	return id.v.String()
}

// Int gives the number of an id that [IntID] could have made.
func (id ID) Int() (int64, bool) {
	n, err := strconv.ParseInt(id.v.String(), 10, 64)
	return n, err == nil
}

// idOf takes a string or an integer, neither too long; the zero ID otherwise.
func idOf(v canon.Value) (ID, bool) {
	text := v.String()
	if len(text) > maxID || text == "" || text[0] != '"' && !isInteger(text) {
		return ID{}, false
	}
	return ID{v}, true
}

// isInteger says that a canonical text is that of an integer in plain digits.
func isInteger(text string) bool {
	for i := range len(text) {
		if text[i] != '-' && (text[i] < '0' || text[i] > '9') {
			return false
		}
	}
	return true
}
