package promise_test

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	_ "modernc.org/sqlite"

	"gatehouse/gatetest"
	"gatehouse/outcome"
)

func openFile(t *testing.T, path string) *sql.DB {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+filepath.ToSlash(path)+"?_pragma=busy_timeout(5000)")
	if err != nil {
		t.Fatal(err)
	}
	db.SetMaxOpenConns(1)
	t.Cleanup(func() { _ = db.Close() })
	return db
}

// TestPromise_P6_TheIntentComesFirst: the downstream system itself looks into the log, over a connection of its own, before
// it answers; it finds the intent of the call (T21).
func TestPromise_P6_TheIntentComesFirst(t *testing.T) {
	t.Parallel()
	throughEveryDoor(t, "", func(t *testing.T, w *world, d gatetest.Door) {
		ann := w.Person("ann", "ledger.write", "ledger.read")
		db := w.database("audit")
		look := func() (intents int, err error) {
			err = db.QueryRowContext(t.Context(), `SELECT count(*) FROM intent WHERE body LIKE '%"tool":"ledger.write"%'`).Scan(&intents)
			return intents, err
		}
		looked := 0
		w.ledger.meanwhile(func(a arrival) error {
			n, err := look()
			if err == nil && a.tool == "ledger.write" && n != 1 {
				err = fmt.Errorf("%d intents are durable", n)
			}
			looked++
			return err
		})
		for range 3 {
			if got := d.Call(ann.Token.Text, "ledger.write", `{"text":"a"}`); got.Code != outcome.OK {
				t.Errorf("%s (%s), and the process says %s", got.Code, got.Reason, w.log)
			}
		}
		if n, err := look(); looked != 3 || n != 0 || err != nil {
			t.Errorf("the ledger looked %d times; %d intents are left (%v)", looked, n, err)
		}
	})
}

// TestPromise_P6_TheRowComesBeforeTheResult: whoever has a result finds its row at once, over another connection.
func TestPromise_P6_TheRowComesBeforeTheResult(t *testing.T) {
	t.Parallel()
	throughEveryDoor(t, "", func(t *testing.T, w *world, d gatetest.Door) {
		ann := w.Person("ann", "ledger.write", "ledger.read")
		db := w.database("audit")
		var all sync.WaitGroup
		for i := range 40 {
			all.Go(func() {
				got := d.Call(ann.Token.Text, []string{"ledger.read", "ledger.write", "ledger.none"}[i%3], `{}`)
				code, err := w.rowOutcome(db, got.ID)
				if err != nil || code != got.Code.String() {
					t.Errorf("%s was answered as %s, and its row says %q (%v)", got.ID, got.Code, code, err)
				}
			})
		}
		all.Wait()
	})
}

// TestPromise_P6_AClientThatLeaves gets no answer, and its call has its one row all the same.
func TestPromise_P6_AClientThatLeaves(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "")
	ann := w.Person("ann", "ledger.read", "ledger.write")
	for tool, want := range map[string]outcome.Code{"ledger.read": outcome.Cancelled, "ledger.write": outcome.Unknown} {
		mark := w.Mark()
		ctx, leave := context.WithCancel(t.Context())
		w.ledger.meanwhile(func(arrival) error { leave(); return nil })
		r, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://127.0.0.1/v1/tools/"+tool, strings.NewReader(`{"do":"hang"}`))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", "Bearer "+ann.Token.Text)
		r.Header.Set("Content-Type", "application/json")
		res, err := w.Do(r)
		if err == nil {
			_ = res.Body.Close()
		}
		if !errors.Is(err, context.Canceled) {
			t.Errorf("%s: the client had an answer (%v)", tool, err)
		}
		var rows []gatetest.Row
		for end := time.Now().Add(10 * time.Second); len(rows) == 0 && time.Now().Before(end); <-time.After(5 * time.Millisecond) {
			rows = nil
			for _, row := range w.RowsSince(mark) {
				if !row.Operator {
					rows = append(rows, row)
				}
			}
		}
		if len(rows) != 1 || rows[0].Outcome != want.String() {
			t.Errorf("%s: rows, want one that says %s:\n%s", tool, want, gatetest.Print(rows))
		}
	}
}

