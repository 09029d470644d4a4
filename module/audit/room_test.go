package audit_test

import (
	"errors"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"gatehouse/gate"
	"gatehouse/module/audit"
	"gatehouse/outcome"
	"gatehouse/store"
	"gatehouse/store/storetest"
)

// fillDisk lets every write of the log fail for want of room: PostgreSQL says so itself, and for SQLite the configuration
// of the test counts the error so. The promise with a real disk is TestPromise_P6_ARealDiskRunsFull.
func fillDisk(t *testing.T, source store.Source) (repair func()) {
	t.Helper()
	do := func(text ...string) {
		t.Helper()
		if !source.Run.IsZero() {
			if err := storetest.Admin(t, source, text[0]); err != nil {
				t.Fatal(err)
			}
			return
		}
		db := raw(t, filepath.Join(source.Dir, "audit.db"))
		for _, one := range text[1:] {
			if _, err := db.Exec(one); err != nil {
				t.Fatal(err)
			}
		}
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
	}
	do(`CREATE FUNCTION audit.no_room() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN RAISE EXCEPTION 'no space' USING ERRCODE = '53100'; END$$;
		CREATE TRIGGER no_room BEFORE UPDATE ON audit.head EXECUTE FUNCTION audit.no_room();
		CREATE TRIGGER no_room BEFORE INSERT ON audit.intent EXECUTE FUNCTION audit.no_room()`,
		"ALTER TABLE head RENAME TO head_taken", "ALTER TABLE intent RENAME TO intent_taken")
	return func() {
		t.Helper()
		do("DROP TRIGGER no_room ON audit.head; DROP TRIGGER no_room ON audit.intent", "ALTER TABLE head_taken RENAME TO head", "ALTER TABLE intent_taken RENAME TO intent")
	}
}

