package store_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"gatehouse/outcome"
	"gatehouse/store"
	"gatehouse/store/storetest"
)

func count(t *testing.T, db *store.DB, table string) (n int) {
	t.Helper()
	if err := db.Get(t.Context(), []any{&n}, `SELECT count(*) FROM `+table); err != nil {
		t.Fatal(err)
	}
	return n
}

func TestTransactions(t *testing.T) {
	t.Parallel()
	storetest.Engines(t, func(t *testing.T, source store.Source) {
		db := open(t, source)
		ctx := t.Context()
		add := func(tx *store.Tx, name string) error { _, err := tx.Insert(ctx, insertNote, name, nil); return err }
		mine := errors.New("mine")
		for _, tt := range []struct {
			name string
			do   func(*store.Tx) error
			want error
			rows int
		}{
			{"what is written is there", func(tx *store.Tx) error { return errors.Join(add(tx, "a"), add(tx, "b")) }, nil, 2},
			{"an error undoes all", func(tx *store.Tx) error { return errors.Join(add(tx, "c"), mine) }, mine, 2},
			{"so does one that was not passed on", func(tx *store.Tx) error {
				if err := add(tx, "d"); err != nil {
					return err
				}
				_ = add(tx, "a") // taken
				if err := add(tx, "e"); !errors.Is(err, outcome.Conflict) {
					return fmt.Errorf("after an error the transaction goes on: %w", err)
				}
				return nil
			}, outcome.Conflict, 2},
			{"no row is no such error", func(tx *store.Tx) error {
				var id int64
				if err := tx.Get(ctx, []any{&id}, `SELECT id FROM note WHERE name = $1`, "none"); !errors.Is(err, outcome.NotFound) {
					return fmt.Errorf("no row: %w", err)
				}
				if err := tx.Update(ctx, updateNote, nil, 1, 1); !errors.Is(err, outcome.Conflict) {
					return fmt.Errorf("no such row: %w", err)
				}
				return add(tx, "f")
			}, nil, 3},
			{"it reads what it wrote", func(tx *store.Tx) error {
				var n int
				if err := add(tx, "g"); err != nil {
					return err
				}
				if err := tx.Get(ctx, []any{&n}, `SELECT count(*) FROM note`); err != nil || n != 4 {
					return fmt.Errorf("%d rows: %w", n, err)
				}
				return mine
			}, mine, 3},
			{"its rows are read before the next statement", func(tx *store.Tx) error {
				return tx.All(ctx, func(func(...any) error) error { return add(tx, "h") }, `SELECT id FROM note`)
			}, errors.New("still delivers"), 3},
		} {
			err := db.Tx(ctx, tt.do)
			if !errors.Is(err, tt.want) && (err == nil || tt.want == nil || !strings.Contains(err.Error(), tt.want.Error())) {
				t.Errorf("%s: %v, want %v", tt.name, err, tt.want)
			}
			if n := count(t, db, "note"); n != tt.rows {
				t.Errorf("%s: %d rows, want %d", tt.name, n, tt.rows)
			}
		}
	})
}

func TestAPanicUndoesTheTransaction(t *testing.T) {
	t.Parallel()
	storetest.Engines(t, func(t *testing.T, source store.Source) {
		db := open(t, source)
		func() {
			defer func() {
				if recover() == nil {
					t.Error("the panic is gone")
				}
			}()
			_ = db.Tx(t.Context(), func(tx *store.Tx) error {
				if _, err := tx.Insert(t.Context(), insertNote, "a", nil); err != nil {
					return err
				}
				panic("boom")
			})
		}()
		if n := count(t, db, "note"); n != 0 {
			t.Errorf("%d rows", n)
		}
		if _, err := db.Insert(t.Context(), insertNote, "a", nil); err != nil {
			t.Errorf("the next write: %v", err)
		}
	})
}

