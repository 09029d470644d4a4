package audit

import "gatehouse/store"

// onlyGrow are the tables whose rows are never changed and never go.
func onlyGrow() []string { return []string{"log", "pruned"} }

// Schema is what is known of this module's database without opening it. What replicas tell each other there is made anew
// wherever its rows go.
func Schema() store.Schema {
	return store.Schema{
		Name: "audit", Migrations: migrations, AppendOnly: onlyGrow(), Reads: []string{personVersions, tokenVersions},
		Shared: []string{
			"replica", "job", "intent.replica", "intent.used", "head.given_id", "head.given_seq", "head.signed_n",
		},
		Settle: []string{`UPDATE head SET (given_id, given_seq) = (SELECT id, seq FROM (SELECT last_id AS id, last_seq AS seq FROM head
			UNION ALL SELECT id, seq FROM intent) AS k ORDER BY id DESC, seq DESC LIMIT 1)`},
	}
}
