package people_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"gatehouse/gate"
	"gatehouse/module/people"
	"gatehouse/outcome"
	"gatehouse/store"
	"gatehouse/store/storetest"
)

func TestSetChangesOnlyWhatItNames(t *testing.T) {
	t.Parallel()
	h := open(t, storetest.SQLite(t))
	ann := h.add("ann@example.org", false).Person
	for i, tt := range []struct {
		grants map[string]string
		want   string // tool, decision, version of the grant
	}{
		{map[string]string{"work.read": "allow"}, "work.read=allow/1"},
		{map[string]string{"work.send": "default", "work.destroy": "default"}, "work.destroy=ask/1 work.read=allow/1 work.send=ask/1"},
		{map[string]string{"work.read": "default"}, "work.destroy=ask/1 work.read=allow/1 work.send=ask/1"}, // as it was: keeps its version
		{map[string]string{"work.read": "ask"}, "work.destroy=ask/1 work.read=ask/2 work.send=ask/1"},
		{map[string]string{"work__read": "none"}, "work.destroy=ask/1 work.send=ask/1"},
		{map[string]string{"work.read": "none", "work.send": "allow"}, "work.destroy=ask/1 work.send=allow/2"},
		{map[string]string{"work.read": "allow"}, "work.destroy=ask/1 work.read=allow/4 work.send=allow/2"}, // never starts again
	} {
		version := int64(i + 1)
		if o := h.set(ann, version, tt.grants); o.Code != outcome.OK || !strings.Contains(o.Result.String(), fmt.Sprintf(`"version":%d`, version+1)) {
			t.Fatalf("set %v: %s %v %s, want version %d", tt.grants, o.Code, o.Faults, o.Result, version+1)
		}
		if got := h.granted(ann); got != tt.want {
			t.Errorf("after %v: %s, want %s", tt.grants, got, tt.want)
		}
	}
}

// granted writes a person's map with the version of each grant, as the gate sees it.
func (h *house) granted(id gate.PersonID) string {
	h.t.Helper()
	r, err := h.people.Rights(h.t.Context(), id)
	if err != nil {
		h.t.Fatal(err)
	}
	var all []string
	for number, g := range r.Grants {
		e, _ := h.gate.Directory().ByNumber(number)
		all = append(all, fmt.Sprintf("%s=%s/%d", e.Name, g.Decision, g.Version))
	}
	slices.Sort(all)
	return strings.Join(all, " ")
}

func TestSetRefuses(t *testing.T) {
	t.Parallel()
	storetest.Engines(t, func(t *testing.T, source store.Source) {
		h := open(t, source)
		ann := h.add("ann@example.org", false).Person
		if o := h.set(ann, 1, map[string]string{"work.read": "allow"}); o.Code != outcome.OK {
			t.Fatal(o.Code)
		}
		before := h.granted(ann)
		for _, tt := range []struct {
			name    string
			person  gate.PersonID
			version int64
			grants  map[string]string
			want    outcome.Code
			paths   string
		}{
			{"older version", ann, 1, map[string]string{"work.send": "allow"}, outcome.Conflict, ""},
			{"version to come", ann, 3, map[string]string{"work.send": "allow"}, outcome.Conflict, ""},
			{"nobody", 12345, 1, map[string]string{"work.send": "allow"}, outcome.NotFound, ""},
			{"unknown tool", ann, 2, map[string]string{"work.send": "allow", "work.nothing": "allow"}, outcome.Invalid, "/grants/work.nothing"},
			{"unknown tool to none", ann, 2, map[string]string{"work.nothing": "none"}, outcome.Invalid, "/grants/work.nothing"},
			{"unknown tool to default", ann, 2, map[string]string{"work.nothing": "default"}, outcome.Invalid, "/grants/work.nothing"},
			{"wildcards", ann, 2, map[string]string{"work.*": "allow", "*": "allow", "": "allow"}, outcome.Invalid, "/grants/ /grants/* /grants/work.*"},
			{"other case", ann, 2, map[string]string{"Work.Read": "allow"}, outcome.Invalid, "/grants/Work.Read"},
			{"a name to escape", ann, 2, map[string]string{"a/b~c": "allow"}, outcome.Invalid, "/grants/a~1b~0c"},
			{"unknown decision", ann, 2, map[string]string{"work.send": "Allow"}, outcome.Invalid, "/grants/work.send"},
			{"decision left empty", ann, 2, map[string]string{"work.send": ""}, outcome.Invalid, "/grants/work.send"},
			{"two spellings of one tool", ann, 2, map[string]string{"work.send": "allow", "work__send": "none"}, outcome.Invalid, "/grants/work__send"},
			{"nothing", ann, 2, map[string]string{}, outcome.Invalid, "/grants"},
		} {
			o := h.set(tt.person, tt.version, tt.grants)
			var paths []string
			for _, f := range o.Faults {
				paths = append(paths, f.Path)
			}
			if o.Code != tt.want || strings.Join(paths, " ") != tt.paths {
				t.Errorf("%s: %s at %v, want %s at %s", tt.name, o.Code, paths, tt.want, tt.paths)
			}
			if got := h.granted(ann); got != before {
				t.Fatalf("%s: the map became %s", tt.name, got)
			}
		}
		if m := h.get(ann); m.Version != 2 {
			t.Errorf("the map's version became %d", m.Version)
		}
	})
}

