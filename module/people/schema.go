package people

import "gatehouse/store"

// Schema is what is known of this module's database without opening it.
func Schema() store.Schema {
	return store.Schema{Name: "people", Migrations: migrations, Shared: []string{"change"}}
}
