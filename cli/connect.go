package cli

import (
	"net/url"
	"strings"

	"gatehouse/connect"
)

// connectCommand shows what to paste into a client. It never shows a token.
type connectCommand struct {
	Client    string `arg:"" help:"Which client: ${clients}."`
	URL       string `default:"http://127.0.0.1:8080/mcp" placeholder:"URL" help:"The gateway's MCP address (${default})."`
	TokenFile string `placeholder:"FILE" help:"The file that will hold the token, for clients that start gatehouse stdio."`
}

// Run implements the command.
func (c *connectCommand) Run(r *run) error {
	u, err := url.Parse(c.URL)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.User != nil {
		return wrong("--url must be an http or https address without a user or password")
	}
	s, err := connect.For(c.Client, connect.Target{URL: c.URL, TokenFile: c.TokenFile})
	if err != nil {
		return wrong("%s", err)
	}
	if r.flags.JSON {
		return r.sayAsJSON(struct {
			Client string         `json:"client"`
			File   string         `json:"file"`
			Format connect.Format `json:"format"`
			Text   string         `json:"text"`
			Note   string         `json:"note"`
		}{s.Client, s.File, s.Format, s.Text, s.Note})
	}
	where := "in a terminal"
	if s.File != "" {
		where = "in " + s.File
	}
	r.note("%s, %s:", s.Client, where)
	for line := range strings.SplitSeq(s.Text, "\n") {
		if err := r.say("%s", line); err != nil {
			return err
		}
	}
	if s.Note != "" {
		r.note("%s", s.Note)
	}
	return nil
}
