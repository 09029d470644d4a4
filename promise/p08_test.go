package promise_test

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"gatehouse/gatetest"
	"gatehouse/outcome"
)

// TestPromise_P8_AnOlderVersionChangesNothing: whoever writes with a version that is not the newest gets conflict, on every
// entry, and what was to be changed is as it was.
func TestPromise_P8_AnOlderVersionChangesNothing(t *testing.T) {
	t.Parallel()
	throughEveryDoor(t, "", func(t *testing.T, w *world, d gatetest.Door) {
		ann := w.Person("ann", "ledger.read", "tokens.revoke", "tokens.issue")
		boss := ann.Issue(map[string]any{"tools": []string{"tokens.issue", "tokens.revoke", "ledger.read"}})
		got := d.Call(boss.Text, "tokens.issue", `{"agent":"child","tools":["ledger.read"]}`)
		var child struct {
			ID      int64 `json:"token_id"`
			Version int64
			Token   string
		}
		if err := json.Unmarshal([]byte(got.Result), &child); err != nil {
			t.Fatal(got.Raw, err)
		}
		for _, version := range []int64{child.Version + 1, child.Version - 1, 0} {
			got = d.Call(boss.Text, "tokens.revoke", fmt.Sprintf(`{"token":%d,"version":%d}`, child.ID, version))
			if got.Code != outcome.Conflict || got.Reason == "" {
				t.Errorf("revoking version %d: %s (%s)", version, got.Code, got.Reason)
			}
			if got = d.Call(child.Token, "ledger.read", `{}`); got.Code != outcome.OK {
				t.Errorf("the token whose revocation was a conflict: %s", got.Code)
			}
		}
		if got = d.Call(boss.Text, "tokens.revoke", fmt.Sprintf(`{"token":%d,"version":%d}`, child.ID, child.Version)); got.Code != outcome.OK {
			t.Errorf("revoking the version that is: %s (%s)", got.Code, got.Reason)
		}
		if got = d.Call(child.Token, "ledger.read", `{}`); got.Code != outcome.Unauthenticated {
			t.Errorf("afterwards: %s", got.Code)
		}
	})
}

// TestPromise_P8_IfMatch: over REST the version is the ETag.
func TestPromise_P8_IfMatch(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "")
	ann := w.Person("ann", "tokens.issue", "tokens.revoke")
	got := w.Doors()[0].Call(ann.Token.Text, "tokens.issue", `{"agent":"child","tools":[]}`)
	var child struct {
		ID int64 `json:"token_id"`
	}
	if err := json.Unmarshal([]byte(got.Result), &child); err != nil {
		t.Fatal(got.Raw, err)
	}
	for _, tt := range []struct {
		tag    string
		status int
	}{{`"7"`, 409}, {`*`, 400}, {`"1", "2"`, 400}, {`W/"1"`, 400}, {``, 400}, {`"1"`, 200}, {`"1"`, 409}} {
		res, body := w.Send("DELETE", fmt.Sprintf("/v1/tokens/%d", child.ID), ann.Token.Text, "", map[string][]string{"If-Match": {tt.tag}})
		if res.StatusCode != tt.status {
			t.Errorf("If-Match %s: %d, want %d: %s", tt.tag, res.StatusCode, tt.status, body)
		}
	}
}

// TestPromise_P8_TwoAdministrators edit one person's permissions from what they saw: one of them succeeds, all others get
// conflict, and nothing of theirs is there (T20).
func TestPromise_P8_TwoAdministrators(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "")
	ann := w.Person("ann")
	type permissions struct {
		Version int64
		Grants  map[string]string
	}
	read := func() (p permissions) {
		if err := json.Unmarshal(w.Operate("permissions.get", map[string]any{"person": ann.ID}).Bytes(), &p); err != nil {
			t.Fatal(err)
		}
		return p
	}
	tools := []string{"ledger.read", "ledger.write", "ledger.destroy", "ledger.raw"}
	for round := range 5 {
		saw := read().Version
		var won atomic.Int64
		var winners sync.Map
		var all sync.WaitGroup
		for i := range 8 {
			all.Go(func() {
				grants := map[string]string{}
				for j, tool := range tools {
					grants[tool] = []string{"none", "allow"}[(i+j)%2]
				}
				grants["people.list"] = []string{"allow", "ask", "none", "allow"}[i%4]
				o := w.TryOperate("permissions.set", map[string]any{"person": ann.ID, "version": saw, "grants": grants})
				switch o.Code {
				case outcome.OK:
					won.Add(1)
					winners.Store("grants", grants)
				case outcome.Conflict:
				default:
					t.Errorf("%s (%s)", o.Code, o.Reason)
				}
			})
		}
		all.Wait()
		now := read()
		if won.Load() != 1 || now.Version != saw+1 {
			t.Errorf("round %d: %d writes succeeded, and version %d became %d", round, won.Load(), saw, now.Version)
		}
		grants, _ := winners.Load("grants")
		for tool, want := range grants.(map[string]string) {
			got := now.Grants[tool]
			if got == "" {
				got = "none"
			}
			if got != want {
				t.Errorf("round %d: %s is %s, and whoever succeeded wanted %s", round, tool, got, want)
			}
		}
	}
}

// TestPromise_P8_AForgottenVersionFails: in every table with a version, the database itself refuses an UPDATE that does not
// raise it by one.
func TestPromise_P8_AForgottenVersionFails(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "")
	w.Person("ann", "ledger.write").MustCall("ledger.write", `{}`)
	tables := 0
	for module, db := range w.databases() {
		for name, triggers := range w.versioned(db, module) {
			tables++
			if triggers != 1 {
				t.Errorf("%s %s has %d triggers that look at the version", module, name, triggers)
			}
			for _, set := range []string{"version = version", "version = version + 2", "version = version - 1", "version = NULL"} {
				res, err := db.ExecContext(t.Context(), "UPDATE "+name+" SET "+set)
				if err == nil {
					if n, _ := res.RowsAffected(); n > 0 {
						t.Errorf("%s takes UPDATE %s SET %s of %d rows", module, name, set, n)
					}
				} else if !strings.Contains(err.Error(), "version must rise by one") && !strings.Contains(strings.ToUpper(err.Error()), "NOT NULL") && !strings.Contains(err.Error(), "not-null") {
					t.Errorf("%s: UPDATE %s SET %s: %v", module, name, set, err)
				}
			}
		}
	}
	if tables < 3 {
		entries, _ := os.ReadDir(w.Data)
		t.Errorf("found %d tables with a version: the search looks in the wrong place: %v", tables, entries)
	}
}
