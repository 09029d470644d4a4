package database_test

import (
	"context"
	"maps"
	"strings"
	"testing"
	"time"

	"gatehouse/canon"
	"gatehouse/module/database"
	"gatehouse/outcome"
)

// FuzzQuery: no statement changes a file, makes one, or runs past its deadline, on a reading or a writable connection.
func FuzzQuery(f *testing.F) {
	for _, seed := range hostile {
		f.Add(seed)
	}
	for _, seed := range []string{
		"SELECT 1", "SELECT 1; --", "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n) SELECT i FROM n", "EXPLAIN SELECT 1", "VALUES (1,x'00')",
		"SELECT * FROM orders ORDER BY id DESC", "SELECT json_each.value FROM json_each('[1]')", "SELECT a.*, b.* FROM orders a, orders b", "SELECT CAST(x'ff' AS TEXT), 9e999",
	} {
		f.Add(seed)
	}
	s := openShop(f)
	before := s.files(f)
	f.Fuzz(func(t *testing.T, sql string) {
		sql = strings.ReplaceAll(sql, "$DIR", s.dir)
		ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
		defer cancel()
		began := time.Now()
		for _, connection := range []string{"shop", "other"} {
			got, err := s.Query(ctx, database.Args(connection, sql))
			switch code := outcome.Of(err); code {
			case outcome.OK:
				if _, err := canon.From(got); err != nil {
					t.Errorf("%q: the result cannot be written: %v", sql, err)
				}
			case outcome.Blocked, outcome.Invalid, outcome.Timeout:
			default:
				t.Errorf("%q: %v", sql, err)
			}
		}
		if took := time.Since(began); took > 10*time.Second {
			t.Errorf("%q took %s", sql, took)
		}
		if after := s.files(t); !maps.Equal(before, after) {
			t.Fatalf("%q changed the files: %v, before %v", sql, after, before)
		}
	})
}

// FuzzExecute: no statement on a writable connection changes another file, makes one, or changes the schema.
func FuzzExecute(f *testing.F) {
	for _, seed := range hostile {
		f.Add(seed)
	}
	for _, seed := range []string{"INSERT INTO audit VALUES (1)", "DELETE FROM orders WHERE 1", "UPDATE orders SET total = 1 RETURNING id"} {
		f.Add(seed)
	}
	s := openShop(f)
	schema := func(t testing.TB) string {
		got, err := s.Query(background(), database.Args("other", "SELECT type, name, sql FROM sqlite_schema"))
		if err != nil {
			t.Fatal(err)
		}
		return rows(got)
	}
	before, made := s.files(f), schema(f)
	f.Fuzz(func(t *testing.T, sql string) {
		sql = strings.ReplaceAll(sql, "$DIR", s.dir)
		ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
		defer cancel()
		_, err := s.Execute(ctx, database.Args("other", sql))
		switch code := outcome.Of(err); code {
		case outcome.OK, outcome.Blocked, outcome.Invalid, outcome.Timeout:
		default:
			t.Errorf("%q: %v", sql, err)
		}
		after := s.files(t)
		after["/other.db"] = before["/other.db"]
		if !maps.Equal(before, after) {
			t.Fatalf("%q changed the files: %v, before %v", sql, after, before)
		}
		if schema(t) != made {
			t.Fatalf("%q changed the schema", sql)
		}
	})
}
