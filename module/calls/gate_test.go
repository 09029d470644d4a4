package calls_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"reflect"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"gatehouse/canon"
	"gatehouse/gate"
	"gatehouse/gatetest"
	"gatehouse/module/calls"
	"gatehouse/outcome"
	"gatehouse/secret"
	"gatehouse/store"
)

// house is a real gate with the real module and vault. Tokens, permissions and log are tables in memory, so that a test
// can take each away.
type house struct {
	*gate.Gate
	calls   *calls.Module
	tokens  map[string]*gate.Bearer
	removed atomic.Bool // the permission for note.write
	logFull atomic.Bool // final rows cannot be written
	ran     atomic.Int32
	rows    atomic.Int64
	mu      sync.Mutex
	last    gate.Row
}

var noteWrite, noteRead = gate.NewKey("test/note/write"), gate.NewKey("test/note/read")

type noteArgs struct {
	Text string `json:"text,omitzero"`
}

type note struct {
	Runs int32 `json:"runs"`
}

func (h *house) Name() string { return "note" }

func (h *house) Tools() []gate.Tool {
	run := func(_ context.Context, _ gate.Permit, a noteArgs) (note, error) {
		n := note{h.ran.Add(1)}
		if a.Text == "refuse" {
			return note{}, outcome.Conflict.Because("somebody else's note stands there")
		}
		return n, nil
	}
	return []gate.Tool{
		gate.AccessControlled("write", noteWrite, gate.Spec{Title: "Write", Effect: gate.Writes}, run),
		gate.AccessControlled("read", noteRead, gate.Spec{Title: "Read", Effect: gate.Reads}, run),
	}
}

func (h *house) Rights(_ context.Context, p gate.PersonID) (*gate.Rights, error) {
	r := &gate.Rights{Person: p, Active: true, Version: 1, Grants: map[gate.KeyNumber]gate.Grant{}}
	for _, e := range h.Directory().All() {
		if e.Name == "note.read" || e.Name == "note.write" && !h.removed.Load() {
			r.Grants[e.Key] = gate.Grant{Decision: gate.Allow, Version: 1}
		}
	}
	return r, nil
}

func (h *house) Find(_ context.Context, s secret.Text, _ netip.Addr) (*gate.Bearer, error) {
	if b := h.tokens[s.Reveal()]; b != nil {
		return b, nil
	}
	return nil, outcome.Unauthenticated
}

func (h *house) Current(_ context.Context, id gate.TokenID, _ netip.Addr) (*gate.Bearer, error) {
	for _, b := range h.tokens {
		if b.Token == id {
			return b, nil
		}
	}
	return nil, outcome.Unauthenticated
}

func (h *house) Left(context.Context, []gate.Link) error { return nil }

func (h *house) Affords(context.Context, gate.PersonID, gate.Money, []gate.Link) error { return nil }

func (h *house) Admit(_ context.Context, r *gate.Row, _ []gate.Link) (gate.Ticket, error) {
	t := gate.Ticket{Admitted: true}
	if r.Effect != gate.Reads {
		t.Intent = 1
	}
	return t, nil
}

func (h *house) Record(_ context.Context, _ gate.Ticket, r *gate.Row) (gate.RowID, error) {
	if h.logFull.Load() {
		return gate.RowID{}, outcome.Unavailable
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.last = *r
	return gate.RowID{ID: time.Now().UnixMilli(), Seq: int32(h.rows.Add(1))}, nil
}

// newHouse has these tokens: root and its children child (same scope), narrow (only note.read) and, of the same person,
// another root; and one of another person.
func newHouse(t *testing.T, source store.Source) *house {
	t.Helper()
	v := sealer(t, source)
	all := map[gate.ToolName]struct{}{"note.write": {}, "note.read": {}}
	link := func(id gate.TokenID, scope map[gate.ToolName]struct{}) gate.Link {
		return gate.Link{Token: id, Version: 1, Scope: scope}
	}
	bearer := func(person gate.PersonID, chain ...gate.Link) *gate.Bearer {
		return &gate.Bearer{Token: chain[0].Token, Person: person, Agent: "a", Ends: time.Now().Add(time.Hour), Chain: chain}
	}
	h := &house{calls: start(t, source, v), tokens: map[string]*gate.Bearer{
		"root":     bearer(1, link(10, all)),
		"child":    bearer(1, link(11, all), link(10, all)),
		"narrow":   bearer(1, link(12, map[gate.ToolName]struct{}{"note.read": {}}), link(10, all)),
		"another":  bearer(1, link(20, all)),
		"stranger": bearer(2, link(30, all)),
	}}
	var err error
	if h.Gate, err = gate.New(gate.Config{
		Modules: []gate.Module{h, h.calls},
		Parts:   gate.Parts{Permissions: h, Tokens: h, Log: h, Vault: v, Results: h.calls, Policy: gatetest.NoRules{}},
	}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = h.Close() })
	return h
}

