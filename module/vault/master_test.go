//go:build unix

package vault_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"gatehouse/module/vault"
	"gatehouse/store"
	"gatehouse/store/storetest"
)

// madeVault is a vault with one sealed text that is closed again, its master file and what is in it.
func madeVault(t *testing.T) (source store.Source, file string, text []byte) {
	t.Helper()
	source = storetest.SQLite(t)
	seal(t, open(t, source), 1, "a", "plain")
	file = filepath.Join(source.Dir, "keys", "master.json")
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return source, file, text
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestMasterFileIsRefused(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		change func(t *testing.T, file string, text []byte)
		want   string // in the error; empty: it is taken
	}{
		{"as it was made", func(*testing.T, string, []byte) {}, ""},
		{"mode 0400", func(t *testing.T, file string, _ []byte) { must(t, os.Chmod(file, 0o400)) }, ""},
		{"group reads", func(t *testing.T, file string, _ []byte) { must(t, os.Chmod(file, 0o640)) }, "chmod 600"},
		{"others read", func(t *testing.T, file string, _ []byte) { must(t, os.Chmod(file, 0o604)) }, "chmod 600"},
		{"group writes", func(t *testing.T, file string, _ []byte) { must(t, os.Chmod(file, 0o620)) }, "chmod 600"},
		{"all", func(t *testing.T, file string, _ []byte) { must(t, os.Chmod(file, 0o666)) }, "chmod 600"},
		{"executable", func(t *testing.T, file string, _ []byte) { must(t, os.Chmod(file, 0o700)) }, "chmod 600"},
		{"set-user-id", func(t *testing.T, file string, _ []byte) { must(t, os.Chmod(file, 0o600|os.ModeSetuid)) }, "chmod 600"},
		{"missing", func(t *testing.T, file string, _ []byte) { must(t, os.Remove(file)) }, "put it back"},
		{"a link", func(t *testing.T, file string, _ []byte) {
			must(t, os.Rename(file, file+".real"))
			must(t, os.Symlink(file+".real", file))
		}, "symbolic link"},
		{"a link that leads nowhere", func(t *testing.T, file string, _ []byte) {
			must(t, os.Remove(file))
			must(t, os.Symlink(file+".gone", file))
		}, "symbolic link"},
		{"a folder", func(t *testing.T, file string, _ []byte) {
			must(t, os.Remove(file))
			must(t, os.Mkdir(file, 0o600))
		}, "not a regular file"},
		{"a pipe that nobody writes to", func(t *testing.T, file string, _ []byte) {
			must(t, os.Remove(file))
			must(t, syscall.Mkfifo(file, 0o600))
		}, "not a regular file"},
		{"another user's", func(t *testing.T, file string, _ []byte) {
			if os.Geteuid() != 0 {
				t.Skip("only root can give a file away")
			}
			must(t, os.Chown(file, 4242, 4242))
		}, "belongs to user 4242"},
		{"empty", func(t *testing.T, file string, _ []byte) { must(t, os.WriteFile(file, nil, 0o600)) }, "restore it"},
		{"cut", func(t *testing.T, file string, text []byte) { must(t, os.WriteFile(file, text[:len(text)/2], 0o600)) }, "restore it"},
		{"a name changed", func(t *testing.T, file string, text []byte) {
			must(t, os.WriteFile(file, bytes.Replace(text, []byte("primaryKeyId"), []byte("primaryKeyIx"), 1), 0o600))
		}, "restore it"},
		{"no JSON", func(t *testing.T, file string, text []byte) { must(t, os.WriteFile(file, text[1:], 0o600)) }, "restore it"},
		{"not a key", func(t *testing.T, file string, _ []byte) { must(t, os.WriteFile(file, []byte(`{}`), 0o600)) }, "restore it"},
		{"another type of key", func(t *testing.T, file string, text []byte) {
			must(t, os.WriteFile(file, bytes.Replace(text, []byte("AesGcmKey"), []byte("AesGcmKex"), 1), 0o600))
		}, "restore it"},
		{"endless", func(t *testing.T, file string, text []byte) {
			must(t, os.WriteFile(file, append(text, bytes.Repeat([]byte(" "), 1<<17)...), 0o600))
		}, "restore it"},
		{"another vault's", func(t *testing.T, file string, _ []byte) {
			must(t, os.Remove(file))
			must(t, vault.MakeMaster(file))
		}, "not the one that this vault was made with"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			source, file, text := madeVault(t)
			tt.change(t, file, text)
			_, err := start(t, source, vault.Config{})
			if tt.want == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), tt.want) || !strings.Contains(err.Error(), file) {
				t.Fatalf("New: %v, want an error that says %q and names the file", err, tt.want)
			}
			for line := range strings.SplitSeq(string(text), `"`) { // the key's base64 is the longest of these
				if len(line) > 20 && strings.Contains(err.Error(), line) {
					t.Errorf("the error quotes the file: %v", err)
				}
			}
			if _, err := os.Stat(file); tt.name == "missing" && !os.IsNotExist(err) {
				t.Error("a new master key was made for an old vault")
			}
		})
	}
}

