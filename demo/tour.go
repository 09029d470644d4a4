package demo

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"gatehouse/app"
	"gatehouse/canon"
)

// tour takes the steps one after the other and keeps what went wrong.
type tour struct {
	house    *house
	print    *printer
	client   *client
	operator *app.Operator

	ada, ben     int64 // an administrator, and the person for whom the agents act
	broad        token // of an agent that may do all that Ben may
	steps, wrong int
	rows         []string // ids of the rows of the tour's own calls
}

type token struct {
	id   int64
	text string
}

// step is one call: through which entry, with what, and how it must end.
type step struct {
	what  string
	entry string // rest, mcp 2026-07-28, mcp 2025-11-25
	token string
	tool  string
	args  string
	want  string // the outcome
	files int    // how many calls must reach the files server
	check func(answer, row) string
}

// row is what the tour reads back from the log.
type row struct {
	ID      string `json:"id"`
	Tool    string `json:"tool"`
	Outcome string `json:"outcome"`
	Effect  string `json:"effect"`
	Intent  string `json:"intent"`
	Rule    string `json:"rule"`
}

func (t *tour) run(ctx context.Context) (err error) {
	if t.client, err = newClient(t.house.address); err != nil {
		return err
	}
	if t.operator, err = app.Operate(ctx, app.Config{File: t.house.file}); err != nil {
		return fmt.Errorf("becoming the operator: %w", err)
	}
	defer func() { _ = t.operator.Close() }()
	if err := t.people(ctx); err != nil {
		return fmt.Errorf("adding people: %w", err)
	}
	t.print.line("%-3s %-58s %-15s %-15s %-17s %s", "", "what", "entry", "outcome", "row", "files server saw")
	if err := t.calls(ctx); err != nil {
		return err
	}
	return t.log(ctx)
}

// people adds an administrator and a person, permits the person some tools, and issues the agent's token.
func (t *tour) people(ctx context.Context) (err error) {
	if t.ada, err = t.add(ctx, "ada@example.org", "Ada", true); err != nil {
		return err
	}
	if t.ben, err = t.add(ctx, "ben@example.org", "Ben", false); err != nil {
		return err
	}
	if err := t.toolsOfFiles(ctx); err != nil {
		return err
	}
	if err := t.permit(ctx, t.ben, map[string]string{
		"database.query": "allow", "database.tables": "allow", "files.read_file": "allow", "files.list_directory": "allow",
		"tokens.issue": "allow",
	}); err != nil {
		return err
	}
	t.broad, err = t.issue(ctx, t.ben, "reporter", map[string]any{"tools": []string{
		"database.query", "database.tables", "files.read_file", "files.list_directory", "files.write_file", "tokens.issue",
	}})
	return err
}

// toolsOfFiles waits until the files server has said which tools it has.
func (t *tour) toolsOfFiles(ctx context.Context) error {
	for range 100 {
		all, err := t.operate(ctx, "permissions.tools", nil)
		if err != nil {
			return err
		}
		if strings.Contains(all.String(), "files.write_file") {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(50 * time.Millisecond):
		}
	}
	return fmt.Errorf("the files server did not start")
}

