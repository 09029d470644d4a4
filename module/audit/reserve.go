package audit

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"gatehouse/outcome"
)

// reserveSize is the room that is kept for the rows of calls under way: some hundred of the largest.
const reserveSize = 4 << 20

// reserve is a file that does nothing but take up room, which is freed when there is none left. A nil one does nothing.
// It is the writer's goroutine's alone.
type reserve struct{ path string }

func newReserve(dir string) *reserve { return &reserve{filepath.Join(dir, "audit.reserve")} }

// make makes the file where there is none, if more room than it takes is left by the number of bytes in spare.
func (r *reserve) make(spare int64) error {
	if r == nil {
		return nil
	}
	if info, err := os.Lstat(r.path); err == nil && info.Mode().IsRegular() && info.Size() == reserveSize {
		return nil
	}
	dir := filepath.Dir(r.path)
	if left, known := roomLeft(dir); known && left < reserveSize+spare {
		return fmt.Errorf("making %s: %d bytes are left on the disk, and it takes %d", r.path, left, reserveSize+spare)
	}
	if err := r.free(); err != nil { // what a crash left of it
		return err
	}
	f, err := os.OpenFile(r.path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("making the reserve: %w", err)
	}
	err = occupy(f, reserveSize)
	if err = errors.Join(err, f.Close()); err != nil {
		return errors.Join(fmt.Errorf("making %s: %w", r.path, err), r.free())
	}
	return nil
}

// free gives its room to whoever writes next.
func (r *reserve) free() error {
	if r == nil {
		return nil
	}
	if err := os.Remove(r.path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("freeing the reserve: %w", err)
	}
	return nil
}

// tight reports whether nothing can be written to the disk because it, or a quota, is full: SQLite names a quota as any
// other failure to write.
func (r *reserve) tight(err error) bool {
	if r == nil || outcome.Of(err) != outcome.Unavailable {
		return false
	}
	f, err := os.CreateTemp(filepath.Dir(r.path), "audit.reserve.*")
	if err == nil {
		err = write(f, 64<<10)
		err = errors.Join(err, f.Close(), os.Remove(f.Name()))
	}
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT)
}

// write fills a file with what cannot be compressed, and brings it to the disk: some file systems find out only then.
func write(f *os.File, size int64) error {
	if _, err := io.CopyN(f, rand.Reader, size); err != nil {
		return err
	}
	return f.Sync()
}
