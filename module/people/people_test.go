package people_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"gatehouse/gate"
	"gatehouse/module"
	"gatehouse/module/people"
	"gatehouse/outcome"
	"gatehouse/store"
	"gatehouse/store/storetest"
)

func TestWhatWasWrittenIsThereAfterARestart(t *testing.T) {
	t.Parallel()
	storetest.Engines(t, func(t *testing.T, source store.Source) {
		h := open(t, source)
		if err := h.people.CheckVersions(t.Context()); err != nil {
			t.Error(err)
		}
		ann, bob := h.add("Ann@Example.ORG", false), h.add("bob@example.org", true)
		if o := h.set(ann.Person, 1, map[string]string{"work.read": "allow", "work.send": "ask", "work.destroy": "allow"}); o.Code != outcome.OK {
			t.Fatal(o.Code, o.Reason)
		}
		if o := h.set(ann.Person, 2, map[string]string{"work.destroy": "none"}); o.Code != outcome.OK {
			t.Fatal(o.Code, o.Reason)
		}
		must[people.Changed](h, h.operator, "people.disable", text(map[string]any{"person": bob.Person}))
		list, grants := must[people.Page](h, h.operator, "people.list", `{}`), h.get(ann.Person)
		rights, err := h.people.Rights(t.Context(), ann.Person)
		if err != nil {
			t.Fatal(err)
		}
		h.close()

		h = open(t, source)
		if again := must[people.Page](h, h.operator, "people.list", `{}`); fmt.Sprint(again) != fmt.Sprint(list) {
			t.Errorf("people.list: %v after the restart, %v before", again, list)
		}
		if again := h.get(ann.Person); fmt.Sprint(again) != fmt.Sprint(grants) || len(again.Grants) != 2 {
			t.Errorf("permissions.get: %v after the restart, %v before", again, grants)
		}
		if again, err := h.people.Rights(t.Context(), ann.Person); err != nil || fmt.Sprint(again) != fmt.Sprint(rights) {
			t.Errorf("Rights: %v after the restart (%v), %v before", again, err, rights)
		}
		if r, err := h.people.Rights(t.Context(), bob.Person); err != nil || r.Active || !r.Administrator {
			t.Errorf("bob: %+v, %v; want a disabled administrator", r, err)
		}
		if list.People[0].Email != "Ann@example.org" || list.People[0].Version != 3 {
			t.Errorf("ann is %+v", list.People[0])
		}
	})
}

func TestAddressesAreUniqueInAnyCase(t *testing.T) {
	t.Parallel()
	storetest.Engines(t, func(t *testing.T, source store.Source) {
		h := open(t, source)
		h.add("ada@example.org", false)
		for _, email := range []string{"ada@example.org", "ADA@example.org", "Ada@EXAMPLE.org"} {
			if o := h.call(h.operator, "people.add", text(map[string]any{"email": email})); o.Code != outcome.Conflict {
				t.Errorf("adding %s: %s, want conflict", email, o.Code)
			}
		}
		if got := must[people.Page](h, h.operator, "people.list", `{"email":"aDA@example.ORG"}`); len(got.People) != 1 {
			t.Errorf("people.list by address gave %v", got)
		}
		if got := must[people.Page](h, h.operator, "people.list", `{"email":"da@example.org"}`); len(got.People) != 0 {
			t.Errorf("people.list by a part of an address gave %v", got)
		}
	})
}

func TestEmail(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		in, email string
		ok        bool
	}{
		{"ada@example.org", "ada@example.org", true},
		{"Ada.L+x@EXAMPLE.Org", "Ada.L+x@example.org", true},
		{"root@localhost", "root@localhost", true},
		{"a@xn--bcher-kva.example", "a@xn--bcher-kva.example", true},
		{"", "", false},
		{"ada", "", false},
		{"@example.org", "", false},
		{"ada@", "", false},
		{"ada@example.org\n", "", false},
		{" ada@example.org", "", false},
		{"Ada <ada@example.org>", "", false},
		{`"a b"@example.org`, "", false},
		{"a(b)@example.org", "", false},
		{"a@b@example.org", "", false},
		{"a,b@example.org", "", false},
		{".a@example.org", "", false},
		{"a..b@example.org", "", false},
		{"a@[127.0.0.1]", "", false},
		{"a@example..org", "", false},
		{"a@-example.org", "", false},
		{"a@example.org.", "", false},
		{"аda@example.org", "", false}, // a Cyrillic а
		{"ada@example.org\x00", "", false},
		{strings.Repeat("a", 65) + "@example.org", "", false},
		{"a@" + strings.Repeat("a", 64) + ".org", "", false},
	} {
		email, folded, ok := people.ParseEmail(tt.in)
		if ok != tt.ok || email != tt.email || folded != strings.ToLower(tt.email) {
			t.Errorf("ParseEmail(%q) = %q, %q, %v; want %q, %v", tt.in, email, folded, ok, tt.email, tt.ok)
		}
	}
}

