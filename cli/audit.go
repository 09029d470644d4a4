package cli

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/go-json-experiment/json"

	"gatehouse/app"
	"gatehouse/gate"
	"gatehouse/outcome"
)

// auditCommand reads the log.
type auditCommand struct {
	Search auditSearchCommand `cmd:"" help:"Search the log, the newest rows first."`
	Tail   auditTailCommand   `cmd:"" help:"Follow the log while the server writes it."`
	Get    auditGetCommand    `cmd:"" help:"Show one row whole."`
	Sums   auditSumsCommand   `cmd:"" help:"Sum up calls, cost, bytes and time by day, person, agent and tool."`
	Export auditExportCommand `cmd:"" help:"Print rows of the log, without payloads, for other programs."`
	Verify auditVerifyCommand `cmd:"" help:"Recompute the whole log and name the first row that does not hold."`
}

// filter says which rows; it is the same for search and tail.
type filter struct {
	Person  string `placeholder:"EMAIL" help:"Only rows of this person."`
	Agent   string `placeholder:"NAME" help:"Only rows of agents of this name."`
	Tool    string `help:"Only rows of this tool."`
	Outcome string `help:"Only rows with this outcome, as not_allowed."`
}

type searchArgs struct {
	Person  gate.PersonID `json:"person,omitzero"`
	Agent   string        `json:"agent,omitzero"`
	Tool    string        `json:"tool,omitzero"`
	Outcome string        `json:"outcome,omitzero"`
	From    string        `json:"from,omitzero"`
	To      string        `json:"to,omitzero"`
	Limit   int           `json:"limit,omitzero"`
	Cursor  string        `json:"cursor,omitzero"`
	After   string        `json:"after,omitzero"`
	Wait    int           `json:"wait_seconds,omitzero"`
}

func (f filter) args(o *operator) (searchArgs, error) {
	a := searchArgs{Agent: f.Agent, Tool: f.Tool, Outcome: f.Outcome}
	if f.Person == "" {
		return a, nil
	}
	p, err := o.person(f.Person)
	a.Person = p.ID
	return a, err
}

// row is one row of the log, as far as a line shows it.
type row struct {
	ID       string        `json:"id"`
	Began    int64         `json:"began_ms"`
	Person   gate.PersonID `json:"person"`
	Agent    string        `json:"agent"`
	Operator bool          `json:"operator"`
	Job      string        `json:"job"`
	Entry    string        `json:"entry"`
	Tool     string        `json:"tool"`
	Decision string        `json:"decision"`
	Rule     string        `json:"rule"`
	Outcome  string        `json:"outcome"`
	Count    int64         `json:"count"`
}

var rowHeadings = []string{"ROW", "TIME", "WHO", "ENTRY", "TOOL", "DECISION", "OUTCOME"}

func (w row) cells(who addresses) []string {
	ended := w.Outcome
	if w.Count > 1 {
		ended = fmt.Sprintf("%s (%d times)", ended, w.Count)
	}
	return []string{
		w.ID, time.UnixMilli(w.Began).UTC().Format("2006-01-02T15:04:05.000Z"), w.caller(who), w.Entry, w.Tool,
		w.Decision + " (" + w.Rule + ")", ended,
	}
}

func (w row) caller(who addresses) string {
	switch {
	case w.Operator:
		return "operator"
	case w.Job != "":
		return "job " + w.Job
	case w.Agent != "":
		return who.of(w.Person) + " via " + w.Agent
	case w.Person == 0:
		return "stranger"
	}
	return who.of(w.Person)
}

// pageOfRows is the most rows that one call gives.
const pageOfRows = 500

type auditSearchCommand struct {
	filter `embed:""`
	From   string `placeholder:"TIME" help:"Only rows since then, as 2026-11-23T18:00:00Z."`
	To     string `placeholder:"TIME" help:"Only rows before then."`
	Limit  int    `default:"50" help:"How many rows at most."`
}

