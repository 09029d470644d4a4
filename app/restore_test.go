package app_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/go-json-experiment/json"

	"gatehouse/app"
	"gatehouse/config"
	"gatehouse/outcome"
	"gatehouse/store"
	"gatehouse/store/storetest"
)

// on puts a configuration's databases where a source says.
func on(t *testing.T, c app.Config, s store.Source) app.Config {
	t.Helper()
	for _, dsn := range []struct {
		to   *config.Secret
		text string
	}{{&c.File.Store.PostgresDSN, s.Run.Reveal()}, {&c.File.Store.PostgresOwnerDSN, s.Owner.Reveal()}} {
		if dsn.text == "" {
			continue
		}
		file := filepath.Join(t.TempDir(), "dsn")
		if err := os.WriteFile(file, []byte(dsn.text), 0o600); err != nil {
			t.Fatal(err)
		}
		*dsn.to = config.Secret{File: file}
	}
	return c
}

// do makes one call as the operator that must end well, and reads its result.
func do[T any](t *testing.T, c app.Config, tool string, args any) (result T) {
	t.Helper()
	o := operate(t, c)
	defer leave(t, o)
	got, err := o.Call(t.Context(), tool, args)
	if err != nil || got.Code != outcome.OK {
		t.Fatalf("%s: %v %s %v", tool, got.Code, got.Reason, err)
	}
	if err := json.Unmarshal(got.Result.Bytes(), &result); err != nil {
		t.Fatal(err)
	}
	return result
}

type obj = map[string]any

// inhabit adds a person with a permission and a token.
func inhabit(t *testing.T, c app.Config) {
	t.Helper()
	p := do[struct {
		Person int64 `json:"person"`
	}](t, c, "people.add", obj{"email": "ada@example.org", "administrator": true})
	do[obj](t, c, "tokens.issue", obj{"person": p.Person, "agent": "reporter", "tools": []string{"audit.search"}, "ttl_seconds": 3600})
}

// archive makes a backup of a house, and gives it with the file of the key that opens it.
func archive(t *testing.T, c app.Config, keys bool) (file, key string) {
	t.Helper()
	dir := t.TempDir()
	file, key = filepath.Join(dir, "b.age"), filepath.Join(dir, "key.txt")
	recipient, err := app.NewBackupKey(key)
	if err != nil {
		t.Fatal(err)
	}
	r := do[struct {
		Rows int64 `json:"rows"`
	}](t, c, "house.backup", obj{"file": file, "recipients": []string{recipient}, "with_keys": keys})
	if r.Rows == 0 {
		t.Error("the backup says that its log is empty")
	}
	return file, key
}

func holds(t *testing.T, c app.Config, atLeast int64) {
	t.Helper()
	report, err := app.VerifyLog(t.Context(), c.File, app.Kept{}, c.Log)
	if err != nil || !report.OK || report.Rows < atLeast || report.Sealed != "" {
		t.Errorf("the log: %+v %v", report, err)
	}
}

// TestABackupRestoresOnEitherEngine takes one on each engine and restores it on each.
func TestABackupRestoresOnEitherEngine(t *testing.T) {
	t.Parallel()
	storetest.Engines(t, func(t *testing.T, source store.Source) {
		from := on(t, house(t), source)
		inhabit(t, from)
		file, key := archive(t, from, true)
		for _, engine := range []string{"sqlite", "postgres"} {
			target := store.Source{}
			if engine == "postgres" {
				target = storetest.Postgres(t)
			}
			to := on(t, house(t), target)
			r, err := app.Restore(t.Context(), to, app.Restoring{Archive: file, IdentityFile: key, KeepTokens: engine == "postgres"})
			if err != nil {
				t.Fatalf("on %s: %v", engine, err)
			}
			if r.Engine != engine || r.Row == "" || (r.Revoked == 1) != (engine == "sqlite") {
				t.Errorf("on %s: %+v", engine, r)
			}
			holds(t, to, 4)
			people := do[struct {
				People []struct {
					Email string `json:"email"`
				} `json:"people"`
			}](t, to, "people.list", obj{})
			if len(people.People) != 1 || people.People[0].Email != "ada@example.org" {
				t.Errorf("on %s: %+v", engine, people)
			}
			holds(t, to, 5)
			if _, err := app.Restore(t.Context(), to, app.Restoring{Archive: file, IdentityFile: key}); !errors.Is(err, outcome.Conflict) {
				t.Errorf("on %s, into a house: %v", engine, err)
			}
		}
	})
}

// TestARestoreThatFailsLeavesNothing: neither in a folder that was not there, nor in one that was empty.
func TestARestoreThatFailsLeavesNothing(t *testing.T) {
	t.Parallel()
	from := house(t)
	inhabit(t, from)
	file, key := archive(t, from, false)
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	text[len(text)/2] ^= 1
	changed := filepath.Join(t.TempDir(), "changed.age")
	if err := os.WriteFile(changed, text, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, o := range []app.Restoring{
		{Archive: changed, IdentityFile: key, Keys: filepath.Join(from.File.Data, "keys")},
		{Archive: file, IdentityFile: key},
		{Archive: file, IdentityFile: key, Keys: t.TempDir()},
		{Archive: file + "none", IdentityFile: key},
	} {
		to := house(t)
		if _, err := app.Restore(t.Context(), to, o); err == nil {
			t.Errorf("%+v went through", o)
		}
		if _, err := os.Lstat(to.File.Data); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%+v left a data folder: %v", o, err)
		}
		if err := os.Mkdir(to.File.Data, 0o700); err != nil {
			t.Fatal(err)
		}
		if _, err := app.Restore(t.Context(), to, o); err == nil {
			t.Errorf("%+v went through", o)
		}
		if left, err := os.ReadDir(to.File.Data); err != nil || len(left) != 0 {
			t.Errorf("%+v left %v (%v)", o, left, err)
		}
	}
	// The master key of another house opens nothing, and that is seen before anything is put in place.
	other, to := house(t), house(t)
	inhabit(t, other)
	if _, err := app.Restore(t.Context(), to, app.Restoring{Archive: file, IdentityFile: key, Keys: filepath.Join(other.File.Data, "keys")}); err == nil ||
		!strings.Contains(err.Error(), "not the one that this vault was made with") {
		t.Errorf("with another house's keys: %v", err)
	}
}

