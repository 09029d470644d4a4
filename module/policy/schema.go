package policy

import "gatehouse/store"

// Schema is what is known of this module's database without opening it.
func Schema() store.Schema {
	return store.Schema{Name: "policy", Migrations: migrations, Shared: []string{"change"}}
}
