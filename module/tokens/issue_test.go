package tokens_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"gatehouse/gate"
	"gatehouse/module"
	"gatehouse/module/tokens"
	"gatehouse/outcome"
	"gatehouse/store"
	"gatehouse/store/storetest"
)

func TestTokensAreThereAfterARestart(t *testing.T) {
	t.Parallel()
	storetest.Engines(t, func(t *testing.T, source store.Source) {
		h := open(t, source)
		if err := h.tokens.CheckVersions(t.Context()); err != nil {
			t.Error(err)
		}
		ann := h.person("ann", "work.a", "work.b", "tokens.issue", "tokens.revoke")
		root := h.root(ann, "work.a", "work__b", "tokens.issue", "tokens.revoke")
		child := root.issue(h, args{"tools": []string{"work.a"}, "max_uses": 3, "rate": 7, "budget": 9, "networks": []string{"127.0.0.0/8", "2001:db8::1"}, "ttl_seconds": 60})
		gone := root.issue(h, args{"tools": []string{"work.a"}})
		must[tokens.Revoked](h, h.operator, "tokens.revoke", args{"token": gone.TokenID})
		before := must[tokens.Page](h, h.operator, "tokens.list", args{"person": ann})
		h.close()

		h = open(t, source)
		after := must[tokens.Page](h, h.operator, "tokens.list", args{"person": ann})
		if fmt.Sprint(before.Tokens[0].ID, before.Tokens[1]) != fmt.Sprint(after.Tokens[0].ID, after.Tokens[1]) || len(after.Tokens) != 3 {
			t.Errorf("tokens.list: %+v after the restart, %+v before", after, before)
		}
		if got := h.sees(root.Caller); got != "tokens.issue tokens.revoke work.a work.b" {
			t.Errorf("the root token sees %q", got)
		}
		again, err := h.show(child.secret, home)
		if err != nil {
			t.Fatal(err)
		}
		b, err := h.tokens.Current(t.Context(), again.Token(), origin(home))
		if err != nil {
			t.Fatal(err)
		}
		if b.Person != ann || b.Agent != "test" || b.Root() != root.TokenID || len(b.Chain) != 2 ||
			b.Chain[0].MaxUses != 3 || b.Chain[0].Rate != 7 || b.Chain[0].Budget != 9 || b.Chain[0].Version != 1 || len(b.Chain[0].Scope) != 1 {
			t.Errorf("the child is %+v", b)
		}
		if got := b.Ends.UTC().Format("2006-01-02T15:04:05.000Z"); got != child.Ends {
			t.Errorf("the child ends at %s, its issuing said %s", got, child.Ends)
		}
		if _, err := h.show(gone.secret, home); !errors.Is(err, outcome.Unauthenticated) {
			t.Errorf("a revoked token after the restart: %v", err)
		}
	})
}

