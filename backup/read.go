package backup

import (
	"archive/tar"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"filippo.io/age"

	"gatehouse/outcome"
)

// Unpack opens an archive and writes its files (mode 0600, synced) into a folder, which is there and empty. It gives an
// error, and leaves files behind that must not be used, unless the archive is whole to its last byte.
func Unpack(ctx context.Context, archive string, o Opener, into string) (m Manifest, err error) {
	f, err := os.Open(archive)
	if err != nil {
		return m, fmt.Errorf("opening the backup: %w", err)
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	plain, err := age.Decrypt(heeding{ctx, f}, o.identities...)
	var none *age.NoIdentityMatchError
	switch {
	case ctx.Err() != nil:
		return m, ctx.Err()
	case errors.As(err, &none):
		return m, outcome.Invalid.Because("this key does not open the backup: it was made for another recipient or passphrase")
	case err != nil:
		return m, damaged("it does not begin as an age file does, or its beginning was changed")
	}
	root, err := os.OpenRoot(into)
	if err != nil {
		return m, fmt.Errorf("opening the folder for the backup's files: %w", err)
	}
	defer func() { err = errors.Join(err, root.Close()) }()
	info, err := f.Stat()
	if err != nil {
		return m, fmt.Errorf("looking at the backup: %w", err)
	}
	m, err = unpack(plain, info.Size(), root)
	if ctx.Err() != nil {
		return m, ctx.Err()
	}
	return m, err
}

// unpack reads the tar file. Nothing in it is compressed, so its files have no more than most bytes together.
func unpack(plain io.Reader, most int64, root *os.Root) (m Manifest, err error) {
	in := tar.NewReader(plain)
	h, err := in.Next()
	if err != nil || h.Name != manifestName || !plainFile(h) || h.Size > maxManifest {
		return m, damaged("it does not begin with a manifest")
	}
	text, err := io.ReadAll(in)
	if err != nil {
		return m, damaged("its manifest cannot be read")
	}
	if m, err = parseManifest(text); err != nil {
		return m, err
	}
	for _, want := range m.Files {
		if most -= want.Size; most < 0 {
			return m, damaged("it is shorter than the files that its manifest names")
		}
		h, err := in.Next()
		if err != nil || h.Name != want.Name || h.Size != want.Size || !plainFile(h) {
			return m, damaged("%s is not where the manifest has it", want.Name)
		}
		if err := extract(root, want, in); err != nil {
			return m, err
		}
	}
	if _, err := in.Next(); !errors.Is(err, io.EOF) {
		return m, damaged("it goes on behind its last file")
	}
	if n, err := io.Copy(io.Discard, io.LimitReader(plain, 1)); err != nil || n != 0 {
		return m, damaged("it goes on behind its end, or its end was changed")
	}
	return m, nil
}

// plainFile reports whether a header is of a file, without anything that this package does not write.
func plainFile(h *tar.Header) bool {
	return h.Typeflag == tar.TypeReg && h.Linkname == "" && h.Size >= 0
}

// extract writes one file and holds it against the manifest.
func extract(root *os.Root, want File, from io.Reader) (err error) {
	if dir := filepath.Dir(filepath.FromSlash(want.Name)); dir != "." {
		if err := root.Mkdir(dir, 0o700); err != nil && !errors.Is(err, os.ErrExist) {
			return fmt.Errorf("unpacking %s: %w", want.Name, err)
		}
	}
	f, err := root.OpenFile(filepath.FromSlash(want.Name), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("unpacking %s: %w", want.Name, err)
	}
	sha := sha256.New()
	source := &faulty{from: from}
	n, err := io.Copy(io.MultiWriter(f, sha), source)
	if err == nil {
		err = f.Sync()
	}
	if err := errors.Join(err, f.Close()); err != nil && source.err == nil {
		return fmt.Errorf("unpacking %s: %w", want.Name, err) // our disk's fault
	}
	if source.err != nil || n != want.Size || hex.EncodeToString(sha.Sum(nil)) != want.SHA256 {
		return damaged("%s is not what the manifest says", want.Name)
	}
	return nil
}

// faulty remembers that reading failed, to tell a damaged archive from a full disk.
type faulty struct {
	from io.Reader
	err  error
}

func (r *faulty) Read(p []byte) (int, error) {
	n, err := r.from.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		r.err = err
	}
	return n, err
}
