package store

import (
	"context"
	"time"
)

// NewClockBy is a clock that reads read: wall milliseconds, and a clock that is never set.
func NewClockBy(read func() (int64, time.Duration)) *Clock { return &Clock{now: time.Now, read: read} }

// Skew has a handle run on a machine whose clock is wrong by so much.
func Skew(c *Config, by time.Duration) { c.now = func() time.Time { return time.Now().Add(by) } }

// ExecPast runs a text on PostgreSQL past the look at its verb, so that what refuses it is the database.
func ExecPast(ctx context.Context, db *DB, text string) error {
	conn, err := db.backend.(*postgresBackend).db.Conn(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	_, err = conn.ExecContext(ctx, text)
	return err
}

// Role is the role that a handle runs under on PostgreSQL.
func Role(login, module string) string { role, _ := roleOf(login, module); return role }

// NetworkFileSystem names the network file system that a folder is on.
var NetworkFileSystem = networkFileSystem
