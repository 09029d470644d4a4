package store

import (
	"context"
	"database/sql"
	"errors"
	"net/url"
	"os"
)

// Copy makes a compact, consistent copy of the SQLite file from as the new file to (mode 0600, synced to the disk), while
// others go on writing. It uses a connection of its own that only reads. to must not be there.
func Copy(ctx context.Context, from, to string) error {
	return copyFrom(ctx, dsn(from, "ro", url.Values{}), to)
}

// copyFrom is Copy by the name with which SQLite opens the original.
func copyFrom(ctx context.Context, from, to string) (err error) {
	f, err := os.OpenFile(to, os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o600)
	if err != nil {
		return translate(ctx, err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(to))
		}
	}()
	defer func() { err = errors.Join(err, f.Close()) }()
	// VACUUM INTO attaches the new file, so it cannot run under an authorizer, nor with query_only.
	db := sql.OpenDB(newConnector(from, nil))
	_, err = db.ExecContext(ctx, "VACUUM INTO $1", to)
	if err = errors.Join(translate(ctx, err), db.Close()); err != nil {
		return err
	}
	return translate(ctx, f.Sync())
}
