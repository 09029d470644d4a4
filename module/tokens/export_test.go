package tokens

import (
	"context"

	"gatehouse/gate"
	"gatehouse/secret"
)

// Generate gives a new token's text.
func Generate() (secret.Text, error) {
	text, _, err := generate()
	return text, err
}

// Parse is parse.
func Parse(text string) ([32]byte, bool) {
	sum, ok := parse(secret.New(text))
	return sum, ok
}

// Checksum is checksum.
var Checksum = checksum

// Doubt is the state after a write of which nobody knows what it did.
func (m *Module) Doubt() { m.doubt.Store(true) }

// CheckVersions is the store's.
func (m *Module) CheckVersions(ctx context.Context) error { return m.rows.db.CheckVersions(ctx) }

// Known reports whether a token is in memory.
func (m *Module) Known(id gate.TokenID) bool { return m.now.Load().byID[id] != nil }

// Limits of a chain and of pages.
const (
	MaxDepth = maxDepth
	PageSize = pageSize
)
