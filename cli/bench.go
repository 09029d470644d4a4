package cli

import (
	"fmt"
	"strings"

	"gatehouse/guard/flow"
	"gatehouse/measure"
)

// benchCommand measures rules on public sets.
type benchCommand struct {
	Flow benchFlowCommand `cmd:"" help:"Replay recorded sessions under the session rule, and count what it holds."`
}

// benchFlowCommand measures the session rule. Its folder is flagged as --data, like the data folder of other commands,
// because both say where to read; it reads no gateway's data.
type benchFlowCommand struct{}

// Run implements the command.
func (c *benchFlowCommand) Run(r *run) error {
	if r.flags.Data == "" {
		return wrong("--data must name the folder with agentdojo_tools.json and agentdojo_traces.jsonl.gz")
	}
	report, err := measure.Flow(r.flags.Data)
	if err != nil {
		return withHint(err, "--data names a folder with agentdojo_tools.json and agentdojo_traces.jsonl.gz; docs/session-rule.md says what they hold")
	}
	if r.flags.JSON {
		return r.sayAsJSON(report)
	}
	return r.sayFlow(report)
}

func (r *run) sayFlow(report measure.FlowReport) error {
	row := func(name string, f measure.Figures, note string) []string {
		return []string{
			name,
			fmt.Sprintf("%d of %d, %.1f %%", f.Held, f.Attacked, f.HeldPercent),
			fmt.Sprintf("%d of %d, %.1f %%", f.Interrupted, f.Honest, f.InterruptedPercent),
			fmt.Sprintf("%.2f", f.ApprovalsPerTask),
			note,
		}
	}
	rows := [][]string{row("all", report.All, parameters(report.Rule))}
	for _, s := range report.Suites {
		rows = append(rows, row(s.Suite, s.Figures, parameters(report.Rule)))
	}
	for _, s := range report.LeftOut {
		rows = append(rows, row(s.Suite+" left out", s.Figures, parameters(s.Rule)))
	}
	rows = append(rows, row("all, nothing declared", report.Undeclared, parameters(report.Rule)))
	if err := r.table([]string{"SESSIONS", "ATTACKED HELD", "HONEST INTERRUPTED", "APPROVALS A TASK", "PARAMETERS"}, rows); err != nil {
		return err
	}
	floor := "not reached"
	if report.MeetsFloor {
		floor = "reached"
	}
	for _, line := range []string{
		fmt.Sprintf("floor: %.1f %% / %.0f %% / %.2f: %s", measure.Floor.HeldPercent, measure.Floor.InterruptedPercent, measure.Floor.ApprovalsPerTask, floor),
		fmt.Sprintf("a decision: median %.1f µs, p99 %.1f µs, over %d calls; a result: %.1f µs per KB", report.Median, report.P99, report.Calls, report.Learning),
	} {
		if err := r.say("%s", line); err != nil {
			return err
		}
	}
	if len(report.LeftOut) == 0 {
		r.note("one suite alone leaves no others to choose parameters on")
	}
	if len(report.Unknown) > 0 {
		r.note("not described, so the worst was assumed of them: %s", strings.Join(report.Unknown, ", "))
	}
	return nil
}

// parameters writes the parameters of a rule in one cell.
func parameters(rule flow.Rule) string {
	var on []string
	for _, p := range []struct {
		name string
		set  bool
	}{{"accounted", rule.Accounted}, {"own-data", rule.OwnData}, {"addresses", rule.Addresses}, {"copies", rule.Copies}} {
		if p.set {
			on = append(on, p.name)
		}
	}
	return strings.Join(append(on, fmt.Sprintf("shortest=%d", rule.Shortest)), " ")
}
