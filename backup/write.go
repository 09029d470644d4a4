package backup

import (
	"archive/tar"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"filippo.io/age"

	"gatehouse/canon"
	"gatehouse/outcome"
)

// Part is a file that goes into an archive.
type Part struct {
	Name string // in the archive
	Path string // on the disk
}

// Written says what became of an archive.
type Written struct {
	Manifest Manifest
	Bytes    int64  // of the archive
	SHA256   string // of the archive, in hex
}

// Check says beforehand whether an archive can be written to a place: nothing is there, and its folder is.
func Check(to string) error {
	if _, err := os.Lstat(to); err == nil {
		return outcome.Conflict.Because("%s is there already: a backup overwrites nothing, choose another name", to)
	} else if !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("looking at the place of the backup: %w", err)
	}
	if info, err := os.Stat(filepath.Dir(to)); err != nil || !info.IsDir() {
		return outcome.Invalid.Because("there is no folder %s to write the backup to", filepath.Dir(to))
	}
	return nil
}

// Write makes an archive of the parts as a new file (mode 0600) that is there whole and on the disk, or not at all. Of m
// only what is not about the files is taken.
func Write(ctx context.Context, to string, l Lock, m Manifest, parts []Part) (w Written, err error) {
	if len(l.recipients) == 0 {
		return w, errNoRecipient
	}
	if err := Check(to); err != nil {
		return w, err
	}
	m.Format, m.Files = Format, nil
	for _, p := range parts {
		f, err := describe(ctx, p)
		if err != nil {
			return w, fmt.Errorf("reading %s for the backup: %w", p.Name, err)
		}
		m.Files = append(m.Files, f)
	}
	draft, err := os.CreateTemp(filepath.Dir(to), ".backup-*") // mode 0600
	if err != nil {
		return w, fmt.Errorf("making a draft of the backup: %w", err)
	}
	defer func() {
		if removing := os.Remove(draft.Name()); !errors.Is(removing, fs.ErrNotExist) {
			err = errors.Join(err, removing)
		}
		err = errors.Join(err, SyncFolder(filepath.Dir(to)))
	}()
	sha := sha256.New()
	count := &counter{to: io.MultiWriter(draft, sha)}
	err = seal(ctx, count, l, m, parts)
	if err := errors.Join(err, draft.Sync(), draft.Close()); err != nil {
		return w, fmt.Errorf("writing the backup: %w", err)
	}
	if err := place(draft.Name(), to); err != nil {
		return w, err
	}
	return Written{m, count.n, hex.EncodeToString(sha.Sum(nil))}, nil
}

// place gives a draft its name, unless something came there meanwhile.
func place(draft, to string) error {
	err := os.Link(draft, to)
	if err == nil {
		return nil // the draft's own name goes
	}
	if checked := Check(to); checked != nil {
		return checked
	}
	if err := os.Rename(draft, to); err != nil { // a file system without links
		return fmt.Errorf("putting the backup in its place: %w", err)
	}
	return nil
}

func describe(ctx context.Context, p Part) (File, error) {
	sha := sha256.New()
	f, err := os.Open(p.Path)
	if err != nil {
		return File{}, err
	}
	n, err := io.Copy(sha, heeding{ctx, f})
	return File{p.Name, n, hex.EncodeToString(sha.Sum(nil))}, errors.Join(err, f.Close())
}

func seal(ctx context.Context, to io.Writer, l Lock, m Manifest, parts []Part) error {
	manifest, err := canon.From(m)
	if err != nil {
		return fmt.Errorf("writing the manifest: %w", err)
	}
	sealed, err := age.Encrypt(to, l.recipients...)
	if err != nil {
		return fmt.Errorf("encrypting: %w", err)
	}
	archive := tar.NewWriter(sealed)
	if err := archive.WriteHeader(header(m, manifestName, int64(manifest.Len()))); err != nil {
		return err
	}
	if _, err := archive.Write(manifest.Bytes()); err != nil {
		return err
	}
	for i, p := range parts {
		if err := add(ctx, archive, m, m.Files[i], p.Path); err != nil {
			return fmt.Errorf("%s: %w", p.Name, err)
		}
	}
	return errors.Join(archive.Close(), sealed.Close())
}

func header(m Manifest, name string, size int64) *tar.Header {
	return &tar.Header{Typeflag: tar.TypeReg, Name: name, Size: size, Mode: 0o600, ModTime: m.Made, Format: tar.FormatPAX}
}

// add writes one file, and refuses one that is no longer what the manifest says.
func add(ctx context.Context, archive *tar.Writer, m Manifest, want File, path string) (err error) {
	if err := archive.WriteHeader(header(m, want.Name, want.Size)); err != nil {
		return err
	}
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	sha := sha256.New()
	_, err = io.Copy(io.MultiWriter(archive, sha), heeding{ctx, f})
	if err = errors.Join(err, f.Close()); err == nil && hex.EncodeToString(sha.Sum(nil)) != want.SHA256 {
		err = errors.New("it changed while it was read")
	}
	return err
}

// heeding reads until its context ends.
type heeding struct {
	ctx  context.Context
	from io.Reader
}

func (h heeding) Read(p []byte) (int, error) {
	if err := h.ctx.Err(); err != nil {
		return 0, err
	}
	return h.from.Read(p)
}

type counter struct {
	to io.Writer
	n  int64
}

func (c *counter) Write(p []byte) (int, error) {
	n, err := c.to.Write(p)
	c.n += int64(n)
	return n, err
}