func TestContexts(t *testing.T) {
	t.Parallel()
	storetest.Engines(t, func(t *testing.T, source store.Source) {
		db := open(t, source)
		ended, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := db.Insert(ended, insertNote, "a", nil); !errors.Is(err, context.Canceled) {
			t.Errorf("Insert: %v", err)
		}
		if err := db.Get(ended, []any{new(int)}, `SELECT 1`); !errors.Is(err, context.Canceled) {
			t.Errorf("Get: %v", err)
		}
		// It ends in the middle: nothing is written, and the next one goes on.
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		err := db.Tx(ctx, func(tx *store.Tx) error {
			_, err := tx.Insert(ctx, insertNote, "b", nil)
			cancel()
			return err
		})
		if !errors.Is(err, context.Canceled) || outcome.Of(err) != outcome.Cancelled {
			t.Errorf("Tx: %v", err)
		}
		// One who waits for the writer can give up.
		err = db.Tx(t.Context(), func(tx *store.Tx) error {
			if _, err := tx.Insert(t.Context(), insertNote, "c", nil); err != nil || db.Engine() == store.Postgres {
				return err
			}
			ctx, cancel := context.WithCancel(t.Context())
			var wg sync.WaitGroup
			wg.Go(func() {
				if _, err := db.Insert(ctx, insertNote, "d", nil); !errors.Is(err, context.Canceled) {
					t.Errorf("Insert that waits: %v", err)
				}
			})
			cancel()
			wg.Wait()
			return nil
		})
		if n := count(t, db, "note"); err != nil || n != 1 {
			t.Errorf("%d rows, %v", n, err)
		}
	})
}

func TestAClosedDatabaseIsUnavailable(t *testing.T) {
	t.Parallel()
	storetest.Engines(t, func(t *testing.T, source store.Source) {
		db := open(t, source)
		if err := db.Ping(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(db.Close(), db.Close()); err != nil {
			t.Fatal(err)
		}
		_, err := db.Insert(t.Context(), insertNote, "a", nil)
		for name, err := range map[string]error{
			"Insert": err, "Ping": db.Ping(t.Context()), "Get": db.Get(t.Context(), []any{new(int)}, `SELECT 1`),
			"Tx":      db.Tx(t.Context(), func(*store.Tx) error { return nil }),
			"Prepare": db.Prepare(t.Context(), `SELECT 1`),
		} {
			if !errors.Is(err, outcome.Unavailable) {
				t.Errorf("%s: %v", name, err)
			}
		}
	})
}

// TestAConnectionThatBreaksInCommit is the one case in which nobody can say whether it was written.
func TestAConnectionThatBreaksInCommit(t *testing.T) {
	t.Parallel()
	source := storetest.Postgres(t)
	db := open(t, source)
	kill := func(tx *store.Tx) error {
		var pid int
		if err := tx.Get(t.Context(), []any{&pid}, `SELECT pg_backend_pid()`); err != nil {
			return err
		}
		return storetest.Admin(t, source, fmt.Sprintf("SELECT pg_terminate_backend(%d, 5000)", pid))
	}
	if err := db.Tx(t.Context(), kill); !errors.Is(err, outcome.Unknown) {
		t.Errorf("before COMMIT: %v", err)
	}
	err := db.Tx(t.Context(), func(tx *store.Tx) error {
		if err := kill(tx); err != nil {
			return err
		}
		_, err := tx.Insert(t.Context(), insertNote, "a", nil)
		return err
	})
	if !errors.Is(err, outcome.Unavailable) {
		t.Errorf("before a statement: %v", err)
	}
	if _, err := db.Insert(t.Context(), insertNote, "a", nil); err != nil {
		t.Errorf("after it: %v", err)
	}
}

func TestSerialisationFailuresAreConflicts(t *testing.T) {
	t.Parallel()
	source := storetest.Postgres(t)
	db := open(t, source)
	a, err := db.Insert(t.Context(), insertNote, "a", nil)
	if err != nil {
		t.Fatal(err)
	}
	b, err := db.Insert(t.Context(), insertNote, "b", nil)
	if err != nil {
		t.Fatal(err)
	}
	// Two transactions take the rows in opposite order: PostgreSQL ends one of them.
	var wg, both sync.WaitGroup
	both.Add(2)
	errs := make([]error, 2)
	for i, order := range [][]int64{{a, b}, {b, a}} {
		wg.Go(func() {
			errs[i] = db.Tx(t.Context(), func(tx *store.Tx) error {
				err := tx.Update(t.Context(), updateNote, nil, order[0], 1)
				both.Done()
				both.Wait()
				if err != nil {
					return err
				}
				return tx.Update(t.Context(), updateNote, nil, order[1], 1)
			})
		})
	}
	wg.Wait()
	if one := errors.Join(errs...); !errors.Is(one, outcome.Conflict) || errs[0] != nil && errs[1] != nil {
		t.Errorf("%v; %v", errs[0], errs[1])
	}
}
