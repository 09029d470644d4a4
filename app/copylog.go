package app

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"gatehouse/module/audit"
	"gatehouse/store"
)

// CopyLog makes a consistent copy of the log (SQLite), closed segments and all, and of the public key that its heads are checked with, laid out as a
// data folder that [VerifyLog] takes. The folder must not hold a log. It uses a connection of its own, so a gateway may
// be writing.
func CopyLog(ctx context.Context, data, to string) error {
	if err := os.MkdirAll(filepath.Join(to, "keys"), 0o700); err != nil {
		return fmt.Errorf("making the folder for the copy: %w", err)
	}
	closed, err := filepath.Glob(filepath.Join(data, "audit-????-??.db"))
	if err != nil {
		return fmt.Errorf("looking for closed segments of the log: %w", err)
	}
	for _, file := range append(closed, filepath.Join(data, "audit.db")) {
		if err := store.Copy(ctx, file, filepath.Join(to, filepath.Base(file))); err != nil {
			return fmt.Errorf("copying the log: %w", err)
		}
	}
	public := audit.PublicKeyFile(filepath.Join("keys", "audit.json"))
	key, err := os.ReadFile(filepath.Join(data, public))
	if err != nil {
		return fmt.Errorf("copying the log's public key: %w", err)
	}
	if err := os.WriteFile(filepath.Join(to, public), key, 0o600); err != nil {
		return fmt.Errorf("copying the log's public key: %w", err)
	}
	return nil
}
