package promise_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"gatehouse/gate"
	"gatehouse/gatetest"
	"gatehouse/outcome"
)

// state is one way in which a caller may not make a call. want is the outcome for every tool and every entry.
type state struct {
	name string
	want outcome.Code
	// token gives what is shown, for one tool. It is made with whoever the table has.
	token func(x *table, tool gate.ToolName) string
	// spoil is done after every entry has seen the token while it was good, so that sessions are open.
	spoil func(x *table)
	// leftOut says why the state is not tried through the entries; it is then tried at the gate.
	leftOut string
}

// states is the column of the table. A further line is a further state for every tool and entry.
var states = []state{
	{name: "no token", want: outcome.Unauthenticated, token: func(*table, gate.ToolName) string { return "" }},
	{name: "empty", want: outcome.Unauthenticated, token: func(*table, gate.ToolName) string { return gatetest.Header("Bearer ") }},
	{name: "other scheme", want: outcome.Unauthenticated, token: func(x *table, _ gate.ToolName) string { return gatetest.Header("Basic " + x.good.Text) }},
	{name: "two of them", want: outcome.Unauthenticated, token: func(x *table, _ gate.ToolName) string { return x.good.Text + ", Bearer " + x.good.Text }},
	{name: "space inside", want: outcome.Unauthenticated, token: func(x *table, _ gate.ToolName) string { return x.good.Text[:20] + " " + x.good.Text[20:] }},
	{
		name: "trailing space", want: outcome.Unauthenticated, token: func(x *table, _ gate.ToolName) string { return x.good.Text + " " },
		leftOut: "space around a header's value is no part of it (RFC 9110, 5.5)",
	},
	{name: "other prefix", want: outcome.Unauthenticated, token: func(x *table, _ gate.ToolName) string { return "sk_" + x.good.Text[3:] }},
	{name: "upper case", want: outcome.Unauthenticated, token: func(x *table, _ gate.ToolName) string { return strings.ToUpper(x.good.Text) }},
	{name: "wrong checksum", want: outcome.Unauthenticated, token: func(x *table, _ gate.ToolName) string { return wrongEnd(x.good.Text) }},
	{name: "unknown", want: outcome.Unauthenticated, token: func(x *table, _ gate.ToolName) string { return x.foreign }},
	{name: "from another network", want: outcome.Unauthenticated, token: func(x *table, _ gate.ToolName) string { return x.elsewhere.Text }},
	{name: "revoked", want: outcome.Unauthenticated, token: (*table).mine, spoil: func(x *table) { x.Revoke(x.own) }},
	{name: "expired", want: outcome.Unauthenticated, token: func(x *table, _ gate.ToolName) string { return x.brief.Text }, spoil: func(x *table) { x.wait(x.life + time.Second) }},
	{name: "parent revoked", want: outcome.Unauthenticated, token: func(x *table, _ gate.ToolName) string { return x.child }, spoil: func(x *table) { x.Revoke(x.own) }},
	{name: "person disabled", want: outcome.Unauthenticated, token: (*table).mine, spoil: func(x *table) {
		x.Operate("people.disable", map[string]any{"person": x.person.ID})
	}},
	{name: "nothing granted", want: outcome.NotAllowed, token: func(x *table, _ gate.ToolName) string { return x.pauper.Text }},
	{name: "grant removed", want: outcome.NotAllowed, token: (*table).mine, spoil: func(x *table) { x.person.Grant(x.grants("none")) }},
	{name: "out of scope", want: outcome.NotAllowed, token: (*table).allBut},
	{name: "empty scope", want: outcome.NotAllowed, token: func(x *table, _ gate.ToolName) string { return x.nowhere.Text }},
}

// table is a house and those who call. own and child belong to person, anew for each state.
type table struct {
	*world
	tools []gate.Entry
	args  map[gate.ToolName]string
	wait  func(time.Duration)

	summed  bool                   // rows are counted at the end: real time goes by, and most of them stand in summaries
	refused map[outcome.Code]int64 // calls so far, where summed

	person     gatetest.Person
	own, brief gatetest.Token // brief lives as long as life
	life       time.Duration
	child      string

	good, elsewhere, pauper, nowhere gatetest.Token
	foreign                          string // a token as another house made it
}

func (x *table) mine(gate.ToolName) string { return x.own.Text }

