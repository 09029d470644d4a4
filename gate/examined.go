package gate

import "context"

// Examined is a module that can say how the systems behind it do.
type Examined interface {
	Module
	// Examine looks at each of them anew and says what it found. It changes nothing and ends with the context at the latest.
	Examine(context.Context) []Checkup
}

// Checkup is what was found about one system behind a module.
type Checkup struct {
	Subject  string   `json:"subject" jsonschema:"what was looked at, as: server files"`
	Problem  string   `json:"problem,omitzero" jsonschema:"what is wrong; left out: nothing"`
	Hint     string   `json:"hint,omitzero" jsonschema:"what to do about it"`
	Notes    []string `json:"notes,omitzero" jsonschema:"what else is worth knowing"`
	Proposal string   `json:"proposal,omitzero" jsonschema:"lines to judge and copy into the configuration"`
}
