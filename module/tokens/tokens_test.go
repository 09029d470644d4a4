package tokens_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"gatehouse/gate"
	"gatehouse/module/tokens"
	"gatehouse/outcome"
	"gatehouse/secret"
	"gatehouse/store"
	"gatehouse/store/storetest"
)

func origin(s string) netip.Addr {
	a, _ := netip.ParseAddr(s)
	return a
}

func TestRevokeTakesAllThatDescends(t *testing.T) {
	t.Parallel()
	storetest.Engines(t, func(t *testing.T, source store.Source) {
		h := open(t, source)
		ann := h.person("ann", "work.a", "tokens.issue", "tokens.revoke", "tokens.list")
		all := []string{"work.a", "tokens.issue", "tokens.revoke", "tokens.list"}
		root := h.root(ann, all...)
		child := root.issue(h, args{"tools": all})
		grandchild := child.issue(h, args{"tools": all})
		sister, other := root.issue(h, args{"tools": all}), h.root(ann, all...)
		great := grandchild.issue(h, args{"tools": all})
		must[tokens.Revoked](h, h.operator, "tokens.revoke", args{"token": great.TokenID}) // already gone: is not counted again

		if o := h.call(child.Caller, "tokens.revoke", text(args{"token": child.TokenID, "version": 2})); o.Code != outcome.Conflict {
			t.Errorf("revoking another version: %s, want conflict", o.Code)
		}
		if got := h.sees(grandchild.Caller); got == "" {
			t.Error("a refused revoke changed something")
		}
		got := must[tokens.Revoked](h, root.Caller, "tokens.revoke", args{"token": child.TokenID, "version": 1})
		if (got != tokens.Revoked{Token: child.TokenID, Version: 2, Revoked: 2}) {
			t.Errorf("tokens.revoke: %+v", got)
		}
		if again := must[tokens.Revoked](h, root.Caller, "tokens.revoke", args{"token": child.TokenID}); again.Revoked != 0 || again.Version != 2 {
			t.Errorf("revoking twice: %+v", again)
		}
		check := func(when string) {
			t.Helper()
			for _, tt := range []struct {
				name string
				agent
				live bool
			}{{"root", root, true}, {"child", child, false}, {"grandchild", grandchild, false}, {"great", great, false}, {"sister", sister, true}, {"other", other, true}} {
				if o := h.call(tt.Caller, "work.a", `{}`); (o.Code == outcome.OK) != tt.live {
					t.Errorf("%s: a call of %s: %s", when, tt.name, o.Code)
				}
				if _, err := h.show(tt.secret, home); (err == nil) != tt.live {
					t.Errorf("%s: showing %s: %v", when, tt.name, err)
				}
			}
		}
		check("at once")
		h.close()
		h = open(t, source)
		check("after a restart")
	})
}