func FuzzParseEmail(f *testing.F) {
	for _, seed := range []string{"ada@example.org", "A@B", "a@b@c", "a@b.", "\"a\"@b", "a@xn--b"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, s string) {
		email, folded, ok := people.ParseEmail(s)
		if !ok {
			return
		}
		if strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r > '~' }) || !strings.EqualFold(s, email) || len(s) > 320 {
			t.Errorf("%q was taken as %q", s, email)
		}
		if e, f, ok := people.ParseEmail(email); !ok || e != email || f != folded {
			t.Errorf("%q is read as %q, and that as %q, %v", s, email, e, ok)
		}
	})
}

func TestNamesCanBeSeen(t *testing.T) {
	t.Parallel()
	h := open(t, storetest.SQLite(t))
	for name, want := range map[string]outcome.Code{
		"Ada Lovelace": outcome.OK, "": outcome.OK, strings.Repeat("ä", 100): outcome.OK,
		strings.Repeat("ä", 101): outcome.Invalid, "a\nb": outcome.Invalid, "a\u202eb": outcome.Invalid, "a\u200bb": outcome.Invalid,
	} {
		o := h.call(h.operator, "people.add", text(map[string]any{"email": fmt.Sprintf("p%d@example.org", len(name)), "name": name}))
		if o.Code != want {
			t.Errorf("name %q: %s %v, want %s", name, o.Code, o.Faults, want)
		}
	}
}

func TestAnAdministratorStartsWithTheHouseAndNothingElse(t *testing.T) {
	t.Parallel()
	h := open(t, storetest.SQLite(t))
	ada, bob := h.add("ada@example.org", true), h.add("bob@example.org", false)
	var want []string
	for _, e := range h.gate.Directory().All() {
		if !strings.HasPrefix(string(e.Name), "work.") {
			want = append(want, string(e.Name)+" allow")
		}
	}
	var got []string
	for tool, decision := range h.get(ada.Person).Grants {
		got = append(got, string(tool)+" "+decision)
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) || len(want) < 10 {
		t.Errorf("an administrator starts with %v, want %v", got, want)
	}
	if m := h.get(bob.Person); len(m.Grants) != 0 || m.Version != 1 {
		t.Errorf("a person starts with %v", m)
	}
	// They are grants like any other: what is taken away is gone.
	agent := h.agent(ada.Person, "people.list")
	must[people.Page](h, agent, "people.list", `{}`)
	if o := h.set(ada.Person, ada.Version, map[string]string{"people.list": "none"}); o.Code != outcome.OK {
		t.Fatal(o.Code)
	}
	if o := h.call(agent, "people.list", `{}`); o.Code != outcome.NotAllowed {
		t.Errorf("people.list after its grant was taken away: %s", o.Code)
	}
}

func TestTheLastAdministratorStays(t *testing.T) {
	t.Parallel()
	storetest.Engines(t, func(t *testing.T, source store.Source) {
		h := open(t, source)
		ada, eve := h.add("ada@example.org", true).Person, h.add("eve@example.org", true).Person
		bob := h.add("bob@example.org", false).Person
		ctx := t.Context()
		if _, err := h.people.ActivateAs(ctx, people.Asker(ada, true), bob, false); err != nil {
			t.Errorf("an administrator disables a person: %v", err)
		}
		if _, err := h.people.ActivateAs(ctx, people.Asker(ada, true), eve, false); err != nil {
			t.Errorf("an administrator disables another: %v", err)
		}
		if _, err := h.people.ActivateAs(ctx, people.Asker(ada, true), ada, false); !errors.Is(err, outcome.Denied) {
			t.Errorf("the last administrator disables themself: %v, want denied", err)
		}
		if r, err := h.people.Rights(ctx, ada); err != nil || !r.Active {
			t.Errorf("the last administrator after the refusal: %+v, %v", r, err)
		}
		must[people.Changed](h, h.operator, "people.disable", text(map[string]any{"person": ada})) // the operator may
		if r, err := h.people.Rights(ctx, ada); err != nil || r.Active {
			t.Errorf("after the operator disabled them: %+v, %v", r, err)
		}
	})
}