func TestTheOperatorIssues(t *testing.T) {
	t.Parallel()
	h := open(t, storetest.SQLite(t), func(c *tokens.Config) { c.DefaultTTL, c.MaxTTL = time.Hour, 2*time.Hour })
	ann, off := h.person("ann"), h.person("off")
	must[any](h, h.operator, "people.disable", args{"person": off})
	for _, tt := range []struct {
		name  string
		args  args
		want  outcome.Code
		paths string
	}{
		{"no tool", args{"person": ann, "agent": "x", "tools": []string{}}, outcome.OK, ""},
		{"all that can be said", args{
			"person": ann, "agent": "Ärzte-Agent 2", "tools": []string{"work.a", "work__b"},
			"ttl_seconds": 7200, "max_uses": 1, "rate": 1, "networks": []string{"192.0.2.0/24", "::1"},
		}, outcome.OK, ""},
		{"a person's tool", args{"person": ann, "agent": "x", "tools": []string{"people.add"}}, outcome.OK, ""}, // the gate refuses it to tokens
		{"nobody said", args{"agent": "x", "tools": []string{}}, outcome.Invalid, "/person"},
		{"no such person", args{"person": 12345, "agent": "x", "tools": []string{}}, outcome.NotFound, ""},
		{"a disabled person", args{"person": off, "agent": "x", "tools": []string{}}, outcome.Conflict, ""},
		{"tools not said", args{"person": ann, "agent": "x"}, outcome.Invalid, "/tools"},
		{"tools null", args{"person": ann, "agent": "x", "tools": any(nil)}, outcome.Invalid, "/tools"},
		{"wildcards", args{"person": ann, "agent": "x", "tools": []string{"*", "work.*", "work.a", "work"}}, outcome.Invalid, "/tools/0 /tools/1 /tools/3"},
		{"unknown, other case, look-alike", args{"person": ann, "agent": "x", "tools": []string{"work.z", "Work.a", "work.а", "work.a ", ""}}, outcome.Invalid, "/tools/0 /tools/1 /tools/2 /tools/3 /tools/4"},
		{"one tool twice", args{"person": ann, "agent": "x", "tools": []string{"work.a", "work__a"}}, outcome.Invalid, "/tools/1"},
		{"no name", args{"person": ann, "agent": "", "tools": []string{}}, outcome.Invalid, "/agent"},
		{"a blank name", args{"person": ann, "agent": "  ", "tools": []string{}}, outcome.Invalid, "/agent"},
		{"a long name", args{"person": ann, "agent": strings.Repeat("ä", 61), "tools": []string{}}, outcome.Invalid, "/agent"},
		{"a name that turns around", args{"person": ann, "agent": "a\u202eb", "tools": []string{}}, outcome.Invalid, "/agent"},
		{"no time", args{"person": ann, "agent": "x", "tools": []string{}, "ttl_seconds": 0}, outcome.Invalid, "/ttl_seconds"},
		{"time back", args{"person": ann, "agent": "x", "tools": []string{}, "ttl_seconds": -1}, outcome.Invalid, "/ttl_seconds"},
		{"too long", args{"person": ann, "agent": "x", "tools": []string{}, "ttl_seconds": 7201}, outcome.Invalid, "/ttl_seconds"},
		{"so long that it wraps around", args{"person": ann, "agent": "x", "tools": []string{}, "ttl_seconds": int64(1<<63 - 1)}, outcome.Invalid, "/ttl_seconds"},
		{"another wrap", args{"person": ann, "agent": "x", "tools": []string{}, "ttl_seconds": int64(18446744075)}, outcome.Invalid, "/ttl_seconds"},
		{"no uses", args{"person": ann, "agent": "x", "tools": []string{}, "max_uses": 0}, outcome.Invalid, "/max_uses"},
		{"uses below none", args{"person": ann, "agent": "x", "tools": []string{}, "max_uses": -5}, outcome.Invalid, "/max_uses"},
		{"no rate", args{"person": ann, "agent": "x", "tools": []string{}, "rate": 0}, outcome.Invalid, "/rate"},
		{"no budget", args{"person": ann, "agent": "x", "tools": []string{}, "budget": 0}, outcome.Invalid, "/budget"},
		{"no network", args{"person": ann, "agent": "x", "tools": []string{}, "networks": []string{}}, outcome.Invalid, "/networks"},
		{"no networks", args{"person": ann, "agent": "x", "tools": []string{}, "networks": []string{"192.0.2.1/24", "x", "::ffff:10.0.0.0/104", "fe80::1%eth0", "10.0.0.0/33", "10.0.0.0/8"}}, outcome.Invalid, "/networks/0 /networks/1 /networks/2 /networks/3 /networks/4"},
		{"unknown argument", args{"person": ann, "agent": "x", "tools": []string{}, "scope": "*"}, outcome.Invalid, "/scope"},
		{"many faults", args{"person": ann, "agent": "", "tools": []string{"*"}, "rate": 0, "max_uses": 0}, outcome.Invalid, "/agent /tools/0 /max_uses /rate"},
	} {
		o := h.call(h.operator, "tokens.issue", text(tt.args))
		if o.Code != tt.want || paths(o) != tt.paths {
			t.Errorf("%s: %s (%s) at %s, want %s at %s", tt.name, o.Code, o.Reason, paths(o), tt.want, tt.paths)
		}
	}
	if got := must[tokens.Page](h, h.operator, "tokens.list", args{"person": ann}); len(got.Tokens) != 3 {
		t.Errorf("%d tokens were issued, want the 3 that were right", len(got.Tokens))
	}
}