// call makes a call with a token, and an idempotency key if there is one.
func (h *house) call(t *testing.T, token string, tool gate.ToolName, args, key string) gate.Outcome {
	t.Helper()
	c, err := h.Authenticate(t.Context(), gate.Credential{Bearer: secret.New(token)}, gate.Origin{Entry: "test"})
	if err != nil {
		t.Fatal(err)
	}
	return h.Call(t.Context(), c, gate.Request{Tool: tool, Arguments: []byte(args), IdempotencyKey: key})
}

func TestRepeatsThroughTheGateRunOnce(t *testing.T) {
	engines(t, func(t *testing.T, source store.Source) {
		h := newHouse(t, source)
		var wg sync.WaitGroup
		for range 20 {
			wg.Go(func() {
				if o := h.call(t, "root", "note.write", `{"text":"a"}`, "k"); o.Code != outcome.OK || o.Result.String() != `{"runs":1}` {
					t.Errorf("%s (%s) %s", o.Code, o.Reason, o.Result)
				}
			})
		}
		wg.Wait()
		if h.ran.Load() != 1 || h.rows.Load() != 20 {
			t.Errorf("ran %d times with %d rows, want once with 20", h.ran.Load(), h.rows.Load())
		}
		if o := h.call(t, "root", "note.write", `{"text":"b"}`, "k"); o.Code != outcome.Conflict {
			t.Errorf("other arguments: %s", o.Code)
		}
		if o := h.call(t, "root", "note.write", `{"text":"refuse"}`, "r"); o.Code != outcome.Conflict || h.ran.Load() != 2 {
			t.Errorf("a tool's own refusal: %s", o.Code)
		}
		if o := h.call(t, "root", "note.write", `{"text":"refuse"}`, "r"); o.Code != outcome.Conflict || o.Reason != "somebody else's note stands there" || h.ran.Load() != 2 {
			t.Errorf("repeated: %s (%s), ran %d times", o.Code, o.Reason, h.ran.Load())
		}
		h.removed.Store(true)
		if o := h.call(t, "root", "note.write", `{"text":"a"}`, "k"); o.Code != outcome.NotAllowed {
			t.Errorf("the kept outcome without the permission: %s", o.Code)
		}
	})
}

// Whose row cannot be written gets no result, and a repeat neither runs the call again nor waits for it.
func TestRepeatsAfterARowThatCouldNotBeWritten(t *testing.T) {
	engines(t, func(t *testing.T, source store.Source) {
		h := newHouse(t, source)
		h.logFull.Store(true)
		if o := h.call(t, "root", "note.write", `{}`, "k"); o.Code != outcome.Unknown {
			t.Errorf("written without a row: %s", o.Code)
		}
		if o := h.call(t, "root", "note.read", `{}`, "k"); o.Code != outcome.Unavailable {
			t.Errorf("read without a row: %s", o.Code)
		}
		h.logFull.Store(false)
		if o := h.call(t, "root", "note.write", `{}`, "k"); o.Code != outcome.Unknown || h.ran.Load() != 2 {
			t.Errorf("the write repeated: %s (%s), ran %d", o.Code, o.Reason, h.ran.Load())
		}
		if o := h.call(t, "root", "note.read", `{}`, "k"); o.Code != outcome.OK || h.ran.Load() != 3 {
			t.Errorf("the read repeated: %s (%s), ran %d", o.Code, o.Reason, h.ran.Load())
		}
	})
}

func TestKeptOutcomesAreTheirRoots(t *testing.T) {
	engines(t, func(t *testing.T, source store.Source) {
		h := newHouse(t, source)
		id := h.call(t, "child", "note.write", `{"text":"a"}`, "k").ID.String()
		read := h.call(t, "root", "note.read", `{}`, "k").ID.String()
		keyless := h.call(t, "root", "note.read", `{}`, "").ID.String()
		h.call(t, "root", "note.write", `{"text":"refuse"}`, "r")
		for _, tt := range []struct {
			token, id string
			want      outcome.Code
			listed    int
		}{
			{"child", id, outcome.OK, 3},
			{"root", id, outcome.OK, 3},
			{"root", read, outcome.OK, 3},
			{"narrow", read, outcome.OK, 1},
			{"narrow", id, outcome.NotFound, 1},
			{"another", id, outcome.NotFound, 0},
			{"stranger", id, outcome.NotFound, 0},
			{"root", keyless, outcome.NotFound, 3},
			{"root", "1763871234567-3", outcome.NotFound, 3},
			{"root", "../etc", outcome.Invalid, 3},
		} {
			o := h.call(t, tt.token, "calls.get", fmt.Sprintf(`{"call":%q}`, tt.id), "")
			if o.Code != tt.want {
				t.Errorf("%s gets %s: %s (%s), want %s", tt.token, tt.id, o.Code, o.Reason, tt.want)
			}
			if want := `not_found: no outcome is kept for the call "` + tt.id + `"; calls.list shows which are`; tt.want == outcome.NotFound &&
				o.Code.String()+": "+o.Reason != want {
				t.Errorf("%s gets %s: %s, want %s", tt.token, tt.id, o.Reason, want)
			}
			if l := h.call(t, tt.token, "calls.list", `{}`, ""); l.Code != outcome.OK || elements(t, l.Result, "/calls") != tt.listed {
				t.Errorf("%s lists %s (%s), want %d", tt.token, l.Result, l.Reason, tt.listed)
			}
		}
		h.removed.Store(true)
		if o := h.call(t, "root", "calls.get", fmt.Sprintf(`{"call":%q}`, id), ""); o.Code != outcome.NotFound {
			t.Errorf("what the person may do no more: %s %s", o.Code, o.Result)
		}
		if l := h.call(t, "root", "calls.list", `{}`, ""); elements(t, l.Result, "/calls") != 1 {
			t.Errorf("what the person may do no more is listed: %s", l.Result)
		}
	})
}

