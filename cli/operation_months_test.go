package cli_test

import (
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"gatehouse/app"
	"gatehouse/config"
	"gatehouse/store/storetest"
)

// TestMovingMonthsAwayIsAsPrinted: the files of SQLite, in a house whose months have passed in a bubble, and the partitions of
// PostgreSQL. The page's month is another one here, and its archive a folder of the test's.
func TestMovingMonthsAwayIsAsPrinted(t *testing.T) {
	t.Parallel()
	lines := section(t, "Months of the log")
	files, tables, ok := strings.Cut(lines, "psql ")
	if !ok {
		t.Fatalf("the section has no psql:\n%s", lines)
	}
	t.Run("sqlite", func(t *testing.T) {
		t.Parallel()
		dir := t.TempDir()
		c := app.Config{File: config.Default(filepath.Join(dir, "d")), Log: slog.New(slog.DiscardHandler)}
		synctest.Test(t, func(t *testing.T) { // the bubble's clock begins in January 2000
			for range 2 {
				o, err := app.Operate(t.Context(), c)
				if err != nil {
					t.Fatal(err)
				}
				if _, err := o.Call(t.Context(), "people.list", struct{}{}); err != nil {
					t.Error(err)
				}
				if err := o.Close(); err != nil {
					t.Error(err)
				}
				time.Sleep(31 * 24 * time.Hour)
			}
		})
		if err := os.Mkdir(filepath.Join(dir, "archive"), 0o700); err != nil {
			t.Fatal(err)
		}
		got := shell(t, dir, strings.NewReplacer("2026-11", "2000-01", "/archive/", "archive/").Replace(files)+"gatehouse --data d audit verify\n")
		if strings.Count(got, "the log holds") != 2 || !strings.Contains(got, "begins at row 2") {
			t.Errorf("it says\n%s", got)
		}
	})
	t.Run("postgres", func(t *testing.T) {
		t.Parallel()
		if _, err := exec.LookPath("psql"); err != nil {
			t.Skip("there is no psql here")
		}
		source := storetest.Postgres(t)
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "postgres.yaml"), []byte("store: {postgres_dsn_env: RUN_DSN, postgres_owner_dsn_env: OWNER_DSN}\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		month := time.Now().UTC().Format("2006_01") // what the house writes now
		got := shell(t, dir, "gatehouse --data d --config postgres.yaml user add ada@example.org\n"+
			"psql "+strings.ReplaceAll(tables, "2026_11", month)+
			`psql "$OWNER_DSN" --tuples-only --command 'SELECT count(*) FROM archive.log_`+month+`'`,
			"RUN_DSN="+source.Run.Reveal(), "OWNER_DSN="+source.Owner.Reveal())
		if fields := strings.Fields(got); len(fields) == 0 || fields[len(fields)-1] != "1" {
			t.Errorf("it says\n%s", got)
		}
	})
}