// TestListsThatAreTooLong: a caller must not get more faults than can be read, however much is wrong.
func TestListsThatAreTooLong(t *testing.T) {
	t.Parallel()
	h := open(t, storetest.SQLite(t))
	ann := h.person("ann", "work.a", "tokens.issue")
	root := h.root(ann, "work.a", "tokens.issue")
	many := func(n int, name string) []string { return slices.Repeat([]string{name}, n) }
	for _, tt := range []struct {
		name  string
		args  args
		first string
		most  int
	}{
		{"more names than tools can be", args{"tools": many(5001, "work.a")}, "/tools", 1},
		{"megabytes of nothing", args{"tools": many(1_000_000, "")}, "/tools", 1},
		{"as many as can be", args{"tools": many(5000, "")}, "/tools/0", 20},
		{"one tool again and again", args{"tools": many(5000, "work.a")}, "/tools/1", 20},
		{"networks", args{"tools": []string{}, "networks": many(100, "x")}, "/networks/0", 20},
		{"all at once", args{"tools": many(30, ""), "networks": many(30, "x"), "rate": 0, "max_uses": 0}, "/tools/0", 20},
	} {
		tt.args["agent"] = "x"
		for _, by := range []gate.Caller{h.operator, root.Caller} {
			tt.args["person"] = ann
			o := h.call(by, "tokens.issue", text(tt.args))
			if o.Code != outcome.Invalid || len(o.Faults) != tt.most || o.Faults[0].Path != tt.first {
				t.Errorf("%s: %s (%s) with %d faults, want %d from %s", tt.name, o.Code, o.Reason, len(o.Faults), tt.most, tt.first)
			}
		}
	}
}

