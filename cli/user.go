package cli

import (
	"gatehouse/gate"
)

// userCommand keeps the list of people.
type userCommand struct {
	Add     userAddCommand     `cmd:"" help:"Add a person."`
	List    userListCommand    `cmd:"" help:"List all people."`
	Disable userDisableCommand `cmd:"" help:"Refuse a person and all their agents from the next call on."`
	Enable  userEnableCommand  `cmd:"" help:"Let a disabled person in again."`
}

type userAddCommand struct {
	Email         string `arg:"" help:"The person's address; no two people have the same."`
	Name          string `help:"How people call them."`
	Administrator bool   `help:"Let them keep the house from the start: people, permissions, tokens, log."`
}

// changed is what the tools give that change a person.
type changed struct {
	Person  gate.PersonID `json:"person"`
	Version int64         `json:"version"`
}

// Run implements the command.
func (c *userAddCommand) Run(r *run) error {
	return r.operate(func(o *operator) error {
		added, raw, err := ask[changed](o, "people.add", struct {
			Email         string `json:"email"`
			Name          string `json:"name,omitzero"`
			Administrator bool   `json:"administrator,omitzero"`
		}{c.Email, c.Name, c.Administrator})
		if err != nil {
			return err
		}
		if r.flags.JSON {
			return r.sayJSON(raw)
		}
		return r.say("%s is person %d", c.Email, added.Person)
	})
}

type userListCommand struct{}

// Run implements the command.
func (c *userListCommand) Run(r *run) error {
	return r.operate(func(o *operator) error {
		people, raw, err := list[person](o, "people.list", "people", 0, func(cursor string) any { return peopleArgs{Cursor: cursor} })
		if err != nil {
			return err
		}
		if r.flags.JSON {
			return r.sayList("people", raw)
		}
		var rows [][]string
		for _, p := range people {
			rows = append(rows, []string{p.Email, p.Name, p.state(), p.Added})
		}
		return r.table([]string{"EMAIL", "NAME", "STATE", "ADDED"}, rows)
	})
}

func (p person) state() string {
	switch {
	case !p.Active:
		return "disabled"
	case p.Administrator:
		return "administrator"
	}
	return "active"
}

type userDisableCommand struct {
	Email string `arg:"" help:"The person's address."`
}

// Run implements the command.
func (c *userDisableCommand) Run(r *run) error {
	return r.activate("people.disable", c.Email, "disabled")
}

type userEnableCommand struct {
	Email string `arg:"" help:"The person's address."`
}

// Run implements the command.
func (c *userEnableCommand) Run(r *run) error { return r.activate("people.enable", c.Email, "enabled") }

func (r *run) activate(tool, email, state string) error {
	return r.operate(func(o *operator) error {
		p, err := o.person(email)
		if err != nil {
			return err
		}
		_, raw, err := ask[changed](o, tool, struct {
			Person gate.PersonID `json:"person"`
		}{p.ID})
		if err != nil {
			return err
		}
		if r.flags.JSON {
			return r.sayJSON(raw)
		}
		return r.say("%s is %s", p.Email, state)
	})
}
