package app_test

import (
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"gatehouse/app"
	"gatehouse/store"
	"gatehouse/store/storetest"
)

// aged is a house whose log has three segments, two of them closed.
func aged(t *testing.T) app.Config {
	t.Helper()
	c := house(t)
	synctest.Test(t, func(t *testing.T) {
		inhabit(t, c)
		for range 2 {
			time.Sleep(31 * 24 * time.Hour)
			do[obj](t, c, "people.list", obj{})
		}
	})
	closed, err := filepath.Glob(filepath.Join(c.File.Data, "audit-2000-*.db"))
	if err != nil || len(closed) != 2 {
		t.Fatalf("closed are %v, %v", closed, err)
	}
	return c
}

func verified(t *testing.T, c app.Config) app.LogReport {
	t.Helper()
	r, err := app.VerifyLog(t.Context(), c.File, app.Kept{}, c.Log)
	if err != nil || !r.OK || r.Sealed != "" {
		t.Fatalf("the log: %+v %v", r, err)
	}
	return r
}

// TestABackupHoldsAllSegments, on either engine, and one whose oldest was moved away holds what is there.
func TestABackupHoldsAllSegments(t *testing.T) {
	t.Parallel()
	from := aged(t)
	before := verified(t, from)
	for _, moved := range []bool{false, true} {
		first := int64(0)
		if moved {
			if err := os.Remove(filepath.Join(from.File.Data, "audit-2000-01.db")); err != nil {
				t.Fatal(err)
			}
			if first = verified(t, from).Begins; first < 3 {
				t.Fatalf("it begins at %d", first)
			}
		}
		file, key := archive(t, from, true)
		for _, target := range []store.Source{{}, storetest.Postgres(t)} {
			to := on(t, house(t), target)
			r, err := app.Restore(t.Context(), to, app.Restoring{Archive: file, IdentityFile: key})
			if err != nil {
				t.Fatal(err)
			}
			got := verified(t, to)
			if r.Rows <= before.Rows || got.Rows != r.Rows || got.Begins != first {
				t.Errorf("moved %v, on %s: %+v after %+v", moved, r.Engine, got.Report, before.Report)
			}
			do[obj](t, to, "people.list", obj{})
			if after := verified(t, to); after.Rows != got.Rows+1 {
				t.Errorf("moved %v, on %s: %+v", moved, r.Engine, after.Report)
			}
		}
	}
}

// TestAHouseMovesToPostgresWithAllSegments, also after a crash between the two steps in which a month is closed.
func TestAHouseMovesToPostgresWithAllSegments(t *testing.T) {
	t.Parallel()
	from := aged(t)
	before := verified(t, from)
	if err := os.Rename(filepath.Join(from.File.Data, "audit.db"), filepath.Join(from.File.Data, "audit.next.db")); err != nil {
		t.Fatal(err)
	}
	to := on(t, from, storetest.Postgres(t))
	r, err := app.MoveToPostgres(t.Context(), to)
	if err != nil || r.Log != before.Rows {
		t.Fatalf("%+v, %v", r, err)
	}
	if got := verified(t, to); got.Rows != before.Rows || got.Begins != 0 || got.Opened != before.Opened {
		t.Errorf("%+v after %+v", got.Report, before.Report)
	}
}

// TestALogIsCopiedWithItsSegments: what the demo verifies is the whole log.
func TestALogIsCopiedWithItsSegments(t *testing.T) {
	t.Parallel()
	from := aged(t)
	dir := filepath.Join(t.TempDir(), "copy")
	if err := app.CopyLog(t.Context(), from.File.Data, dir); err != nil {
		t.Fatal(err)
	}
	c := from
	c.File.Data = dir
	r, err := app.VerifyLog(t.Context(), c.File, app.Kept{}, c.Log)
	if err != nil || !r.OK || r.Segments != 2 {
		t.Errorf("%+v, %v", r, err)
	}
}

// TestAClosedSegmentIsVerifiedAlone: with the key of the data folder that it lies in, or with one beside it.
func TestAClosedSegmentIsVerifiedAlone(t *testing.T) {
	t.Parallel()
	from := aged(t)
	before := verified(t, from)
	file := filepath.Join(from.File.Data, "audit-2000-02.db")
	alone := filepath.Join(t.TempDir(), "audit-2000-02.db")
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(alone, text, 0o400); err != nil {
		t.Fatal(err)
	}
	if _, err := app.VerifyLogCopy(t.Context(), alone, app.Kept{}, from.Log); err == nil {
		t.Error("it is verified without a key")
	}
	key, err := os.ReadFile(filepath.Join(from.File.Data, "keys", "audit.pub"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(app.CopyKey(alone), key, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, file := range []string{file, alone} {
		r, err := app.VerifyLogCopy(t.Context(), file, app.Kept{}, from.Log)
		if err != nil || !r.OK || !r.Closed || r.Begins < 2 || r.Rows < r.Begins || r.Rows >= before.Rows || r.Sealed == "" {
			t.Errorf("%s: %+v, %v", file, r, err)
		}
	}
}