func TestMasterFileSomewhereElse(t *testing.T) {
	t.Parallel()
	source := storetest.SQLite(t)
	file := filepath.Join(t.TempDir(), "a", "b", "key.json")
	for range 2 {
		if _, err := start(t, source, vault.Config{MasterFile: file}); err != nil {
			t.Fatal(err)
		}
	}
	if info, err := os.Stat(file); err != nil || info.Mode() != 0o600 {
		t.Errorf("%v, %v", info, err)
	}
	if _, err := os.Stat(filepath.Join(source.Dir, "keys")); !os.IsNotExist(err) {
		t.Errorf("the default folder was made too: %v", err)
	}
}

func TestMasterFileIsNotMadeWhereOthersWrite(t *testing.T) {
	t.Parallel()
	source := storetest.SQLite(t)
	folder := filepath.Join(t.TempDir(), "open")
	must(t, os.Mkdir(folder, 0o700))
	must(t, os.Chmod(folder, 0o770))
	_, err := start(t, source, vault.Config{MasterFile: filepath.Join(folder, "key.json")})
	if err == nil || !strings.Contains(err.Error(), "chmod 700") {
		t.Errorf("New: %v", err)
	}
	if left, _ := os.ReadDir(folder); len(left) != 0 {
		t.Errorf("left behind: %v", left)
	}
}

// Many first starts at the same time make one master key, whole, and leave no draft.
func TestRacingFirstStartsMakeOneMasterKey(t *testing.T) {
	t.Parallel()
	folder := filepath.Join(t.TempDir(), "keys")
	file := filepath.Join(folder, "master.json")
	var wg sync.WaitGroup
	var texts [16][]byte
	for i := range texts {
		wg.Go(func() {
			if err := vault.MakeMaster(file); err != nil {
				t.Error(err)
			}
			texts[i], _ = os.ReadFile(file)
		})
	}
	wg.Wait()
	for _, text := range texts {
		if len(text) == 0 || !bytes.Equal(text, texts[0]) {
			t.Fatal("not everyone saw the same key")
		}
	}
	if left, err := os.ReadDir(folder); err != nil || len(left) != 1 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

// Two replicas that start first with a master file each: one of them is refused, and told why.
func TestReplicasWithTwoMasterKeys(t *testing.T) {
	t.Parallel()
	source := storetest.Postgres(t)
	var errs [2]error
	var wg sync.WaitGroup
	for i := range errs {
		file := filepath.Join(t.TempDir(), "keys", "master.json")
		wg.Go(func() { _, errs[i] = start(t, source, vault.Config{MasterFile: file}) })
	}
	wg.Wait()
	if (errs[0] == nil) == (errs[1] == nil) {
		t.Fatalf("want one of two to start: %v, %v", errs[0], errs[1])
	}
	for _, err := range errs {
		if err != nil && !strings.Contains(err.Error(), "from the machine that made the vault") {
			t.Error(err)
		}
	}
}

func TestFirstStartThatIsLate(t *testing.T) {
	engines(t, func(t *testing.T, source store.Source) {
		v := open(t, source)
		if err := v.LateStart(t.Context(), filepath.Join(source.Dir, "keys", "master.json")); err != nil {
			t.Errorf("with the same master file: %v", err)
		}
		err := v.LateStart(t.Context(), filepath.Join(source.Dir, "other", "master.json"))
		if err == nil || !strings.Contains(err.Error(), "not the one that this vault was made with") {
			t.Errorf("with another master file: %v", err)
		}
	})
}

func FuzzMasterFile(f *testing.F) {
	file := filepath.Join(f.TempDir(), "keys", "master.json")
	must(f, vault.MakeMaster(file))
	text, err := os.ReadFile(file)
	must(f, err)
	f.Add(text)
	f.Add(text[:100])
	f.Add([]byte(`{"primaryKeyId":1,"key":[]}`))
	f.Add([]byte(`{"primaryKeyId":1,"key":[{"keyData":{},"status":"ENABLED","keyId":1,"outputPrefixType":"TINK"}]}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		must(t, os.WriteFile(file, text, 0o600))
		_ = vault.ReadMaster(file) // must not panic
	})
}