// TestPromise_P6_AFullDisk: while there is no room, calls that run have their rows if the reserve reaches, and else unknown
// ones later; new ones are refused and stand in one row; afterwards it goes on by itself.
func TestPromise_P6_AFullDisk(t *testing.T) {
	t.Parallel()
	storetest.Engines(t, func(t *testing.T, source store.Source) {
		lite := source.Run.IsZero()
		l := newLog(t, source, func(c *audit.Config) {
			if lite {
				c.FullWhen(func(error) bool { return true })
			}
		})
		ctx := t.Context()
		reserve := filepath.Join(source.Dir, "audit.reserve")
		kept := func() bool {
			info, err := os.Stat(reserve)
			return err == nil && info.Mode().IsRegular() && info.Size() == audit.ReserveSize
		}
		if kept() != lite {
			t.Errorf("a reserve: %t", kept())
		}
		var running [2]gate.Ticket
		for i := range running {
			var err error
			if running[i], err = l.Admit(ctx, row(t, gate.Writes, outcome.Unknown), chain(4)); err != nil {
				t.Fatal(err)
			}
		}
		reading, err := l.Admit(ctx, row(t, gate.Reads, outcome.Unknown), chain(4))
		if err != nil {
			t.Fatal(err)
		}
		repair := fillDisk(t, source)
		away := func(ticket gate.Ticket, effect gate.Effect) {
			t.Helper()
			if _, err := l.Record(ctx, ticket, row(t, effect, outcome.NotAllowed)); !errors.Is(err, outcome.Unavailable) {
				t.Errorf("a row without room for it: %v", err)
			}
		}
		away(gate.Ticket{}, gate.Reads)
		many := row(t, gate.Reads, outcome.NotAllowed)
		many.Count = 100 // the summary of a minute
		if _, err := l.Record(ctx, gate.Ticket{}, many); !errors.Is(err, outcome.Unavailable) {
			t.Error(err)
		}
		if kept() {
			t.Error("the reserve is there still")
		}
		var word interface{ Word() string }
		if err := l.Err(); !errors.Is(err, outcome.Unavailable) || !errors.As(err, &word) || word.Word() != "disk full" {
			t.Errorf("readiness says %v", err)
		}
		var all sync.WaitGroup
		for range 20 {
			all.Go(func() { away(gate.Ticket{}, gate.Reads) })
		}
		all.Wait()
		away(running[0], gate.Writes) // becomes unknown
		away(reading, gate.Reads)     // is turned away after all: it changed nothing
		for _, effect := range []gate.Effect{gate.Reads, gate.Writes} {
			if _, err := l.Admit(ctx, row(t, effect, outcome.Unknown), chain(4)); !errors.Is(err, outcome.Unavailable) {
				t.Errorf("a new call that %s: %v", effect, err)
			}
		}
		if got := l.Counts(child).Uses; got != 2 {
			t.Errorf("%d uses are held, want those of two calls with effects", got)
		}
		if lite { // so that it stays full, although rows can be written
			if err := os.MkdirAll(filepath.Join(reserve, "in the way"), 0o700); err != nil {
				t.Fatal(err)
			}
		}
		repair()
		if _, err := l.Record(ctx, running[1], row(t, gate.Writes, outcome.OK)); err != nil {
			t.Errorf("the row of a call under way, from the reserve: %v", err)
		}
		if lite {
			if _, err := l.Admit(ctx, row(t, gate.Writes, outcome.Unknown), chain(4)); !errors.Is(err, outcome.Unavailable) || l.Err() == nil {
				t.Errorf("a new call that would use up the reserve: %v; ready: %v", err, l.Err())
			}
			if err := os.RemoveAll(reserve); err != nil {
				t.Fatal(err)
			}
		}
		eventually(t, "it is ready again", func() bool { return l.Err() == nil })
		eventually(t, "no intent is left", func() bool { n, err := l.OpenIntents(ctx); return err == nil && n == 0 })
		if kept() != lite {
			t.Errorf("a reserve afterwards: %t", kept())
		}
		l.record(row(t, gate.Reads, outcome.OK))
		l.close()
		l.mustHold()
		rows, _, err := audit.Rows(ctx, reader(t, source), l.sealer)
		if err != nil {
			t.Fatal(err)
		}
		got := map[string]int64{}
		for _, r := range rows {
			got[r.Rule+" "+r.Outcome] += r.Count
		}
		for what, want := range map[string]int64{"crash unknown": 1, "grant ok": 2, "disk full unavailable": 122} {
			if got[what] != want {
				t.Errorf("%q: %d, want %d", what, got[what], want)
			}
		}
		if len(rows) != 4 {
			t.Errorf("%d rows, want 4: %v", len(rows), got)
		}
	})
}

// TestPromise_P6_AStopWhileTheDiskIsFull writes the row of those who were turned away with the last of the reserve.
func TestPromise_P6_AStopWhileTheDiskIsFull(t *testing.T) {
	t.Parallel()
	source := storetest.SQLite(t)
	l := newLog(t, source, func(c *audit.Config) { c.FullWhen(func(error) bool { return true }) })
	repair := fillDisk(t, source)
	for range 3 {
		if _, err := l.Record(t.Context(), gate.Ticket{}, row(t, gate.Reads, outcome.NotAllowed)); !errors.Is(err, outcome.Unavailable) {
			t.Error(err)
		}
	}
	in := filepath.Join(source.Dir, "audit.reserve", "in the way")
	if err := os.MkdirAll(in, 0o700); err != nil {
		t.Fatal(err)
	}
	repair()
	l.close()
	rows, _, err := audit.Rows(t.Context(), reader(t, source), l.sealer)
	if err != nil || len(rows) != 1 || rows[0].Count != 3 {
		t.Errorf("%+v, %v", rows, err)
	}
	if err := l.tryOpen(); err != nil {
		t.Fatal(err)
	}
	if l.Err() == nil {
		t.Error("a log without its reserve is ready")
	}
	if err := os.RemoveAll(filepath.Dir(in)); err != nil {
		t.Fatal(err)
	}
	eventually(t, "it is ready", func() bool { return l.Err() == nil })
}
