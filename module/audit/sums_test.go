package audit_test

import (
	"context"
	"fmt"
	"io/fs"
	"maps"
	"math"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"testing/synctest"
	"time"

	"gatehouse/gate"
	"gatehouse/module/audit"
	"gatehouse/outcome"
	"gatehouse/store"
	"gatehouse/store/storetest"
)

// fillMixed writes rows of several persons, agents, tools and kinds, many at a time.
func fillMixed(l *testLog, n int) {
	l.t.Helper()
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() {
			r := row(l.t, gate.Reads, outcome.OK)
			r.Person, r.Agent = []gate.PersonID{ada, bob, 0}[i%3], []string{"reporter", "filer"}[i%2]
			r.Tool, r.Price = []gate.ToolName{"note.read", "note.write"}[i%4/2], gate.Money(i)
			switch i % 5 {
			case 3: // of a tool that there is not
				r.Definition, r.Tool, r.Outcome, r.Price = "", gate.ToolName(fmt.Sprint("guess.", i)), outcome.NotAllowed, 0
			case 4: // a summary
				r.Count, r.Rule, r.Price = 17, "summary", 0
			default:
				ticket, err := l.Admit(l.t.Context(), r, chain(0))
				if err == nil {
					_, err = l.Record(l.t.Context(), ticket, r)
				}
				if err != nil {
					l.t.Error(err)
				}
				return
			}
			if _, err := l.Record(l.t.Context(), gate.Ticket{}, r); err != nil {
				l.t.Error(err)
			}
		})
	}
	all.Wait()
}

// compareSums holds the sums against those of the rows themselves.
func compareSums(t *testing.T, db *store.DB) map[string]audit.Sums {
	t.Helper()
	rows, err := audit.SumsOfRows(t.Context(), db)
	if err != nil {
		t.Fatal(err)
	}
	kept, err := audit.SumsKept(t.Context(), db)
	if err != nil || len(rows) == 0 || !maps.Equal(rows, kept) {
		t.Errorf("the sums are\n%v\nand the rows\n%v\n%v", kept, rows, err)
	}
	return kept
}

// TestSumsAreThoseOfTheRows: whatever is written, and also after a start, the sums are those of the rows.
func TestSumsAreThoseOfTheRows(t *testing.T) {
	t.Parallel()
	storetest.Engines(t, func(t *testing.T, source store.Source) {
		l := newLog(t, source)
		fillMixed(l, 120)
		ticket, err := l.Admit(t.Context(), row(t, gate.Writes, outcome.Unknown), chain(0)) // becomes a row at the start
		if err != nil || ticket.Intent == 0 {
			t.Fatal(ticket, err)
		}
		before := compareSums(t, l.DB())
		for name := range before {
			if strings.Contains(name, "guess") {
				t.Errorf("there is a sum for %q", name)
			}
		}
		l.reopen()
		fillMixed(l, 30)
		compareSums(t, l.DB())
		l.record(&gate.Row{Began: time.Now(), Tool: "x.y", Definition: "d", Count: 1, Price: math.MaxInt64})
		l.record(&gate.Row{Began: time.Now(), Tool: "x.y", Definition: "d", Count: 1, Price: math.MaxInt64})
		compareSums(t, l.DB()) // which stopped to count, and the log goes on
		if report, err := audit.Verify(t.Context(), audit.VerifyOptions{Source: source, Sealer: l.sealer, PublicKey: l.PublicKey()}); err != nil || !report.OK {
			t.Errorf("%+v, %v", report, err)
		}
	})
}

// TestDaysAreUTC: a call belongs to the day in which its row was written.
func TestDaysAreUTC(t *testing.T) {
	t.Parallel()
	source := storetest.SQLite(t)
	synctest.Test(t, func(t *testing.T) {
		l := newLog(t, source)
		for range 5 {
			l.record(row(t, gate.Reads, outcome.OK))
			time.Sleep(7 * time.Hour)
		}
		days := map[string]int64{}
		for name, s := range compareSums(t, l.DB()) {
			days[strings.Fields(name)[0]] += s.Calls
		}
		if !maps.Equal(days, map[string]int64{"2000-01-01": 4, "2000-01-02": 1}) { // a bubble begins at midnight
			t.Errorf("calls by day: %v", days)
		}
		l.close()
	})
}

// TestSumsOfAnOlderLog: a log that was written before there were sums gets those of its rows.
func TestSumsOfAnOlderLog(t *testing.T) {
	t.Parallel()
	storetest.Engines(t, func(t *testing.T, source store.Source) {
		l := newLog(t, source)
		fillMixed(l, 40)
		want, costs := compareSums(t, l.DB()), [2]gate.Money{l.Counts(child).Cost, l.Counts(root).Cost}
		old := store.Source{Dir: t.TempDir()}
		if source.Run.Reveal() != "" {
			old = storetest.Postgres(t)
		}
		copyToFirstVersion(t, l.DB(), old)
		l.close()
		l2 := newLog(t, old)
		if got := compareSums(t, l2.DB()); !maps.Equal(got, want) {
			t.Errorf("got %v\nwant %v", got, want)
		}
		if got := [2]gate.Money{l2.Counts(child).Cost, l2.Counts(root).Cost}; got != costs || got[0] == 0 {
			t.Errorf("the tokens' costs are %d, want %d", got, costs)
		}
	})
}

