package audit

import (
	_ "embed"

	"gatehouse/store"
)

// onlyGrow are the tables whose rows are never changed and never go.
func onlyGrow() []string { return []string{"log", "pruned", "segment", "segment_use"} }

// closing is what the file of a closed segment gets.
//
//go:embed closed/sqlite.sql
var closing string

// databaseConfig is what the store must know of the log's database, wherever it lies.
func databaseConfig() store.Config {
	return store.Config{
		Name: "audit", Migrations: migrations, AppendOnly: onlyGrow(), Closing: closing, Reads: []string{personVersions, tokenVersions},
		Calls: []string{"make_months"},
	}
}

// Schema is what is known of this module's database without opening it. What replicas tell each other there is made anew
// wherever its rows go.
func Schema() store.Schema {
	c := databaseConfig()
	return store.Schema{
		Name: c.Name, Migrations: c.Migrations, AppendOnly: c.AppendOnly, Reads: c.Reads,
		Calls: c.Calls, Prepare: []string{makeMonths},
		Spread: []string{"log", "payload", "segment", "segment_use"},
		Shared: []string{
			"replica", "job", "intent.replica", "intent.used", "head.given_id", "head.given_seq", "head.signed_n",
		},
		Settle: []string{`UPDATE head SET (given_id, given_seq) = (SELECT id, seq FROM (SELECT last_id AS id, last_seq AS seq FROM head
			UNION ALL SELECT id, seq FROM intent) AS k ORDER BY id DESC, seq DESC LIMIT 1)`},
	}
}