// TestTwoWritersOneConflict is T20: two administrators edit one map, one gets conflict and nothing is lost.
func TestTwoWritersOneConflict(t *testing.T) {
	t.Parallel()
	storetest.Engines(t, func(t *testing.T, source store.Source) {
		h := open(t, source)
		ann := h.add("ann@example.org", false).Person
		want := map[gate.ToolName]string{}
		for round := range 20 {
			version := int64(round + 1)
			entries := []map[string]string{
				{"work.read": []string{"allow", "ask"}[round%2]},
				{"work.send": []string{"ask", "allow"}[round%2]},
			}
			outcomes := make([]gate.Outcome, len(entries))
			var both sync.WaitGroup
			for i, e := range entries {
				both.Go(func() { outcomes[i] = h.set(ann, version, e) })
			}
			both.Wait()
			won := slices.IndexFunc(outcomes, func(o gate.Outcome) bool { return o.Code == outcome.OK })
			if won < 0 || outcomes[1-won].Code != outcome.Conflict {
				t.Fatalf("round %d: %s and %s, want one ok and one conflict", round, outcomes[0].Code, outcomes[1].Code)
			}
			for tool, decision := range entries[won] {
				want[gate.ToolName(tool)] = decision
			}
			if got := h.get(ann); !maps.Equal(got.Grants, want) || got.Version != version+1 {
				t.Fatalf("round %d: the map is %v, want %v", round, got, want)
			}
		}
	})
}

func TestATokenIsToldWhatItMayDo(t *testing.T) {
	t.Parallel()
	h := open(t, storetest.SQLite(t))
	ann, bob, ada := h.add("ann@example.org", false).Person, h.add("bob@example.org", false).Person, h.add("ada@example.org", true).Person
	all := map[string]string{"work.read": "allow", "work.send": "ask", "work.destroy": "ask"}
	h.set(ann, 1, all)
	all["permissions.get"] = "allow"
	h.set(bob, 1, all)
	for _, tt := range []struct {
		name string
		c    gate.Caller
		args any
		code outcome.Code
		want string
	}{
		{"own, narrowed to the scope", h.agent(ann, "work.read"), nil, outcome.OK, "work.read=allow"},
		{"own, empty scope", h.agent(ann), nil, outcome.OK, ""},
		{"own by id", h.agent(ann, "work.send"), ann, outcome.OK, "work.send=ask"},
		{"own, in scope but without a grant", h.agent(ann, "work.read", "permissions.get"), nil, outcome.OK, "work.read=allow"},
		{"own, granted but not in scope", h.agent(bob, "work.read"), nil, outcome.OK, "work.read=allow"},
		{"own, granted and in scope", h.agent(bob, "permissions.get"), nil, outcome.OK, "permissions.get=allow work.destroy=ask work.read=allow work.send=ask"},
		{"another's", h.agent(bob, "permissions.get"), ann, outcome.NotFound, ""},
		{"nobody's", h.agent(bob, "permissions.get"), 12345, outcome.NotFound, ""},
		{"another's, administrator", h.agent(ada, "permissions.get"), ann, outcome.OK, "work.destroy=ask work.read=allow work.send=ask"},
		{"nobody's, administrator", h.agent(ada, "permissions.get"), 12345, outcome.NotFound, ""},
		{"another's, administrator's token without the right", h.agent(ada, "people.list"), ann, outcome.NotFound, ""},
		{"operator says nobody", h.operator, nil, outcome.Invalid, ""},
	} {
		args := `{}`
		if tt.args != nil {
			args = text(map[string]any{"person": tt.args})
		}
		o := h.call(tt.c, "permissions.get", args)
		var m people.Map
		if o.Code == outcome.OK {
			if err := o.Result.Decode(&m); err != nil {
				t.Fatal(err)
			}
		}
		var got []string
		for tool, decision := range m.Grants {
			got = append(got, string(tool)+"="+decision)
		}
		slices.Sort(got)
		if o.Code != tt.code || strings.Join(got, " ") != tt.want {
			t.Errorf("%s: %s %v, want %s %s", tt.name, o.Code, got, tt.code, tt.want)
		}
		if o.Code == outcome.NotFound && o.Reason != "there is no such person; people.list shows whom you can name" {
			t.Errorf("%s: %q tells more than others", tt.name, o.Reason)
		}
	}
}

