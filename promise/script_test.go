package promise_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"gatehouse/gate"
	"gatehouse/gatetest"
	"gatehouse/outcome"
)

// A script is a promise that a customer can read. Each line is one step; # begins a comment. Every script runs once through
// each entry.
//
//	person ann permits TOOL…            somebody with `allow` for the tools
//	token T for ann may TOOL… [WISH]    a token, as the operator issues it; WISH: "with {JSON}" for further arguments
//	child C of T may TOOL… [WISH]       a token that T's agent asks for, through the entry: its outcome is what want sees
//	grant ann TOOL allow|ask|none       one entry of ann's permission map, changed by the operator
//	rule TOOL ask|refuse [CONDITION]    a rule, made by the operator
//	revoke T, disable ann, enable ann   by the operator
//	call TOOL {JSON} as T               a call, through the entry
//	list as T                           the list of tools, through the entry
//	break PART, panic PART, mend        a part of the gateway fails from here on
//	restart                             the gateway stops and starts on the same data
//
//	want CODE [TEXT]                    how the last call or list ended; the reason holds TEXT
//	told TEXT, not told TEXT            the last answer holds TEXT, as it was sent
//	shows TOOL…                         the last list held exactly these, besides the own affairs
//	same as before                      the last two answers differ in nothing but the row's id
//	reached TOOL…, reached nothing      what arrived downstream since the last such line
//	rows ROW, ROW, …                    what the log holds since the last such line, or since the first call
type script struct {
	*world
	door     gatetest.Door
	list     []string
	reply    gatetest.Reply
	before   gatetest.Reply
	begun    bool
	mark     string // newest row at the last rows line
	reached  int    // arrivals at the last reached line
	commands map[string]func(rest string) error
}

// scripts runs the scripts whose names match, each through every entry.
func scripts(t *testing.T, pattern string) {
	t.Parallel()
	files, err := filepath.Glob(filepath.Join("testdata", pattern))
	if err != nil || len(files) == 0 {
		t.Fatalf("there is no script %s (%v)", pattern, err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		name := strings.TrimSuffix(filepath.Base(file), ".txt")
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			throughEveryDoor(t, "", func(t *testing.T, w *world, d gatetest.Door) {
				s := &script{world: w, door: d}
				s.run(file, string(text))
			})
		})
	}
}

// TestEveryScriptHasAPromise: a file that no test runs would look like a promise that holds.
func TestEveryScriptHasAPromise(t *testing.T) {
	t.Parallel()
	source, err := os.ReadFile("promise_test.go")
	if err != nil {
		t.Fatal(err)
	}
	files, err := os.ReadDir("testdata")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if prefix, _, _ := strings.Cut(f.Name(), "_"); !strings.Contains(string(source), `"`+prefix+`_*.txt"`) {
			t.Errorf("no test runs testdata/%s", f.Name())
		}
	}
}

func (s *script) run(file, text string) {
	s.t.Helper()
	s.commands = map[string]func(string) error{
		"person": s.person, "token": s.token, "child": s.child, "grant": s.grant, "rule": s.rule, "revoke": s.revoke, "disable": s.disable,
		"enable": s.enable, "call": s.call, "list": s.lists, "break": s.breaks, "panic": s.panics, "mend": s.mends, "restart": s.restarts,
		"want": s.want, "told": s.told, "not": s.notTold, "shows": s.shows, "same": s.same, "reached": s.reach, "rows": s.rows,
	}
	for i, line := range strings.Split(text, "\n") {
		line, _, _ = strings.Cut(line+" ", " # ")
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		word, rest, _ := strings.Cut(line, " ")
		do := s.commands[word]
		if do == nil {
			s.t.Fatalf("%s:%d: there is no command %q", file, i+1, word)
		}
		if err := do(strings.TrimSpace(rest)); err != nil {
			s.t.Fatalf("%s:%d: %s\n%v", file, i+1, line, err)
		}
	}
}

func (s *script) rule(rest string) error {
	f := strings.SplitN(rest, " ", 3)
	if len(f) < 2 {
		return fmt.Errorf("rule TOOL ask|refuse [CONDITION]")
	}
	args := map[string]any{"tool": f[0], "then": f[1]}
	if len(f) == 3 {
		args["when"] = f[2]
	}
	s.Operate("policy.set", args)
	return nil
}