// Run implements the command.
func (c *auditSearchCommand) Run(r *run) error {
	if c.Limit < 1 {
		return wrong("--limit must be at least 1")
	}
	return r.operate(func(o *operator) error {
		a, err := c.args(o)
		if err != nil {
			return err
		}
		a.From, a.To, a.Limit = c.From, c.To, min(c.Limit, pageOfRows)
		rows, raw, err := list[row](o, "audit.search", "rows", c.Limit, func(cursor string) any {
			a.Cursor = cursor
			return a
		})
		if err != nil {
			return err
		}
		if r.flags.JSON {
			return r.sayList("rows", raw)
		}
		who, err := o.addresses()
		if err != nil {
			return err
		}
		var lines [][]string
		for _, row := range rows {
			lines = append(lines, row.cells(who))
		}
		return r.table(rowHeadings, lines)
	})
}

type auditTailCommand struct {
	filter `embed:""`
	Lines  int `short:"n" default:"10" help:"How many of the newest rows to begin with."`
}

// Run implements the command. It ends with a signal, in order.
func (c *auditTailCommand) Run(r *run) error {
	if c.Lines < 0 || c.Lines > pageOfRows {
		return wrong("--lines must be from 0 to %d", pageOfRows)
	}
	err := r.attach(func(o *operator) error {
		a, err := c.args(o)
		if err != nil {
			return err
		}
		who, err := o.addresses()
		if err != nil {
			return err
		}
		if a.After, err = c.begin(o, a, who); err != nil {
			return err
		}
		for a.Wait = 30; ; {
			page, err := o.call("audit.search", a)
			if err != nil {
				return err
			}
			rows, _ := page.Result.Member("rows")
			for _, e := range rows.Elements {
				if err := o.sayRow(e.Bytes(), who); err != nil {
					return err
				}
			}
			next, _ := page.Result.Member("cursor")
			a.After, _ = next.Text()
		}
	})
	if r.ctx.Err() != nil {
		return nil
	}
	return err
}

// begin shows the newest rows and gives the one after which the log is followed.
func (c *auditTailCommand) begin(o *operator, a searchArgs, who addresses) (after string, err error) {
	newest, _, err := list[row](o, "audit.search", "rows", 1, func(string) any { return searchArgs{Limit: 1} })
	if err != nil {
		return "", err
	}
	if c.Lines > 0 {
		a.Limit = c.Lines
		_, raw, err := list[row](o, "audit.search", "rows", c.Lines, func(string) any { return a })
		if err != nil {
			return "", err
		}
		for _, text := range slices.Backward(raw) {
			if err := o.sayRow([]byte(text), who); err != nil {
				return "", err
			}
		}
	}
	if len(newest) == 0 {
		return "1-0", nil // before every row
	}
	return newest[0].ID, nil
}

type auditGetCommand struct {
	ID string `arg:"" help:"The row's id, as 1763871234567-3."`
}

// Run implements the command.
func (c *auditGetCommand) Run(r *run) error {
	return r.operate(func(o *operator) error {
		got, err := o.call("audit.get", struct {
			ID string `json:"id"`
		}{c.ID})
		if errors.Is(err, outcome.NotFound) || errors.Is(err, outcome.Invalid) {
			return withHint(err, "gatehouse audit search shows the ids")
		}
		if err != nil {
			return err
		}
		if r.flags.JSON {
			return r.sayJSON(got.Result.String())
		}
		row, _ := got.Result.Member("row")
		for name, v := range row.Members {
			text, ok := v.Text()
			if !ok {
				text = v.String()
			}
			if err := r.say("%-14s %s", name, text); err != nil {
				return err
			}
		}
		if why, ok := got.Result.Member("withheld"); ok {
			text, _ := why.Text()
			return r.say("%-14s withheld: %s", "payload", text)
		}
		payload, _ := got.Result.Member("payload")
		return r.say("%-14s %s", "payload", payload)
	})
}

type auditVerifyCommand struct {
	Database   string `placeholder:"FILE" help:"Verify this file alone: a copy that audit export --database made, or a closed month of the log, with the key in FILE.pub."`
	Head       string `placeholder:"FILE" help:"A signed head of the log that was kept elsewhere: its file, its text, or - for standard input."`
	Checkpoint string `placeholder:"FILE" help:"A signed checkpoint that was kept elsewhere, likewise: the log must extend it."`
}

