// Package storetest gives tests real databases: SQLite in a folder of their own, and a throwaway PostgreSQL server, started
// once for each test process, with a fresh database for each call. It must never be imported by anything but tests, nor
// reach a server that it did not start.
//
//	func TestNotes(t *testing.T) {
//		storetest.Engines(t, func(t *testing.T, source store.Source) {
//			db, err := store.Open(t.Context(), store.Config{Source: source, Name: "note", Migrations: ddl, Migrate: true})
//			…
//
// Where there is no PostgreSQL the test is skipped and says so; with GATEHOUSE_TEST_REQUIRE_PARTS set it fails.
package storetest

import (
	"context"
	"fmt"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"gatehouse/secret"
	"gatehouse/store"
)

// requireParts is the variable that makes a missing part a failure.
const requireParts = "GATEHOUSE_TEST_REQUIRE_PARTS"

// Engines runs test once on SQLite and once on PostgreSQL, as parallel subtests.
func Engines(t *testing.T, test func(t *testing.T, source store.Source)) {
	t.Helper()
	t.Run("sqlite", func(t *testing.T) {
		t.Parallel()
		test(t, SQLite(t))
	})
	t.Run("postgres", func(t *testing.T) {
		t.Parallel()
		test(t, Postgres(t))
	})
}

// SQLite is a source in a folder that goes with the test.
func SQLite(t testing.TB) store.Source {
	t.Helper()
	return store.Source{Dir: t.TempDir()}
}

// counter numbers the databases of this process.
var counter atomic.Int64

// Postgres is a source in a fresh database with an owner and a run login of its own, which goes with the test. Its server
// is started by the first call and ends with the process, in whatever way that ends.
func Postgres(t testing.TB) store.Source {
	t.Helper()
	return fresh(t, server(t))
}

// fresh makes a database on a server.
func fresh(t testing.TB, socket string) store.Source {
	t.Helper()
	name := fmt.Sprintf("t%d", counter.Add(1))
	prepare(t, socket, name,
		"CREATE ROLE run_"+name+" LOGIN", // it inherits, as a login usually does: store has to see to it that it does not
		"CREATE ROLE own_"+name+" LOGIN CREATEROLE",
		"CREATE DATABASE "+name+" OWNER own_"+name,
	)
	return store.Source{Dir: t.TempDir(), Run: dsn(socket, "run_"+name, name), Owner: dsn(socket, "own_"+name, name)}
}

// Copy is a copy of the database of a source from [Postgres], with the same logins, which goes with the test. Whoever was
// connected to the source must have closed it.
func Copy(t testing.TB, source store.Source) store.Source {
	t.Helper()
	config, err := pgx.ParseConfig(source.Owner.Reveal())
	if err != nil {
		t.Fatal(err)
	}
	name := fmt.Sprintf("t%d", counter.Add(1))
	// What was closed may still be ending.
	prepare(t, config.Host, name, "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE datname = '"+config.Database+"'",
		"CREATE DATABASE "+name+" TEMPLATE "+config.Database+" OWNER "+config.User)
	run := strings.Replace(config.User, "own_", "run_", 1)
	return store.Source{Dir: t.TempDir(), Run: dsn(config.Host, run, name), Owner: dsn(config.Host, config.User, name)}
}

// prepare makes a database by statements, and drops it when the test ends.
func prepare(t testing.TB, socket, name string, texts ...string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	for _, text := range texts {
		if err := admin(ctx, socket, text); err != nil {
			t.Fatalf("preparing a PostgreSQL database: %v", err)
		}
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err := admin(ctx, socket, "DROP DATABASE "+name+" WITH (FORCE)"); err != nil {
			t.Errorf("dropping a PostgreSQL database: %v", err)
		}
	})
}

// Superuser is the DSN of a login that nothing is refused, in the database of a source from [Postgres].
func Superuser(t testing.TB, source store.Source) secret.Text {
	t.Helper()
	config, err := pgx.ParseConfig(source.Owner.Reveal())
	if err != nil {
		t.Fatal(err)
	}
	return dsn(config.Host, "admin", config.Database)
}

// Admin runs a statement as the superuser in the database of a source from Postgres, for what an attacker or an operator
// could do there.
func Admin(t testing.TB, source store.Source, text string) error {
	t.Helper()
	return as(t, source, "admin", text)
}

// Owner runs statements as the owner of a source from Postgres, for what other modules' migrations would have made.
func Owner(t testing.TB, source store.Source, text string) error {
	t.Helper()
	return as(t, source, "", text)
}

// as runs statements as a login; empty: the owner.
func as(t testing.TB, source store.Source, login, text string) error {
	t.Helper()
	config, err := pgx.ParseConfig(source.Owner.Reveal())
	if err != nil {
		t.Fatal(err)
	}
	if login != "" {
		config.User = login
	}
	conn, err := pgx.ConnectConfig(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(context.WithoutCancel(t.Context())) }()
	_, err = conn.Exec(t.Context(), text)
	return err
}

func dsn(socket, user, database string) secret.Text {
	return secret.New(fmt.Sprintf("host=%s user=%s dbname=%s sslmode=disable", socket, user, database))
}

func admin(ctx context.Context, socket, text string) error {
	conn, err := pgx.Connect(ctx, dsn(socket, "admin", "postgres").Reveal())
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	if _, err := conn.Exec(ctx, text); err != nil {
		return fmt.Errorf("%s: %w", strings.SplitN(text, "\n", 2)[0], err)
	}
	return nil
}

// missing skips, or fails where parts are required.
func missing(t testing.TB, why string) {
	t.Helper()
	if os.Getenv(requireParts) != "" {
		t.Fatalf("%s, and %s is set", why, requireParts)
	}
	t.Skip(why)
}

// Nowhere is the DSN of a server that is not there.
func Nowhere(t testing.TB) secret.Text {
	t.Helper()
	return dsn(t.TempDir(), "nobody", "nothing")
}
