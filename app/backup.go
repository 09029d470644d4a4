package app

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"gatehouse/backup"
	"gatehouse/config"
	"gatehouse/module/audit"
	"gatehouse/module/house"
	"gatehouse/outcome"
	"gatehouse/secret"
	"gatehouse/store"
)

// backup makes one archive. Calls go on: only the moment in which all databases are fixed is theirs to wait for.
func (a *App) backup(ctx context.Context, o house.Order) (r house.Report, err error) {
	began := time.Now()
	lock, err := a.lockFor(o)
	if err != nil {
		return r, err
	}
	if err := a.placeFor(o.File); err != nil {
		return r, err
	}
	if !a.backingUp.TryLock() {
		return r, outcome.Conflict.Because("another backup runs; wait until it is done")
	}
	defer a.backingUp.Unlock()
	work, clean, err := a.backupRoom()
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, clean()) }()
	m, parts, held, err := a.copies(ctx, work)
	if err != nil {
		return r, err
	}
	for _, p := range parts {
		r.Databases = append(r.Databases, p.Name)
	}
	keys, err := a.keyParts(o.WithKeys)
	if err != nil {
		return r, err
	}
	w, err := backup.Write(ctx, o.File, lock, m, append(parts, keys...))
	if err != nil {
		return r, err
	}
	r.File, r.Bytes, r.SHA256, r.Keys = o.File, w.Bytes, w.SHA256, o.WithKeys
	r.Made, r.Rows, r.Last, r.Head = m.Made.Format(time.RFC3339Nano), m.Head.Rows, m.Head.Last, m.Head.Hash
	r.HeldMicro, r.TookMilli = held.Microseconds(), time.Since(began).Milliseconds()
	return r, nil
}

// lockFor says for whom an archive is encrypted.
func (a *App) lockFor(o house.Order) (backup.Lock, error) {
	var passphrase secret.Text
	if o.PassphraseFile != "" {
		var err error
		if passphrase, err = (config.Secret{File: o.PassphraseFile}).Read(); err != nil {
			return backup.Lock{}, outcome.Invalid.From(err, "the passphrase file cannot be read: %v", err)
		}
	}
	l, err := backup.NewLock(o.Recipients, passphrase)
	if err != nil {
		return l, err
	}
	return l, nil
}

// placeFor refuses a place that is taken, or lies in the data folder: there a backup is lost with what it is a backup of.
func (a *App) placeFor(file string) error {
	dir, err := filepath.EvalSymlinks(filepath.Dir(file))
	if err != nil {
		return outcome.Invalid.Because("there is no folder %s to write the backup to", filepath.Dir(file))
	}
	data, err := filepath.EvalSymlinks(a.file.Data)
	if err != nil {
		return fmt.Errorf("finding the data folder: %w", err)
	}
	if rel, err := filepath.Rel(data, dir); err == nil && (rel == "." || filepath.IsLocal(rel)) {
		return outcome.Invalid.Because("%s lies in the data folder: write the backup elsewhere, best to another disk", file)
	}
	return backup.Check(file)
}

// backupRoom is an empty folder for copies. What a backup left that was killed goes.
func (a *App) backupRoom() (dir string, clean func() error, err error) {
	dir = filepath.Join(a.file.Data, "work", "house", "backup")
	clean = func() error { return os.RemoveAll(dir) }
	if err := clean(); err != nil {
		return "", nil, fmt.Errorf("removing the copies of an earlier backup: %w", err)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", nil, fmt.Errorf("making room for the copies: %w", err)
	}
	return dir, clean, nil
}

// copies writes every database as it is at one moment, and describes them.
func (a *App) copies(ctx context.Context, dir string) (m backup.Manifest, parts []backup.Part, held time.Duration, err error) {
	source, err := a.source()
	if err != nil {
		return m, nil, 0, err
	}
	m = backup.Manifest{Gatehouse: a.version, Engine: a.storage()}
	if parts, held, m.Made, err = copyAll(ctx, source, a.databases, dir); err != nil {
		return m, nil, 0, err
	}
	head, err := audit.HeadOf(ctx, store.Source{Dir: dir}, a.log)
	if err != nil {
		return m, nil, 0, err
	}
	m.Head = headOf(head)
	return m, parts, held, nil
}

func headOf(h audit.Head) backup.Head {
	return backup.Head{Rows: h.Rows, Last: h.Last.String(), Hash: hex.EncodeToString(h.Hash[:])}
}

// copyAll takes a cut and copies it into a folder.
func copyAll(ctx context.Context, source store.Source, open []*store.DB, dir string) (parts []backup.Part, held time.Duration, at time.Time, err error) {
	cut, err := store.TakeCut(ctx, source, schemas(), open)
	if err != nil {
		return nil, 0, at, err
	}
	defer func() { err = errors.Join(err, cut.Close()) }()
	at = time.Now().UTC()
	for _, name := range cut.Names() {
		file := filepath.Join(dir, name+".db")
		if err := cut.Copy(ctx, name, file); err != nil {
			return nil, 0, at, err
		}
		parts = append(parts, backup.Part{Name: name + ".db", Path: file})
	}
	if len(parts) == 0 {
		return nil, 0, at, outcome.NotFound.Because("there is no database to copy")
	}
	return parts, cut.Held(), at, nil
}

// keyParts are the key files that go along: the public key always, the others only where they were asked for.
func (a *App) keyParts(all bool) (parts []backup.Part, err error) {
	files := []backup.Part{{Name: backup.PublicKey, Path: audit.PublicKeyFile(a.auditKey())}}
	if all {
		files = append(files, backup.Part{Name: backup.SigningKey, Path: a.auditKey()}, backup.Part{Name: backup.MasterKey, Path: a.file.MasterFile()})
	}
	for _, p := range files {
		_, err := os.Stat(p.Path)
		switch {
		case errors.Is(err, fs.ErrNotExist) && p.Name == backup.MasterKey:
			return nil, outcome.NotFound.Because("the master key is not in a file that could go along: leave the keys out, and keep that key where it is")
		case err != nil:
			return nil, fmt.Errorf("finding the keys: %w", err)
		}
	}
	return files, nil
}

// NewBackupKey makes a key pair: the secret key goes into a new file (mode 0600), the recipient is given back.
func NewBackupKey(file string) (recipient string, err error) {
	text, recipient, err := backup.NewIdentity()
	if err != nil {
		return "", err
	}
	f, err := os.OpenFile(file, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return "", fmt.Errorf("making the file for the key: %w", err)
	}
	_, err = f.WriteString(text.Reveal())
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return "", fmt.Errorf("writing the key: %w", errors.Join(err, os.Remove(file)))
	}
	return recipient, nil
}
