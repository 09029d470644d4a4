package store

// Engine is what a database runs on.
type Engine uint8

// The engines.
const (
	SQLite Engine = iota
	Postgres
)

// String names the engine as the folder of its migrations is named.
func (e Engine) String() string {
	if e == Postgres {
		return "postgres"
	}
	return "sqlite"
}

func (s Source) engine() Engine {
	if s.Run.IsZero() {
		return SQLite
	}
	return Postgres
}
