package audit_test

import (
	"bytes"
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"gatehouse/canon"
	"gatehouse/gate"
	"gatehouse/guard"
	"gatehouse/module"
	"gatehouse/module/audit"
	"gatehouse/outcome"
	"gatehouse/store"
	"gatehouse/store/storetest"
)

// sealer seals as the vault does, by what can be told from outside: a key for each person, a binding, and persons whose key
// was destroyed.
type sealer struct {
	mu        sync.Mutex
	forgotten map[gate.PersonID]bool
	down      bool
	opening   func() // is told of each Open; nil: nobody is
}

func (s *sealer) prefix(person gate.PersonID, binding string) ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.down {
		return nil, outcome.Unavailable.Because("the vault is down")
	}
	if s.forgotten[person] {
		return nil, outcome.NotFound.Because("the key was destroyed")
	}
	return fmt.Appendf(nil, "sealed for %d as %s|", person, binding), nil
}

func (s *sealer) Seal(_ context.Context, person gate.PersonID, binding string, plain []byte) ([]byte, error) {
	sealed, err := s.prefix(person, binding)
	for _, b := range plain {
		sealed = append(sealed, ^b)
	}
	return sealed, err
}

func (s *sealer) Open(_ context.Context, person gate.PersonID, binding string, sealed []byte) ([]byte, error) {
	if s.opening != nil {
		s.opening()
	}
	prefix, err := s.prefix(person, binding)
	if err != nil {
		return nil, err
	}
	rest, ok := bytes.CutPrefix(sealed, prefix)
	if !ok {
		return nil, errors.New("it was not sealed for this")
	}
	plain := make([]byte, len(rest))
	for i, b := range rest {
		plain[i] = ^b
	}
	return plain, nil
}

func (s *sealer) forget(person gate.PersonID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.forgotten == nil {
		s.forgotten = map[gate.PersonID]bool{}
	}
	s.forgotten[person] = true
}

func (s *sealer) setDown(down bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.down = down
}

// testLog is a log in a folder of its own, that can be closed and opened again.
type testLog struct {
	*audit.Module
	t      testing.TB
	kit    module.Kit
	source store.Source
	sealer *sealer
	config audit.Config
	log    slog.Handler // nil: nobody reads it
}

func newLog(t testing.TB, source store.Source, change ...func(*audit.Config)) *testLog {
	t.Helper()
	l := &testLog{t: t, source: source, sealer: &sealer{}}
	l.config = audit.Config{Sealer: l.sealer, KeyFile: filepath.Join(source.Dir, "keys", "audit.json")}
	for _, c := range change {
		c(&l.config)
	}
	versions(t, source)
	l.open()
	t.Cleanup(l.close)
	return l
}

// versions makes what the log reads of people and tokens on PostgreSQL: here tables that tests write.
func versions(t testing.TB, source store.Source) {
	t.Helper()
	if source.Run.IsZero() {
		return
	}
	if err := storetest.Owner(t, source, `CREATE SCHEMA IF NOT EXISTS people; CREATE SCHEMA IF NOT EXISTS tokens;
		CREATE TABLE IF NOT EXISTS people.versions (id BIGINT PRIMARY KEY, version BIGINT NOT NULL, ends BIGINT NOT NULL);
		CREATE TABLE IF NOT EXISTS tokens.versions (id BIGINT PRIMARY KEY, version BIGINT NOT NULL, ends BIGINT NOT NULL)`); err != nil {
		t.Fatal(err)
	}
}

// stands says which version a person or a token has, where the log compares it.
func (l *testLog) stands(who any, version int64) {
	l.t.Helper()
	if l.source.Run.IsZero() {
		return
	}
	schema, id := "people", int64(0)
	switch who := who.(type) {
	case gate.PersonID:
		id = int64(who)
	case gate.TokenID:
		schema, id = "tokens", int64(who)
	}
	if err := storetest.Owner(l.t, l.source, fmt.Sprintf(`INSERT INTO %s.versions (id, version, ends) VALUES (%d, %d, 4102444800000)
		ON CONFLICT (id) DO UPDATE SET version = excluded.version`, schema, id, version)); err != nil {
		l.t.Fatal(err)
	}
}

