package demo

import (
	"context"
	"fmt"

	"gatehouse/app"
	"gatehouse/connect"
)

// stay issues a token for whoever tries the demo, and prints what to paste.
func (t *tour) stay(ctx context.Context) (err error) {
	if t.operator, err = app.Operate(ctx, app.Config{File: t.house.file}); err != nil {
		return fmt.Errorf("becoming the operator: %w", err)
	}
	defer func() { _ = t.operator.Close() }()
	if err := t.permit(ctx, t.ben, map[string]string{"files.read_file": "allow"}); err != nil {
		return err
	}
	ready, err := t.issue(ctx, t.ben, "yours", map[string]any{"tools": []string{
		"database.query", "database.tables", "files.read_file", "files.list_directory",
	}})
	if err != nil {
		return err
	}
	t.print.line("The gateway stays up. A token that is good for an hour:\n\n  %s\n", ready.text)
	for _, id := range []string{"claude-code-command", "cursor", "vscode"} {
		s, err := connect.For(id, connect.Target{URL: "http://" + t.house.address + "/mcp", Token: ready.text})
		if err != nil {
			return err
		}
		where := s.Client
		if s.File != "" {
			where += ", " + s.File
		}
		t.print.line("%s:\n  %s\n", where, s.Text)
	}
	t.print.line("curl:\n  curl -s -H \"Authorization: Bearer %s\" --json '{\"connection\":\"shop\",\"sql\":\"select * from product\"}' http://%s/v1/tools/database.query\n",
		ready.text, t.house.address)
	t.print.line("The tools of this token, to read and to try: http://%s/v1/docs", t.house.address)
	t.print.line("Follow the log:    gatehouse --data %s audit tail", t.house.data)
	t.print.line("End with Ctrl-C.")
	return nil
}
