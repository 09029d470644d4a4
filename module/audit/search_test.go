package audit_test

import (
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"strings"
	"testing"
	"time"

	"gatehouse/canon"
	"gatehouse/gate"
	"gatehouse/gatetest"
	"gatehouse/module/audit"
	"gatehouse/outcome"
	"gatehouse/secret"
	"gatehouse/store"
	"gatehouse/store/storetest"
)

// door is a gate with nothing behind it but the log and notes. Who may what is written down in it; the log is real.
type door struct {
	t     *testing.T
	log   *testLog
	gate  *gate.Gate
	admin map[gate.PersonID]bool
	links map[string][]gate.Link // by what is shown
	owner map[gate.TokenID]gate.PersonID
}

func newDoor(t *testing.T, source store.Source) *door {
	t.Helper()
	d := &door{
		t: t, log: newLog(t, source), admin: map[gate.PersonID]bool{},
		links: map[string][]gate.Link{}, owner: map[gate.TokenID]gate.PersonID{},
	}
	var err error
	d.gate, err = gate.New(gate.Config{
		Modules: []gate.Module{d.log, notes{}}, OperatorKey: secret.New("the operator's"), Log: slog.New(slog.DiscardHandler),
		Parts: gate.Parts{Permissions: d, Tokens: d, Log: d.log, Vault: nowhere{d.log.sealer}, Results: nowhere{}, Policy: gatetest.NoRules{}},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = d.gate.Close() })
	return d
}

// token is a new token of a person, below others, that may do all that this gate has.
func (d *door) token(id gate.TokenID, person gate.PersonID, above ...gate.TokenID) gate.Caller {
	d.t.Helper()
	return d.narrow(allTools, id, person, above...)
}

var allTools = []gate.ToolName{"audit.search", "audit.get", "audit.verify", "audit.sums", "audit.export", "note.write", "note.read"}

// narrow is a new token that may do less than those above it.
func (d *door) narrow(tools []gate.ToolName, id gate.TokenID, person gate.PersonID, above ...gate.TokenID) gate.Caller {
	d.t.Helper()
	scope := func(tools []gate.ToolName) map[gate.ToolName]struct{} {
		all := map[gate.ToolName]struct{}{}
		for _, tool := range tools {
			all[tool] = struct{}{}
		}
		return all
	}
	chain := []gate.Link{{Token: id, Version: 1, Scope: scope(tools)}}
	for _, a := range above {
		chain = append(chain, gate.Link{Token: a, Version: 1, Scope: scope(allTools)})
	}
	shown := fmt.Sprint("st_", id)
	d.links[shown], d.owner[id] = chain, person
	d.log.stands(person, 1)
	for _, link := range chain {
		d.log.stands(link.Token, 1)
	}
	c, err := d.gate.Authenticate(d.t.Context(), gate.Credential{Bearer: secret.New(shown)}, gate.Origin{Entry: "test"})
	if err != nil {
		d.t.Fatal(err)
	}
	return c
}

func (d *door) operator() gate.Caller {
	d.t.Helper()
	nonce := make([]byte, 16)
	proof := &gate.OperatorProof{Nonce: nonce, MAC: gate.OperatorMAC(secret.New("the operator's"), nonce)}
	c, err := d.gate.Authenticate(d.t.Context(), gate.Credential{Operator: proof}, gate.Origin{Entry: "test"})
	if err != nil {
		d.t.Fatal(err)
	}
	return c
}

// call calls a tool and decodes what it gave.
func (d *door) call(c gate.Caller, tool gate.ToolName, args string, into any) gate.Outcome {
	d.t.Helper()
	o := d.gate.Call(d.t.Context(), c, gate.Request{Tool: tool, Arguments: []byte(args)})
	if o.Code == outcome.OK && into != nil {
		if err := o.Result.Decode(into); err != nil {
			d.t.Fatalf("%s %s gave %s: %v", tool, args, o.Result, err)
		}
	}
	return o
}

// Rights implements gate.Permissions.
func (d *door) Rights(_ context.Context, person gate.PersonID) (*gate.Rights, error) {
	r := &gate.Rights{Person: person, Active: true, Administrator: d.admin[person], Version: 1, Grants: map[gate.KeyNumber]gate.Grant{}}
	for _, e := range d.gate.Directory().All() {
		r.Grants[e.Key] = gate.Grant{Decision: gate.Allow, Version: 1}
	}
	return r, nil
}