func TestWhoKeepsNoHouseReachesNobodyElse(t *testing.T) {
	t.Parallel()
	h := open(t, storetest.SQLite(t))
	ann, bob := h.add("ann@example.org", false).Person, h.add("bob@example.org", false).Person
	who, ctx, tools := people.Asker(ann, false), t.Context(), h.gate.Directory()
	for name, do := range map[string]func(gate.PersonID) error{
		"disable": func(id gate.PersonID) error { _, err := h.people.ActivateAs(ctx, who, id, false); return err },
		"enable":  func(id gate.PersonID) error { _, err := h.people.ActivateAs(ctx, who, id, true); return err },
		"set": func(id gate.PersonID) error {
			_, err := h.people.SetAs(ctx, who, tools, id, 1, map[string]string{"work.read": "allow"})
			return err
		},
	} {
		others, unknown := do(bob), do(12345)
		if !errors.Is(others, outcome.NotFound) || outcome.Explain(others).Reason != outcome.Explain(unknown).Reason {
			t.Errorf("%s of another person: %v; of an unknown one: %v", name, others, unknown)
		}
	}
	if _, err := h.people.SetAs(ctx, who, tools, ann, 1, map[string]string{"work.read": "allow"}); !errors.Is(err, outcome.NotAllowed) {
		t.Errorf("giving oneself a permission: %v, want not_allowed", err)
	}
	if _, err := h.people.AddAs(ctx, who, tools, "eve@example.org", true); !errors.Is(err, outcome.NotAllowed) {
		t.Errorf("adding an administrator: %v, want not_allowed", err)
	}
	if _, err := h.people.AddAs(ctx, who, tools, "eve@example.org", false); err != nil {
		t.Errorf("adding a person: %v", err)
	}
	if len(h.get(ann).Grants)+len(h.get(bob).Grants) != 0 {
		t.Error("a refused permissions.set changed something")
	}
}

func TestListShowsOnlyWhomTheCallerMayKnow(t *testing.T) {
	t.Parallel()
	h := open(t, storetest.SQLite(t))
	ada, ann := h.add("ada@example.org", true).Person, h.add("ann@example.org", false).Person
	h.add("bob@example.org", false)
	h.set(ann, 1, map[string]string{"people.list": "allow"})
	for _, tt := range []struct {
		who  string
		c    gate.Caller
		args string
		want string
	}{
		{"operator", h.operator, `{}`, "ada ann bob"},
		{"administrator", h.agent(ada, "people.list"), `{}`, "ada ann bob"},
		{"person", h.agent(ann, "people.list"), `{}`, "ann"},
		{"person asks for another", h.agent(ann, "people.list"), `{"email":"bob@example.org"}`, ""},
		{"person asks for nobody", h.agent(ann, "people.list"), `{"email":"zoe@example.org"}`, ""},
	} {
		var got []string
		for _, one := range must[people.Page](h, tt.c, "people.list", tt.args).People {
			got = append(got, strings.TrimSuffix(one.Email, "@example.org"))
		}
		if strings.Join(got, " ") != tt.want {
			t.Errorf("%s: %v, want %s", tt.who, got, tt.want)
		}
	}
}

func TestListGoesOnWhereAPageEnded(t *testing.T) {
	t.Parallel()
	h := open(t, storetest.SQLite(t))
	const n = 205
	for i := range n {
		h.add(fmt.Sprintf("p%03d@example.org", i), false)
	}
	var got []string
	for cursor, pages := "", 0; ; pages++ {
		page := must[people.Page](h, h.operator, "people.list", text(map[string]string{"cursor": cursor}))
		for _, one := range page.People {
			got = append(got, one.Email)
		}
		if cursor = page.Cursor; cursor == "" || pages > 3 {
			break
		}
	}
	if len(got) != n || !slices.IsSorted(got) {
		t.Errorf("the pages gave %d people, sorted %v; want %d", len(got), slices.IsSorted(got), n)
	}
	if o := h.call(h.operator, "people.list", `{"cursor":"x"}`); o.Code != outcome.Invalid {
		t.Errorf("a cursor of nobody: %s", o.Code)
	}
}

