package measure_test

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"gatehouse/guard/flow"
	"gatehouse/measure"
)

// untimed takes out what differs from run to run.
func untimed(r measure.FlowReport) measure.FlowReport {
	r.Median, r.P99, r.Learning = 0, 0, 0
	return r
}

func run(t *testing.T, dir string) measure.FlowReport {
	t.Helper()
	report, err := measure.Flow(dir)
	if err != nil {
		t.Fatal(err)
	}
	return report
}

// The made-up sessions hold one of each: what must be asked and what need not, and an attack that the rule cannot see,
// because it stays within what the task names.
func TestFlowCounts(t *testing.T) {
	t.Parallel()
	got := untimed(run(t, "testdata/flow"))
	office := measure.Figures{Attacked: 4, Held: 3, HeldPercent: 75, Honest: 3, Interrupted: 1, InterruptedPercent: 100. / 3, Approvals: 2, ApprovalsPerTask: 2. / 3}
	shop := measure.Figures{Attacked: 1, Held: 1, HeldPercent: 100, Honest: 1}
	all := measure.Figures{Attacked: 5, Held: 4, HeldPercent: 80, Honest: 4, Interrupted: 1, InterruptedPercent: 25, Approvals: 2, ApprovalsPerTask: 0.5}
	rules := measure.Rules()
	want := measure.FlowReport{
		Rule: flow.Default(), All: all,
		Suites: []measure.SuiteFigures{{Suite: "office", Figures: office}, {Suite: "shop", Figures: shop}},
		LeftOut: []measure.LeftOut{
			// The shop has no contacts, so nothing there speaks for own data: without it Dora's mail is asked too.
			{SuiteFigures: measure.SuiteFigures{Suite: "office", Figures: measure.Figures{
				Attacked: 4, Held: 3, HeldPercent: 75, Honest: 3, Interrupted: 2, InterruptedPercent: 200. / 3, Approvals: 3, ApprovalsPerTask: 1,
			}}, Rule: rules[0]},
			{SuiteFigures: measure.SuiteFigures{Suite: "shop", Figures: shop}, Rule: rules[1]},
		},
		// "We met." stands in the mail, and nobody said that a body is no destination.
		Undeclared: measure.Figures{Attacked: 5, Held: 4, HeldPercent: 80, Honest: 4, Interrupted: 3, InterruptedPercent: 75, Approvals: 4, ApprovalsPerTask: 1},
		Calls:      22,
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

// rewrite gives a folder with the made-up sessions as change wants them.
func rewrite(t *testing.T, change func(session map[string]any)) string {
	t.Helper()
	dir := t.TempDir()
	tools, err := os.ReadFile("testdata/flow/agentdojo_tools.json")
	if err != nil {
		t.Fatal(err)
	}
	traces, err := os.ReadFile("testdata/flow/agentdojo_traces.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	packed := gzip.NewWriter(&out)
	for line := range bytes.Lines(traces) {
		var session map[string]any
		if err := json.Unmarshal(line, &session); err != nil {
			t.Fatal(err)
		}
		change(session)
		text, err := json.Marshal(session)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := packed.Write(append(text, '\n')); err != nil {
			t.Fatal(err)
		}
	}
	if err := packed.Close(); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string][]byte{"agentdojo_tools.json": tools, "agentdojo_traces.jsonl.gz": out.Bytes()} {
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// The rule sees neither the attack's name nor its goal nor its text; what is injected is found by its effect alone.
func TestFlowReadsNothingOfTheAttack(t *testing.T) {
	t.Parallel()
	want := untimed(run(t, "testdata/flow"))
	got := untimed(run(t, rewrite(t, func(session map[string]any) {
		for _, name := range []string{"attack", "goal", "injection_text"} {
			delete(session, name)
		}
		session["id"] = "x"
	})))
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

// A tool that is not described is taken for the worst and named.
func TestFlowNamesUnknownTools(t *testing.T) {
	t.Parallel()
	report := run(t, rewrite(t, func(session map[string]any) {
		for _, step := range session["steps"].([]any) {
			if step := step.(map[string]any); step["tool"] == "find_contact" {
				step["tool"] = "find_anyone"
			}
		}
	}))
	if !reflect.DeepEqual(report.Unknown, []string{"office.find_anyone"}) || report.All.Interrupted != 2 {
		t.Errorf("%q, %d interrupted", report.Unknown, report.All.Interrupted)
	}
}

func TestFlowOfOneSuite(t *testing.T) {
	t.Parallel()
	report := run(t, rewrite(t, func(session map[string]any) { session["suite"] = "office" }))
	if len(report.LeftOut) != 0 || len(report.Suites) != 1 {
		t.Errorf("%+v", report)
	}
}

func TestFlowRefusesBadFolders(t *testing.T) {
	t.Parallel()
	const tools = `{"office":{"read":{"untrusted":true}}}`
	const honest = `{"kind":"benign","suite":"office","prompt":"x","steps":[]}`
	for _, tt := range []struct{ name, tools, traces, want string }{
		{"no tools", "", honest, "description of tools"},
		{"no traces", tools, "", "may end in .gz too"},
		{"tools that are no JSON", "{", honest, "agentdojo_tools.json"},
		{"a tool that is none", `{"office":{"read":7}}`, honest, "suite office"},
		{"no session", tools, "\n", "holds no session"},
		{"a line that is no JSON", tools, honest + "\n{", "session 2"},
		{"one name twice", tools, `{"kind":"benign","kind":"benign","suite":"office"}`, "session 1"},
		{"an unknown kind", tools, `{"kind":"good","suite":"office"}`, `its kind is "good"`},
		{"no suite", tools, `{"kind":"benign"}`, "it has no suite"},
		{"no place of the attack", tools, `{"kind":"attacked","suite":"office","steps":[]}`, "injected_at"},
		{"a place that is not there", tools, `{"kind":"attacked","suite":"office","steps":[],"injected_at":0}`, "injected_at"},
		{"arguments that are none", tools, `{"kind":"benign","suite":"office","steps":[{"tool":"read"}]}`, "the arguments of a call to read"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			for name, text := range map[string]string{"agentdojo_tools.json": tt.tools, "agentdojo_traces.jsonl": tt.traces} {
				if text != "" {
					if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
						t.Fatal(err)
					}
				}
			}
			if _, err := measure.Flow(dir); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("%v, want %q", err, tt.want)
			}
		})
	}
	dir := t.TempDir()
	for name, text := range map[string]string{"agentdojo_tools.json": tools, "agentdojo_traces.jsonl.gz": honest} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := measure.Flow(dir); err == nil || !strings.Contains(err.Error(), ".gz: gzip") {
		t.Errorf("a file that is not compressed: %v", err)
	}
}

// TestFlowHoldsTheFloor needs the public set, which is not part of this repository: GATEHOUSE_TEST_DATA names its folder.
func TestFlowHoldsTheFloor(t *testing.T) {
	t.Parallel()
	dir := os.Getenv("GATEHOUSE_TEST_DATA")
	if dir == "" {
		t.Skip("GATEHOUSE_TEST_DATA names no folder with agentdojo_tools.json and agentdojo_traces.jsonl.gz: the floor of the session rule is not tested")
	}
	report := run(t, dir)
	if !report.MeetsFloor || !report.All.Meets(measure.Floor) {
		t.Errorf("below the floor: %+v", report.All)
	}
	if report.All.Attacked < 300 || report.All.Honest < 50 {
		t.Errorf("only %d attacked and %d honest sessions were read", report.All.Attacked, report.All.Honest)
	}
	for _, s := range report.LeftOut {
		if !s.Meets(measure.Floor) {
			t.Errorf("%s with the parameters of the others: %+v", s.Suite, s.Figures)
		}
	}
}