// TestAnothersTokenIsUnknown is T8: reading and ending obey one rule, and say no more of others than of nobody.
func TestAnothersTokenIsUnknown(t *testing.T) {
	t.Parallel()
	h := open(t, storetest.SQLite(t))
	all := []string{"tokens.issue", "tokens.list", "tokens.revoke", "work.a"}
	ann, bob, ada := h.person("ann", all...), h.person("bob", all...), h.administrator("ada")
	anns, bobs, adas := h.root(ann, all...), h.root(bob, all...), h.root(ada, all[:3]...)
	child, sister := anns.issue(h, args{"tools": all}), anns.issue(h, args{"tools": all})
	ids := map[gate.TokenID]string{anns.TokenID: "anns", bobs.TokenID: "bobs", adas.TokenID: "adas", child.TokenID: "child", sister.TokenID: "sister"}
	list := func(c gate.Caller, a args) string {
		var names []string
		for _, one := range must[tokens.Page](h, c, "tokens.list", a).Tokens {
			names = append(names, ids[one.ID])
		}
		return sorted(names...)
	}
	for _, tt := range []struct {
		name string
		c    gate.Caller
		args args
		want string
	}{
		{"root", anns.Caller, args{}, "anns child sister"},
		{"root, by person", anns.Caller, args{"person": ann}, "anns child sister"},
		{"child", child.Caller, args{}, "child"},
		{"administrator", adas.Caller, args{}, "adas"},
		{"administrator, another's", adas.Caller, args{"person": ann}, "anns child sister"},
		{"operator", h.operator, args{"person": bob}, "bobs"},
		{"operator, all", h.operator, args{}, "adas anns bobs child sister"},
	} {
		if got := list(tt.c, tt.args); got != tt.want {
			t.Errorf("%s lists %q, want %q", tt.name, got, tt.want)
		}
	}
	for _, tt := range []struct {
		name   string
		c      gate.Caller
		tool   string
		theirs any
	}{
		{"list another's", anns.Caller, "tokens.list", bob},
		{"revoke another's", anns.Caller, "tokens.revoke", bobs.TokenID},
		{"revoke the parent", child.Caller, "tokens.revoke", anns.TokenID},
		{"revoke the sister", child.Caller, "tokens.revoke", sister.TokenID},
		{"revoke an administrator's", bobs.Caller, "tokens.revoke", adas.TokenID},
	} {
		name := map[string]string{"tokens.list": "person", "tokens.revoke": "token"}[tt.tool]
		others, unknown := h.call(tt.c, tt.tool, text(args{name: tt.theirs})), h.call(tt.c, tt.tool, text(args{name: 12345}))
		others.ID, unknown.ID = gate.RowID{}, gate.RowID{}
		if others.Code != outcome.NotFound || fmt.Sprint(others) != fmt.Sprint(unknown) {
			t.Errorf("%s: %v; of nobody: %v", tt.name, others, unknown)
		}
	}
	if got := list(h.operator, args{}); got != "adas anns bobs child sister" {
		t.Errorf("a refused revoke changed the list to %q", got)
	}
	if o := h.call(h.operator, "tokens.list", `{"person":12345}`); o.Code != outcome.NotFound {
		t.Errorf("the operator lists nobody's: %s", o.Code)
	}
	must[tokens.Revoked](h, child.Caller, "tokens.revoke", args{"token": child.TokenID}) // itself
	must[tokens.Revoked](h, adas.Caller, "tokens.revoke", args{"token": bobs.TokenID})
	if _, err := h.show(bobs.secret, home); !errors.Is(err, outcome.Unauthenticated) {
		t.Errorf("revoked by an administrator: %v", err)
	}
}

func TestATokenEndsOnTime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		source := storetest.SQLite(t)
		h := open(t, source)
		defer h.close()
		ann := h.person("ann", "work.a", "tokens.issue")
		root := h.issue(h.operator, args{"person": ann, "tools": []string{"work.a", "tokens.issue"}, "ttl_seconds": 120})
		child := root.issue(h, args{"tools": []string{"work.a"}, "ttl_seconds": 60})
		ends, err := time.Parse(time.RFC3339, child.Ends)
		if err != nil {
			t.Fatal(err)
		}
		state := func(id gate.TokenID) string {
			for _, one := range must[tokens.Page](h, h.operator, "tokens.list", args{"person": ann}).Tokens {
				if one.ID == id {
					return one.State
				}
			}
			return "not listed"
		}
		time.Sleep(time.Until(ends) - time.Millisecond)
		must[nothing](h, child.Caller, "work.a", args{})
		if _, err := h.show(child.secret, home); err != nil || state(child.TokenID) != "live" {
			t.Errorf("a millisecond before its end: %v, %s", err, state(child.TokenID))
		}
		time.Sleep(time.Millisecond)
		if o := h.call(child.Caller, "work.a", `{}`); o.Code != outcome.NotAllowed {
			t.Errorf("a call at its end: %s, want not_allowed", o.Code)
		}
		if _, err := h.show(child.secret, home); !errors.Is(err, outcome.Unauthenticated) || state(child.TokenID) != "expired" {
			t.Errorf("shown at its end: %v, %s", err, state(child.TokenID))
		}
		must[nothing](h, root.Caller, "work.a", args{})
		time.Sleep(30*24*time.Hour - time.Millisecond)
		if got := state(child.TokenID); got != "expired" {
			t.Errorf("30 days later it is %s", got)
		}
		time.Sleep(time.Millisecond)
		if got := state(child.TokenID); got != "not listed" {
			t.Errorf("after 30 days it is %s", got)
		}
		time.Sleep(time.Minute)
		h.close()
		h = open(t, source)
		defer h.close()
		if h.tokens.Known(root.TokenID) {
			t.Error("a token that ended long ago is read at start")
		}
	})
}