// allBut is a token for all tools but one.
func (x *table) allBut(tool gate.ToolName) string {
	rest := slices.DeleteFunc(x.names(), func(n string) bool { return n == string(tool) })
	return x.person.Issue(map[string]any{"tools": rest, "ttl_seconds": month}).Text
}

const month = 30 * 24 * 3600

func (x *table) names() (all []string) {
	for _, e := range x.tools {
		all = append(all, string(e.Name))
	}
	return all
}

func (x *table) grants(decision string) map[string]string {
	all := map[string]string{}
	for _, n := range x.names() {
		all[n] = decision
	}
	return all
}

// wrongEnd changes the last character, which belongs to the checksum.
func wrongEnd(token string) string {
	last := byte('0')
	if token[len(token)-1] == last {
		last = '1'
	}
	return token[:len(token)-1] + string(last)
}

// newTable makes those who call that stay for the whole table.
func newTable(w *world, foreign string, wait func(time.Duration)) *table {
	x := &table{world: w, tools: w.Gate.Directory().All(), foreign: foreign, wait: wait, life: 2 * time.Second, args: map[gate.ToolName]string{}}
	rich := w.Person("rich")
	rich.Grant(x.grants("allow"))
	x.good = rich.Issue(map[string]any{"tools": x.names(), "ttl_seconds": month})
	x.elsewhere = rich.Issue(map[string]any{"tools": x.names(), "ttl_seconds": month, "networks": []string{"192.0.2.0/24"}})
	x.nowhere = rich.Issue(map[string]any{"tools": []string{}, "ttl_seconds": month})
	x.pauper = w.Person("pauper").Issue(map[string]any{"tools": x.names(), "ttl_seconds": month})
	offers, err := w.Gate.Tools(w.t.Context(), w.Caller(x.good))
	if err != nil {
		w.t.Fatal(err)
	}
	for _, o := range offers {
		x.args[o.Name] = argumentsFor(w.t, o.Input.Bytes())
	}
	return x
}

// another makes person, own, brief and child anew.
func (x *table) another(name string) {
	x.person = x.Person(name)
	x.person.Grant(x.grants("allow"))
	x.own = x.person.Issue(map[string]any{"tools": x.names(), "ttl_seconds": month})
	x.brief = x.person.Issue(map[string]any{"tools": x.names(), "ttl_seconds": int(x.life.Seconds())})
	o := x.CallAs(x.own.Text, "tokens.issue", `{"agent":"child","tools":["`+strings.Join(x.names(), `","`)+`"]}`)
	if o.Code != outcome.OK {
		x.t.Fatalf("issuing a child: %s (%s)", o.Code, o.Reason)
	}
	var issued struct{ Token string }
	if err := json.Unmarshal(o.Result.Bytes(), &issued); err != nil {
		x.t.Fatal(err)
	}
	x.child = issued.Token
}