// Counts is what the log has counted for one token.
func (l *testLog) Counts(id gate.TokenID) audit.Count {
	l.t.Helper()
	counts, err := l.Module.Counts(l.t.Context(), id)
	if err != nil {
		l.t.Fatal(err)
	}
	return counts[id]
}

func (l *testLog) open() {
	l.t.Helper()
	if err := l.tryOpen(); err != nil {
		l.t.Fatalf("opening the log: %v", err)
	}
}

func (l *testLog) tryOpen() error {
	handler := l.log
	if handler == nil {
		handler = slog.DiscardHandler
	}
	l.kit = module.Kit{
		Name: "audit", Source: l.source, Migrate: true, Data: l.source.Dir, Log: slog.New(handler),
	}.Ready()
	m, err := audit.New(context.Background(), l.kit, l.config)
	if err != nil {
		return errors.Join(err, l.kit.Close())
	}
	l.Module = m
	return nil
}

func (l *testLog) close() {
	l.t.Helper()
	if l.Module == nil {
		return
	}
	if err := errors.Join(l.Module.Close(), l.kit.Close()); err != nil {
		l.t.Errorf("closing the log: %v", err)
	}
	l.Module = nil
}

func (l *testLog) reopen() {
	l.t.Helper()
	l.close()
	l.open()
}

// record writes the row of a call that was not admitted.
func (l *testLog) record(r *gate.Row) gate.RowID {
	l.t.Helper()
	id, err := l.Record(l.t.Context(), gate.Ticket{}, r)
	if err != nil {
		l.t.Fatalf("Record: %v", err)
	}
	return id
}

const (
	ada   = gate.PersonID(1700000000001)
	bob   = gate.PersonID(1700000000002)
	root  = gate.TokenID(1700000000101)
	child = gate.TokenID(1700000000102)
)

// chain is a child token with a limit and its root without one.
func chain(maxUses int64) []gate.Link {
	return []gate.Link{{Token: child, MaxUses: maxUses}, {Token: root}}
}

// row is a row in which nothing is empty.
func row(t testing.TB, effect gate.Effect, code outcome.Code) *gate.Row {
	t.Helper()
	return &gate.Row{
		Began: time.Now(), Person: ada, Agent: "reporter", Token: child, Ancestors: []gate.TokenID{root},
		Entry: "rest", Address: "192.0.2.7", Session: "s-1", Peer: gate.Peer{UID: 0, PID: 7, Program: "/usr/bin/x"},
		Tool: "note.write", Definition: "d5f1", Effect: effect, MapVersion: 3, GrantVersion: 2, TokenVersion: 1,
		Decision: gate.Allow, Rule: "grant", Outcome: code, Count: 1, Price: 1500, BytesIn: 20, BytesOut: 30,
		Took: 1234567 * time.Nanosecond,
		Payload: gate.Payload{
			Arguments: value(t, map[string]any{"text": "buy milk"}), Result: value(t, map[string]any{"id": 7}),
			Reason: "because", Task: "shopping",
			Findings: []guard.Finding{{Guard: "personal", Rule: "addresses", Kind: "email", Pointer: "/text", Start: 4, End: 8, Action: guard.Mark}},
		},
	}
}

func value(t testing.TB, x any) canon.Value {
	t.Helper()
	v, err := canon.From(x)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func readFile(t testing.TB, file string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// connector opens connections of a driver that is registered nowhere.
type connector struct {
	driver driver.Driver
	dsn    string
}

func (c connector) Connect(context.Context) (driver.Conn, error) { return c.driver.Open(c.dsn) }
func (c connector) Driver() driver.Driver                        { return c.driver }