// TestAChildIsNeverWider is T4 for what is asked for outright; the property test finds the rest.
func TestAChildIsNeverWider(t *testing.T) {
	t.Parallel()
	h := open(t, storetest.SQLite(t))
	ann, bob := h.person("ann", "work.a", "work.b", "work.c", "tokens.issue"), h.person("bob")
	root := h.issue(h.operator, args{
		"person": ann, "tools": []string{"work.a", "work.b", "tokens.issue"}, "ttl_seconds": 3600, "max_uses": 1000, "rate": 60, "budget": 2000,
		"networks": []string{"127.0.0.0/16", "2001:db8::/32"},
	})
	middle := root.issue(h, args{"tools": []string{"work.a", "tokens.issue"}, "max_uses": 500, "rate": 30, "budget": 1000})
	for _, tt := range []struct {
		name  string
		by    agent
		args  args
		want  outcome.Code
		paths string
	}{
		{"narrower", root, args{"tools": []string{"work.b"}, "max_uses": 1, "rate": 60, "ttl_seconds": 60, "networks": []string{"127.0.0.1", "127.0.0.0/16", "2001:db8:1::/48"}}, outcome.OK, ""},
		{"nothing", middle, args{"tools": []string{}}, outcome.OK, ""},
		{"for oneself, said", middle, args{"tools": []string{}, "person": ann}, outcome.OK, ""},
		{"for another", middle, args{"tools": []string{}, "person": bob}, outcome.NotFound, ""},
		{"for nobody", middle, args{"tools": []string{}, "person": 12345}, outcome.NotFound, ""},
		{"a tool of its owner's that the root has not", root, args{"tools": []string{"work.a", "work.c"}}, outcome.Invalid, "/tools/1"},
		{"a tool of the root's that the parent has not", middle, args{"tools": []string{"work.b", "work.a"}}, outcome.Invalid, "/tools/0"},
		{"a tool that is not there", middle, args{"tools": []string{"work.z"}}, outcome.Invalid, "/tools/0"},
		{"a wildcard", middle, args{"tools": []string{"*"}}, outcome.Invalid, "/tools/0"},
		{"longer", root, args{"tools": []string{}, "ttl_seconds": 3601}, outcome.Invalid, "/ttl_seconds"},
		{"more uses", middle, args{"tools": []string{}, "max_uses": 501}, outcome.Invalid, "/max_uses"},
		{"more often", middle, args{"tools": []string{}, "rate": 31}, outcome.Invalid, "/rate"},
		{"dearer than its parent", middle, args{"tools": []string{}, "budget": 1001}, outcome.Invalid, "/budget"},
		{"dearer than its root", middle, args{"tools": []string{}, "budget": 2001}, outcome.Invalid, "/budget"},
		{"as dear", middle, args{"tools": []string{}, "budget": 1000}, outcome.OK, ""},
		{"from further", root, args{"tools": []string{}, "networks": []string{"127.0.0.0/8", "10.0.0.1", "::/0", "2001:db9::/32"}}, outcome.Invalid, "/networks/0 /networks/1 /networks/2 /networks/3"},
		{"from further than the root, by a parent without networks", middle, args{"tools": []string{}, "networks": []string{"10.0.0.0/8"}}, outcome.Invalid, "/networks/0"},
	} {
		tt.args["agent"] = "child"
		o := h.call(tt.by.Caller, "tokens.issue", text(tt.args))
		if o.Code != tt.want || paths(o) != tt.paths {
			t.Errorf("%s: %s (%s) at %s, want %s at %s", tt.name, o.Code, o.Reason, paths(o), tt.want, tt.paths)
		}
	}
	unknown, hidden := h.call(middle.Caller, "tokens.issue", `{"agent":"x","tools":["work.z"]}`), h.call(middle.Caller, "tokens.issue", `{"agent":"x","tools":["work.b"]}`)
	if fmt.Sprint(unknown.Faults, unknown.Reason) != fmt.Sprint(hidden.Faults, hidden.Reason) {
		t.Errorf("a tool that is not there answers %v, one that is hidden %v", unknown.Faults, hidden.Faults)
	}
	if got := h.sees(middle.issue(h, args{"tools": []string{}}).Caller); got != "" {
		t.Errorf("a token with an empty scope sees %q", got)
	}
	// What is left out is no way around either: the parents' limits stay.
	free := middle.issue(h, args{"tools": []string{"work.a"}})
	if _, err := h.show(free.secret, "10.0.0.1"); !errors.Is(err, outcome.Unauthenticated) {
		t.Errorf("a child without networks from outside of its parent's: %v", err)
	}
	b, err := h.tokens.Current(t.Context(), free.TokenID, origin(home))
	if err != nil || len(b.Chain) != 3 || b.Chain[1].MaxUses != 500 || b.Chain[2].Rate != 60 {
		t.Errorf("the chain of a child without limits: %+v, %v", b, err)
	}
	if b.Ends.After(time.Now().Add(time.Hour)) {
		t.Errorf("the child ends at %s, after its root", b.Ends)
	}
}

func TestDefaultLivesAreCutToTheParents(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := open(t, storetest.SQLite(t))
		defer h.close()
		ann := h.person("ann", "tokens.issue", "work.a")
		root := h.issue(h.operator, args{"person": ann, "tools": []string{"tokens.issue", "work.a"}, "ttl_seconds": 100})
		child := root.issue(h, args{"tools": []string{"work.a"}})
		if child.Ends != root.Ends {
			t.Errorf("the child ends at %s, its parent at %s", child.Ends, root.Ends)
		}
		long := h.root(ann, "work.a")
		if want := time.Now().Add(24 * time.Hour).UTC().Format("2006-01-02T15:04:05.000Z"); long.Ends != want {
			t.Errorf("a token of which nothing was said ends at %s, want %s", long.Ends, want)
		}
	})
}