func (s *script) person(rest string) error {
	f := strings.Fields(rest)
	if len(f) < 1 || len(f) > 1 && f[1] != "permits" {
		return fmt.Errorf("person NAME permits TOOL…")
	}
	s.people[f[0]] = s.Person(f[0], f[min(2, len(f)):]...)
	return nil
}

// wish reads "may TOOL… with {JSON}".
func wish(words string) (map[string]any, error) {
	words, more, said := strings.Cut(words, " with ")
	args := map[string]any{}
	if said {
		if err := json.Unmarshal([]byte(more), &args); err != nil {
			return nil, err
		}
	}
	args["tools"] = append([]string{}, strings.Fields(strings.TrimPrefix(words, "may"))...)
	return args, nil
}

func (s *script) token(rest string) error {
	f := strings.SplitN(rest, " ", 4)
	if len(f) < 4 || f[1] != "for" || !strings.HasPrefix(f[3], "may") {
		return fmt.Errorf("token NAME for PERSON may TOOL…")
	}
	args, err := wish(f[3])
	if err != nil {
		return err
	}
	p, ok := s.people[f[2]]
	if !ok {
		return fmt.Errorf("there is no person %s", f[2])
	}
	args["agent"] = f[0]
	s.tokens[f[0]] = p.Issue(args)
	return nil
}

func (s *script) child(rest string) error {
	f := strings.SplitN(rest, " ", 4)
	if len(f) < 4 || f[1] != "of" || !strings.HasPrefix(f[3], "may") {
		return fmt.Errorf("child NAME of TOKEN may TOOL…")
	}
	args, err := wish(f[3])
	if err != nil {
		return err
	}
	args["agent"] = f[0]
	b, err := json.Marshal(args)
	if err != nil {
		return err
	}
	if err := s.send("tokens.issue", string(b), f[2]); err != nil || s.reply.Code != outcome.OK {
		return err // what it ended in is what want looks at
	}
	var issued struct {
		ID    json.Number `json:"token_id"`
		Token string      `json:"token"`
	}
	if err := json.Unmarshal([]byte(s.reply.Result), &issued); err != nil {
		return err
	}
	id, err := issued.ID.Int64()
	s.tokens[f[0]] = gatetest.Token{ID: gate.TokenID(id), Text: issued.Token}
	return err
}

func (s *script) grant(rest string) error {
	f := strings.Fields(rest)
	if len(f) != 3 {
		return fmt.Errorf("grant PERSON TOOL allow|ask|none")
	}
	s.people[f[0]].Grant(map[string]string{f[1]: f[2]})
	return nil
}

func (s *script) revoke(name string) error {
	s.Revoke(s.tokens[name])
	return nil
}

func (s *script) disable(name string) error {
	s.Operate("people.disable", map[string]any{"person": s.people[name].ID})
	return nil
}

func (s *script) enable(name string) error {
	s.Operate("people.enable", map[string]any{"person": s.people[name].ID})
	return nil
}

func (s *script) begin() {
	if !s.begun {
		s.begun, s.mark = true, s.Mark()
	}
}

func (s *script) call(rest string) error {
	tool, rest, _ := strings.Cut(rest, " ")
	at := strings.LastIndex(" "+rest, " as ")
	if at < 0 {
		return fmt.Errorf("call TOOL {JSON} as TOKEN")
	}
	return s.send(tool, strings.TrimSpace((" " + rest)[:at]), strings.TrimSpace((" " + rest)[at+4:]))
}

func (s *script) send(tool, args, name string) error {
	token, ok := s.tokens[name]
	if !ok && name != "nobody" {
		return fmt.Errorf("there is no token %s", name)
	}
	s.begin()
	s.before, s.reply = s.reply, s.door.Call(token.Text, tool, args)
	return nil
}

func (s *script) lists(rest string) error {
	token, ok := s.tokens[strings.TrimPrefix(rest, "as ")]
	if !ok {
		return fmt.Errorf("list as TOKEN")
	}
	s.begin()
	names, code := s.door.List(token.Text)
	s.list = names
	s.reply = gatetest.Reply{Code: code, Raw: strings.Join(names, " ")}
	return nil
}