// copyToFirstVersion makes a database as the first version of the log did, with the rows of another.
func copyToFirstVersion(t *testing.T, from *store.DB, to store.Source) {
	t.Helper()
	first := fstest.MapFS{}
	for _, engine := range []string{"sqlite", "postgres"} {
		name := engine + "/0001_audit.sql"
		text, err := fs.ReadFile(audit.Migrations, name)
		if err != nil {
			t.Fatal(err)
		}
		first[name] = &fstest.MapFile{Data: text}
	}
	db, err := store.Open(t.Context(), store.Config{Source: to, Name: "audit", Migrations: first, Migrate: true, AppendOnly: []string{"log"}})
	if err != nil {
		t.Fatal(err)
	}
	for table, columns := range map[string]string{
		"log": "id, seq, n, person, agent, tool, outcome, body, hash", "payload": "id, seq, sealed",
		"head": "id, one, n, last_id, last_seq, hash, signed", "token_use": "token, calls, uses, last_ms, last_address",
	} {
		n := strings.Count(columns, ",") + 1
		var places []string
		for i := range n {
			places = append(places, fmt.Sprintf("$%d", i+1))
		}
		order := ""
		if table == "log" {
			order = " ORDER BY n"
		}
		err := from.All(t.Context(), func(scan func(...any) error) error {
			values, into := make([]any, n), make([]any, n)
			for i := range values {
				into[i] = &values[i]
			}
			if err := scan(into...); err != nil {
				return err
			}
			_, err := db.Exec(context.WithoutCancel(t.Context()), "INSERT INTO "+table+" ("+columns+") VALUES ("+strings.Join(places, ", ")+")", values...)
			return err
		}, "SELECT "+columns+" FROM "+table+order)
		if err != nil {
			t.Fatalf("copying %s: %v", table, err)
		}
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestWhoSeesWhichSums: a person the own sums, who keeps the house all.
func TestWhoSeesWhichSums(t *testing.T) {
	t.Parallel()
	d := newDoor(t, storetest.SQLite(t))
	d.admin[bob] = true
	adas, bobs := d.token(1700000001001, ada), d.token(1700000001002, bob)
	for range 3 {
		d.call(adas, "note.read", `{"text":"x"}`, nil)
	}
	d.call(bobs, "note.read", `{"text":"x"}`, nil)
	for _, tt := range []struct {
		name string
		who  gate.Caller
		args string
		want string
	}{
		{"own", adas, `{"tool":"note.read"}`, "[{3 note.read 1}]"},
		{"another's", adas, fmt.Sprintf(`{"person":%d}`, bob), "[]"},
		{"nobody's", adas, `{"person":7}`, "[]"},
		{"an administrator", bobs, `{"tool":"note.read"}`, "[{3 note.read 1} {1 note.read 2}]"},
		{"the operator", d.operator(), `{"tool":"note.read","by":["tool"]}`, "[{4 note.read 0}]"},
		{"one sum", d.operator(), `{"tool":"note.read","by":[]}`, "[{4  0}]"},
		{"a day that was not", adas, `{"to":"2001-01-01"}`, "[]"},
		{"cut", bobs, `{"tool":"note.read","limit":1}`, "[{3 note.read 1}] more"},
	} {
		var page audit.SumPage
		if o := d.call(tt.who, "audit.sums", tt.args, &page); o.Code != outcome.OK {
			t.Errorf("%s: %s %s %v", tt.name, o.Code, o.Reason, o.Faults)
			continue
		}
		type short struct {
			calls int64
			tool  string
			who   int
		}
		got := []short{}
		for _, s := range page.Rows {
			who := map[gate.PersonID]int{ada: 1, bob: 2}[s.Person]
			got = append(got, short{s.Calls, s.Tool, who})
		}
		text := fmt.Sprint(got)
		if page.More {
			text += " more"
		}
		if text != tt.want {
			t.Errorf("%s: %s, want %s", tt.name, text, tt.want)
		}
	}
	for _, args := range []string{`{"by":["week"]}`, `{"by":["day","day"]}`, `{"from":"today"}`, `{"to":"2026-13-01"}`, `{"limit":5001}`, `{"limit":-1}`} {
		if o := d.call(adas, "audit.sums", args, nil); o.Code != outcome.Invalid || len(o.Faults) == 0 {
			t.Errorf("%s: %s", args, o.Code)
		}
	}
}
