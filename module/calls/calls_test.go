package calls_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"gatehouse/canon"
	"gatehouse/gate"
	"gatehouse/module"
	"gatehouse/module/calls"
	"gatehouse/module/vault"
	"gatehouse/outcome"
	"gatehouse/store"
	"gatehouse/store/storetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// engines runs a test on both, in parallel.
func engines(t *testing.T, test func(t *testing.T, source store.Source)) {
	t.Helper()
	t.Parallel()
	storetest.Engines(t, test)
}

func kit(t testing.TB, name string, source store.Source) module.Kit {
	t.Helper()
	k := module.Kit{Name: name, Source: source, Migrate: true, Data: source.Dir}.Ready()
	t.Cleanup(func() {
		if err := k.Close(); err != nil {
			t.Errorf("closing %s: %v", name, err)
		}
	})
	return k
}

func sealer(t testing.TB, source store.Source) *vault.Module {
	t.Helper()
	v, err := vault.New(t.Context(), kit(t, "vault", source), vault.Config{})
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// start opens the module as each start of the process does.
func start(t testing.TB, source store.Source, s gate.Sealer) *calls.Module {
	t.Helper()
	m, err := calls.New(t.Context(), kit(t, "calls", source), calls.Config{Sealer: s})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func open(t testing.TB, source store.Source) *calls.Module {
	t.Helper()
	return start(t, source, sealer(t, source))
}

// key names a kept outcome of one agent.
func key(name string) gate.ResultKey {
	return gate.ResultKey{Person: 1, Root: 10, Token: 11, Tool: "note.write", Key: name}
}

func value(t testing.TB, text string) canon.Value {
	t.Helper()
	v, err := canon.Parse([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func digest(t testing.TB, text string) canon.Digest { return value(t, text).Digest() }

func done(t testing.TB) gate.Outcome {
	return gate.Outcome{Code: outcome.OK, ID: gate.RowID{ID: 1763871234567, Seq: 3}, Result: value(t, `{"n":12345678901234567890}`)}
}

// claim claims and says who owns it.
func claim(t testing.TB, m *calls.Module, k gate.ResultKey, d canon.Digest) (o *gate.Outcome, owned bool) {
	t.Helper()
	o, err := m.Claim(t.Context(), k, d)
	if err != nil {
		t.Fatalf("Claim(%s): %v", k.Key, err)
	}
	return o, o == nil
}

// keep claims a free key and keeps an outcome there.
func keep(t testing.TB, m *calls.Module, k gate.ResultKey, d canon.Digest, o gate.Outcome) {
	t.Helper()
	if _, owned := claim(t, m, k, d); !owned {
		t.Fatalf("the key %s is not free", k.Key)
	}
	if err := m.Keep(t.Context(), k, o); err != nil {
		t.Fatal(err)
	}
}

func count(t testing.TB, m *calls.Module) (n int) {
	t.Helper()
	if err := m.DB().Get(t.Context(), []any{&n}, `SELECT count(*) FROM kept`); err != nil {
		t.Fatal(err)
	}
	return n
}

func TestRepeatsGetTheKeptOutcome(t *testing.T) {
	engines(t, func(t *testing.T, source store.Source) {
		m := open(t, source)
		args, want := digest(t, `{"a":1}`), done(t)
		keep(t, m, key("k"), args, want)
		for when, m := range map[string]*calls.Module{"at once": m, "after a restart": open(t, source)} {
			if got, _ := claim(t, m, key("k"), args); got == nil || !reflect.DeepEqual(*got, want) {
				t.Errorf("%s: %+v, want %+v", when, got, want)
			}
			if _, err := m.Claim(t.Context(), key("k"), digest(t, `{"a":2}`)); !errors.Is(err, outcome.Conflict) {
				t.Errorf("%s, other arguments: %v, want conflict", when, err)
			}
		}
		for name, other := range map[string]gate.ResultKey{
			"another key":            key("K"),
			"another tool":           {Person: 1, Root: 10, Token: 11, Tool: "note.read", Key: "k"},
			"another token":          {Person: 1, Root: 10, Token: 12, Tool: "note.write", Key: "k"},
			"another person's token": {Person: 2, Root: 20, Token: 20, Tool: "note.write", Key: "k"},
		} {
			if got, owned := claim(t, m, other, args); !owned {
				t.Errorf("%s found %+v", name, got)
			}
		}
	})
}

func TestKeysAreCheckedFirst(t *testing.T) {
	t.Parallel()
	m := open(t, storetest.SQLite(t))
	for _, tt := range []struct {
		key  string
		good bool
	}{
		{"a", true},
		{"0b8e7f0c-9d2b-4a51-8d8b-f1f0a7f0c1d2", true},
		{"with space ~", true},
		{strings.Repeat("x", 200), true},
		{"", false},
		{strings.Repeat("x", 201), false},
		{"é", false},
		{"a\nb", false},
		{"a\x00", false},
		{"\x7f", false},
	} {
		_, err := m.Claim(t.Context(), key(tt.key), digest(t, `1`))
		if tt.good && err != nil || !tt.good && !errors.Is(err, outcome.Invalid) {
			t.Errorf("key %.20q: %v, want it taken: %v", tt.key, err, tt.good)
		}
	}
}

func TestOneOfManyRunsAndAllGetItsOutcome(t *testing.T) {
	engines(t, func(t *testing.T, source store.Source) {
		m, args, want := open(t, source), digest(t, `{}`), done(t)
		var owners atomic.Int32
		var wg sync.WaitGroup
		for range 100 {
			wg.Go(func() {
				o, err := m.Claim(t.Context(), key("k"), args)
				switch {
				case err != nil:
					t.Errorf("Claim: %v", err)
				case o == nil:
					owners.Add(1)
					if err := m.Keep(t.Context(), key("k"), want); err != nil {
						t.Error(err)
					}
				case !reflect.DeepEqual(*o, want):
					t.Errorf("%+v, want %+v", *o, want)
				}
			})
		}
		wg.Wait()
		if n := owners.Load(); n != 1 || m.Under() != 0 {
			t.Errorf("%d owners, want 1; %d still under way", n, m.Under())
		}
	})
}

// A key that is given back goes to one of those who wait for it, and to no second one.
func TestDroppedKeysGoToOneWhoWaits(t *testing.T) {
	engines(t, func(t *testing.T, source store.Source) {
		m, args := open(t, source), digest(t, `{}`)
		var running, owners atomic.Int32
		var wg sync.WaitGroup
		for range 20 {
			wg.Go(func() {
				o, err := m.Claim(t.Context(), key("k"), args)
				if o != nil || err != nil {
					t.Errorf("Claim = %v, %v", o, err)
					return
				}
				if running.Add(1) != 1 {
					t.Error("two own the key at a time")
				}
				owners.Add(1)
				running.Add(-1)
				if err := m.Drop(t.Context(), key("k")); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if owners.Load() != 20 || count(t, m) != 0 || m.Under() != 0 {
			t.Errorf("%d owners, %d rows, %d under way; want 20, 0, 0", owners.Load(), count(t, m), m.Under())
		}
	})
}

// With other arguments nobody waits; with the same ones until the call has ended or the asker goes.
func TestCallUnderWay(t *testing.T) {
	engines(t, func(t *testing.T, source store.Source) {
		m, args := open(t, source), digest(t, `{}`)
		if _, owned := claim(t, m, key("k"), args); !owned {
			t.Fatal("the key is not free")
		}
		if _, err := m.Claim(t.Context(), key("k"), digest(t, `[]`)); !errors.Is(err, outcome.Conflict) {
			t.Errorf("other arguments: %v, want conflict", err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
		defer cancel()
		if o, err := m.Claim(ctx, key("k"), args); o != nil || !errors.Is(err, outcome.Conflict) || !strings.Contains(outcome.Explain(err).Reason, "under way") {
			t.Errorf("asker goes: %v, %v, want conflict", o, err)
		}
		if err := m.Keep(t.Context(), key("k"), done(t)); err != nil {
			t.Error(err)
		}
	})
}

func TestOnlyOwnersKeepAndDrop(t *testing.T) {
	t.Parallel()
	m := open(t, storetest.SQLite(t))
	if m.Keep(t.Context(), key("k"), done(t)) == nil || m.Drop(t.Context(), key("k")) == nil {
		t.Error("a key that nobody claimed was kept or dropped")
	}
	keep(t, m, key("k"), digest(t, `1`), done(t))
	if m.Keep(t.Context(), key("k"), done(t)) == nil || m.Drop(t.Context(), key("k")) == nil || count(t, m) != 1 {
		t.Error("an outcome that is kept was replaced or dropped")
	}
}

// What a crash leaves is answered with unknown for as long as it would have been kept.
func TestClaimThatACrashLeftIsUnknown(t *testing.T) {
	engines(t, func(t *testing.T, source store.Source) {
		args := digest(t, `{}`)
		claim(t, open(t, source), key("k"), args)
		m := open(t, source)
		m.WaitElsewhere(0) // as if it had begun long ago
		for range 2 {
			if o, err := m.Claim(t.Context(), key("k"), args); o != nil || !errors.Is(err, outcome.Unknown) {
				t.Errorf("Claim = %v, %v, want unknown", o, err)
			}
		}
		if _, err := m.Claim(t.Context(), key("k"), digest(t, `[]`)); !errors.Is(err, outcome.Conflict) {
			t.Errorf("other arguments: %v, want conflict", err)
		}
		if m.Under() != 0 {
			t.Errorf("%d under way", m.Under())
		}
	})
}

// Replicas share the database: the call of one is waited for in the other.
func TestReplicasWaitForEachOther(t *testing.T) {
	t.Parallel()
	source := storetest.Postgres(t)
	here, there, args, want := open(t, source), open(t, source), digest(t, `{}`), done(t)
	claim(t, there, key("kept"), args)
	claim(t, there, key("dropped"), args)
	var wg sync.WaitGroup
	wg.Go(func() {
		if o, err := here.Claim(t.Context(), key("kept"), args); err != nil || o == nil || !reflect.DeepEqual(*o, want) {
			t.Errorf("kept there: %+v, %v", o, err)
		}
	})
	wg.Go(func() {
		if o, err := here.Claim(t.Context(), key("dropped"), args); err != nil || o != nil {
			t.Errorf("dropped there: %+v, %v, want to own it", o, err)
		}
	})
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Millisecond)
	defer cancel()
	if _, err := here.Claim(ctx, key("kept"), args); !errors.Is(err, outcome.Conflict) {
		t.Errorf("asker goes: %v, want conflict", err)
	}
	if err := errors.Join(there.Keep(t.Context(), key("kept"), want), there.Drop(t.Context(), key("dropped"))); err != nil {
		t.Error(err)
	}
	wg.Wait()
}

// Two replicas that claim one key at the same time: one runs the call.
func TestReplicasClaimOnce(t *testing.T) {
	t.Parallel()
	source := storetest.Postgres(t)
	both, args, want := []*calls.Module{open(t, source), open(t, source)}, digest(t, `{}`), done(t)
	for round := range 10 {
		k := key(fmt.Sprint(round))
		var owners atomic.Int32
		var wg sync.WaitGroup
		for _, m := range both {
			wg.Go(func() {
				o, err := m.Claim(t.Context(), k, args)
				if err != nil {
					t.Errorf("Claim: %v", err)
				} else if o == nil {
					owners.Add(1)
					if err := m.Keep(t.Context(), k, want); err != nil {
						t.Error(err)
					}
				}
			})
		}
		wg.Wait()
		if owners.Load() != 1 {
			t.Errorf("round %d: %d owners", round, owners.Load())
		}
	}
}

func TestOutcomesGoAfterADay(t *testing.T) {
	t.Parallel()
	source := storetest.SQLite(t)
	synctest.Test(t, func(t *testing.T) {
		m, args := open(t, source), digest(t, `{}`)
		keep(t, m, key("k"), args, done(t))
		claim(t, m, key("crashed"), args)
		m = open(t, source)
		time.Sleep(calls.KeptFor - time.Second)
		if _, owned := claim(t, m, key("k"), args); owned {
			t.Error("gone a second early")
		}
		if _, err := m.Claim(t.Context(), key("crashed"), args); !errors.Is(err, outcome.Unknown) {
			t.Errorf("a crash's claim: %v, want unknown", err)
		}
		time.Sleep(2 * time.Second)
		for _, name := range []string{"k", "crashed"} {
			if o, owned := claim(t, m, key(name), digest(t, `{"other":true}`)); !owned {
				t.Errorf("%s after a day: %v, want the key to be free", name, o)
			}
			if err := m.Drop(t.Context(), key(name)); err != nil {
				t.Error(err)
			}
		}
	})
}

// broken fails where it is told to.
type broken struct {
	gate.Sealer
	seal, open atomic.Bool
	panics     atomic.Bool
}

var errBroken = errors.New("broken")

func (b *broken) Seal(ctx context.Context, p gate.PersonID, binding string, plain []byte) ([]byte, error) {
	if b.panics.Load() {
		panic("broken")
	}
	if b.seal.Load() {
		return nil, errBroken
	}
	return b.Sealer.Seal(ctx, p, binding, plain)
}

func (b *broken) Open(ctx context.Context, p gate.PersonID, binding string, sealed []byte) ([]byte, error) {
	if b.open.Load() {
		return nil, errBroken
	}
	return b.Sealer.Open(ctx, p, binding, sealed)
}

func TestFailuresFreeTheKeyAndRunNothingTwice(t *testing.T) {
	t.Parallel()
	source := storetest.SQLite(t)
	b := &broken{Sealer: sealer(t, source)}
	m, args := start(t, source, b), digest(t, `{}`)

	b.seal.Store(true)
	if o, err := m.Claim(t.Context(), key("k"), args); o != nil || !errors.Is(err, errBroken) || count(t, m) != 0 {
		t.Errorf("nothing seals: Claim = %v, %v, %d rows", o, err, count(t, m))
	}
	b.panics.Store(true)
	func() {
		defer func() { _ = recover() }()
		_, _ = m.Claim(t.Context(), key("k"), args)
	}()
	b.panics.Store(false)
	b.seal.Store(false)
	if _, owned := claim(t, m, key("k"), args); !owned {
		t.Fatal("the key is not free after failures")
	}

	// The outcome cannot be kept: who waits is told that it may have happened, and does not run it.
	waits := make(chan error)
	go func() {
		_, err := m.Claim(t.Context(), key("k"), args)
		waits <- err
	}()
	b.seal.Store(true)
	if err := m.Keep(t.Context(), key("k"), done(t)); !errors.Is(err, errBroken) {
		t.Errorf("Keep: %v", err)
	}
	if err := <-waits; !errors.Is(err, outcome.Unknown) {
		t.Errorf("who waits: %v, want unknown", err)
	}
	b.seal.Store(false)

	keep(t, m, key("k2"), args, done(t))
	b.open.Store(true)
	if o, err := m.Claim(t.Context(), key("k2"), args); o != nil || !errors.Is(err, errBroken) {
		t.Errorf("nothing opens: Claim = %v, %v", o, err)
	}
	if err := m.DB().Close(); err != nil {
		t.Fatal(err)
	}
	if o, err := m.Claim(t.Context(), key("k3"), args); o != nil || !errors.Is(err, outcome.Unavailable) || m.Under() != 0 {
		t.Errorf("no database: Claim = %v, %v, %d under way", o, err, m.Under())
	}
}

func TestWhatOneRootMayHaveKept(t *testing.T) {
	engines(t, func(t *testing.T, source store.Source) {
		m, args := open(t, source), digest(t, `{}`)
		keep(t, m, key("first"), args, done(t))
		full := func(n int, size int64) {
			t.Helper()
			if _, err := m.DB().Exec(t.Context(), `WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < $1)
INSERT INTO kept (id, version, person, root, token, tool, idempotency_key, digest, size)
SELECT i, 1, 1, 10, 11, 'note.write', 'n' || i, $2, $3 FROM n`, n, []byte{}, size); err != nil {
				t.Fatal(err)
			}
		}
		refused := func(why string) {
			t.Helper()
			if _, err := m.Claim(t.Context(), key("new"), args); !errors.Is(err, outcome.Limited) {
				t.Errorf("%s: %v, want limited", why, err)
			}
			if _, owned := claim(t, m, key("first"), args); owned {
				t.Errorf("%s: a repeat is not answered", why)
			}
			other := key("new")
			other.Root, other.Token = 20, 20
			if _, owned := claim(t, m, other, args); !owned {
				t.Errorf("%s: another root token is refused too", why)
			}
			if err := m.Drop(t.Context(), other); err != nil {
				t.Error(err)
			}
		}
		full(calls.MaxKept-1, 0)
		refused("too many")
		if _, err := m.DB().Exec(t.Context(), `DELETE FROM kept WHERE size = 0`); err != nil {
			t.Fatal(err)
		}
		full(1, calls.MaxBytes)
		refused("too large")
	})
}

func TestSwappedRowsDoNotOpen(t *testing.T) {
	engines(t, func(t *testing.T, source store.Source) {
		m, args := open(t, source), digest(t, `{}`)
		for _, column := range []string{"sealed", "digest"} {
			to, from := key(column+" to"), key(column+" from")
			keep(t, m, to, args, done(t))
			keep(t, m, from, args, gate.Outcome{Code: outcome.Blocked, ID: gate.RowID{ID: 1763871234568}})
			if _, err := m.DB().Exec(t.Context(), `UPDATE kept SET version = version + 1, `+column+` = (SELECT `+column+
				` FROM kept WHERE idempotency_key = $1) WHERE idempotency_key = $2`, from.Key, to.Key); err != nil {
				t.Fatal(err)
			}
			if o, err := m.Claim(t.Context(), to, args); err == nil {
				t.Errorf("another row's %s opened: %+v", column, o)
			}
		}
	})
}

func TestForgottenPersonsOutcomesAreGone(t *testing.T) {
	engines(t, func(t *testing.T, source store.Source) {
		v := sealer(t, source)
		m, args := start(t, source, v), digest(t, `{}`)
		keep(t, m, key("k"), args, done(t))
		if err := v.Forget(t.Context(), 1); err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{"k", "new"} {
			if o, err := m.Claim(t.Context(), key(name), args); o != nil || !errors.Is(err, outcome.NotFound) {
				t.Errorf("%s: %v, %v, want not_found", name, o, err)
			}
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

// Neither a result nor the digest of arguments, in bytes or in hexadecimal, lies in any file of the data folder.
func TestNothingLiesInTheDataFolderInClear(t *testing.T) {
	t.Parallel()
	source := storetest.SQLite(t)
	m, args := open(t, source), digest(t, `{"a":"canary"}`)
	o := done(t)
	o.Result, o.Reason = value(t, `"canary"`), "canary"
	keep(t, m, key("k"), args, o)
	claim(t, m, key("under way"), args)
	files := 0
	err := filepath.WalkDir(source.Dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		files++
		b, err := os.ReadFile(path)
		for _, no := range [][]byte{[]byte("canary"), args[:], []byte(args.String())} {
			if bytes.Contains(b, no) {
				t.Errorf("%s holds %q", path, no)
			}
		}
		return err
	})
	if err != nil || files < 4 {
		t.Errorf("%d files, %v", files, err)
	}
}
