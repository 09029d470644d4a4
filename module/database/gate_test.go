package database_test

import (
	"path/filepath"
	"strings"
	"testing"

	"gatehouse/gatetest"
	"gatehouse/outcome"
)

// Through the real gate: rights, schemas, results and rows of the log.
func TestThroughTheGate(t *testing.T) {
	t.Parallel()
	h := gatetest.Start(t, gatetest.Config{YAML: `
modules:
  database:
    connections:
      shop: {driver: sqlite, dsn: shop.db}
      other: {driver: sqlite, dsn: other.db, writable: true}
`})
	for _, name := range []string{"shop.db", "other.db"} {
		fill(t, filepath.Join(h.Dir, name), schema)
	}
	ann := h.Person("ann", "database.query", "database.execute", "database.tables", "database.describe")
	bob := h.Person("bob")
	for _, tt := range []struct {
		name, tool, args string
		who              gatetest.Person
		want             outcome.Code
		has              string
	}{
		{"query", "database.query", `{"connection":"shop","sql":"select 1 as one"}`, ann, outcome.OK, `"rows":[[1]]`},
		{"parameters of all kinds", "database.query", `{"connection":"shop","sql":"SELECT $1, $2, $3","params":[9223372036854775807,null,{"base64":"AP8="}]}`, ann, outcome.OK, `[[9223372036854775807,null,{"base64":"AP8="}]]`},
		{"tables", "database.tables", `{"connection":"shop"}`, ann, outcome.OK, `"name":"orders"`},
		{"describe", "database.describe", `{"connection":"shop","table":"orders"}`, ann, outcome.OK, `"primary_key":1`},
		{"execute", "database.execute", `{"connection":"other","sql":"DELETE FROM orders WHERE id = ?","params":[1]}`, ann, outcome.OK, `"affected":1`},
		{"write in a query", "database.query", `{"connection":"other","sql":"DELETE FROM orders"}`, ann, outcome.Blocked, ""},
		{"execute on a reading connection", "database.execute", `{"connection":"shop","sql":"DELETE FROM orders"}`, ann, outcome.Blocked, ""},
		{"unknown connection", "database.query", `{"connection":"x","sql":"SELECT 1"}`, ann, outcome.NotFound, ""},
		{"unknown argument", "database.query", `{"connection":"shop","sql":"SELECT 1","limit":1}`, ann, outcome.Invalid, ""},
		{"missing argument", "database.query", `{"connection":"shop"}`, ann, outcome.Invalid, ""},
		{"nobody's", "database.query", `{"connection":"shop","sql":"SELECT 1"}`, bob, outcome.NotAllowed, ""},
	} {
		got := tt.who.Call(tt.tool, tt.args)
		if got.Code != tt.want || !strings.Contains(got.Result.String(), tt.has) {
			t.Errorf("%s: %s (%s) %s, want %s with %s", tt.name, got.Code, got.Reason, got.Result, tt.want, tt.has)
		}
		if strings.Contains(got.Reason, h.Dir) {
			t.Errorf("%s: the reason names a path: %s", tt.name, got.Reason)
		}
	}
}

// A connection to a database of ours does not start.
func TestTheDataFolderIsOutOfReach(t *testing.T) {
	t.Parallel()
	_, err := gatetest.TryStart(t, gatetest.Config{YAML: "modules: {database: {connections: {own: {driver: sqlite, dsn: data/audit.db}}}}\n"})
	if err == nil || !strings.Contains(err.Error(), "data folder") {
		t.Errorf("started: %v", err)
	}
}
