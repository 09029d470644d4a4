package promise_test

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"gatehouse/canon"
	"gatehouse/gatetest"
	"gatehouse/outcome"
)

// TestPromise_P10_OneMeaning makes the same calls through every entry and compares outcomes and rows field by field. Every
// code that there is is among them.
func TestPromise_P10_OneMeaning(t *testing.T) {
	t.Parallel()
	w := newWorld(t, `policy:
  - {tool: ledger.read, when: args.text == "ruled out", then: refuse, reason: leave that}
  - {name: asked, tool: ledger.*, when: 'tool.effect == "reads" && caller.agent == "nobody"', then: ask}
  - {name: on-trial, tool: ledger.read, when: args.text == "tried", then: refuse, shadow: true}
  - {tool: ledger.read, when: 'args.text.startsWith("mail:") && domain(args.text) == ""', then: ask}
`)
	ann := w.Person("ann", "ledger.read", "ledger.write", "ledger.destroy", "ledger.raw", "people.add")
	ann.Grant(map[string]string{"ledger.destroy": "ask"})
	calls := []struct{ tool, args string }{
		{"ledger.read", `{"text":"a"}`},
		{"ledger.read", `{ "text" : "\u00e4 \ud83d\ude00 <b>" }`},
		{"ledger__read", ``},
		{"ledger.write", `{"text":"a"}`},
		{"ledger.read", `{"text":"some private words, and private ones"}`},
		{"ledger.raw", `{"n":[12345678901234567890,1e2,0.1,1.10,-0.0],"s":"é"}`},
		{"ledger.raw", `{"failed":true}`},
		{"ledger.read", `{"do":"panic"}`},
		{"ledger.read", `{"do":"fail"}`},
		{"ledger.read", `{"do":"hang"}`},
		{"ledger.write", `{"do":"hang"}`},
		{"ledger.read", `{"texts":"a","text":7}`},
		{"ledger.read", `{"text":"contraband"}`},
		{"ledger.destroy", `{}`},
		{"ledger.nothing", `{}`},
		{"ledger.read", `{"text":"ruled out"}`},
		{"ledger.read", `{"text":"tried"}`},
		{"ledger.read", `{"text":"mail: x"}`},
		{"people.add", `{"email":"eve@example.org"}`},
		{"calls.get", `{"call":"1-1"}`},
		{"permissions.get", `{}`},
	}
	for _, code := range outcome.All() {
		if code != outcome.OK {
			calls = append(calls, struct{ tool, args string }{"ledger.read", fmt.Sprintf(`{"do":"end as %s","text":"so"}`, code)})
		}
	}
	seen := map[outcome.Code]bool{}
	for _, c := range calls {
		var first meaning
		for i, d := range w.Doors() {
			got := w.meaning(d, ann.Token.Text, c.tool, c.args)
			seen[got.Reply.Code] = true
			if i == 0 {
				first = got
			} else if !reflect.DeepEqual(got, first) {
				t.Errorf("%s %s\n%s: %+v\n%s: %+v", c.tool, c.args, w.Doors()[0].Title(), first, d.Title(), got)
			}
		}
	}
	for _, code := range outcome.All() {
		if !seen[code] {
			t.Errorf("no call ended in %s", code)
		}
	}
}

// meaning is a call's outcome and its row, without what must differ.
type meaning struct {
	Reply gatetest.Reply
	Row   map[string]any
}

func (w *world) meaning(d gatetest.Door, token, tool, args string) meaning {
	w.t.Helper()
	mark := w.Mark()
	m := meaning{Reply: d.Call(token, tool, args)}
	var rows []gatetest.Row
	for _, r := range w.RowsSince(mark) {
		if !r.Operator {
			rows = append(rows, r)
		}
	}
	if len(rows) != 1 || m.Reply.ID != rows[0].ID {
		w.t.Fatalf("%s %s over %s: %s, rows, want one:\n%s", tool, args, d.Title(), m.Reply.ID, gatetest.Print(rows))
	}
	var whole struct{ Row map[string]any }
	if err := json.Unmarshal(w.Operate("audit.get", map[string]any{"id": rows[0].ID}).Bytes(), &whole); err != nil {
		w.t.Fatal(err)
	}
	if whole.Row["entry"] != d.Name() {
		w.t.Errorf("%s over %s: the row says %v", tool, d.Title(), whole.Row["entry"])
	}
	// What names the one row, its place in the chain, its time and its way differs; all else must be alike.
	for _, field := range []string{"id", "n", "prev", "hash", "commitment", "intent", "began_ms", "took_us", "entry", "session"} {
		delete(whole.Row, field)
	}
	if name, ok := whole.Row["tool"].(string); ok {
		whole.Row["tool"] = strings.Replace(name, "__", ".", 1) // a tool that is not there stands as it was asked for
	}
	if len(whole.Row) < 8 {
		w.t.Fatalf("the row has %d fields: %v", len(whole.Row), whole.Row)
	}
	m.Row = whole.Row
	m.Reply.ID, m.Reply.Raw = "", ""
	m.Reply.Result = plain(w.t, m.Reply.Result)
	return m
}

// plain is a result as the tool gave it. Each entry packs it in its own way: a tool that speaks MCP has its structured part
// in MCP's place, and an error's is the outcome itself.
func plain(t *testing.T, result string) string {
	t.Helper()
	if result == "" {
		return ""
	}
	v, err := canon.ParseObject([]byte(result))
	if err != nil {
		t.Fatalf("the result %s: %v", result, err)
	}
	if inner, ok := v.Member("structuredContent"); ok {
		v = inner
	}
	if code, ok := v.Member("code"); ok && strings.Contains(v.String(), `"reason"`) && code.String() != "" {
		return ""
	}
	return v.String()
}
