package demo

import (
	"context"
	"fmt"
	"strings"

	"gatehouse/app"
)

// Snippet is what to paste into a client to connect it.
type Snippet struct {
	Client string // as people know it
	File   string // where it goes; empty: a terminal
	Text   string
}

// Snippets are the texts for the clients that take a header, with the gateway's address and a token in them.
//
// Sources: the clients' own documents of 2026-10 and 2026-11.
func Snippets(address, token string) []Snippet {
	url := "http://" + address + "/mcp"
	fill := func(text string) string {
		return strings.NewReplacer("URL", url, "TOKEN", token, "BASE", "http://"+address).Replace(text)
	}
	return []Snippet{
		{"Claude Code", "", fill(`claude mcp add --transport http gatehouse URL --header "Authorization: Bearer TOKEN"`)},
		{"Cursor", ".cursor/mcp.json", fill(`{"mcpServers":{"gatehouse":{"url":"URL","headers":{"Authorization":"Bearer TOKEN"}}}}`)},
		{"VS Code", ".vscode/mcp.json", fill(`{"servers":{"gatehouse":{"type":"http","url":"URL","headers":{"Authorization":"Bearer TOKEN"}}}}`)},
		{"curl", "", fill(`curl -s -H "Authorization: Bearer TOKEN" --json '{"connection":"shop","sql":"select * from product"}' BASE/v1/tools/database.query`)},
	}
}

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
	for _, s := range Snippets(t.house.address, ready.text) {
		where := s.Client
		if s.File != "" {
			where += ", " + s.File
		}
		t.print.line("%s:\n  %s\n", where, s.Text)
	}
	t.print.line("The tools of this token, to read and to try: http://%s/v1/docs", t.house.address)
	t.print.line("Follow the log:    gatehouse --data %s audit tail", t.house.data)
	t.print.line("End with Ctrl-C.")
	return nil
}
