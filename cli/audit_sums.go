package cli

import (
	"strconv"
	"time"

	"gatehouse/gate"
)

// auditSumsCommand shows what calls came to.
type auditSumsCommand struct {
	Person string   `placeholder:"EMAIL" help:"Only calls for this person."`
	Agent  string   `placeholder:"NAME" help:"Only calls of agents of this name."`
	Tool   string   `help:"Only calls of this tool."`
	From   string   `placeholder:"DAY" help:"The first day, UTC, as 2026-11-23."`
	To     string   `placeholder:"DAY" help:"The last day."`
	By     []string `placeholder:"WHAT,…" help:"What to keep apart, of day, person, agent and tool (else all four)."`
}

type sumsArgs struct {
	Person gate.PersonID `json:"person,omitzero"`
	Agent  string        `json:"agent,omitzero"`
	Tool   string        `json:"tool,omitzero"`
	From   string        `json:"from,omitzero"`
	To     string        `json:"to,omitzero"`
	By     []string      `json:"by,omitzero"`
	Limit  int           `json:"limit"`
}

type sum struct {
	Day      string        `json:"day"`
	Person   gate.PersonID `json:"person"`
	Agent    string        `json:"agent"`
	Tool     string        `json:"tool"`
	Calls    int64         `json:"calls"`
	Cost     gate.Money    `json:"cost"`
	BytesIn  int64         `json:"bytes_in"`
	BytesOut int64         `json:"bytes_out"`
	Took     int64         `json:"took_us"`
}

// mostSums is the most that one call gives.
const mostSums = 5000

// Run implements the command.
func (c *auditSumsCommand) Run(r *run) error {
	return r.operate(func(o *operator) error {
		a := sumsArgs{Agent: c.Agent, Tool: c.Tool, From: c.From, To: c.To, By: c.By, Limit: mostSums}
		if c.Person != "" {
			p, err := o.person(c.Person)
			if err != nil {
				return err
			}
			a.Person = p.ID
		}
		page, raw, err := ask[struct {
			Rows []sum `json:"rows"`
			More bool  `json:"more"`
		}](o, "audit.sums", a)
		if err != nil {
			return err
		}
		if r.flags.JSON {
			return r.sayJSON(raw)
		}
		who, err := o.addresses()
		if err != nil {
			return err
		}
		var lines [][]string
		for _, s := range page.Rows {
			person := ""
			if s.Person != 0 {
				person = who.of(s.Person)
			}
			lines = append(lines, []string{
				s.Day, person, s.Agent, s.Tool, strconv.FormatInt(s.Calls, 10), s.Cost.String(), strconv.FormatInt(s.BytesIn, 10),
				strconv.FormatInt(s.BytesOut, 10), (time.Duration(s.Took) * time.Microsecond).Round(time.Millisecond).String(),
			})
		}
		if page.More {
			r.note("there are more: ask for fewer days, or keep less apart with --by")
		}
		return r.table([]string{"DAY", "PERSON", "AGENT", "TOOL", "CALLS", "COST", "BYTES IN", "BYTES OUT", "TIME"}, lines)
	})
}
