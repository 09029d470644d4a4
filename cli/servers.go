package cli

import (
	"strconv"

	"github.com/go-json-experiment/json/jsontext"
)

// serversCommand looks after MCP servers.
type serversCommand struct {
	List   serversListCommand   `cmd:"" help:"Show how each server does."`
	Review serversReviewCommand `cmd:"" help:"Show which tools of a server changed, and how."`
	Accept serversAcceptCommand `cmd:"" help:"Let who may call a tool call it with its changed definition."`
}

type serversListCommand struct{}

// Run implements the command.
func (c *serversListCommand) Run(r *run) error {
	return r.attach(func(o *operator) error {
		got, raw, err := ask[struct {
			Servers []struct {
				Server   string `json:"server"`
				State    string `json:"state"`
				Revision string `json:"revision"`
				Tools    int    `json:"tools"`
				Failure  string `json:"failure"`
			} `json:"servers"`
		}](o, "servers.list", struct{}{})
		if err != nil {
			return err
		}
		if r.flags.JSON {
			return r.sayJSON(raw)
		}
		var rows [][]string
		for _, s := range got.Servers {
			if s.State == "ready" {
				s.Failure = ""
			}
			rows = append(rows, []string{s.Server, s.State, s.Revision, strconv.Itoa(s.Tools), s.Failure})
		}
		return r.table([]string{"SERVER", "STATE", "REVISION", "TOOLS", "WHY"}, rows)
	})
}

type serversReviewCommand struct {
	Server string `arg:"" help:"The server's name."`
	Tool   string `arg:"" optional:"" help:"Only this tool, whatever its state."`
}

// Run implements the command. Tools that are as they were are left out, unless one is asked for.
func (c *serversReviewCommand) Run(r *run) error {
	return r.attach(func(o *operator) error {
		got, raw, err := ask[struct {
			Tools []struct {
				Tool       string         `json:"tool"`
				State      string         `json:"state"`
				Definition string         `json:"definition"`
				Now        jsontext.Value `json:"now"`
				Changes    []struct {
					Pointer string         `json:"pointer"`
					Before  jsontext.Value `json:"before"`
					Now     jsontext.Value `json:"now"`
				} `json:"changes"`
			} `json:"tools"`
		}](o, "servers.review", struct {
			Server string `json:"server"`
			Tool   string `json:"tool,omitzero"`
		}{c.Server, c.Tool})
		if err != nil {
			return err
		}
		if r.flags.JSON {
			return r.sayJSON(raw)
		}
		for _, t := range got.Tools {
			if t.State == "same" && c.Tool == "" {
				continue
			}
			if err := r.say("%s: %s, definition %s", t.Tool, t.State, t.Definition); err != nil {
				return err
			}
			if c.Tool != "" {
				if err := r.say("  %s", t.Now); err != nil {
					return err
				}
			}
			for _, d := range t.Changes {
				for _, line := range []string{"  " + d.Pointer, "    before " + orNothing(d.Before), "    now    " + orNothing(d.Now)} {
					if err := r.say("%s", line); err != nil {
						return err
					}
				}
			}
		}
		return nil
	})
}

func orNothing(v jsontext.Value) string {
	if len(v) == 0 {
		return "nothing"
	}
	return string(v)
}

type serversAcceptCommand struct {
	Server     string `arg:"" help:"The server's name."`
	Definition string `arg:"" help:"The definition, as servers review shows it."`
}

// Run implements the command.
func (c *serversAcceptCommand) Run(r *run) error {
	return r.attach(func(o *operator) error {
		got, raw, err := ask[struct {
			Tool string `json:"tool"`
		}](o, "servers.accept", struct {
			Server     string `json:"server"`
			Definition string `json:"definition"`
		}{c.Server, c.Definition})
		if err != nil {
			return err
		}
		if r.flags.JSON {
			return r.sayJSON(raw)
		}
		return r.say("%s is accepted as it is now", got.Tool)
	})
}