func (t *tour) calls(ctx context.Context) error {
	inside := quote(filepath.Join(t.house.files, "minutes.txt"))
	outside := quote(filepath.Join(t.house.files, "..", "secret.txt"))
	query := `{"connection":"shop","sql":"select title, stock from product where stock = 0"}`
	read, write := `{"path":`+inside+`}`, `{"content":"x","path":`+inside+`}`
	narrow, err := t.issue(ctx, t.ben, "narrow", map[string]any{"tools": []string{"database.query", "database.tables", "tokens.issue"}})
	if err != nil {
		return err
	}
	once, err := t.issue(ctx, t.ben, "once", map[string]any{"tools": []string{"database.query"}, "max_uses": 1})
	if err != nil {
		return err
	}
	for _, s := range []step{
		{what: "an agent queries the shop", entry: "rest", token: t.broad.text, tool: "database.query", args: query, want: "ok", check: holds("Whetstone")},
		{what: "the same by MCP without a handshake", entry: "mcp 2026-07-28", token: t.broad.text, tool: "database.query", args: query, want: "ok", check: holds("Whetstone")},
		{what: "it reads a file behind an MCP server", entry: "mcp 2025-11-25", token: t.broad.text, tool: "files.read_file", args: read, want: "ok", files: 1, check: holds("kettles")},
		{what: "the same over REST", entry: "rest", token: t.broad.text, tool: "files.read_file", args: read, want: "ok", files: 1, check: holds("kettles")},
		{what: "a tool that Ben has no permission for", entry: "rest", token: t.broad.text, tool: "files.write_file", args: write, want: "not_allowed"},
		{what: "the same by MCP", entry: "mcp 2026-07-28", token: t.broad.text, tool: "files.write_file", args: write, want: "not_allowed"},
		{what: "a statement that writes, given to a reading tool", entry: "rest", token: t.broad.text, tool: "database.query", args: `{"connection":"shop","sql":"delete from sale"}`, want: "blocked"},
		{what: "arguments that the tool does not know", entry: "rest", token: t.broad.text, tool: "database.query", args: `{"connection":"shop","SQL":"select 1","sql":"select 1"}`, want: "invalid"},
		{what: "… and a tool of the MCP server with two paths", entry: "mcp 2025-11-25", token: t.broad.text, tool: "files.read_file", args: `{"Path":` + inside + `,"path":` + inside + `}`, want: "invalid"},
		{what: "a path that leaves the permitted folder", entry: "mcp 2026-07-28", token: t.broad.text, tool: "files.read_file", args: `{"path":` + outside + `}`, want: "blocked"},
		{what: "a token narrower than its owner: what it may do", entry: "rest", token: narrow.text, tool: "database.query", args: query, want: "ok"},
		{what: "… and what only its owner may do", entry: "rest", token: narrow.text, tool: "files.read_file", args: read, want: "not_allowed"},
		{what: "a token for one use: the first", entry: "rest", token: once.text, tool: "database.query", args: query, want: "ok"},
		{what: "… and the second", entry: "mcp 2026-07-28", token: once.text, tool: "database.query", args: query, want: "limited"},
	} {
		if err := t.take(ctx, s); err != nil {
			return err
		}
	}
	if err := t.child(ctx, narrow, query); err != nil {
		return err
	}
	return t.changes(ctx, read, write)
}

// child: the agent issues a narrower token by itself.
func (t *tour) child(ctx context.Context, parent token, query string) error {
	got, err := t.client.rest(ctx, parent.text, "tokens.issue", `{"agent":"helper","tools":["database.tables"],"ttl_seconds":600}`)
	if err != nil {
		return err
	}
	var issued struct {
		Token string `json:"token"`
	}
	if got.code != "ok" || json.Unmarshal([]byte(got.result), &issued) != nil {
		return fmt.Errorf("an agent could not issue a child: %s %s", got.code, got.reason)
	}
	for _, s := range []step{
		{what: "a child that the agent made, narrower still", entry: "rest", token: issued.Token, tool: "database.tables", args: `{"connection":"shop"}`, want: "ok"},
		{what: "… and what its parent may do", entry: "mcp 2026-07-28", token: issued.Token, tool: "database.query", args: query, want: "not_allowed"},
		{what: "a child that would be wider than its parent", entry: "rest", token: parent.text, tool: "tokens.issue", args: `{"agent":"x","tools":["files.read_file"]}`, want: "invalid"},
	} {
		if err := t.take(ctx, s); err != nil {
			return err
		}
	}
	return nil
}