func TestPersonsHaveSoManyTokens(t *testing.T) {
	t.Parallel()
	h := open(t, storetest.SQLite(t), func(c *tokens.Config) { c.MaxPerPerson = 3 })
	ann, bob := h.person("ann", "tokens.issue"), h.person("bob")
	root := h.root(ann, "tokens.issue")
	root.issue(h, args{"tools": []string{}})
	last := h.root(ann)
	for _, by := range []gate.Caller{h.operator, root.Caller} {
		if o := h.call(by, "tokens.issue", text(args{"person": ann, "agent": "x", "tools": []string{}})); o.Code != outcome.Limited {
			t.Errorf("a fourth token: %s, want limited", o.Code)
		}
	}
	h.root(bob)
	must[tokens.Revoked](h, h.operator, "tokens.revoke", args{"token": last.TokenID})
	h.root(ann)
}

func TestChainsHaveAnEnd(t *testing.T) {
	t.Parallel()
	h := open(t, storetest.SQLite(t))
	by := h.root(h.person("ann", "tokens.issue"), "tokens.issue")
	for range tokens.MaxDepth - 1 {
		by = by.issue(h, args{"tools": []string{"tokens.issue"}})
	}
	if o := h.call(by.Caller, "tokens.issue", `{"agent":"x","tools":[]}`); o.Code != outcome.NotAllowed || !strings.Contains(o.Reason, "16") {
		t.Errorf("one more than %d: %s (%s)", tokens.MaxDepth, o.Code, o.Reason)
	}
	if got := h.sees(by.Caller); got != "tokens.issue" {
		t.Errorf("the last of the chain sees %q", got)
	}
}

// TestATokenIsShownOnce: it stands in no file, no row of the log, and no list.
func TestATokenIsShownOnce(t *testing.T) {
	t.Parallel()
	source := storetest.SQLite(t)
	h := open(t, source)
	ann := h.person("ann", "tokens.issue", "work.a")
	root := h.root(ann, "tokens.issue", "work.a")
	child := root.issue(h, args{"tools": []string{"work.a"}})
	must[nothing](h, child.Caller, "work.a", args{})
	list := h.call(h.operator, "tokens.list", text(args{"person": ann})).Result.String()
	h.close()
	log := h.ledger.all()
	if !strings.Contains(log, "[shown once]") {
		t.Fatal("the log does not hold the issuing")
	}
	places := map[string]string{"the log": log, "tokens.list": list}
	files, err := filepath.Glob(filepath.Join(source.Dir, "*"))
	if err != nil || len(files) < 2 {
		t.Fatal(files, err)
	}
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		places[f] = string(b)
	}
	for place, text := range places {
		for _, a := range []agent{root, child} {
			if strings.Contains(text, a.secret) || strings.Contains(text, a.secret[3:46]) {
				t.Errorf("%s holds a token", place)
			}
		}
	}
	if strings.Contains(list, "hash") {
		t.Errorf("tokens.list shows %s", list)
	}
}

