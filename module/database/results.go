package database

// Tables is the result of database.tables.
type Tables struct {
	Tables []Named `json:"tables"`
}

// Named is a table or view.
type Named struct {
	Name string `json:"name"`
	Kind string `json:"kind" jsonschema:"table, view, materialized view, foreign table or virtual"`
}

// Table is the result of database.describe.
type Table struct {
	Name        string      `json:"name"`
	Kind        string      `json:"kind" jsonschema:"table, view, materialized view, foreign table or virtual"`
	Columns     []Field     `json:"columns"`
	Indexes     []Index     `json:"indexes"`
	ForeignKeys []Reference `json:"foreign_keys"`
}

// Field is one column of a table.
type Field struct {
	Name       string `json:"name"`
	Type       string `json:"type,omitzero" jsonschema:"as declared"`
	Required   bool   `json:"required,omitzero" jsonschema:"NOT NULL"`
	Default    string `json:"default,omitzero" jsonschema:"as an SQL expression"`
	PrimaryKey int64  `json:"primary_key,omitzero" jsonschema:"place in the primary key, from 1"`
	Generated  bool   `json:"generated,omitzero"`
}

// Index is one index of a table.
type Index struct {
	Name    string   `json:"name"`
	Unique  bool     `json:"unique,omitzero"`
	Columns []string `json:"columns" jsonschema:"an expression has no name"`
}

// Reference is one column of a foreign key.
type Reference struct {
	Column     string `json:"column"`
	Table      string `json:"table"`
	References string `json:"references,omitzero" jsonschema:"a column; left out for the primary key"`
}

// Changed is the result of database.execute.
type Changed struct {
	Affected int64 `json:"affected" jsonschema:"rows that were added, changed or deleted, without those of triggers"`
}

// maxTables bounds what database.tables gives.
const maxTables = 2000
