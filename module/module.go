// Package module is what a module is handed of the world: its store, a folder of its own, the dialler, the
// starter of programs. It must never grow
// helpers: whatever a module needs besides stands in the ground rooms.
package module

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"

	"gatehouse/egress"
	"gatehouse/sandbox"
	"gatehouse/store"
)

// Kit is handed to one module's constructor. What was opened through it is closed by whoever made the kit, after the
// module itself.
type Kit struct {
	Name    string           // of the module: its database, its schema, its log lines
	Source  store.Source     // where databases lie
	Migrate bool             // bring the database to the newest migration
	Data    string           // the data folder, absolute: nothing that a person configures may hold it or lie in it
	Egress  *egress.Egress   // the only dialler
	Sandbox *sandbox.Sandbox // the only starter of programs
	Log     *slog.Logger     // never give it arguments, results or secrets
	Opened  func(*store.DB)  // is told of the database that was opened; nil: nobody is

	opened *[]func() error
}

// Ready completes a kit: what its module opens is remembered for Close.
func (k Kit) Ready() Kit {
	k.opened = &[]func() error{}
	if k.Log == nil {
		k.Log = slog.Default()
	}
	k.Log = k.Log.With("module", k.Name)
	return k
}

// Open opens the module's one database: SQLite file or PostgreSQL schema of its name. The tables named appendOnly can
// only grow. migrations holds the folders sqlite and postgres.
func (k Kit) Open(ctx context.Context, migrations fs.FS, appendOnly ...string) (*store.DB, error) {
	return k.OpenWith(ctx, store.Config{Migrations: migrations, AppendOnly: appendOnly})
}

// OpenWith is Open for a module that needs more to be said of its database. Where it lies and what it is called is the kit's.
func (k Kit) OpenWith(ctx context.Context, c store.Config) (*store.DB, error) {
	c.Source, c.Name, c.Migrate, c.Log = k.Source, k.Name, k.Migrate, k.Log
	db, err := store.Open(ctx, c)
	if err != nil {
		return nil, fmt.Errorf("opening the database of %s: %w", k.Name, err)
	}
	*k.opened = append(*k.opened, db.Close)
	if k.Opened != nil {
		k.Opened(db)
	}
	return db, nil
}

// Root opens the module's private work folder, made if need be, which nothing that is opened through it can leave.
func (k Kit) Root() (*os.Root, error) {
	dir := filepath.Join(k.Data, "work", k.Name)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("making the work folder of %s: %w", k.Name, err)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fmt.Errorf("opening the work folder of %s: %w", k.Name, err)
	}
	*k.opened = append(*k.opened, root.Close)
	return root, nil
}

// Overlaps reports whether a path that somebody configured holds the data folder or lies in it, links followed as far as
// the path exists. Such a path would let an agent read the keys or the log.
func (k Kit) Overlaps(path string) bool {
	data, path := real(k.Data), real(path)
	return within(data, path) || within(path, data)
}

// real follows the links of a path as far as it exists.
func real(path string) string {
	path, err := filepath.Abs(path)
	if err != nil {
		return path
	}
	if followed, err := filepath.EvalSymlinks(path); err == nil {
		return followed
	}
	if parent := filepath.Dir(path); parent != path {
		return filepath.Join(real(parent), filepath.Base(path))
	}
	return path
}

func within(folder, path string) bool {
	rel, err := filepath.Rel(folder, path)
	return err == nil && (rel == "." || filepath.IsLocal(rel))
}

// Close closes what was opened through the kit, the last first.
func (k Kit) Close() error {
	var errs []error
	for i := len(*k.opened) - 1; i >= 0; i-- {
		errs = append(errs, (*k.opened)[i]())
	}
	*k.opened = nil
	return errors.Join(errs...)
}