// Run implements the command. It needs no lock and no server.
func (c *auditVerifyCommand) Run(r *run) error {
	file, err := r.file()
	if err != nil {
		return err
	}
	if c.Head == "-" && c.Checkpoint == "-" {
		return wrong("only one of --head and --checkpoint can be read from standard input")
	}
	var kept app.Kept
	if kept.Head, err = readKept(c.Head, r.in); err != nil {
		return withHint(err, "a head is a file that audit.head_file in the configuration names, or its whole text")
	}
	if kept.Checkpoint, err = readKept(c.Checkpoint, r.in); err != nil {
		return withHint(err, "a checkpoint is the file audit.checkpoint in the data folder, or its whole text")
	}
	var report app.LogReport
	if c.Database != "" {
		if report, err = app.VerifyLogCopy(r.ctx, c.Database, kept, r.log(slog.LevelWarn)); err != nil {
			return withHint(err, "name a file that gatehouse audit export --database made, or a closed month as audit-2026-11.db, with the log's public key beside it as FILE.pub")
		}
	} else {
		report, err = app.VerifyLog(r.ctx, file, kept, r.log(slog.LevelWarn))
	}
	if err != nil {
		return withHint(err, "name the data folder that holds the log with --data")
	}
	if r.flags.JSON {
		err = r.sayAsJSON(report)
	} else if report.OK {
		err = r.sayReport(report)
	}
	if err == nil && !report.OK {
		err = withHint(fmt.Errorf("the log does not hold: %s", report.Fault),
			"%s. Keep the data folder as it is, and compare it with a backup", report.Vouches)
	}
	return err
}

func (r *run) sayReport(report app.LogReport) error {
	what, first, numbers := "the log holds", max(report.Begins, 1), ""
	if report.Closed {
		what = "this closed segment of the log holds"
	}
	if report.Closed || first > 1 {
		numbers = fmt.Sprintf(", the numbers %d to %d", first, report.Rows)
	}
	if err := r.say("%s: %d rows%s, the last %s; %d payloads opened", what, report.Rows-first+1, numbers, report.Last, report.Opened); err != nil {
		return err
	}
	if report.Segments > 0 {
		r.note("%d closed segments and the live one were read", report.Segments)
	}
	if report.Ended > 0 {
		r.note("%d payloads were removed because their time was over", report.Ended)
	}
	if report.Sealed != "" {
		r.note("payloads were not opened: %s", report.Sealed)
	}
	return r.say("%s", report.Vouches)
}

// maxHead bounds what is read as a head or a checkpoint, in bytes.
const maxHead = 64 << 10

// readKept reads a head or a checkpoint that was kept elsewhere: what is named is its text, its file, or - for in.
func readKept(named string, in io.Reader) (string, error) {
	switch {
	case named == "" || strings.Contains(named, "\n"):
		return named, nil
	case named == "-":
		return readHead(in)
	}
	f, err := os.Open(named)
	if err != nil {
		return "", fmt.Errorf("reading what was kept elsewhere: %w", err)
	}
	text, err := readHead(f)
	return text, errors.Join(err, f.Close())
}

func readHead(from io.Reader) (string, error) {
	text, err := io.ReadAll(io.LimitReader(from, maxHead+1))
	if err != nil {
		return "", fmt.Errorf("reading what was kept elsewhere: %w", err)
	}
	if len(text) > maxHead {
		return "", fmt.Errorf("reading what was kept elsewhere: it has more than %d bytes", maxHead)
	}
	if len(text) == 0 {
		return "", errors.New("reading what was kept elsewhere: it is empty")
	}
	return string(text), nil
}

// sayRow prints one row of the log as it comes.
func (o *operator) sayRow(text []byte, who addresses) error {
	if o.flags.JSON {
		return o.sayJSON(string(text))
	}
	var w row
	if err := json.Unmarshal(text, &w); err != nil {
		return fmt.Errorf("reading a row of the log: %w", err)
	}
	return o.say("%s", strings.Join(w.cells(who), "  "))
}