func (s *script) breaks(what string) error { return s.sabotage(what, "error") }

func (s *script) panics(what string) error { return s.sabotage(what, "panic") }

func (s *script) sabotage(what, how string) error {
	if !slices.Contains(sabotaged, what) {
		return fmt.Errorf("there is no part %s", what)
	}
	s.begin()
	s.sabot.breaks(what, how)
	return nil
}

func (s *script) mends(string) error {
	s.sabot.mend()
	return nil
}

func (s *script) restarts(string) error {
	s.Restart()
	return nil
}

func (s *script) want(rest string) error {
	code, text, _ := strings.Cut(rest, " ")
	if s.reply.Code.String() != code || !strings.Contains(s.reply.Reason, text) {
		return fmt.Errorf("got %s (%s)\n%s", s.reply.Code.String(), s.reply.Reason, s.reply.Raw)
	}
	return nil
}

func (s *script) told(text string) error {
	if !strings.Contains(s.reply.Raw, text) {
		return fmt.Errorf("got %s", s.reply.Raw)
	}
	return nil
}

func (s *script) notTold(rest string) error {
	text, ok := strings.CutPrefix(rest, "told ")
	if !ok || strings.Contains(s.reply.Raw, text) {
		return fmt.Errorf("got %s", s.reply.Raw)
	}
	return nil
}

// ownAffairs are shown to everybody who has a good token.
var ownAffairs = []string{"calls.get", "calls.list", "permissions.get"}

func (s *script) shows(rest string) error {
	var got []string
	for _, name := range s.list {
		if !slices.Contains(ownAffairs, name) {
			got = append(got, name)
		}
	}
	if want := strings.Fields(rest); !same(got, want) {
		return fmt.Errorf("got %v", got)
	}
	return nil
}

func (s *script) same(string) error {
	if a, b := withoutID(s.before), withoutID(s.reply); a != b || a == "" {
		return fmt.Errorf("before %s\nnow    %s", a, b)
	}
	return nil
}

// withoutID is an answer with the row's id, which no two share, taken out.
func withoutID(r gatetest.Reply) string {
	if r.ID == "" {
		return r.Raw
	}
	return strings.ReplaceAll(r.Raw, r.ID, "ID")
}

func (s *script) reach(rest string) error {
	var got []string
	for _, a := range s.ledger.since(s.reached) {
		got = append(got, a.tool)
	}
	s.reached += len(got)
	want := strings.Fields(rest)
	if onReplicas && rest != "nothing" {
		got = withoutRepeats(got, want)
	} else if onReplicas {
		got = slices.DeleteFunc(got, readsOnly)
	}
	if !same(got, want) && !(rest == "nothing" && len(got) == 0) {
		return fmt.Errorf("%d calls arrived: %v", len(got), got)
	}
	return nil
}

// withoutRepeats leaves out what only read and was not wanted: on a replica that has not heard of a change a read may reach
// the downstream system, and is then withheld and decided again. What has effects is decided with the newest before.
func withoutRepeats(got, want []string) (left []string) {
	for _, tool := range got {
		if len(left) < len(want) && tool == want[len(left)] || !readsOnly(tool) {
			left = append(left, tool)
		}
	}
	return left
}

func readsOnly(tool string) bool { return tool == "ledger.read" || tool == "ledger.raw" }

func (s *script) rows(rest string) error {
	rows := s.RowsSince(s.mark)
	s.mark = s.Mark()
	var want []string
	for _, one := range strings.Split(rest, ",") {
		want = append(want, strings.TrimSpace(one))
	}
	if got := words(rows); !same(got, want) && !(rest == "none" && len(got) == 0) {
		return fmt.Errorf("got %s\n%s", strconv.Quote(strings.Join(got, ", ")), gatetest.Print(rows))
	}
	for _, r := range rows {
		if e := s.door.Name(); r.Token != 0 && r.Entry != e {
			return fmt.Errorf("row %s came over %q, not %s", r.ID, r.Entry, e)
		}
	}
	return nil
}
