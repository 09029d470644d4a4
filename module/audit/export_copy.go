package audit

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"gatehouse/store"
)

// exportCopy writes the whole log as a SQLite file, whatever the engine: all tables as they were at one moment, payloads
// sealed as they are.
func (m *Module) exportCopy(ctx context.Context) (e Export, err error) {
	if err := m.dropExports(); err != nil {
		return e, err
	}
	name := fmt.Sprintf("export-%d-%s", time.Now().UnixMilli(), rand.Text())
	first, err := m.rows.firstOfAll(ctx)
	if err != nil {
		return e, fmt.Errorf("looking for the first row: %w", err)
	}
	e.Rows = m.writer.last().n - max(first, 1) + 1
	if err := m.copyTo(ctx, filepath.Join(m.work.Name(), name)); err != nil {
		return Export{}, fmt.Errorf("copying the log: %w", err)
	}
	file, err := m.work.Open(name)
	if err != nil {
		return Export{}, fmt.Errorf("reading the copy of the log: %w", err)
	}
	sum := sha256.New()
	e.Bytes, err = io.Copy(sum, file)
	if err = errors.Join(err, file.Close()); err != nil {
		return Export{}, errors.Join(fmt.Errorf("reading the copy of the log: %w", err), m.work.Remove(name))
	}
	e.File, e.SHA256 = filepath.ToSlash(filepath.Join("work", m.Name(), name)), hex.EncodeToString(sum.Sum(nil))
	return e, nil
}

func (m *Module) copyTo(ctx context.Context, path string) (err error) {
	var open []*store.DB
	if !m.rows.shared() {
		open = append(open, m.rows.db)
	}
	cut, err := store.TakeCut(ctx, m.source, []store.Schema{Schema()}, open)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, cut.Close()) }()
	return cut.CopyWhole(ctx, Schema(), path)
}

// VerifyCopy verifies a copy of the log that [Module]'s export made, or the file of one closed segment. The file itself is only
// read: it is copied once more, into a folder for the time being. Options.Source is not used.
func VerifyCopy(ctx context.Context, file string, o VerifyOptions) (r Report, err error) {
	if info, err := os.Stat(file + "-wal"); err == nil && info.Size() > 0 {
		return r, fmt.Errorf("%s is being written: it is no copy", file)
	}
	dir, err := os.MkdirTemp("", "gatehouse-verify-")
	if err != nil {
		return r, fmt.Errorf("making room for verifying: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	if err := copyFile(file, filepath.Join(dir, "audit.db")); err != nil {
		return r, fmt.Errorf("reading the copy of the log: %w", err)
	}
	o.Source = store.Source{Dir: dir}
	return Verify(ctx, o)
}

func copyFile(from, to string) (err error) {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, in.Close()) }()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Close())
}