func elements(t *testing.T, v canon.Value, at string) (n int) {
	t.Helper()
	list, ok := v.Lookup(at)
	if !ok {
		t.Errorf("no %s in %s", at, v)
	}
	for range list.Elements {
		n++
	}
	return n
}

func TestWhatGetAndListShow(t *testing.T) {
	engines(t, func(t *testing.T, source store.Source) {
		h := newHouse(t, source)
		first := h.call(t, "root", "note.write", `{"text":"a"}`, "1")
		second := h.call(t, "root", "note.write", `{"text":"refuse"}`, "2")
		text := func(v canon.Value, at string) string {
			s, _ := v.Lookup(at)
			return s.String()
		}
		o := h.call(t, "root", "calls.get", fmt.Sprintf(`{"call":%q}`, first.ID), "")
		for at, want := range map[string]string{
			"/call": `"` + first.ID.String() + `"`, "/tool": `"note.write"`, "/outcome": `"ok"`, "/result": `{"runs":1}`, "/reason": "",
		} {
			if got := text(o.Result, at); got != want {
				t.Errorf("get %s: %s, want %s", at, got, want)
			}
		}
		l := h.call(t, "root", "calls.list", `{"limit":1}`, "")
		if elements(t, l.Result, "/calls") != 1 || text(l.Result, "/calls/0/call") != `"`+second.ID.String()+`"` ||
			text(l.Result, "/calls/0/outcome") != `"conflict"` || text(l.Result, "/calls/0/result") != "" {
			t.Errorf("list: %s, want the second call alone, without its result", l.Result)
		}
		at, err := time.Parse(time.RFC3339, unquote(text(l.Result, "/calls/0/at")))
		until, err2 := time.Parse(time.RFC3339, unquote(text(l.Result, "/calls/0/until")))
		if err := errors.Join(err, err2); err != nil || until.Sub(at) != calls.KeptFor || time.Since(at) > time.Minute {
			t.Errorf("kept from %s until %s: %v", at, until, err)
		}
		for _, limit := range []string{"-1", "101", "9223372036854775808"} {
			if o := h.call(t, "root", "calls.list", `{"limit":`+limit+`}`, ""); o.Code != outcome.Invalid {
				t.Errorf("limit %s: %s", limit, o.Code)
			}
		}
	})
}

func unquote(s string) string {
	if len(s) < 2 {
		return s
	}
	return s[1 : len(s)-1]
}

func TestPruneIsForJobsAndCounts(t *testing.T) {
	engines(t, func(t *testing.T, source store.Source) {
		h := newHouse(t, source)
		h.call(t, "root", "note.write", `{}`, "new")
		oldest := time.Now().Add(-calls.KeptFor).UnixMilli()
		for i := range 3 {
			if _, err := h.calls.DB().Exec(t.Context(), `INSERT INTO kept
  (id, version, person, root, token, tool, idempotency_key, digest, call_id, call_seq, outcome, sealed, size)
  VALUES ($1, 2, 1, 10, 10, 'note.write', $2, $3, 7, $4, 'ok', $3, 0)`, oldest-int64(i), fmt.Sprint("old", i), []byte{}, i); err != nil {
				t.Fatal(err)
			}
		}
		if o := h.call(t, "root", "calls.get", `{"call":"7-1"}`, ""); o.Code != outcome.NotFound {
			t.Errorf("an old outcome before it is removed: %s (%s)", o.Code, o.Reason)
		}
		if l := h.call(t, "root", "calls.list", `{}`, ""); elements(t, l.Result, "/calls") != 1 {
			t.Errorf("an old outcome before it is removed is listed: %s", l.Result)
		}
		if o := h.call(t, "root", "calls.prune", `{}`, ""); o.Code != outcome.NotAllowed || count(t, h.calls) != 4 {
			t.Errorf("a token prunes: %s", o.Code)
		}
		if jobs := h.calls.Jobs(); len(jobs) != 1 || !reflect.DeepEqual(jobs[0], gate.Job{Tool: "calls.prune", Every: time.Hour, Once: true}) {
			t.Fatalf("jobs %v", jobs)
		}
		o := h.Call(t.Context(), h.Job("calls.prune"), gate.Request{Tool: "calls.prune"})
		if o.Code != outcome.OK || o.Result.String() != `{"removed":3}` || count(t, h.calls) != 1 {
			t.Errorf("the job: %s (%s) %s, %d rows left", o.Code, o.Reason, o.Result, count(t, h.calls))
		}
	})
}
