package app

import (
	"gatehouse/module/audit"
	"gatehouse/module/calls"
	"gatehouse/module/people"
	"gatehouse/module/policy"
	"gatehouse/module/tokens"
	"gatehouse/module/upstream"
	"gatehouse/module/vault"
	"gatehouse/store"
)

// schemas are the databases of all modules, whether or not they are started: what backup, restore and migrate work on. A
// module that keeps something has one line here.
func schemas() []store.Schema {
	return []store.Schema{
		vault.Schema(),
		people.Schema(),
		tokens.Schema(),
		audit.Schema(), // after those whose versions it reads
		calls.Schema(),
		policy.Schema(),
		upstream.Schema(),
	}
}