// Find implements gate.Tokens.
func (d *door) Find(_ context.Context, shown secret.Text, _ netip.Addr) (*gate.Bearer, error) {
	chain := d.links[shown.Reveal()]
	return &gate.Bearer{Token: chain[0].Token, Person: d.owner[chain[0].Token], Agent: "agent", Ends: time.Now().Add(time.Hour), Chain: chain}, nil
}

// Current implements gate.Tokens.
func (d *door) Current(ctx context.Context, id gate.TokenID, from netip.Addr) (*gate.Bearer, error) {
	return d.Find(ctx, secret.New(fmt.Sprint("st_", id)), from)
}

// notes are what the rows of these tests are about.
type notes struct{}

var noteWrite, noteRead = gate.NewKey("test/note-write"), gate.NewKey("test/note-read")

func (notes) Name() string { return "note" }

func (notes) Tools() []gate.Tool {
	none := func(context.Context, gate.Permit, struct{}) (struct{}, error) { return struct{}{}, nil }
	return []gate.Tool{
		gate.AccessControlled("write", noteWrite, gate.Spec{Effect: gate.Reads}, none),
		gate.AccessControlled("read", noteRead, gate.Spec{Effect: gate.Reads}, none),
	}
}

// nowhere is a vault without credentials and a keeper of no results.
type nowhere struct{ gate.Sealer }

func (nowhere) Credential(context.Context, gate.PersonID, string, string) (secret.Text, error) {
	return secret.Text{}, outcome.NotFound
}

func (nowhere) Claim(context.Context, gate.ResultKey, canon.Digest) (*gate.Outcome, error) {
	return nil, nil
}
func (nowhere) Keep(context.Context, gate.ResultKey, gate.Outcome) error { return nil }
func (nowhere) Drop(context.Context, gate.ResultKey) error               { return nil }

const sibling = gate.TokenID(1700000000103) // another child of root

func (d *door) write(person gate.PersonID, token gate.TokenID, tool gate.ToolName, code outcome.Code, above ...gate.TokenID) gate.RowID {
	d.t.Helper()
	r := row(d.t, gate.Reads, code)
	r.Person, r.Token, r.Ancestors, r.Tool = person, token, above, tool
	return d.log.record(r)
}

func TestSearchShowsOwnRows(t *testing.T) {
	t.Parallel()
	storetest.Engines(t, func(t *testing.T, source store.Source) {
		d := newDoor(t, source)
		a1 := d.write(ada, child, "note.write", outcome.OK, root)
		a2 := d.write(ada, child, "note.read", outcome.NotAllowed, root)
		b1 := d.write(bob, 9, "note.write", outcome.OK)
		d.write(0, 0, "", outcome.Unauthenticated)
		const carol = gate.PersonID(1700000000003)
		d.admin[carol] = true
		asAda, asBob, asCarol := d.token(root, ada), d.token(9, bob), d.token(10, carol)
		for _, tt := range []struct {
			name string
			who  gate.Caller
			args string
			want []gate.RowID // newest first, without the rows of the searches
		}{
			{"own", asAda, `{}`, []gate.RowID{a2, a1}},
			{"own, by id", asAda, fmt.Sprintf(`{"person":%d}`, ada), []gate.RowID{a2, a1}},
			{"another's", asAda, fmt.Sprintf(`{"person":%d}`, bob), nil},
			{"nobody's", asAda, `{"person":4}`, nil},
			{"own of bob", asBob, `{}`, []gate.RowID{b1}},
			{"by tool", asAda, `{"tool":"note.read"}`, []gate.RowID{a2}},
			{"by outcome", asAda, `{"outcome":"not_allowed"}`, []gate.RowID{a2}},
			{"by agent", asAda, `{"agent":"reporter"}`, []gate.RowID{a2, a1}},
			{"by another agent", asAda, `{"agent":"nobody"}`, nil},
			{"from the future", asAda, `{"from":"2999-01-01T00:00:00Z"}`, nil},
			{"from the past to the future", asAda, `{"from":"2001-01-01T00:00:00Z","to":"2999-01-01T00:00:00Z"}`, []gate.RowID{a2, a1}},
			{"to the past", asAda, `{"to":"2001-01-01T00:00:00+02:00"}`, nil},
			{"administrator, all of a tool", asCarol, `{"tool":"note.write"}`, []gate.RowID{b1, a1}},
			{"administrator, one person", asCarol, fmt.Sprintf(`{"person":%d,"tool":"note.write"}`, bob), []gate.RowID{b1}},
			{"operator", d.operator(), `{"tool":"note.write"}`, []gate.RowID{b1, a1}},
		} {
			var page audit.Page
			if o := d.call(tt.who, "audit.search", tt.args, &page); o.Code != outcome.OK {
				t.Errorf("%s: %s (%s, %v)", tt.name, o.Code, o.Reason, o.Faults)
				continue
			}
			var got []string
			for _, r := range page.Rows {
				if r.Tool != "audit.search" {
					got = append(got, r.ID)
				}
			}
			var want []string
			for _, id := range tt.want {
				want = append(want, id.String())
			}
			if fmt.Sprint(got) != fmt.Sprint(want) {
				t.Errorf("%s: %v, want %v", tt.name, got, want)
			}
		}
	})
}

