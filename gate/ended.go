package gate

import (
	"time"

	"gatehouse/outcome"
)

// Ended is what the figures of the process may know of a call: nobody's name, no argument, no result.
type Ended struct {
	Tool  ToolName // "" if there is no tool of that name, so that callers cannot make names up
	Entry string
	Code  outcome.Code
	Began time.Time
	Took  time.Duration
	Row   RowID  // the zero value for a refusal that stands in a summary row
	Trace string // as the client sent it: W3C Trace Context, not checked
}

func (p *passage) summary(o Outcome) Ended {
	e := Ended{
		Entry: p.caller.origin.Entry, Code: o.Code, Began: p.began, Took: time.Since(p.began), Row: o.ID, Trace: p.caller.origin.Trace,
	}
	if p.tool != nil {
		e.Tool = p.tool.name
	}
	return e
}
