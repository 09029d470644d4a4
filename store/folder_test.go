package store_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"gatehouse/outcome"
	"gatehouse/store"
)

func TestLockFolder(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "data")
	release, err := store.LockFolder(t.Context(), dir, 0)
	if err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(dir)
	if err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	if _, err := store.LockFolder(t.Context(), dir, 0); !errors.Is(err, outcome.Unavailable) {
		t.Errorf("a second lock: %v", err)
	}
	begin := time.Now()
	if _, err := store.LockFolder(t.Context(), dir, 200*time.Millisecond); !errors.Is(err, outcome.Unavailable) {
		t.Errorf("a second lock: %v", err)
	}
	if took := time.Since(begin); took < 200*time.Millisecond {
		t.Errorf("it waited for %s", took)
	}
	time.AfterFunc(100*time.Millisecond, func() { _ = release() })
	again, err := store.LockFolder(t.Context(), dir, time.Minute)
	if err != nil {
		t.Fatalf("one who waits: %v", err)
	}
	if err := errors.Join(again(), again()); err != nil {
		t.Errorf("release: %v", err)
	}
	third, err := store.LockFolder(t.Context(), dir, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := third(); err != nil {
		t.Error(err)
	}
}

func TestALocalFolderIsNoNetwork(t *testing.T) {
	t.Parallel()
	if name, err := store.NetworkFileSystem(t.TempDir()); err != nil || name != "" {
		t.Errorf("%q, %v", name, err)
	}
	if _, err := store.NetworkFileSystem(filepath.Join(t.TempDir(), "none")); err == nil {
		t.Error("a folder that is not there is local")
	}
}