func TestNetworks(t *testing.T) {
	t.Parallel()
	h := open(t, storetest.SQLite(t))
	ann := h.person("ann", "work.a", "tokens.issue")
	wide := h.issue(h.operator, args{"person": ann, "tools": []string{"work.a", "tokens.issue"}, "networks": []string{"127.0.0.0/8", "10.0.0.0/8", "2001:db8::/32"}})
	narrow := wide.issue(h, args{"tools": []string{"work.a"}, "networks": []string{"10.1.0.0/16", "2001:db8::7", "127.0.0.1"}})
	free := h.root(ann, "work.a")
	for _, tt := range []struct {
		from               string // empty: no address, as on a Unix socket
		wide, narrow, free bool
	}{
		{"127.0.0.1", true, true, true},
		{"127.0.0.2", true, false, true},
		{"10.1.2.3", true, true, true},
		{"10.2.2.3", true, false, true},
		{"::ffff:10.1.2.3", true, true, true}, // the same address, as a socket for both families gives it
		{"::10.1.2.3", false, false, true},
		{"11.0.0.1", false, false, true},
		{"2001:db8::7", true, true, true},
		{"2001:db8::7%eth0", true, true, true},
		{"2001:db8::8", true, false, true},
		{"2001:db9::7", false, false, true},
		{"::1", false, false, true},
		{"", false, false, true},
	} {
		for _, one := range []struct {
			name string
			agent
			want bool
		}{{"wide", wide, tt.wide}, {"narrow", narrow, tt.narrow}, {"free", free, tt.free}} {
			_, found := h.tokens.Find(t.Context(), secret.New(one.secret), origin(tt.from))
			_, current := h.tokens.Current(t.Context(), one.TokenID, origin(tt.from))
			if (found == nil) != one.want || (current == nil) != one.want {
				t.Errorf("%s from %q: Find %v, Current %v; want good: %v", one.name, tt.from, found, current, one.want)
			}
		}
	}
}

// TestRefusalsAreAlike: nobody learns from the answer why a token is not good.
func TestRefusalsAreAlike(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := open(t, storetest.SQLite(t))
		defer h.close()
		ann := h.person("ann", "tokens.issue")
		parent := h.root(ann, "tokens.issue")
		orphan := parent.issue(h, args{"tools": []string{}})
		expired := h.issue(h.operator, args{"person": ann, "tools": []string{}, "ttl_seconds": 1})
		elsewhere := h.issue(h.operator, args{"person": ann, "tools": []string{}, "networks": []string{"127.0.0.0/8"}})
		off := h.person("off")
		disabled := h.root(off)
		must[any](h, h.operator, "people.disable", args{"person": off})
		must[tokens.Revoked](h, h.operator, "tokens.revoke", args{"token": parent.TokenID})
		time.Sleep(time.Second)
		unknown, err := tokens.Generate()
		if err != nil {
			t.Fatal(err)
		}
		_, want := h.show("st_nothing", "192.0.2.1")
		for name, token := range map[string]string{
			"unknown": unknown.Reveal(), "revoked": parent.secret, "parent gone": orphan.secret, "expired": expired.secret,
			"other network": elsewhere.secret, "disabled": disabled.secret, "empty": "", "space": disabled.secret + " ",
		} {
			if _, err := h.show(token, "192.0.2.1"); err == nil || err.Error() != want.Error() || outcome.Of(err) != outcome.Unauthenticated {
				t.Errorf("%s: %v, want %v", name, err, want)
			}
		}
		for name, id := range map[string]gate.TokenID{"unknown": 1, "none": 0, "revoked": parent.TokenID, "expired": expired.TokenID} {
			if b, err := h.tokens.Current(t.Context(), id, origin(home)); b != nil || err != outcome.Unauthenticated { //nolint:errorlint // exactly this
				t.Errorf("Current of %s: %v, %v", name, b, err)
			}
		}
	})
}