func TestSearchGoesThroughAllPages(t *testing.T) {
	t.Parallel()
	storetest.Engines(t, func(t *testing.T, source store.Source) {
		d := newDoor(t, source)
		for range 25 {
			d.write(ada, root, "note.write", outcome.OK)
		}
		who, seen, cursor := d.token(root, ada), map[string]bool{}, ""
		for range 10 {
			var page audit.Page
			d.call(who, "audit.search", fmt.Sprintf(`{"tool":"note.write","limit":10,"cursor":%q}`, cursor), &page)
			for _, r := range page.Rows {
				if seen[r.ID] {
					t.Errorf("row %s came twice", r.ID)
				}
				seen[r.ID] = true
			}
			if cursor = page.Cursor; cursor == "" {
				break
			}
		}
		if len(seen) != 25 || cursor != "" {
			t.Errorf("%d rows on all pages, want 25; the last cursor is %q", len(seen), cursor)
		}
	})
}

func TestSearchRefusesWhatItCannotRead(t *testing.T) {
	t.Parallel()
	d := newDoor(t, storetest.SQLite(t))
	who := d.token(root, ada)
	for args, path := range map[string]string{
		`{"limit":501}`: "/limit", `{"limit":-1}`: "/limit", `{"outcome":"fine"}`: "/outcome", `{"from":"yesterday"}`: "/from", `{"to":"1"}`: "/to",
		`{"cursor":"x"}`: "/cursor", `{"after":"1-x"}`: "/after", `{"wait_seconds":5}`: "/wait_seconds", `{"after":"1-0","wait_seconds":31}`: "/wait_seconds",
		`{"after":"1-0","cursor":"1-0"}`: "/cursor", `{"text":"x"}`: "/text",
	} {
		o := d.call(who, "audit.search", args, nil)
		if o.Code != outcome.Invalid || len(o.Faults) != 1 || o.Faults[0].Path != path {
			t.Errorf("%s: %s %v, want a fault at %s", args, o.Code, o.Faults, path)
		}
	}
}

func TestFollowWaitsForTheNextRow(t *testing.T) {
	t.Parallel()
	storetest.Engines(t, func(t *testing.T, source store.Source) {
		d := newDoor(t, source)
		who := d.token(root, ada)
		start := d.write(ada, root, "note.write", outcome.OK)
		var page audit.Page
		began := time.Now()
		if o := d.call(who, "audit.search", fmt.Sprintf(`{"after":%q,"wait_seconds":1}`, start), &page); o.Code != outcome.OK {
			t.Fatalf("%s (%s)", o.Code, o.Reason)
		}
		if len(page.Rows) != 0 || page.Cursor != start.String() || time.Since(began) < time.Second {
			t.Errorf("with nothing new: %+v after %s", page, time.Since(began))
		}
		answered := make(chan gate.Outcome, 1)
		go func() {
			answered <- d.gate.Call(t.Context(), who, gate.Request{
				Tool: "audit.search", Arguments: fmt.Appendf(nil, `{"after":%q,"wait_seconds":20}`, start),
			})
		}()
		d.write(bob, 9, "note.write", outcome.OK) // not ada's
		next := d.write(ada, root, "note.write", outcome.OK)
		o := <-answered
		page = audit.Page{}
		if err := o.Result.Decode(&page); err != nil {
			t.Fatal(err)
		}
		if len(page.Rows) != 1 || page.Rows[0].ID != next.String() || page.Cursor != next.String() {
			t.Errorf("followed %+v, want row %s", page, next)
		}
	})
}

