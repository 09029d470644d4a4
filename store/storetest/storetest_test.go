package storetest_test

import (
	"testing"

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
