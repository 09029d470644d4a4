package cli

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"gatehouse/config"
	"gatehouse/gate"
	"gatehouse/outcome"
)

// tokenCommand keeps agents' tokens.
type tokenCommand struct {
	Issue  tokenIssueCommand  `cmd:"" help:"Issue a token for an agent, and print it alone on standard output."`
	List   tokenListCommand   `cmd:"" help:"List tokens, never the tokens themselves."`
	Revoke tokenRevokeCommand `cmd:"" help:"End a token and all that were made from it, from the next call on."`
}

type tokenIssueCommand struct {
	For        string            `required:"" placeholder:"EMAIL" help:"The person for whom the agent acts."`
	Agent      string            `required:"" placeholder:"NAME" help:"What the agent is called."`
	Tools      []string          `required:"" placeholder:"TOOL,…" help:"The tools that it may call, of those that the person may."`
	Conditions map[string]string `name:"condition" mapsep:"none" placeholder:"TOOL=CEL" help:"What calls of a tool must fulfil, as 'gmail.send=args.to.size() == 1'; may be given for several tools."`
	TTL        span              `name:"ttl" placeholder:"TIME" help:"How long it lives, as 1h or 90d (else the configured time)."`
	MaxUses    *int64            `placeholder:"N" help:"How many calls may be carried out with it."`
	Networks   []string          `name:"network" placeholder:"CIDR" help:"From where it may be used (else from anywhere)."`
	Rate       *int              `placeholder:"N" help:"How many calls a minute it may make."`
	Budget     *config.Money     `placeholder:"AMOUNT" help:"What its calls may cost in all, as 2.50."`
}

// span is a length of time as the configuration writes it.
type span time.Duration

// UnmarshalText implements encoding.TextUnmarshaler. Tokens live for whole seconds.
func (s *span) UnmarshalText(text []byte) error {
	d, err := config.ParseDuration(string(text))
	if err != nil {
		return err
	}
	if d < time.Second || d%time.Second != 0 {
		return fmt.Errorf("%q is not one or more whole seconds", text)
	}
	*s = span(d)
	return nil
}

type issueArgs struct {
	Person     gate.PersonID     `json:"person"`
	Agent      string            `json:"agent"`
	Tools      []string          `json:"tools"`
	Conditions map[string]string `json:"conditions,omitempty"`
	TTLSeconds int64             `json:"ttl_seconds,omitzero"`
	MaxUses    *int64            `json:"max_uses,omitzero"`
	Networks   []string          `json:"networks,omitzero"`
	Rate       *int              `json:"rate,omitzero"`
	Budget     *config.Money     `json:"budget,omitzero"`
}

type issued struct {
	ID    gate.TokenID `json:"token_id"`
	Token string       `json:"token"`
	Ends  string       `json:"ends"`
}

// Run implements the command.
func (c *tokenIssueCommand) Run(r *run) error {
	if slices.Contains(c.Tools, "") {
		return wrong("--tools has an empty name in it")
	}
	return r.operate(func(o *operator) error {
		p, err := o.person(c.For)
		if err != nil {
			return err
		}
		t, raw, err := ask[issued](o, "tokens.issue", issueArgs{
			Person: p.ID, Agent: c.Agent, Tools: c.Tools, Conditions: c.Conditions, TTLSeconds: int64(time.Duration(c.TTL) / time.Second),
			MaxUses: c.MaxUses, Networks: c.Networks, Rate: c.Rate, Budget: c.Budget,
		})
		if errors.Is(err, outcome.Invalid) {
			return withHint(err, "a tool is named module.tool; those of other systems are known only while gatehouse serve runs")
		}
		if err != nil {
			return err
		}
		if r.flags.JSON {
			return r.sayJSON(raw)
		}
		r.note("token %d for %s, agent %s, good until %s; it is shown this once", t.ID, p.Email, c.Agent, t.Ends)
		return r.say("%s", t.Token)
	})
}

type tokenListCommand struct {
	For string `placeholder:"EMAIL" help:"Only this person's."`
}

// token is one as tokens.list shows it.
type token struct {
	ID       gate.TokenID  `json:"id"`
	Person   gate.PersonID `json:"person"`
	Parent   gate.TokenID  `json:"parent"`
	Agent    string        `json:"agent"`
	Tools    []string      `json:"tools"`
	Ends     string        `json:"ends"`
	MaxUses  int64         `json:"max_uses"`
	Uses     int64         `json:"uses"`
	Budget   gate.Money    `json:"budget"`
	Spent    gate.Money    `json:"spent"`
	LastUsed string        `json:"last_used"`
	State    string        `json:"state"`
}

type tokenListArgs struct {
	Person gate.PersonID `json:"person,omitzero"`
	Cursor string        `json:"cursor,omitzero"`
}

// Run implements the command.
func (c *tokenListCommand) Run(r *run) error {
	return r.operate(func(o *operator) error {
		who, err := o.addresses()
		if err != nil {
			return err
		}
		var of gate.PersonID
		if c.For != "" {
			p, err := o.person(c.For)
			if err != nil {
				return err
			}
			of = p.ID
		}
		tokens, raw, err := list[token](o, "tokens.list", "tokens", 0, func(cursor string) any { return tokenListArgs{of, cursor} })
		if err != nil {
			return err
		}
		if r.flags.JSON {
			return r.sayList("tokens", raw)
		}
		var rows [][]string
		for _, t := range tokens {
			rows = append(rows, []string{
				strconv.FormatInt(int64(t.ID), 10), who.of(t.Person), t.Agent, t.State, t.Ends, t.used(), t.spent(), t.LastUsed, strings.Join(t.Tools, ","),
			})
		}
		return r.table([]string{"ID", "PERSON", "AGENT", "STATE", "ENDS", "USES", "SPENT", "LAST USED", "TOOLS"}, rows)
	})
}

func (t token) used() string {
	if t.MaxUses == 0 {
		return strconv.FormatInt(t.Uses, 10)
	}
	return fmt.Sprintf("%d of %d", t.Uses, t.MaxUses)
}

func (t token) spent() string {
	if t.Budget == 0 {
		return t.Spent.String()
	}
	return t.Spent.String() + " of " + t.Budget.String()
}

type tokenRevokeCommand struct {
	ID gate.TokenID `arg:"" help:"The token's id, as token list shows it."`
}

// Run implements the command.
func (c *tokenRevokeCommand) Run(r *run) error {
	return r.operate(func(o *operator) error {
		ended, raw, err := ask[struct {
			Revoked int64 `json:"revoked"`
		}](o, "tokens.revoke", struct {
			Token gate.TokenID `json:"token"`
		}{c.ID})
		if errors.Is(err, outcome.NotFound) {
			return withHint(err, "gatehouse token list shows the ids; the token itself is none")
		}
		if err != nil {
			return err
		}
		switch {
		case r.flags.JSON:
			return r.sayJSON(raw)
		case ended.Revoked == 0:
			return r.say("token %d was revoked before", c.ID)
		case ended.Revoked == 1:
			return r.say("token %d is revoked", c.ID)
		}
		return r.say("token %d is revoked, and %d that were made from it", c.ID, ended.Revoked-1)
	})
}