func TestDisabledIsGoneOnTheNextCallAndComesBackAsItWas(t *testing.T) {
	t.Parallel()
	h := open(t, storetest.SQLite(t))
	ann := h.add("ann@example.org", false)
	h.set(ann.Person, 1, map[string]string{"work.read": "allow"})
	agent := h.agent(ann.Person, "work.read")
	must[nothing](h, agent, "work.read", `{}`)
	disabled := must[people.Changed](h, h.operator, "people.disable", text(map[string]any{"person": ann.Person, "version": 2}))
	if disabled.Version != 3 {
		t.Errorf("disabling gave version %d, want 3: whoever compares versions must notice", disabled.Version)
	}
	for _, tool := range []string{"work.read", "permissions.get"} {
		if o := h.call(agent, tool, `{}`); o.Code != outcome.NotAllowed {
			t.Errorf("%s of a disabled person: %s, want not_allowed", tool, o.Code)
		}
	}
	if o := h.call(h.operator, "people.enable", text(map[string]any{"person": ann.Person, "version": 2})); o.Code != outcome.Conflict {
		t.Errorf("enabling by an older version: %s, want conflict", o.Code)
	}
	if again := must[people.Changed](h, h.operator, "people.disable", text(map[string]any{"person": ann.Person})); again != disabled {
		t.Errorf("disabling twice: %v, want %v", again, disabled)
	}
	must[people.Changed](h, h.operator, "people.enable", text(map[string]any{"person": ann.Person}))
	must[nothing](h, agent, "work.read", `{}`)
	if o := h.call(h.operator, "people.disable", `{"person":12345}`); o.Code != outcome.NotFound {
		t.Errorf("disabling nobody: %s, want not_found", o.Code)
	}
}

func TestRightsOfNobody(t *testing.T) {
	t.Parallel()
	h := open(t, storetest.SQLite(t))
	for _, id := range []gate.PersonID{0, -1, 12345} {
		if r, err := h.people.Rights(t.Context(), id); r != nil || !errors.Is(err, outcome.NotFound) {
			t.Errorf("Rights(%d) = %v, %v; want not_found", id, r, err)
		}
	}
}

func TestRightsAllocateNothing(t *testing.T) {
	h := open(t, storetest.SQLite(t)) // not parallel: AllocsPerRun counts everybody's
	ann, ctx := h.add("ann@example.org", true).Person, t.Context()
	if n := testing.AllocsPerRun(100, func() {
		if _, err := h.people.Rights(ctx, ann); err != nil {
			t.Error(err)
		}
	}); n > 0 {
		t.Errorf("Rights allocates %v times a call", n)
	}
}

// TestDoubtRefuses: as long as it is not known what the tables hold, nothing is answered from memory (P2).
func TestDoubtRefuses(t *testing.T) {
	t.Parallel()
	h := open(t, storetest.SQLite(t))
	ann := h.add("ann@example.org", false).Person
	h.people.Doubt()
	if _, err := h.people.Rights(t.Context(), ann); err != nil {
		t.Errorf("Rights in doubt, with a store that can be read: %v", err)
	}
	h.people.Doubt()
	h.close()
	if r, err := h.people.Rights(t.Context(), ann); r != nil || !errors.Is(err, outcome.Unavailable) {
		t.Errorf("Rights in doubt, with a store that cannot be read: %v, %v; want unavailable", r, err)
	}
}

// TestUnclearCommitIsLookedAt: the connection breaks in COMMIT, and meanwhile a grant has gone from the table.
func TestUnclearCommitIsLookedAt(t *testing.T) {
	t.Parallel()
	source := storetest.Postgres(t)
	h := open(t, source)
	ann := h.add("ann@example.org", false).Person
	h.set(ann, 1, map[string]string{"work.read": "allow"})
	for _, statement := range []string{
		`CREATE FUNCTION people.die() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$ BEGIN PERFORM pg_terminate_backend(pg_backend_pid()); RETURN NULL; END $$`,
		`CREATE CONSTRAINT TRIGGER die AFTER UPDATE ON people.person DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION people.die()`,
		`DELETE FROM people.permission`,
	} {
		if err := storetest.Admin(t, source, statement); err != nil {
			t.Fatal(err)
		}
	}
	if o := h.set(ann, 2, map[string]string{"work.send": "allow"}); o.Code != outcome.Unknown {
		t.Fatalf("a write whose COMMIT broke: %s (%s), want unknown", o.Code, o.Reason)
	}
	if r, err := h.people.Rights(t.Context(), ann); err != nil || len(r.Grants) != 0 {
		t.Errorf("Rights after it: %+v, %v; want what the tables hold", r, err)
	}
}

func TestTablesThatCannotBeReadDoNotStart(t *testing.T) {
	t.Parallel()
	source := storetest.Postgres(t)
	open(t, source).close()
	if err := storetest.Admin(t, source, `ALTER TABLE people.permission RENAME TO gone`); err != nil {
		t.Fatal(err)
	}
	kit := module.Kit{Name: "people", Source: source, Migrate: true, Data: t.TempDir()}.Ready()
	defer func() {
		if err := kit.Close(); err != nil {
			t.Error(err)
		}
	}()
	if p, err := people.New(t.Context(), kit, people.Config{}); err == nil {
		t.Errorf("New = %v without its table", p)
	}
}
