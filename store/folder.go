package store

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"gatehouse/outcome"
)

// lockEvery is how often a lock that is taken is tried again.
const lockEvery = 50 * time.Millisecond

var errLocked = errors.New("locked by another process")

// LockFolder takes the data folder for this process: an exclusive lock on dir/lock, which the system gives back when the
// process ends in whatever way. It makes the folder (mode 0700) if it is not there, waits up to wait for another holder
// (zero: tries once), and then is outcome.Unavailable. A folder on a network file system is refused: locks and the sync
// of writes mean little there. release may be called more than once; the file stays.
func LockFolder(ctx context.Context, dir string, wait time.Duration) (release func() error, err error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("locking the data folder: %w", err)
	}
	if name, err := networkFileSystem(dir); err != nil {
		return nil, fmt.Errorf("locking the data folder: %w", err)
	} else if name != "" {
		return nil, fmt.Errorf("locking the data folder: %s is on a network file system (%s), where locks and syncs cannot be "+
			"relied on: use a local disk, or PostgreSQL", dir, name)
	}
	f, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("locking the data folder: %w", err)
	}
	if err := waitForLock(ctx, f, wait); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return func() error {
		if err := f.Close(); !errors.Is(err, os.ErrClosed) {
			return err
		}
		return nil
	}, nil
}

func waitForLock(ctx context.Context, f *os.File, wait time.Duration) error {
	end := time.Now().Add(wait)
	for {
		err := tryLock(f)
		switch {
		case err == nil:
			return nil
		case !errors.Is(err, errLocked):
			return fmt.Errorf("locking the data folder: %w", err)
		case !time.Now().Before(end):
			return outcome.Unavailable.From(err, "the data folder %s is in use by another gatehouse", filepath.Dir(f.Name()))
		}
		timer := time.NewTimer(lockEvery)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return ctx.Err()
		}
	}
}
