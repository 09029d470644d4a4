package store_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/fstest"

	"gatehouse/outcome"
	"gatehouse/store"
	"gatehouse/store/storetest"
)

// notes is the schema of the suite: a versioned table and a log that only grows.
func notes() fstest.MapFS {
	return fstest.MapFS{
		"sqlite/0001_note.sql":   {Data: []byte(noteSQLite)},
		"postgres/0001_note.sql": {Data: []byte(notePostgres)},
	}
}

const noteSQLite = `-- +goose Up
CREATE TABLE note (id BIGINT PRIMARY KEY, version BIGINT NOT NULL, name TEXT NOT NULL UNIQUE, body BLOB);
CREATE TABLE tag (id BIGINT PRIMARY KEY, note BIGINT NOT NULL REFERENCES note (id));
CREATE TABLE row (id BIGINT NOT NULL, seq BIGINT NOT NULL, n BIGINT NOT NULL, what TEXT NOT NULL, PRIMARY KEY (id, seq)) WITHOUT ROWID;
-- +goose StatementBegin
CREATE TRIGGER note_version BEFORE UPDATE ON note WHEN NEW.version IS NOT OLD.version + 1
BEGIN SELECT RAISE(ABORT, 'version must rise by one'); END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER row_next BEFORE INSERT ON row WHEN EXISTS (SELECT 1 FROM (SELECT id, seq, n FROM row ORDER BY id DESC, seq DESC LIMIT 1) AS l
  WHERE (NEW.id, NEW.seq) <= (l.id, l.seq) OR NEW.n <> l.n + 1)
BEGIN SELECT RAISE(ABORT, 'only the next row'); END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER row_update BEFORE UPDATE ON row BEGIN SELECT RAISE(ABORT, 'row only grows'); END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER row_delete BEFORE DELETE ON row BEGIN SELECT RAISE(ABORT, 'row only grows'); END;
-- +goose StatementEnd
`

const notePostgres = `-- +goose Up
CREATE TABLE note (id BIGINT PRIMARY KEY, version BIGINT NOT NULL, name TEXT NOT NULL UNIQUE, body BYTEA);
CREATE TABLE tag (id BIGINT PRIMARY KEY, note BIGINT NOT NULL REFERENCES note (id));
CREATE TABLE row (id BIGINT NOT NULL, seq BIGINT NOT NULL, n BIGINT NOT NULL, what TEXT NOT NULL, PRIMARY KEY (id, seq));
-- +goose StatementBegin
CREATE FUNCTION version_rises() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF NEW.version IS DISTINCT FROM OLD.version + 1 THEN RAISE EXCEPTION 'version must rise by one'; END IF;
  RETURN NEW;
END $$;
-- +goose StatementEnd
CREATE TRIGGER note_version BEFORE UPDATE ON note FOR EACH ROW EXECUTE FUNCTION version_rises();
-- +goose StatementBegin
CREATE FUNCTION only_grows() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'row only grows'; END $$;
-- +goose StatementEnd
CREATE TRIGGER row_only_grows BEFORE UPDATE OR DELETE OR TRUNCATE ON row EXECUTE FUNCTION only_grows();
`

const (
	insertNote = `INSERT INTO note (id, version, name, body) VALUES ($1, 1, $2, $3) ON CONFLICT (id) DO NOTHING`
	updateNote = `UPDATE note SET version = version + 1, body = $1 WHERE id = $2 AND version = $3`
	selectNote = `SELECT version, name, body FROM note WHERE id = $1`
)

func open(t *testing.T, source store.Source, change ...func(*store.Config)) *store.DB {
	t.Helper()
	c := store.Config{Source: source, Name: "note", Migrations: notes(), Migrate: true, AppendOnly: []string{"row"}}
	for _, ch := range change {
		ch(&c)
	}
	db, err := store.Open(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return db
}

func TestNotes(t *testing.T) {
	t.Parallel()
	storetest.Engines(t, testNotes)
}

func testNotes(t *testing.T, source store.Source) {
	t.Helper()
	db := open(t, source)
	ctx := t.Context()
	id, err := db.Insert(ctx, insertNote, "a", []byte("x"))
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Update(ctx, updateNote, []byte("y"), id, 1); err != nil {
		t.Fatal(err)
	}
	if err := db.Update(ctx, updateNote, []byte("z"), id, 1); !errors.Is(err, outcome.Conflict) {
		t.Errorf("an older version: %v", err)
	}
	var version int64
	var name string
	var body []byte
	if err := db.Get(ctx, []any{&version, &name, &body}, selectNote, id); err != nil || version != 2 || string(body) != "y" {
		t.Errorf("%d %q %q %v", version, name, body, err)
	}
	if err := db.Get(ctx, []any{&version, &name, &body}, selectNote, id+1); !errors.Is(err, outcome.NotFound) {
		t.Errorf("no row: %v", err)
	}
	if _, err := db.Insert(ctx, insertNote, "a", nil); !errors.Is(err, outcome.Conflict) {
		t.Errorf("the same name twice: %v", err)
	}
	var wg sync.WaitGroup
	for i := range 50 {
		wg.Go(func() {
			if _, err := db.Insert(ctx, insertNote, fmt.Sprint("n", i), nil); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	n := 0
	if err := db.All(ctx, func(scan func(...any) error) error { n++; return scan(&id) }, `SELECT id FROM note`); err != nil || n != 51 {
		t.Errorf("%d rows, %v", n, err)
	}
	err = db.Tx(ctx, func(tx *store.Tx) error {
		_, err := tx.Insert(ctx, insertNote, "gone", nil)
		return errors.Join(err, context.Canceled)
	})
	if !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	if err := db.Get(ctx, []any{&id}, `SELECT id FROM note WHERE name = $1`, "gone"); !errors.Is(err, outcome.NotFound) {
		t.Error(err)
	}
}
