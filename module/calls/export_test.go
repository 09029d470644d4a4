package calls

import (
	"time"

	"gatehouse/gate"
	"gatehouse/store"
)

// Encode and Decode are how outcomes are kept.
var (
	Encode = encode
	Decode = decode
)

// KeptFor is how long.
const KeptFor = keptFor

// MaxKept and MaxBytes are how much, for one root token.
const (
	MaxKept  = maxKept
	MaxBytes = maxBytes
)

// Binding is what a sealed part of a row is bound to.
func Binding(part string, token gate.TokenID, tool gate.ToolName, key string) string {
	return binding(part, gate.ResultKey{Token: token, Tool: tool, Key: key})
}

// DB is the module's database.
func (m *Module) DB() *store.DB { return m.rows.db }

// WaitElsewhere says how long a claim may be another process's call.
func (m *Module) WaitElsewhere(d time.Duration) { m.waits = d }

// Under is how many calls are under way here.
func (m *Module) Under() int {
	m.flights.mu.Lock()
	defer m.flights.mu.Unlock()
	return len(m.flights.under)
}