// TestPromise_P6_BudgetsAreSpentExactly: a hundred calls at once, through all entries, with a token and two children of it
// that share its budget, and then with another token of the same person, whose day is spent too.
func TestPromise_P6_BudgetsAreSpentExactly(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "limits: {in_flight: 200, budget_per_person_per_day: 5.00}\n")
	ann := w.Person("ann", "ledger.read", "ledger.write", "ledger.destroy", "tokens.issue")
	tools := []string{"ledger.read", "ledger.write", "tokens.issue"}
	parent := ann.Issue(map[string]any{"tools": tools, "budget": 3_250_000}) // 13 calls
	doors := w.Doors()
	if got := doors[0].Call(parent.Text, "tokens.issue", `{"agent":"child","tools":["ledger.write"],"budget":3250001}`); got.Code != outcome.Invalid {
		t.Errorf("a child with a larger budget: %s", got.Code)
	}
	tokens := []string{parent.Text}
	for range 2 {
		got := doors[0].Call(parent.Text, "tokens.issue", `{"agent":"child","tools":["ledger.write"],"budget":3250000}`)
		var child struct {
			Token string `json:"token"`
		}
		if err := json.Unmarshal([]byte(got.Result), &child); err != nil || got.Code != outcome.OK {
			t.Fatal(got.Code, got.Reason, err)
		}
		tokens = append(tokens, child.Token)
	}
	for _, d := range doors { // what is refused, and what costs nothing, spends nothing
		d.Call(parent.Text, "ledger.destroy", `{}`)
		d.Call(parent.Text, "ledger.write", `{"no":1}`)
		d.Call(parent.Text, "ledger.read", `{}`)
	}
	spend := func(want int, with ...string) {
		t.Helper()
		before := w.ledger.count()
		if want > 0 { // all have seen that the budget reaches before the first one spends of it
			gathered, everybody := atomic.Int64{}, make(chan struct{})
			wait := func() {
				if gathered.Add(1) == 100 {
					close(everybody)
				}
				select {
				case <-everybody:
				case <-time.After(20 * time.Second):
					t.Error("not all calls came so far")
				}
			}
			w.sabot.afforded.Store(&wait)
			defer w.sabot.afforded.Store(nil)
		}
		var ok, limited atomic.Int64
		var all sync.WaitGroup
		for i := range 100 {
			all.Go(func() {
				switch got := doors[i%len(doors)].Call(with[i%len(with)], "ledger.write", `{}`); got.Code {
				case outcome.OK:
					ok.Add(1)
				case outcome.Limited:
					limited.Add(1)
				default:
					t.Errorf("%s (%s)", got.Code, got.Reason)
				}
			})
		}
		all.Wait()
		if arrived := w.ledger.count() - before; ok.Load() != int64(want) || limited.Load() != int64(100-want) || arrived != want {
			t.Errorf("%d ok, %d limited, %d arrived; want %d, %d, %d", ok.Load(), limited.Load(), arrived, want, 100-want, want)
		}
	}
	spend(13, tokens...)
	spend(7, ann.Token.Text) // 20 a day
	w.Restart()
	doors = w.Doors()
	spend(0, append(tokens, ann.Token.Text)...)
}

// TestPromise_P6_UsesAreTakenExactly: a hundred calls at once, through all entries, with a token for thirteen uses (T5). All
// of them have seen that a use is left before the first one takes it.
func TestPromise_P6_UsesAreTakenExactly(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "limits: {in_flight: 200}\n")
	ann := w.Person("ann", "ledger.read", "ledger.write")
	token := ann.Issue(map[string]any{"tools": []string{"ledger.read", "ledger.write"}, "max_uses": 13})
	doors := w.Doors()
	for _, d := range doors {
		d.List(token.Text) // takes none
		d.Call(token.Text, "ledger.destroy", `{}`)
		d.Call(token.Text, "ledger.read", `{"no":1}`)
	}
	const calls = 100
	var gathered atomic.Int64
	everybody := make(chan struct{})
	wait := func() {
		if gathered.Add(1) == calls {
			close(everybody)
		}
		select {
		case <-everybody:
		case <-time.After(20 * time.Second):
			t.Error("not all calls came so far")
		}
	}
	w.sabot.between.Store(&wait)
	var ok, wrote, limited atomic.Int64
	var all sync.WaitGroup
	for i := range calls {
		all.Go(func() {
			tool := []string{"ledger.read", "ledger.write"}[i/2%2]
			switch got := doors[i%len(doors)].Call(token.Text, tool, `{}`); got.Code {
			case outcome.OK:
				ok.Add(1)
				if tool == "ledger.write" {
					wrote.Add(1)
				}
			case outcome.Limited:
				limited.Add(1)
			default:
				t.Errorf("%s (%s)", got.Code, got.Reason)
			}
		})
	}
	all.Wait()
	w.sabot.between.Store(nil)
	writings, readings := int64(0), int64(0)
	for _, a := range w.ledger.since(0) {
		if a.tool == "ledger.write" {
			writings++
		} else {
			readings++
		}
	}
	if ok.Load() != 13 || limited.Load() != 87 || writings != wrote.Load() {
		t.Errorf("%d ok, %d limited, want 13, 87; %d writings arrived and %d were answered", ok.Load(), limited.Load(), writings, wrote.Load())
	}
	// What only reads takes its use with its row: on replicas more may arrive, and their results are withheld.
	if readings != ok.Load()-wrote.Load() && !w.shared() {
		t.Errorf("%d readings arrived and %d were answered", readings, ok.Load()-wrote.Load())
	}
	w.Restart() // the log is the truth: counters are read from it
	if got := w.Doors()[0].Call(token.Text, "ledger.read", `{}`); got.Code != outcome.Limited {
		t.Errorf("after a restart: %s", got.Code)
	}
}
