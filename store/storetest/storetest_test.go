package storetest_test

import (
	"testing"

	"github.com/jackc/pgx/v5"

	"gatehouse/store"
	"gatehouse/store/storetest"
)

func TestEachCallIsADatabaseOfItsOwn(t *testing.T) {
	t.Parallel()
	a, b := storetest.Postgres(t), storetest.Postgres(t)
	if a.Run.Equal(b.Run) || a.Owner.Equal(b.Owner) || a.Run.Equal(a.Owner) {
		t.Error("two databases, or two logins, are one")
	}
	if err := storetest.Admin(t, a, "CREATE TABLE only_here (x int)"); err != nil {
		t.Fatal(err)
	}
	if err := storetest.Admin(t, b, "SELECT * FROM only_here"); err == nil {
		t.Error("the table of one is in the other")
	}
}

func TestACopyIsApart(t *testing.T) {
	t.Parallel()
	a := storetest.Postgres(t)
	if err := storetest.Owner(t, a, "CREATE SCHEMA s; CREATE TABLE s.one (x int)"); err != nil {
		t.Fatal(err)
	}
	b := storetest.Copy(t, a)
	if err := storetest.Owner(t, b, "INSERT INTO s.one VALUES (1); CREATE TABLE s.two (x int)"); err != nil {
		t.Error(err)
	}
	if err := storetest.Owner(t, a, "SELECT * FROM s.two"); err == nil {
		t.Error("what was made in the copy is in the first one")
	}
}

// TestAServerThatFails keeps what was committed, and nobody reaches it meanwhile.
func TestAServerThatFails(t *testing.T) {
	t.Parallel()
	server := storetest.Own(t)
	a := server.Source()
	if err := storetest.Owner(t, a, "SET synchronous_commit = on; CREATE SCHEMA s; CREATE TABLE s.one (x int)"); err != nil {
		t.Fatal(err)
	}
	server.Stop()
	if _, err := pgx.Connect(t.Context(), a.Run.Reveal()); err == nil {
		t.Error("a server that was stopped answers")
	}
	server.Start()
	if err := storetest.Owner(t, a, "SELECT * FROM s.one"); err != nil {
		t.Error(err)
	}
}

func TestEnginesRunsBoth(t *testing.T) {
	t.Parallel()
	seen := make(chan bool, 2)
	t.Run("all", func(t *testing.T) {
		storetest.Engines(t, func(_ *testing.T, source store.Source) { seen <- source.Run.IsZero() })
	})
	close(seen)
	lite, post := 0, 0
	for sqlite := range seen {
		if sqlite {
			lite++
		} else {
			post++
		}
	}
	if lite != 1 || post > 1 { // PostgreSQL may be missing here
		t.Errorf("%d times SQLite, %d times PostgreSQL", lite, post)
	}
}