// argumentsFor makes arguments of a tool's schema: all that is required, and nothing else.
func argumentsFor(t *testing.T, schema []byte) string {
	t.Helper()
	var s struct {
		Required   []string
		Properties map[string]struct{ Type any }
	}
	if err := json.Unmarshal(schema, &s); err != nil {
		t.Fatal(err)
	}
	args := map[string]any{}
	for _, name := range s.Required {
		switch kind := fmt.Sprint(s.Properties[name].Type); {
		case strings.Contains(kind, "string"):
			args[name] = "x"
		case strings.Contains(kind, "integer"), strings.Contains(kind, "number"):
			args[name] = 1
		case strings.Contains(kind, "array"):
			args[name] = []any{}
		case strings.Contains(kind, "object"):
			args[name] = map[string]any{}
		case strings.Contains(kind, "boolean"):
			args[name] = true
		default:
			t.Fatalf("%s is required and of no type that the table can make: %s", name, schema)
		}
	}
	b, err := json.Marshal(args)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// try is one state with every tool through every entry.
func (x *table) try(s state, tried map[string]int, left map[string]int) {
	x.t.Helper()
	x.another(strings.ReplaceAll(s.name, " ", "-"))
	doors := x.Doors()
	if s.spoil != nil {
		for _, d := range doors {
			if names, code := d.List(s.token(x, "")); code != outcome.OK || len(names) == 0 {
				x.t.Fatalf("%s: %s lists nothing while the token is good: %s", s.name, d.Title(), code)
			}
		}
		s.spoil(x)
	}
	mark := x.Mark()
	reached, admitted := x.cameThrough()
	var want, ids []string
	for _, tool := range x.tools {
		for _, d := range doors {
			if s.leftOut != "" {
				left[s.leftOut]++
				continue
			}
			if s.want == outcome.NotAllowed && slices.Contains(ownAffairs, string(tool.Name)) {
				left["own affairs need no grant and no scope (contract)"]++
				continue
			}
			tried[d.Title()]++
			got := d.Call(s.token(x, tool.Name), string(tool.Name), x.args[tool.Name])
			if got.Code != s.want || got.Result != "" {
				x.t.Errorf("%s, %s, %s: %s (%s) %s, want %s", tool.Name, d.Title(), s.name, got.Code, got.Reason, got.Result, s.want)
			}
			row := gatetest.Row{Outcome: s.want.String()}
			if s.want != outcome.Unauthenticated {
				row.Tool = string(tool.Name)
			}
			want, ids = append(want, row.String()+" over "+d.Name()), append(ids, got.ID)
			x.wait(13 * time.Second) // five failed authentications a minute have a row each
		}
		if s.leftOut != "" {
			if got := x.CallAs(s.token(x, tool.Name), string(tool.Name), x.args[tool.Name]); got.Code != s.want {
				x.t.Errorf("%s, gate, %s: %s, want %s", tool.Name, s.name, got.Code, s.want)
			}
			want, ids = append(want, s.want.String()+" over gate"), append(ids, "")
			x.wait(13 * time.Second)
		}
	}
	if x.summed {
		x.refused[s.want] += int64(len(want))
	} else {
		x.compare(s, mark, want, ids)
	}
	nowReached, nowAdmitted := x.cameThrough()
	if n := nowReached - reached; n != 0 {
		x.t.Errorf("%s: %d calls reached the ledger", s.name, n)
	}
	if n := nowAdmitted - admitted; n != 0 {
		x.t.Errorf("%s: %d calls were let through", s.name, n)
	}
}

// cameThrough is how many calls have reached the ledger, and how many the log has let through. On replicas those that only
// read are left out: one that has not heard of a change lets them through, and withholds what they give.
func (x *table) cameThrough() (reached int, admitted int64) {
	if !x.shared() {
		return x.ledger.count(), x.sabot.admitted.Load()
	}
	return len(slices.DeleteFunc(x.ledger.since(0), func(a arrival) bool { return readsOnly(a.tool) })), x.sabot.effects.Load()
}

// compare expects exactly one row for each call, in their order, with the id that the caller was given.
func (x *table) compare(s state, mark string, want, ids []string) {
	x.t.Helper()
	var rows []gatetest.Row
	for _, r := range x.RowsSince(mark) {
		if !r.Operator {
			rows = append(rows, r)
		}
	}
	for i := range max(len(rows), len(want)) {
		switch {
		case i >= len(rows):
			x.t.Fatalf("%s: %d rows, want %d; the first that is missing: %s", s.name, len(rows), len(want), want[i])
		case i >= len(want):
			x.t.Fatalf("%s: %d rows, want %d; one too many: %s", s.name, len(rows), len(want), rows[i])
		}
		if got := rows[i].String() + " over " + rows[i].Entry; got != want[i] || ids[i] != "" && ids[i] != rows[i].ID {
			x.t.Fatalf("%s: row %s %s, want %s %s", s.name, rows[i].ID, got, ids[i], want[i])
		}
	}
}

// TestPromise_P1_EveryToolEveryEntryEveryState tries each tool of the catalogue through each entry as each kind of caller
// who may not (T1). Tools, entries and states come in by themselves.
func TestPromise_P1_EveryToolEveryEntryEveryState(t *testing.T) {
	t.Parallel()
	foreign := gatetest.Start(t, gatetest.Config{}).Person("eve").Token.Text
	if onReplicas { // the database's clock does not stand still, so neither does ours
		x := newTable(newWorld(t, withShop(t)), foreign, nil)
		x.inRealTime()
		x.control()
		return
	}
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, withShop(t))
		x := newTable(w, foreign, time.Sleep)
		x.control()
		tried, left := map[string]int{}, map[string]int{}
		for _, s := range states {
			x.try(s, tried, left)
		}
		x.total(tried, left)
	})
}