// TestARestoreThatWasCutOffBeginsAnew from any point of putting things in place.
func TestARestoreThatWasCutOffBeginsAnew(t *testing.T) {
	t.Parallel()
	from := house(t)
	inhabit(t, from)
	file, key := archive(t, from, true)
	for _, left := range [][]string{
		{"restoring/new/people.db"},
		{"restoring/placed", "audit.db", "restoring/new/people.db"},
		{"restoring/placed", "audit.db", "people.db", "keys/master.json", "lock", "serve/lock"},
	} {
		to := house(t)
		for _, name := range left {
			path := filepath.Join(to.File.Data, filepath.FromSlash(name))
			if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, []byte("audit.db\npeople.db\nkeys"), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := app.New(t.Context(), to); !errors.Is(err, outcome.Conflict) {
			t.Errorf("%v: a gateway starts on it: %v", left, err)
		}
		if _, err := app.Restore(t.Context(), to, app.Restoring{Archive: file, IdentityFile: key}); err != nil {
			t.Errorf("%v: %v", left, err)
			continue
		}
		holds(t, to, 4)
	}
	// What is not of a restore stays, whatever the list says.
	to := house(t)
	for name, text := range map[string]string{"restoring/placed": "../precious\n.\n/", "mine.txt": "mine", "../precious": "mine"} {
		path := filepath.Join(to.File.Data, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := app.Restore(t.Context(), to, app.Restoring{Archive: file, IdentityFile: key}); !errors.Is(err, outcome.Conflict) {
		t.Errorf("over somebody's file: %v", err)
	}
	for _, name := range []string{"mine.txt", "../precious"} {
		if _, err := os.Stat(filepath.Join(to.File.Data, name)); err != nil {
			t.Error(err)
		}
	}
}

// TestAHouseMovesToPostgreSQL: everything is there, the log holds, and the old folder is not gone on with.
func TestAHouseMovesToPostgreSQL(t *testing.T) {
	t.Parallel()
	old := house(t)
	inhabit(t, old)
	before, err := os.ReadFile(filepath.Join(old.File.Data, "people.db"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := app.MoveToPostgres(t.Context(), old); !errors.Is(err, outcome.Invalid) {
		t.Errorf("to nowhere: %v", err)
	}
	source := storetest.Postgres(t)
	moved := on(t, old, source)
	r, err := app.MoveToPostgres(t.Context(), moved)
	if err != nil {
		t.Fatal(err)
	}
	if r.Log != 2 || r.Rows["people"] == 0 || r.Rows["tokens"] != 1 || r.Rows["vault"] == 0 {
		t.Errorf("%+v", r)
	}
	after, err := os.ReadFile(filepath.Join(old.File.Data, "people.db"))
	if err != nil || string(after) != string(before) {
		t.Errorf("the old file was changed (%v)", err)
	}
	if _, err := app.New(t.Context(), old); !errors.Is(err, outcome.Conflict) || !strings.Contains(err.Error(), "moved to PostgreSQL") {
		t.Errorf("a gateway starts on what was moved: %v", err)
	}
	holds(t, moved, 2)
	inhabitant := do[struct {
		Tokens []obj `json:"tokens"`
	}](t, moved, "tokens.list", obj{})
	if len(inhabitant.Tokens) != 1 {
		t.Errorf("%+v", inhabitant)
	}
	holds(t, moved, 3)
	if _, err := app.MoveToPostgres(t.Context(), moved); !errors.Is(err, outcome.Conflict) {
		t.Errorf("twice: %v", err)
	}
	// Without the mark it is the rows that say no.
	if err := os.Remove(filepath.Join(old.File.Data, "moved.json")); err != nil {
		t.Fatal(err)
	}
	if _, err := app.MoveToPostgres(t.Context(), moved); !errors.Is(err, store.ErrNotEmpty) {
		t.Errorf("over rows: %v", err)
	}
}

// TestAMoveThatWasCutOffIsMarked: the rows are there and the mark is not.
func TestAMoveThatWasCutOffIsMarked(t *testing.T) {
	t.Parallel()
	old := house(t)
	inhabit(t, old)
	moved := on(t, old, storetest.Postgres(t))
	if _, err := app.MoveToPostgres(t.Context(), moved); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(old.File.Data, "moved.json")); err != nil {
		t.Fatal(err)
	}
	if r, err := app.MoveToPostgres(t.Context(), moved); err != nil || !r.Before {
		t.Errorf("%+v %v", r, err)
	}
	if _, err := app.New(t.Context(), old); !errors.Is(err, outcome.Conflict) {
		t.Errorf("a gateway starts on what was moved: %v", err)
	}
}
