package vault_test

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"sync"
	"testing"

	"go.uber.org/goleak"

	"gatehouse/gate"
	"gatehouse/module"
	"gatehouse/module/vault"
	"gatehouse/outcome"
	"gatehouse/secret"
	"gatehouse/store"
	"gatehouse/store/storetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// start opens a vault on a source, as each start of the process does; it ends with the test.
func start(t testing.TB, source store.Source, c vault.Config) (*vault.Module, error) {
	t.Helper()
	kit := module.Kit{Name: "vault", Source: source, Migrate: true, Data: source.Dir}.Ready()
	t.Cleanup(func() {
		if err := kit.Close(); err != nil {
			t.Errorf("closing: %v", err)
		}
	})
	return vault.New(t.Context(), kit, c)
}

func open(t testing.TB, source store.Source) *vault.Module {
	t.Helper()
	v, err := start(t, source, vault.Config{})
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func seal(t testing.TB, v *vault.Module, person gate.PersonID, binding, plain string) []byte {
	t.Helper()
	sealed, err := v.Seal(t.Context(), person, binding, []byte(plain))
	if err != nil {
		t.Fatal(err)
	}
	return sealed
}

func put(t testing.TB, v *vault.Module, person gate.PersonID, connection, field, value string) {
	t.Helper()
	if err := v.Put(t.Context(), person, connection, field, secret.New(value)); err != nil {
		t.Fatal(err)
	}
}

// engines runs a test on both, in parallel.
func engines(t *testing.T, test func(t *testing.T, source store.Source)) {
	t.Helper()
	t.Parallel()
	storetest.Engines(t, test)
}

func TestSealedTextsOpenOnlyForWhatTheyWereSealedFor(t *testing.T) {
	engines(t, func(t *testing.T, source store.Source) {
		v := open(t, source)
		sealed := seal(t, v, 7, "a", "plain")
		seal(t, v, 8, "a", "so that 8 has a key")
		flipped := bytes.Clone(sealed)
		flipped[len(flipped)/2] ^= 1
		for _, tt := range []struct {
			name    string
			person  gate.PersonID
			binding string
			sealed  []byte
			want    bool
		}{
			{"as it was sealed", 7, "a", sealed, true},
			{"another binding", 7, "b", sealed, false},
			{"a longer binding", 7, "aa", sealed, false},
			{"no binding", 7, "", sealed, false},
			{"another person", 8, "a", sealed, false},
			{"a person without a key", 9, "a", sealed, false},
			{"the house", 0, "a", sealed, false},
			{"nobody", -7, "a", sealed, false},
			{"one bit changed", 7, "a", flipped, false},
			{"cut", 7, "a", sealed[:len(sealed)-1], false},
			{"nothing", 7, "a", nil, false},
		} {
			plain, err := v.Open(t.Context(), tt.person, tt.binding, tt.sealed)
			if (err == nil) != tt.want || tt.want && string(plain) != "plain" || !tt.want && plain != nil {
				t.Errorf("%s: Open = %q, %v, want it to open: %v", tt.name, plain, err, tt.want)
			}
		}
		again := open(t, source)
		if plain, err := again.Open(t.Context(), 7, "a", sealed); err != nil || string(plain) != "plain" {
			t.Errorf("after a restart: Open = %q, %v", plain, err)
		}
	})
}

func TestNobodyHasNoKey(t *testing.T) {
	t.Parallel()
	v := open(t, storetest.SQLite(t))
	if _, err := v.Seal(t.Context(), -1, "a", nil); err == nil || count(t, v, `SELECT count(*) FROM data_key`) != 0 {
		t.Errorf("sealed for person -1: %v", err)
	}
}

func TestOpenNeverMakesAKey(t *testing.T) {
	engines(t, func(t *testing.T, source store.Source) {
		v := open(t, source)
		if _, err := v.Open(t.Context(), 5, "a", []byte("x")); !errors.Is(err, outcome.NotFound) {
			t.Errorf("Open for a person without a key: %v, want not_found", err)
		}
		if n := count(t, v, `SELECT count(*) FROM data_key`); n != 0 {
			t.Errorf("%d data keys were made by opening", n)
		}
	})
}

func count(t testing.TB, v *vault.Module, sql string) (n int64) {
	t.Helper()
	if err := v.DB().Get(t.Context(), []any{&n}, sql); err != nil {
		t.Fatal(err)
	}
	return n
}

// Two processes with the same person's first text at the same time end with one key.
func TestRacingFirstUsesEndWithOneKey(t *testing.T) {
	engines(t, func(t *testing.T, source store.Source) {
		both := []*vault.Module{open(t, source), open(t, source)}
		const each = 20
		var sealed [2 * each][]byte
		var wg sync.WaitGroup
		for i := range sealed {
			wg.Go(func() {
				var err error
				if sealed[i], err = both[i%2].Seal(t.Context(), 3, "race", []byte("plain")); err != nil {
					t.Errorf("Seal: %v", err)
				}
			})
		}
		wg.Wait()
		if n := count(t, both[0], `SELECT count(*) FROM data_key`); n != 1 {
			t.Errorf("%d data keys, want 1", n)
		}
		for i, s := range sealed {
			if _, err := both[(i+1)%2].Open(t.Context(), 3, "race", s); err != nil {
				t.Errorf("text %d does not open in the other process: %v", i, err)
			}
		}
	})
}

// Rows of the database are swapped as someone could who can write to it, but does not have the master key.
func TestSwappedRowsDoNotOpen(t *testing.T) {
	engines(t, func(t *testing.T, source store.Source) {
		v := open(t, source)
		put(t, v, 1, "mail", "refresh", "ann's")
		put(t, v, 1, "mail", "access", "ann's access")
		put(t, v, 1, "drive", "refresh", "ann's drive")
		put(t, v, 2, "mail", "refresh", "bob's")
		for _, tt := range []struct{ name, to, from string }{
			{"person", `person = 1 AND connection = 'mail' AND field = 'refresh'`, `person = 2 AND connection = 'mail' AND field = 'refresh'`},
			{"connection", `person = 1 AND connection = 'mail' AND field = 'refresh'`, `person = 1 AND connection = 'drive' AND field = 'refresh'`},
			{"field", `person = 1 AND connection = 'mail' AND field = 'refresh'`, `person = 1 AND connection = 'mail' AND field = 'access'`},
		} {
			exec(t, v, `UPDATE secret SET version = version + 1, sealed = (SELECT sealed FROM secret WHERE `+tt.from+`) WHERE `+tt.to)
			if got, err := v.Credential(t.Context(), 1, "mail", "refresh"); err == nil {
				t.Errorf("the row of another %s opened: %q", tt.name, got.Reveal())
			}
		}
		exec(t, v, `UPDATE data_key SET version = version + 1, wrapped = (SELECT wrapped FROM data_key WHERE person = 2) WHERE person = 1`)
		again := open(t, source)
		if got, err := again.Credential(t.Context(), 1, "drive", "refresh"); err == nil {
			t.Errorf("with another person's key in the row: %q", got.Reveal())
		}
		if _, err := again.Seal(t.Context(), 1, "a", nil); err == nil {
			t.Error("another person's key in the row seals")
		}
		if got, err := again.Credential(t.Context(), 2, "mail", "refresh"); err != nil || got.Reveal() != "bob's" {
			t.Errorf("the row that nobody touched: %v", err)
		}
	})
}

func exec(t testing.TB, v *vault.Module, sql string) {
	t.Helper()
	if n, err := v.DB().Exec(t.Context(), sql); err != nil || n != 1 {
		t.Fatalf("%s: %d rows, %v", sql, n, err)
	}
}

func TestCredentials(t *testing.T) {
	engines(t, func(t *testing.T, source store.Source) {
		v := open(t, source)
		get := func(person gate.PersonID, connection, field string) (string, error) {
			s, err := v.Credential(t.Context(), person, connection, field)
			return s.Reveal(), err
		}
		put(t, v, 1, "mail", "refresh", "one")
		put(t, v, 1, "mail", "refresh", "two")
		put(t, v, 0, "mail", "refresh", "the house's")
		for _, tt := range []struct {
			person            gate.PersonID
			connection, field string
			want              string
			code              outcome.Code
		}{
			{1, "mail", "refresh", "two", outcome.OK},
			{0, "mail", "refresh", "the house's", outcome.OK},
			{2, "mail", "refresh", "", outcome.NotFound},
			{1, "drive", "refresh", "", outcome.NotFound},
			{1, "mail", "access", "", outcome.NotFound},
			{1, "Mail", "refresh", "", outcome.NotFound},
		} {
			if got, err := get(tt.person, tt.connection, tt.field); got != tt.want || outcome.Of(err) != tt.code {
				t.Errorf("Credential(%d, %s, %s) = %q, %v, want %q, %v", tt.person, tt.connection, tt.field, got, err, tt.want, tt.code)
			}
		}
		for _, bad := range [][3]string{{"", "f", "v"}, {"c", "", "v"}, {"c", "f", ""}, {string(make([]byte, 201)), "f", "v"}} {
			if err := v.Put(t.Context(), 1, bad[0], bad[1], secret.New(bad[2])); !errors.Is(err, outcome.Invalid) {
				t.Errorf("Put(%.10q, %q, a value of %d bytes): %v, want invalid", bad[0], bad[1], len(bad[2]), err)
			}
		}
		if n := count(t, v, `SELECT version FROM secret WHERE person = 1`); n != 2 {
			t.Errorf("version %d after two writes, want 2", n)
		}
	})
}

// Every Put either is there at the end of its own write or says that it lost: none is overwritten unseen.
func TestPutsAtTheSameTimeConflictLoudly(t *testing.T) {
	engines(t, func(t *testing.T, source store.Source) {
		v := open(t, source)
		var wg sync.WaitGroup
		var mu sync.Mutex
		won := int64(0)
		for range 30 {
			wg.Go(func() {
				err := v.Put(t.Context(), 1, "mail", "refresh", secret.New("x"))
				mu.Lock()
				defer mu.Unlock()
				if err == nil {
					won++
				} else if !errors.Is(err, outcome.Conflict) {
					t.Errorf("Put: %v", err)
				}
			})
		}
		wg.Wait()
		if n := count(t, v, `SELECT version FROM secret`); n != won || won == 0 {
			t.Errorf("version %d after %d writes that succeeded", n, won)
		}
		if err := v.Replace(t.Context(), 1, "mail", "refresh", won+1); !errors.Is(err, outcome.Conflict) {
			t.Errorf("a version that is not there: %v, want conflict", err)
		}
		if err := v.Replace(t.Context(), 1, "mail", "refresh", won); err != nil {
			t.Errorf("the version that was seen: %v", err)
		}
		if err := v.Replace(t.Context(), 1, "mail", "refresh", won); !errors.Is(err, outcome.Conflict) {
			t.Errorf("an older version: %v, want conflict", err)
		}
	})
}

func TestEveryVersionIsGuarded(t *testing.T) {
	engines(t, func(t *testing.T, source store.Source) {
		if err := open(t, source).DB().CheckVersions(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

func TestForgottenPersonsHaveNothingLeftThatOpens(t *testing.T) {
	engines(t, func(t *testing.T, source store.Source) {
		v := open(t, source)
		put(t, v, 1, "mail", "refresh", "ann's")
		put(t, v, 2, "mail", "refresh", "bob's")
		sealed := seal(t, v, 1, "a", "plain")
		if err := v.Forget(t.Context(), 1); err != nil {
			t.Fatal(err)
		}
		if err := v.Forget(t.Context(), 4); err != nil { // never had a key
			t.Fatal(err)
		}
		for when, v := range map[string]*vault.Module{"at once": v, "after a restart": open(t, source)} {
			if _, err := v.Open(t.Context(), 1, "a", sealed); !errors.Is(err, outcome.NotFound) {
				t.Errorf("%s: Open: %v, want not_found", when, err)
			}
			for _, person := range []gate.PersonID{1, 4} {
				if _, err := v.Seal(t.Context(), person, "a", nil); !errors.Is(err, outcome.NotFound) {
					t.Errorf("%s: Seal for person %d: %v, want not_found", when, person, err)
				}
			}
			if _, err := v.Credential(t.Context(), 1, "mail", "refresh"); !errors.Is(err, outcome.NotFound) {
				t.Errorf("%s: Credential: %v, want not_found", when, err)
			}
			if err := v.Put(t.Context(), 1, "mail", "refresh", secret.New("x")); !errors.Is(err, outcome.NotFound) {
				t.Errorf("%s: Put: %v, want not_found", when, err)
			}
			if s, err := v.Credential(t.Context(), 2, "mail", "refresh"); err != nil || s.Reveal() != "bob's" {
				t.Errorf("%s: another person's credential: %v", when, err)
			}
		}
		if err := v.Forget(t.Context(), 1); err != nil {
			t.Errorf("forgetting twice: %v", err)
		}
		if err := v.Forget(t.Context(), 0); !errors.Is(err, outcome.Invalid) {
			t.Errorf("forgetting the house: %v, want invalid", err)
		}
		if n := count(t, v, `SELECT count(*) FROM data_key WHERE wrapped IS NOT NULL AND person IN (1, 4)`); n != 0 {
			t.Errorf("%d wrapped keys of forgotten persons are left", n)
		}
	})
}

func TestDeletedKeyRowOpensNothing(t *testing.T) {
	engines(t, func(t *testing.T, source store.Source) {
		v := open(t, source)
		sealed := seal(t, v, 1, "a", "plain")
		exec(t, v, `DELETE FROM data_key WHERE person = 1`)
		if _, err := open(t, source).Open(t.Context(), 1, "a", sealed); !errors.Is(err, outcome.NotFound) {
			t.Errorf("Open: %v, want not_found", err)
		}
	})
}

// The canaries are searched in every byte of the data folder while the database is open, its -wal and -shm included.
func TestNothingLiesInTheDataFolderInClear(t *testing.T) {
	t.Parallel()
	source := storetest.SQLite(t)
	v := open(t, source)
	put(t, v, 1, "mail", "refresh", "canary-credential")
	put(t, v, 1, "mail", "refresh", "canary-credential-2")
	put(t, v, 0, "mail", "refresh", "canary-credential-3")
	if err := v.Forget(t.Context(), 2); err != nil {
		t.Fatal(err)
	}
	files := 0
	err := filepath.WalkDir(source.Dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		files++
		b, err := os.ReadFile(path)
		if bytes.Contains(b, []byte("canary")) {
			t.Errorf("%s holds a credential in clear", path)
		}
		if info, err := d.Info(); err == nil && info.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %v", path, info.Mode())
		}
		return err
	})
	if err != nil || files < 3 { // database, wal, master file
		t.Errorf("%d files, %v", files, err)
	}
	if info, err := os.Stat(filepath.Join(source.Dir, "keys")); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("the keys' folder: %v, %v", info.Mode(), err)
	}
}

func TestStatusCounts(t *testing.T) {
	engines(t, func(t *testing.T, source store.Source) {
		v := open(t, source)
		put(t, v, 1, "mail", "refresh", "one")
		put(t, v, 1, "mail", "access", "two")
		put(t, v, 2, "mail", "refresh", "three")
		seal(t, v, 0, "a", "the house's")
		if err := errors.Join(v.Forget(t.Context(), 2), v.Forget(t.Context(), 3)); err != nil {
			t.Fatal(err)
		}
		s, err := v.Status(t.Context())
		if err != nil || s.DataKeys != 2 || s.Forgotten != 2 || s.Secrets != 2 || !hex8.MatchString(s.MasterKey) {
			t.Errorf("status %+v, %v, want 2 keys, 2 forgotten, 2 secrets", s, err)
		}
		master, err := os.ReadFile(filepath.Join(source.Dir, "keys", "master.json"))
		number, err2 := strconv.ParseUint(s.MasterKey, 16, 32)
		if err := errors.Join(err, err2); err != nil || !bytes.Contains(master, []byte(strconv.FormatUint(number, 10))) {
			t.Errorf("the master file does not hold key number %d: %v", number, err)
		}
		if tools := v.Tools(); len(tools) != 1 {
			t.Errorf("%d tools", len(tools))
		}
	})
}

var hex8 = regexp.MustCompile(`^[0-9a-f]{8}$`)

func TestStoreThatFailsSealsNothing(t *testing.T) {
	t.Parallel()
	v := open(t, storetest.SQLite(t))
	put(t, v, 1, "mail", "refresh", "x")
	if err := v.DB().Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := v.Credential(t.Context(), 1, "mail", "refresh"); !errors.Is(err, outcome.Unavailable) {
		t.Errorf("Credential: %v, want unavailable", err)
	}
	if _, err := v.Seal(context.Background(), 2, "a", nil); !errors.Is(err, outcome.Unavailable) {
		t.Errorf("Seal for a new person: %v, want unavailable", err)
	}
}
