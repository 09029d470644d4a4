package store

import "context"

// CheckAppendOnly
func (db *DB) CheckAppendOnly(_ context.Context) error { return nil }