// changes: what is permitted, taken away or revoked counts for the very next call.
func (t *tour) changes(ctx context.Context, read, write string) error {
	b := t.broad.text
	if err := t.permit(ctx, t.ben, map[string]string{"files.write_file": "allow"}); err != nil {
		return err
	}
	if err := t.take(ctx, step{
		what: "permitted now: a tool with an effect", entry: "rest", token: b, tool: "files.write_file", args: write, want: "ok", files: 1,
		check: func(_ answer, r row) string {
			if r.Intent == "" {
				return "no intent was durable before the effect"
			}
			return ""
		},
	}); err != nil {
		return err
	}
	if err := t.permit(ctx, t.ben, map[string]string{"files.write_file": "ask", "files.read_file": "none"}); err != nil {
		return err
	}
	for _, s := range []step{
		{what: "a call that a human must approve, with nobody there", entry: "rest", token: b, tool: "files.write_file", args: write, want: "denied"},
		{what: "a permission taken away, in the open MCP session", entry: "mcp 2025-11-25", token: b, tool: "files.read_file", args: read, want: "not_allowed"},
	} {
		if err := t.take(ctx, s); err != nil {
			return err
		}
	}
	if _, err := t.operate(ctx, "people.disable", map[string]any{"person": t.ben}); err != nil {
		return err
	}
	if err := t.take(ctx, step{what: "Ben is disabled", entry: "rest", token: b, tool: "database.tables", args: `{"connection":"shop"}`, want: "unauthenticated"}); err != nil {
		return err
	}
	if _, err := t.operate(ctx, "people.enable", map[string]any{"person": t.ben}); err != nil {
		return err
	}
	if _, err := t.operate(ctx, "tokens.revoke", map[string]any{"token": t.broad.id}); err != nil {
		return err
	}
	return t.take(ctx, step{what: "Ben is back, and the token is revoked", entry: "mcp 2025-11-25", token: b, tool: "database.tables", args: `{"connection":"shop"}`, want: "unauthenticated"})
}

// take makes one call, reads its row back from the log, and compares all that was seen with what must be.
func (t *tour) take(ctx context.Context, s step) error {
	before, err := t.house.arrived()
	if err != nil {
		return err
	}
	call := t.client.rest
	switch s.entry {
	case "mcp 2026-07-28":
		call = t.client.modern
	case "mcp 2025-11-25":
		call = t.client.legacy
	}
	got, err := call(ctx, s.token, s.tool, s.args)
	if err != nil {
		return err
	}
	after, err := t.house.arrived()
	if err != nil {
		return err
	}
	var problems []string
	if got.code != s.want {
		problems = append(problems, fmt.Sprintf("the outcome is %s (%s), not %s", got.code, got.reason, s.want))
	}
	if after-before != s.files {
		problems = append(problems, fmt.Sprintf("%d calls reached the files server, not %d", after-before, s.files))
	}
	r, err := t.readBack(ctx, got, s)
	if err != nil {
		problems = append(problems, err.Error())
	}
	if s.check != nil && err == nil {
		if p := s.check(got, r); p != "" {
			problems = append(problems, p)
		}
	}
	t.report(s.what, s.entry, got.code, r.ID, fmt.Sprintf("%d of %d", after-before, s.files), problems)
	return nil
}

// readBack finds the row of a call in the log. A stranger is told no id: the newest row is the one.
func (t *tour) readBack(ctx context.Context, got answer, s step) (row, error) {
	var found struct {
		Row  row   `json:"row"`
		Rows []row `json:"rows"`
	}
	if got.id == "" {
		v, err := t.operate(ctx, "audit.search", map[string]any{"limit": 1, "outcome": got.code})
		if err != nil {
			return row{}, err
		}
		if err := json.Unmarshal(v.Bytes(), &found); err != nil || len(found.Rows) != 1 || got.code != "unauthenticated" {
			return row{}, fmt.Errorf("the call has no row in the log")
		}
		return found.Rows[0], nil
	}
	v, err := t.operate(ctx, "audit.get", map[string]any{"id": got.id})
	if err != nil {
		return row{}, fmt.Errorf("the call's row %s is not in the log: %w", got.id, err)
	}
	if err := json.Unmarshal(v.Bytes(), &found); err != nil {
		return row{}, err
	}
	t.rows = append(t.rows, got.id)
	if found.Row.Outcome != got.code || found.Row.Tool != s.tool {
		return found.Row, fmt.Errorf("the row says %s %s", found.Row.Tool, found.Row.Outcome)
	}
	return found.Row, nil
}