// TestAChangedDefinitionIsNotPermitted: the grant stays with the old definition, and is shown as stale.
func TestAChangedDefinitionIsNotPermitted(t *testing.T) {
	t.Parallel()
	h := open(t, storetest.SQLite(t))
	ann := h.add("ann@example.org", false).Person
	h.set(ann, 1, map[string]string{"work.foreign": "allow"})
	agent := h.agent(ann, "work.foreign")
	must[nothing](h, agent, "work.foreign", `{}`)

	h.redefine("2")
	if o := h.call(agent, "work.foreign", `{}`); o.Code != outcome.NotAllowed {
		t.Errorf("a tool with a new definition: %s, want not_allowed", o.Code)
	}
	if m := h.get(ann); len(m.Grants) != 0 || !slices.Equal(m.Stale, []gate.ToolName{"work.foreign"}) {
		t.Errorf("the map is %+v, want it stale", m)
	}
	if m := must[people.Map](h, agent, "permissions.get", `{}`); len(m.Grants)+len(m.Stale) != 0 {
		t.Errorf("a token without the right to read the map is told %+v", m)
	}
	if o := h.set(ann, 2, map[string]string{"work.foreign": "ask"}); o.Code != outcome.OK {
		t.Fatal(o.Code, o.Faults)
	}
	if m := h.get(ann); m.Grants["work.foreign"] != "ask" || len(m.Stale) != 0 {
		t.Errorf("permitted again, the map is %+v", m)
	}
	h.redefine("1") // the grant of the old definition was replaced: it does not come back with it
	if got := h.sees(agent); len(got) != 0 {
		t.Errorf("with its old definition back, the agent sees %v", got)
	}
	if o := h.set(ann, 3, map[string]string{"work.foreign": "none"}); o.Code != outcome.OK {
		t.Fatal(o.Code, o.Faults)
	}
	if m := h.get(ann); len(m.Grants)+len(m.Stale) != 0 {
		t.Errorf("after none, the map is %+v", m)
	}
}

// TestWhatIsGoneCanBeTakenAway: a tool that is no longer there at all.
func TestWhatIsGoneCanBeTakenAway(t *testing.T) {
	t.Parallel()
	source := storetest.SQLite(t)
	h := open(t, source)
	ann := h.add("ann@example.org", false).Person
	h.set(ann, 1, map[string]string{"work.foreign": "allow", "work.read": "allow"})
	h.redefine("")
	if m := h.get(ann); !slices.Equal(m.Stale, []gate.ToolName{"work.foreign"}) {
		t.Fatalf("the map is %+v", m)
	}
	if o := h.set(ann, 2, map[string]string{"work.foreign": "allow"}); o.Code != outcome.Invalid {
		t.Errorf("permitting what is gone: %s, want invalid", o.Code)
	}
	if o := h.set(ann, 2, map[string]string{"work.foreign": "none"}); o.Code != outcome.OK {
		t.Errorf("taking away what is gone: %s %v", o.Code, o.Faults)
	}
	if m := h.get(ann); len(m.Stale) != 0 || m.Grants["work.read"] != "allow" {
		t.Errorf("the map is %+v", m)
	}
}

// redefine gives work.foreign another definition, or takes it away, and waits until the gate has seen it.
func (h *house) redefine(definition string) {
	h.t.Helper()
	h.work.mu.Lock()
	h.work.definition = definition
	h.work.mu.Unlock()
	before := h.gate.Directory()
	h.work.changed <- struct{}{}
	for range 5000 {
		if h.gate.Directory() != before {
			return
		}
		time.Sleep(time.Millisecond)
	}
	h.t.Fatal("the gate did not list the tools again")
}

func TestToolsListsWhatCanBePermitted(t *testing.T) {
	t.Parallel()
	h := open(t, storetest.SQLite(t))
	got := map[gate.ToolName]people.Tool{}
	for _, tool := range must[people.Tools](h, h.operator, "permissions.tools", `{}`).Tools {
		got[tool.Name] = tool
	}
	for _, want := range []people.Tool{
		{"work.read", "Read", "reads", "agents", "allow"},
		{"work.send", "", "writes", "agents", "ask"},
		{"work.destroy", "", "destroys", "agents", "ask"},
		{"permissions.set", "Change permissions", "writes", "persons", "allow"},
	} {
		if got[want.Name] != want {
			t.Errorf("permissions.tools: %+v, want %+v", got[want.Name], want)
		}
	}
	if len(got) != len(h.gate.Directory().All()) {
		t.Errorf("permissions.tools lists %d tools of %d", len(got), len(h.gate.Directory().All()))
	}
}

// TestNoKeyLeaves is P3 for the two modules: no result holds a number of the directory.
func TestNoKeyLeaves(t *testing.T) {
	t.Parallel()
	h := open(t, storetest.SQLite(t))
	ada := h.add("ada@example.org", true).Person
	var results strings.Builder
	for tool, args := range map[string]string{
		"people.list": `{}`, "permissions.tools": `{}`, "permissions.get": text(map[string]any{"person": ada}),
		"permissions.set": text(map[string]any{"person": ada, "version": 1, "grants": map[string]string{"work.read": "allow"}}),
	} {
		o := h.call(h.operator, tool, args)
		if o.Code != outcome.OK {
			t.Fatalf("%s: %s", tool, o.Code)
		}
		results.WriteString(o.Result.String())
	}
	for _, e := range h.gate.Directory().All() {
		if strings.Contains(results.String(), fmt.Sprint(int64(e.Key))) {
			t.Errorf("the key's number of %s stands in a result", e.Name)
		}
	}
}
