package cli

// whoisCommand gives a person's id, for programs that call tools which want one.
type whoisCommand struct {
	Email string `arg:"" help:"The person's address."`
}

// Run implements the command.
func (c *whoisCommand) Run(r *run) error {
	return r.operate(func(o *operator) error {
		p, err := o.person(c.Email)
		if err != nil {
			return err
		}
		return r.say("%d", p.ID)
	})
}
