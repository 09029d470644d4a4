// Package connect holds what to paste into each MCP client to connect it to a gateway: the one source for the command line,
// the demo and whatever else shows it. It must never read a token by itself: who shows one hands it in.
//
// Sources: the clients' own documents of 2026-10 and 2026-11.
package connect

import (
	"fmt"
	"slices"
	"strings"

	"github.com/go-json-experiment/json"
)

// Format is in which language a snippet is written.
type Format string

// The formats.
const (
	JSON  Format = "json"
	TOML  Format = "toml"
	Shell Format = "shell"
)

// Snippet is what to paste into one client.
type Snippet struct {
	ID     string // as it is typed: claude-code
	Client string // as people know it
	File   string // where it goes; empty: a terminal
	Format Format
	Text   string
	Note   string // what else to know; may be empty
}

// Target is a gateway, as a client reaches it.
type Target struct {
	URL       string // of its MCP address
	Token     string // empty: the snippets name a variable, or stand for it with TOKEN
	TokenFile string // for clients that start gatehouse stdio; empty: gatehouse-token in the home folder is meant
}

const (
	inVariable = "The token is read from the variable GATEHOUSE_TOKEN."
	inPlace    = "Put the token in the place of TOKEN; keep the file to yourself (mode 0600)."
)

// forms are the snippets with a token's place: BEARER in those that can read it from a variable, TOKEN elsewhere.
var forms = []struct {
	Snippet
	reference string // stands for the token where none is given; empty: TOKEN
}{
	{Snippet{
		ID: "claude-code", Client: "Claude Code", File: ".mcp.json", Format: JSON,
		Text: `{"mcpServers":{"gatehouse":{"type":"http","url":URL,"headers":{"Authorization":"Bearer TOKEN"}}}}`,
	}, "${GATEHOUSE_TOKEN}"},
	{Snippet{
		ID: "claude-code-command", Client: "Claude Code, on its command line", Format: Shell,
		Text: `claude mcp add --transport http gatehouse URL --header "Authorization: Bearer TOKEN"`,
	}, "$GATEHOUSE_TOKEN"},
	{Snippet{
		ID: "claude-desktop", Client: "Claude Desktop", File: "claude_desktop_config.json", Format: JSON,
		Text: `{"mcpServers":{"gatehouse":{"command":"gatehouse","args":["stdio","--url",URL,"--token-file",FILE]}}}`,
		Note: "The file holds the token and has mode 0600. Give both paths in full: the client may start elsewhere.",
	}, ""},
	{Snippet{
		ID: "cursor", Client: "Cursor", File: ".cursor/mcp.json", Format: JSON,
		Text: `{"mcpServers":{"gatehouse":{"url":URL,"headers":{"Authorization":"Bearer TOKEN"}}}}`,
	}, "${env:GATEHOUSE_TOKEN}"},
	{Snippet{
		ID: "vscode", Client: "VS Code", File: ".vscode/mcp.json", Format: JSON,
		Text: `{"inputs":[{"type":"promptString","id":"gh","description":"Gatehouse token","password":true}],` +
			`"servers":{"gatehouse":{"type":"http","url":URL,"headers":{"Authorization":"Bearer ${input:gh}"}}}}`,
		Note: "VS Code asks for the token when it first connects.",
	}, ""},
	{Snippet{
		ID: "codex", Client: "Codex CLI", File: "~/.codex/config.toml", Format: TOML,
		Text: "[mcp_servers.gatehouse]\nurl = URL\nbearer_token_env_var = \"GATEHOUSE_TOKEN\"", Note: inVariable,
	}, ""},
	{Snippet{
		ID: "gemini", Client: "Gemini CLI", File: "~/.gemini/settings.json", Format: JSON,
		Text: `{"mcpServers":{"gatehouse":{"httpUrl":URL,"headers":{"Authorization":"Bearer TOKEN"}}}}`,
	}, ""},
	{Snippet{
		ID: "windsurf", Client: "Windsurf", File: "~/.codeium/windsurf/mcp_config.json", Format: JSON,
		Text: `{"mcpServers":{"gatehouse":{"serverUrl":URL,"headers":{"Authorization":"Bearer TOKEN"}}}}`,
	}, ""},
	{Snippet{
		ID: "opencode", Client: "opencode 2", File: "opencode.json", Format: JSON,
		Text: `{"mcp":{"servers":{"gatehouse":{"type":"remote","url":URL,"oauth":false,"headers":{"Authorization":"Bearer TOKEN"}}}}}`,
	}, ""},
}

// Snippets gives all of them, filled in.
func Snippets(to Target) ([]Snippet, error) {
	if to.TokenFile == "" {
		to.TokenFile = "gatehouse-token"
	}
	url, err := json.Marshal(to.URL)
	if err != nil {
		return nil, fmt.Errorf("writing the address: %w", err)
	}
	file, err := json.Marshal(to.TokenFile)
	if err != nil {
		return nil, fmt.Errorf("writing the file's name: %w", err)
	}
	all := make([]Snippet, 0, len(forms))
	for _, f := range forms {
		s, quoted := f.Snippet, string(url)
		if s.Format == Shell {
			quoted = "'" + strings.ReplaceAll(to.URL, "'", `'\''`) + "'"
		}
		token := to.Token
		if token == "" && strings.Contains(s.Text, "TOKEN\"") && f.reference != "" {
			token, s.Note = f.reference, inVariable
		} else if token == "" && strings.Contains(s.Text, "Bearer TOKEN") {
			token, s.Note = "TOKEN", inPlace
		}
		s.Text = strings.NewReplacer("Bearer TOKEN", "Bearer "+token, "URL", quoted, "FILE", string(file)).Replace(s.Text)
		all = append(all, s)
	}
	return all, nil
}

// For gives the one for a client, by its id.
func For(id string, to Target) (Snippet, error) {
	all, err := Snippets(to)
	if err != nil {
		return Snippet{}, err
	}
	i := slices.IndexFunc(all, func(s Snippet) bool { return s.ID == id })
	if i < 0 {
		return Snippet{}, fmt.Errorf("there is no client %q: %s", id, strings.Join(IDs(), ", "))
	}
	return all[i], nil
}

// IDs are the clients that are known.
func IDs() []string {
	var ids []string
	for _, f := range forms {
		ids = append(ids, f.ID)
	}
	return ids
}