// TestAWrongChecksumIsNotLookedUp: it is refused even where nothing could be looked up.
func TestAWrongChecksumIsNotLookedUp(t *testing.T) {
	t.Parallel()
	h := open(t, storetest.SQLite(t))
	h.close()
	h.tokens.Doubt()
	good, err := tokens.Generate()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := h.tokens.Find(context.Background(), good, origin(home)); !errors.Is(err, outcome.Unavailable) {
		t.Errorf("in doubt, with a store that cannot be read: %v, want unavailable", err)
	}
	if _, err := h.tokens.Current(context.Background(), 1, origin(home)); !errors.Is(err, outcome.Unavailable) {
		t.Errorf("in doubt, with a store that cannot be read: %v, want unavailable", err)
	}
	if _, err := h.tokens.Find(context.Background(), secret.New(good.Reveal()[:51]+"!"), origin(home)); !errors.Is(err, outcome.Unauthenticated) {
		t.Errorf("a wrong checksum: %v, want unauthenticated", err)
	}
}

// TestUnclearCommitIsLookedAt: the connection breaks in COMMIT, and meanwhile another token was revoked in the table.
func TestUnclearCommitIsLookedAt(t *testing.T) {
	t.Parallel()
	source := storetest.Postgres(t)
	h := open(t, source)
	ann := h.person("ann", "work.a")
	first, second := h.root(ann, "work.a"), h.root(ann, "work.a")
	for _, statement := range []string{
		fmt.Sprintf(`UPDATE tokens.token SET revoked = 1, version = version + 1 WHERE id = %d`, first.TokenID),
		`CREATE FUNCTION tokens.die() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$ BEGIN PERFORM pg_terminate_backend(pg_backend_pid()); RETURN NULL; END $$`,
		`CREATE CONSTRAINT TRIGGER die AFTER UPDATE ON tokens.token DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION tokens.die()`,
	} {
		if err := storetest.Admin(t, source, statement); err != nil {
			t.Fatal(err)
		}
	}
	if o := h.call(h.operator, "tokens.revoke", text(args{"token": second.TokenID})); o.Code != outcome.Unknown {
		t.Fatalf("a write whose COMMIT broke: %s (%s), want unknown", o.Code, o.Reason)
	}
	if _, err := h.show(first.secret, home); !errors.Is(err, outcome.Unauthenticated) {
		t.Errorf("what the table says is revoked, after it: %v", err)
	}
	if _, err := h.show(second.secret, home); err != nil {
		t.Errorf("what the table says is good, after it: %v", err)
	}
}

