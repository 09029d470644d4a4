package store_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"os"
	"testing/fstest"

	"gatehouse/outcome"
	"gatehouse/store"
)

func Example() {
	ctx := context.Background()
	dir, err := os.MkdirTemp("", "example")
	if err != nil {
		log.Fatal(err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	db, err := store.Open(ctx, store.Config{
		Source: store.Source{Dir: dir},
		Name:   "colour",
		Migrations: fstest.MapFS{ // a module embeds its folders sqlite and postgres
			"sqlite/0001_colour.sql": {Data: []byte("-- +goose Up\n" +
				"CREATE TABLE colour (id BIGINT PRIMARY KEY, version BIGINT NOT NULL, name TEXT NOT NULL);\n")},
		},
		Migrate: true,
	})
	if err != nil {
		log.Fatal(err)
	}
	defer func() { _ = db.Close() }()

	id, err := db.Insert(ctx, `INSERT INTO colour (id, version, name) VALUES ($1, 1, $2) ON CONFLICT (id) DO NOTHING`, "red")
	if err != nil {
		log.Fatal(err)
	}
	const change = `UPDATE colour SET version = version + 1, name = $1 WHERE id = $2 AND version = $3`
	fmt.Println(db.Update(ctx, change, "green", id, 1))
	err = db.Update(ctx, change, "blue", id, 1) // of the version before
	fmt.Println(errors.Is(err, outcome.Conflict))
	var name string
	err = db.Get(ctx, []any{&name}, `SELECT name FROM colour WHERE id = $1`, id)
	fmt.Println(name, err)
	// Output:
	// <nil>
	// true
	// green <nil>
}