// TestPromise_P1_UpstreamToolsEveryEntryEveryState is the same for the tools of a real MCP server over stdio, which counts
// what reaches it. It runs in real time, where refusals beyond a few a minute share a row: the rows' counts are summed.
func TestPromise_P1_UpstreamToolsEveryEntryEveryState(t *testing.T) {
	t.Parallel()
	foreign := gatetest.Start(t, gatetest.Config{}).Person("eve").Token.Text
	yaml, dir, count := withFiles(t)
	w := newWorld(t, yaml)
	w.untilTool("files.read_file")
	x := newTable(w, foreign, nil)
	x.tools = slices.DeleteFunc(x.tools, func(e gate.Entry) bool {
		return !strings.HasPrefix(string(e.Name), "files.") && e.Name != "tokens.issue"
	})
	x.inRealTime()
	b, err := os.ReadFile(count)
	if err != nil || len(b) != 0 && !w.shared() {
		t.Errorf("%d calls reached the files server (%v)", len(b), err)
	}
	if files, err := os.ReadDir(dir); err != nil || len(files) != 1 { // whatever was read on a replica that had not heard
		t.Errorf("the files server wrote: %v (%v)", files, err)
	}
}

// inRealTime tries all states without making the time go by, and sums up what the rows say.
func (x *table) inRealTime() {
	x.t.Helper()
	x.summed, x.refused, x.life = true, map[outcome.Code]int64{}, 4*time.Second // as long as all entries take to see the token while it is good
	x.wait = func(d time.Duration) {
		if d < 10*time.Second {
			<-time.After(d)
		}
	}
	mark := x.Mark()
	tried, left := map[string]int{}, map[string]int{}
	for _, s := range states {
		x.try(s, tried, left)
	}
	x.total(tried, left)
	x.Restart() // which writes the summaries
	said := map[outcome.Code]int64{}
	for _, r := range x.RowsSince(mark) {
		if code, _ := outcome.Parse(r.Outcome); code == outcome.Unauthenticated || code == outcome.NotAllowed {
			said[code] += r.Count
		}
	}
	if !maps.Equal(said, x.refused) {
		x.t.Errorf("the rows stand for refused calls %v, want %v", said, x.refused)
	}
}

// control sees that it is the state that refuses: with a good token nothing ends as it does in the states, but for tools
// that are not for tokens.
func (x *table) control() {
	x.t.Helper()
	for _, tool := range x.tools {
		for _, d := range x.Doors() {
			got := d.Call(x.good.Text, string(tool.Name), x.args[tool.Name])
			refused := got.Code == outcome.NotAllowed || got.Code == outcome.Unauthenticated
			if refused != (tool.Who != gate.Agents) {
				x.t.Errorf("%s, %s, with a good token: %s (%s)", tool.Name, d.Title(), got.Code, got.Reason)
			}
			if refused {
				x.wait(13 * time.Second) // sixty refusals of a token a minute have a row each
			}
		}
	}
}

func (x *table) total(tried, left map[string]int) {
	x.t.Helper()
	all := len(x.tools) * len(x.Doors()) * len(states)
	sum := 0
	for _, n := range tried {
		sum += n
	}
	for _, reason := range slices.Sorted(maps.Keys(left)) {
		sum += left[reason]
		x.t.Logf("left out %d: %s", left[reason], reason)
	}
	x.t.Logf("%d tools × %d entries × %d states = %d combinations: %v tried", len(x.tools), len(x.Doors()), len(states), all, tried)
	if sum != all || len(tried) != len(x.Doors()) {
		x.t.Errorf("%d combinations were neither tried nor left out with a reason", all-sum)
	}
}

// TestEveryEntryHasADoor: an entry that the promises do not go through must say why.
func TestEveryEntryHasADoor(t *testing.T) {
	t.Parallel()
	without := map[string]string{"socket": "it takes no token: its caller is the operator, who proves to read operator.key"}
	doors := map[string]bool{}
	for _, d := range (&gatetest.House{}).Doors() {
		doors[d.Name()] = true
	}
	folders, err := os.ReadDir("../entry")
	if err != nil || len(folders) == 0 {
		t.Fatal(folders, err)
	}
	for _, f := range folders {
		if reason := without[f.Name()]; doors[f.Name()] == (reason != "") {
			t.Errorf("entry %s: a door %v, left out %q: exactly one of the two", f.Name(), doors[f.Name()], reason)
		}
	}
}