// TestTablesThatLie: rows that no call of ours writes are no way to more (P2).
func TestTablesThatLie(t *testing.T) {
	t.Parallel()
	source := storetest.Postgres(t)
	h := open(t, source)
	ann, bob := h.person("ann", "work.a", "work.b", "tokens.issue"), h.person("bob", "work.a", "work.b")
	root := h.root(ann, "work.a", "tokens.issue")
	orphan, stolen, circle, later := root.issue(h, args{"tools": []string{"work.a"}}), root.issue(h, args{"tools": []string{"work.a"}}),
		root.issue(h, args{"tools": []string{"work.a"}}), root.issue(h, args{"tools": []string{"work.a"}})
	middle := root.issue(h, args{"tools": []string{"work.a", "tokens.issue"}})
	left := middle.issue(h, args{"tools": []string{"work.a"}})
	h.close()
	for _, statement := range []string{
		fmt.Sprintf(`UPDATE tokens.token SET revoked = 1, version = version + 1 WHERE id = %d`, middle.TokenID),
		fmt.Sprintf(`UPDATE tokens.token SET parent = 1, version = version + 1 WHERE id = %d`, orphan.TokenID),
		fmt.Sprintf(`UPDATE tokens.token SET person = %d, version = version + 1 WHERE id = %d`, bob, stolen.TokenID),
		fmt.Sprintf(`UPDATE tokens.token SET parent = id, version = version + 1 WHERE id = %d`, circle.TokenID),
		fmt.Sprintf(`UPDATE tokens.token SET ends = ends + 1000000000, tools = '["tokens.issue","work.a","work.b"]', version = version + 1 WHERE id = %d`, later.TokenID),
	} {
		if err := storetest.Admin(t, source, statement); err != nil {
			t.Fatal(err)
		}
	}
	h = open(t, source)
	for name, a := range map[string]agent{"parent missing": orphan, "parent of another person": stolen, "its own parent": circle, "parent revoked alone": left} {
		if _, err := h.show(a.secret, home); !errors.Is(err, outcome.Unauthenticated) {
			t.Errorf("%s: %v, want unauthenticated", name, err)
		}
	}
	b, err := h.tokens.Current(t.Context(), later.TokenID, origin(home))
	if err != nil {
		t.Fatal(err)
	}
	if ends, _ := time.Parse(time.RFC3339, root.Ends); !b.Ends.Equal(ends) {
		t.Errorf("a child that says it ends later ends at %s, want %s", b.Ends, root.Ends)
	}
	if got := h.sees(later.Caller); got != "tokens.issue work.a" {
		t.Errorf("a child that says it may more sees %q", got)
	}
	if o := h.call(later.Caller, "tokens.issue", `{"agent":"x","tools":["work.a","work.b"]}`); o.Code != outcome.Invalid || paths(o) != "/tools/1" {
		t.Errorf("a child that says it may more hands it on: %s at %s", o.Code, paths(o))
	}
	for _, one := range must[tokens.Page](h, h.operator, "tokens.list", args{"person": ann}).Tokens {
		if want := map[gate.TokenID]string{orphan.TokenID: "parent gone", circle.TokenID: "parent gone", left.TokenID: "parent gone", root.TokenID: "live"}[one.ID]; want != "" && one.State != want {
			t.Errorf("token %d is %s, want %s", one.ID, one.State, want)
		}
	}
}

func TestListGoesOnWhereAPageEnded(t *testing.T) {
	t.Parallel()
	h := open(t, storetest.SQLite(t))
	ann := h.person("ann")
	for range tokens.PageSize + 3 {
		must[tokens.Issued](h, h.operator, "tokens.issue", args{"person": ann, "agent": "x", "tools": []string{}})
	}
	first := must[tokens.Page](h, h.operator, "tokens.list", args{"person": ann})
	second := must[tokens.Page](h, h.operator, "tokens.list", args{"person": ann, "cursor": first.Cursor})
	if len(first.Tokens) != tokens.PageSize || len(second.Tokens) != 3 || second.Cursor != "" || second.Tokens[0].ID >= first.Tokens[tokens.PageSize-1].ID {
		t.Errorf("pages of %d and %d, then %q", len(first.Tokens), len(second.Tokens), second.Cursor)
	}
	if o := h.call(h.operator, "tokens.list", `{"cursor":"x"}`); o.Code != outcome.Invalid {
		t.Errorf("a cursor of nobody: %s", o.Code)
	}
}

func TestCurrentAllocatesNothing(t *testing.T) {
	h := open(t, storetest.SQLite(t)) // not parallel: AllocsPerRun counts everybody's
	a := h.issue(h.operator, args{"person": h.person("ann"), "tools": []string{}, "networks": []string{"127.0.0.0/8"}})
	ctx, from := t.Context(), origin(home)
	if n := testing.AllocsPerRun(100, func() {
		if _, err := h.tokens.Current(ctx, a.TokenID, from); err != nil {
			t.Error(err)
		}
	}); n > 0 {
		t.Errorf("Current allocates %v times a call", n)
	}
}

func TestWhatIsPrintedOfAToken(t *testing.T) {
	t.Parallel()
	i := tokens.Issued{Token: "st_secret"}
	if got := text(i.Discreet()); strings.Contains(got, "st_secret") {
		t.Errorf("the log would hold %s", got)
	}
}