func TestGetGivesPayloadsToTheirOwnersAlone(t *testing.T) {
	t.Parallel()
	storetest.Engines(t, func(t *testing.T, source store.Source) {
		d := newDoor(t, source)
		id := d.write(ada, child, "note.write", outcome.OK, root)
		const carol = gate.PersonID(1700000000003)
		d.admin[carol] = true
		unknown := gate.RowID{ID: id.ID, Seq: id.Seq + 1000}
		var strange gate.Outcome
		for _, tt := range []struct {
			name     string
			who      gate.Caller
			want     outcome.Code
			payload  bool
			withheld string
		}{
			{"the root", d.token(root, ada), outcome.OK, true, ""},
			{"the child", d.token(child, ada, root), outcome.OK, true, ""},
			{"another child of the root", d.token(sibling, ada, root), outcome.OK, true, ""},
			{"a child that may not call the tool", d.narrow([]gate.ToolName{"audit.get"}, 78, ada, root), outcome.OK, false, "may not call the tool"},
			{"a child that may call another tool", d.narrow([]gate.ToolName{"audit.get", "note.read"}, 79, ada, root), outcome.OK, false, "may not call the tool"},
			{"a child of little that may call it", d.narrow([]gate.ToolName{"audit.get", "note.write"}, 80, ada, root), outcome.OK, true, ""},
			{"another token of ada", d.token(77, ada), outcome.OK, false, "another token"},
			{"bob", d.token(9, bob), outcome.NotFound, false, ""},
			{"an administrator", d.token(10, carol), outcome.OK, false, "not yours"},
			{"the operator", d.operator(), outcome.OK, false, "not yours"},
		} {
			var whole audit.Whole
			o := d.call(tt.who, "audit.get", fmt.Sprintf(`{"id":%q}`, id), &whole)
			if o.Code != tt.want {
				t.Errorf("%s: %s (%s), want %s", tt.name, o.Code, o.Reason, tt.want)
			}
			if text, _ := whole.Payload.Arguments.Member("text"); tt.payload != (text.String() == `"buy milk"`) {
				t.Errorf("%s: payload %+v", tt.name, whole.Payload)
			}
			if f := whole.Payload.Findings; tt.payload && (len(f) != 1 || f[0].Kind != "email" || f[0].Action != "mark" || f[0].Rule != "") {
				t.Errorf("%s: findings %+v", tt.name, f)
			}
			if !strings.Contains(whole.Withheld, tt.withheld) || (tt.withheld == "") != (whole.Withheld == "") {
				t.Errorf("%s: withheld %q, want %q", tt.name, whole.Withheld, tt.withheld)
			}
			if tt.want == outcome.OK && (whole.Row.ID != id.String() || len(whole.Row.Hash) != 64) {
				t.Errorf("%s: row %+v", tt.name, whole.Row)
			}
			if tt.name == "bob" {
				strange = o
			}
		}
		// Another person's id answers like an unknown one (T8).
		got := d.call(d.token(9, bob), "audit.get", fmt.Sprintf(`{"id":%q}`, unknown), nil)
		if got.Code != strange.Code || got.Reason != strange.Reason {
			t.Errorf("an unknown row answers %s (%s), another's %s (%s)", got.Code, got.Reason, strange.Code, strange.Reason)
		}
		d.log.sealer.forget(ada)
		var whole audit.Whole
		if d.call(d.token(root, ada), "audit.get", fmt.Sprintf(`{"id":%q}`, id), &whole); !strings.Contains(whole.Withheld, "destroyed") {
			t.Errorf("after the key went: %+v", whole)
		}
	})
}

func TestVerifyToolAnswersWhileCallsRun(t *testing.T) {
	t.Parallel()
	storetest.Engines(t, func(t *testing.T, source store.Source) {
		d := newDoor(t, source)
		who := d.token(root, ada)
		d.write(ada, root, "note.write", outcome.OK)
		stop, ended := make(chan struct{}), make(chan struct{})
		go func() {
			defer close(ended)
			for {
				select {
				case <-stop:
					return
				default:
					if _, err := d.log.Record(context.Background(), gate.Ticket{}, row(t, gate.Reads, outcome.OK)); err != nil {
						t.Error(err)
						return
					}
				}
			}
		}()
		for range 5 {
			var r audit.Report
			if o := d.call(who, "audit.verify", `{}`, &r); o.Code != outcome.OK || !r.OK || r.Rows == 0 {
				t.Errorf("%s %s: %+v", o.Code, o.Reason, r)
			}
			if fromOutside := d.log.check(""); !fromOutside.OK {
				t.Errorf("from outside: %+v", fromOutside)
			}
		}
		close(stop)
		<-ended
	})
}
