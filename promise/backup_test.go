package promise_test

import (
	"bytes"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"gatehouse/app"
	"gatehouse/config"
	"gatehouse/outcome"
)

// TestPromise_P6_ABackupHoldsWhatWasAnswered takes a backup while 64 agents write. Restored, the log holds, its counters
// agree with its rows, and every call that was answered before the backup was asked for has its row.
func TestPromise_P6_ABackupHoldsWhatWasAnswered(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "limits: {calls_per_minute: 1000000, in_flight: 1000}\n")
	token := w.Person("ann", "ledger.write").Issue(map[string]any{"tools": []string{"ledger.write"}, "max_uses": 1_000_000})
	var mu sync.Mutex // guards answered
	answered := map[string]bool{}
	stop := make(chan struct{})
	var agents sync.WaitGroup
	for i := range 64 {
		agents.Go(func() {
			for n := 0; ; n++ {
				select {
				case <-stop:
					return
				default:
				}
				if a := w.CallAs(token.Text, "ledger.write", fmt.Sprintf(`{"text":"canary-%d-%d"}`, i, n)); a.Code == outcome.OK {
					mu.Lock()
					answered[a.ID.String()] = true
					mu.Unlock()
				}
			}
		})
	}
	<-time.After(300 * time.Millisecond)
	dir := t.TempDir()
	file, key := filepath.Join(dir, "b.age"), filepath.Join(dir, "key.txt")
	recipient, err := app.NewBackupKey(key)
	if err != nil {
		t.Fatal(err)
	}
	mu.Lock()
	before := make([]string, 0, len(answered))
	for id := range answered {
		before = append(before, id)
	}
	mu.Unlock()
	made := w.Operate("house.backup", map[string]any{"file": file, "recipients": []string{recipient}, "with_keys": true})
	close(stop)
	agents.Wait()
	t.Logf("%d calls were answered before: %s", len(before), made)
	text, err := os.ReadFile(file)
	if err != nil || bytes.Contains(text, []byte("canary")) || bytes.Contains(text, []byte("SQLite")) {
		t.Errorf("the backup tells something (%v)", err)
	}
	to := config.Default(filepath.Join(dir, "restored"))
	r, err := app.Restore(t.Context(), app.Config{File: to, Log: slog.New(slog.DiscardHandler), Version: "test"}, app.Restoring{Archive: file, IdentityFile: key})
	if err != nil || r.Revoked == 0 {
		t.Fatalf("%+v %v", r, err)
	}
	if v := verify(t, to.Data, ""); !v.OK || v.Sealed != "" { // the counters of uses are held against the rows too
		t.Errorf("the log does not hold: %s %s", v.Fault, v.Sealed)
	}
	db := openFile(t, filepath.Join(to.Data, "audit.db"))
	defer func() { _ = db.Close() }()
	for _, id := range before {
		n := 0
		err := db.QueryRowContext(t.Context(), `SELECT count(*) FROM log WHERE id || '-' || seq = $1`, id).Scan(&n)
		if err != nil || n != 1 {
			t.Fatalf("call %s was answered and has %d rows in the backup (%v)", id, n, err)
		}
	}
	if len(before) == 0 {
		t.Error("nothing was answered: the test shows nothing")
	}
}
