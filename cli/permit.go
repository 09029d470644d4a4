package cli

import (
	"errors"

	"gatehouse/gate"
	"gatehouse/outcome"
)

// permitCommand changes what a person may do.
type permitCommand struct {
	Email  string   `arg:"" help:"The person's address."`
	Tools  []string `arg:"" name:"tool" help:"Tools by name, as database.query."`
	Allow  bool     `xor:"decision" help:"Let every call through."`
	Ask    bool     `xor:"decision" help:"A human must approve each call."`
	Remove bool     `xor:"decision" help:"Take the permission away, from the next call on."`
}

// decision is the word of permissions.set. Without a flag the tool's own default decides.
func (c *permitCommand) decision() string {
	switch {
	case c.Allow:
		return "allow"
	case c.Ask:
		return "ask"
	case c.Remove:
		return "none"
	}
	return "default"
}

// Run implements the command.
func (c *permitCommand) Run(r *run) error {
	grants := map[string]string{}
	for _, tool := range c.Tools {
		grants[tool] = c.decision()
	}
	return r.operate(func(o *operator) error {
		p, err := o.person(c.Email)
		if err != nil {
			return err
		}
		raw, err := o.permit(p.ID, grants)
		if errors.Is(err, outcome.Conflict) { // somebody else changed the map in between; ours is about these tools alone
			raw, err = o.permit(p.ID, grants)
		}
		if errors.Is(err, outcome.Invalid) {
			return withHint(err, "a tool is named module.tool; those of other systems are known only while gatehouse serve runs")
		}
		if err != nil {
			return err
		}
		if r.flags.JSON {
			return r.sayJSON(raw)
		}
		return o.sayPermitted(p, c.Tools)
	})
}

// permit sets grants on the map as it is now.
func (o *operator) permit(id gate.PersonID, grants map[string]string) (raw string, err error) {
	now, _, err := o.permissions(id)
	if err != nil {
		return "", err
	}
	_, raw, err = ask[changed](o, "permissions.set", struct {
		Person  gate.PersonID     `json:"person"`
		Version int64             `json:"version"`
		Grants  map[string]string `json:"grants"`
	}{id, now.Version, grants})
	return raw, err
}

// sayPermitted shows what the tools' entries are afterwards.
func (o *operator) sayPermitted(p person, tools []string) error {
	now, _, err := o.permissions(p.ID)
	if err != nil {
		return err
	}
	for _, tool := range tools {
		decision, ok := now.Grants[tool]
		if !ok {
			decision = "none"
		}
		if err := o.say("%s: %s %s", p.Email, tool, decision); err != nil {
			return err
		}
	}
	return nil
}
