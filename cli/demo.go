package cli

import (
	"errors"
	"fmt"

	"gatehouse/demo"
	"gatehouse/outcome"
)

// demoCommand takes the tour.
type demoCommand struct {
	Listen string `placeholder:"ADDRESS" help:"The address of the HTTP server (else 127.0.0.1:8080, or a free port if that is taken)."`
	Once   bool   `help:"End after the tour, with status 0 only if every outcome was the expected one."`
	Break  string `hidden:"" placeholder:"CHECK" help:"Switch a check off first; the tour must notice. Only in builds with the tag breakable."`
}

// Run implements the command. The data folder is a new one unless the flag names one: a demo must not get into a real
// house because the environment does.
func (c *demoCommand) Run(r *run) error {
	switch {
	case r.flags.JSON:
		return wrong("the demo is for people: it prints no JSON")
	case r.flags.Config != "":
		return wrong("the demo brings its own configuration")
	}
	err := demo.Run(r.ctx, demo.Config{Listen: c.Listen, Data: r.flags.Data, Once: c.Once, Break: c.Break, Out: r.out})
	switch {
	case r.ctx.Err() != nil && !c.Once: // it was told to go: what broke off in the middle is no failure
		return nil
	case errors.Is(err, demo.ErrTour):
		return withHint(err, "the lines of the tour that do not say ok name what was expected")
	case errors.Is(err, outcome.Invalid):
		return wrong("%w", err)
	}
	return err
}

// filesCommand plays the MCP server behind the demo's gateway.
type filesCommand struct {
	Folder string `arg:"" help:"The folder that is served."`
	Count  string `arg:"" help:"The file that grows by a byte for each call."`
}

// Run implements the command.
func (c *filesCommand) Run(r *run) error {
	if err := demo.ServeFiles(c.Folder, c.Count, r.in, r.out); err != nil {
		return fmt.Errorf("serving %s: %w", c.Folder, err)
	}
	return nil
}
