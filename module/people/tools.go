package people

import (
	"context"

	"gatehouse/gate"
)

type toolsArgs struct{}

// Tools is the list that permissions.tools gives.
type Tools struct {
	Tools []Tool `json:"tools"`
}

// Tool is one tool as those see it who permit it to others.
type Tool struct {
	Name    gate.ToolName `json:"name"`
	Title   string        `json:"title,omitzero"`
	Effect  string        `json:"effect"`  // reads, writes or destroys
	Who     string        `json:"who"`     // agents, persons or jobs
	Default string        `json:"default"` // what a grant means that does not say allow or ask
}

func (permissions) tools(_ context.Context, permit gate.Permit, _ toolsArgs) (Tools, error) {
	list := Tools{Tools: []Tool{}}
	for _, t := range permit.Tools().All() {
		list.Tools = append(list.Tools, Tool{t.Name, t.Title, t.Effect.String(), whoWord(t.Who), word(t.Default)})
	}
	return list, nil
}

func whoWord(w gate.Who) string {
	switch w {
	case gate.Agents:
		return "agents"
	case gate.Persons:
		return "persons"
	case gate.Jobs:
	}
	return "jobs"
}