// log verifies the log, then changes one row in a copy and verifies that.
func (t *tour) log(ctx context.Context) error {
	report, err := app.VerifyLog(ctx, t.house.file, app.Kept{}, nil)
	if err != nil {
		return err
	}
	var problems []string
	if !report.OK {
		problems = append(problems, report.Fault.String())
	}
	t.report("the log is verified", "offline", fmt.Sprintf("%d rows hold", report.Rows), report.Last, "", problems)

	copied, err := os.MkdirTemp(filepath.Dir(t.house.data), "copy-")
	if err != nil {
		return fmt.Errorf("making a folder for the copy: %w", err)
	}
	if err := app.CopyLog(ctx, t.house.data, copied); err != nil {
		return err
	}
	if len(t.rows) < 3 {
		t.report("one row is changed in a copy", "offline", "", "", "", []string{"the tour has no rows"})
		return nil
	}
	victim := t.rows[2]
	if err := tamper(filepath.Join(copied, "audit.db"), victim); err != nil {
		return err
	}
	file := t.house.file
	file.Data = copied
	report, err = app.VerifyLog(ctx, file, app.Kept{}, nil)
	if err != nil {
		return err
	}
	problems = nil
	if report.OK || report.Fault.Row != victim {
		problems = append(problems, fmt.Sprintf("row %s was changed and the verification says: %v", victim, report.Fault))
	}
	t.report("one row is changed in a copy, which is verified", "offline", "found", report.Fault.Row, "", problems)
	return nil
}

// tamper makes a row of a closed copy say something else about itself: a change of a few bytes in the file, as somebody
// with the disk in their hands could make it. Pages keep old bytes of a row in their unused parts, so every place is changed.
func tamper(file, id string) error {
	b, err := os.ReadFile(file)
	if err != nil {
		return fmt.Errorf("reading the copy: %w", err)
	}
	name, said, changed := []byte(`"id":"`+id+`"`), []byte(`"outcome":"ok"`), 0
	for at := 0; ; {
		found := bytes.Index(b[at:], name)
		if found < 0 {
			break
		}
		at += found + len(name)
		if place := bytes.Index(b[at:], said); place >= 0 {
			copy(b[at+place:], `"outcome":"OK"`)
			changed++
		}
	}
	if changed == 0 {
		return fmt.Errorf("row %s, as it says ok, is not in the copy", id)
	}
	if err := os.WriteFile(file, b, 0o600); err != nil {
		return fmt.Errorf("writing the copy: %w", err)
	}
	return nil
}

func (t *tour) report(what, entry, code, id, files string, problems []string) {
	t.steps++
	mark := "ok"
	if len(problems) > 0 {
		t.wrong++
		mark = "!!"
	}
	t.print.line("%-3s %-58s %-15s %-15s %-17s %s", mark, what, entry, code, id, files)
	for _, p := range problems {
		t.print.line("    WRONG: %s", p)
	}
}

// verdict is ErrTour if a step was wrong.
func (t *tour) verdict() error {
	t.print.line("")
	if t.wrong > 0 {
		t.print.line("%d of %d steps ended otherwise than they must.", t.wrong, t.steps)
		return ErrTour
	}
	t.print.line("%d steps, each as it must be, each with its row in the log.", t.steps)
	return nil
}

func holds(word string) func(answer, row) string {
	return func(got answer, _ row) string {
		if !strings.Contains(got.result, word) {
			return fmt.Sprintf("the result does not hold %q: %s", word, got.result)
		}
		return ""
	}
}

func quote(s string) string {
	v, err := canon.From(s)
	if err != nil {
		return `""`
	}
	return v.String()
}
