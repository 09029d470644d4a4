package database_test

import (
	"testing"

	"gatehouse/module/database"
)

func TestStatements(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		text, statement string
		params          int
		bad             bool
	}{
		{"SELECT 1", "SELECT 1", 0, false},
		{" SELECT 1 ; ; -- x", " SELECT 1", 0, false},
		{"SELECT ';' /* ; */ -- ;", "SELECT ';'", 0, false},
		{`SELECT "a;b", [c;d], ` + "`e;f`", `SELECT "a;b", [c;d], ` + "`e;f`", 0, false},
		{"SELECT 'it''s ; ?'", "SELECT 'it''s ; ?'", 0, false},
		{"SELECT a$1, $2, $2", "SELECT a$1, $2, $2", 2, false},
		{"SELECT ?,?,?", "SELECT ?,?,?", 3, false},
		{"SELECT ?3", "SELECT ?3", 3, false},
		{"SELECT x'00', 1e5, .5, a.b", "SELECT x'00', 1e5, .5, a.b", 0, false},
		{"SELECT a->>'$.b', '?'", "SELECT a->>'$.b', '?'", 0, false},
		{"SELECT 1 --\nFROM t", "SELECT 1 --\nFROM t", 0, false},
		{"SELECT 'open ; x", "SELECT 'open ; x", 0, false},
		{"SELECT 1; SELECT 2", "", 0, true},
		{"SELECT 1;--\n\v", "", 0, true}, // SQLite knows no vertical tab
		{"SELECT 1;'", "", 0, true},
		{";", "", 0, true},
		{"SELECT :a", "", 0, true},
		{"SELECT @a", "", 0, true},
		{"SELECT $a", "", 0, true},
		{"SELECT #a", "", 0, true},
		{"SELECT $1(a)", "", 0, true},
		{"SELECT $1::a", "", 0, true},
		{"SELECT $01", "", 0, true},
		{"SELECT $0", "", 0, true},
		{"SELECT ?501", "", 0, true},
		{"SELECT ?, $1", "", 0, true},
	} {
		statement, params, err := database.Split(tt.text)
		if (err != nil) != tt.bad || err == nil && (statement != tt.statement || params != tt.params) {
			t.Errorf("%q: %q with %d, %v; want %q with %d", tt.text, statement, params, err, tt.statement, tt.params)
		}
	}
}