// TestNoChildOutlivesAParallelRevoke: however a revoke and the issuing of children meet, none of them is good afterwards.
func TestNoChildOutlivesAParallelRevoke(t *testing.T) {
	t.Parallel()
	storetest.Engines(t, func(t *testing.T, source store.Source) {
		h := open(t, source)
		ann := h.person("ann", "tokens.issue", "work.a")
		for range 5 {
			root := h.root(ann, "tokens.issue", "work.a")
			var mu sync.Mutex
			var children []tokens.Issued
			var all sync.WaitGroup
			start := make(chan struct{})
			for range 4 {
				all.Go(func() {
					<-start
					for range 10 {
						o := h.call(root.Caller, "tokens.issue", `{"agent":"child","tools":["work.a"]}`)
						if o.Code == outcome.NotAllowed {
							return
						}
						var child tokens.Issued
						if err := o.Result.Decode(&child); err != nil {
							t.Error(o.Code, o.Reason, err)
							return
						}
						mu.Lock()
						children = append(children, child)
						mu.Unlock()
					}
				})
			}
			close(start)
			time.Sleep(3 * time.Millisecond)
			must[tokens.Revoked](h, h.operator, "tokens.revoke", args{"token": root.TokenID})
			all.Wait()
			for _, child := range children {
				if _, err := h.show(child.Token, home); !errors.Is(err, outcome.Unauthenticated) {
					t.Errorf("child %d of a revoked token: %v", child.TokenID, err)
				}
			}
			for _, token := range must[tokens.Page](h, h.operator, "tokens.list", args{"person": ann}).Tokens {
				if token.State != "revoked" {
					t.Errorf("token %d is %s", token.ID, token.State)
				}
			}
		}
	})
}

func TestConfigurationThatMakesNoSense(t *testing.T) {
	t.Parallel()
	h := open(t, storetest.SQLite(t))
	for name, c := range map[string]tokens.Config{
		"nobody to ask":            {},
		"default above the most":   {Permissions: h.people, DefaultTTL: 2 * time.Hour, MaxTTL: time.Hour},
		"lives below a second":     {Permissions: h.people, DefaultTTL: time.Millisecond},
		"fewer than no tokens":     {Permissions: h.people, MaxPerPerson: -1},
		"negative life":            {Permissions: h.people, DefaultTTL: -time.Hour},
		"negative longest life":    {Permissions: h.people, MaxTTL: -time.Hour},
		"a longest below a second": {Permissions: h.people, MaxTTL: time.Millisecond},
	} {
		kit := module.Kit{Name: "tokens", Source: storetest.SQLite(t), Migrate: true, Data: t.TempDir()}.Ready()
		if m, err := tokens.New(t.Context(), kit, c); err == nil {
			t.Errorf("%s: New = %v", name, m)
		}
		if err := kit.Close(); err != nil {
			t.Error(err)
		}
	}
}

func TestListShowsWhatItIsFor(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := open(t, storetest.SQLite(t))
		defer h.close()
		ann := h.person("ann", "work.a", "tokens.issue", "tokens.list")
		root := h.root(ann, "work.b", "work.a", "tokens.issue", "tokens.list")
		child := root.issue(h, args{"agent": "reader", "tools": []string{"work.a"}, "max_uses": 5, "rate": 9, "networks": []string{"127.0.0.1"}})
		time.Sleep(time.Minute)
		must[nothing](h, child.Caller, "work.a", args{})
		used := time.Now()
		h.call(child.Caller, "work.b", `{}`)
		got := must[tokens.Page](h, root.Caller, "tokens.list", args{}).Tokens
		if len(got) != 2 {
			t.Fatalf("tokens.list: %+v", got)
		}
		want := tokens.Token{
			ID: child.TokenID, Person: ann, Parent: root.TokenID, Agent: "reader", Tools: []gate.ToolName{"work.a"}, Networks: []string{"127.0.0.1/32"},
			Issued: stamp(time.UnixMilli(int64(child.TokenID))), Ends: root.Ends, MaxUses: 5, Rate: 9, Calls: 2, Uses: 1,
			LastUsed: stamp(used), LastAddress: home, State: "live", Version: 1,
		}
		if fmt.Sprintf("%+v", got[0]) != fmt.Sprintf("%+v", want) {
			t.Errorf("the child:\n %+v, want\n %+v", got[0], want)
		}
		if !slices.Equal(got[1].Tools, []gate.ToolName{"tokens.issue", "tokens.list", "work.a", "work.b"}) || got[1].Parent != 0 {
			t.Errorf("the root token: %+v", got[1])
		}
	})
}

func stamp(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z") }
