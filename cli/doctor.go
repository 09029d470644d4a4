package cli

import (
	"fmt"
	"strings"

	"gatehouse/app"
	"gatehouse/gate"
)

// doctorCommand looks whether everything is as the configuration wants it.
type doctorCommand struct{}

// diagnosis is what is shown of house.doctor.
type diagnosis struct {
	Well     bool           `json:"well"`
	Checkups []gate.Checkup `json:"checkups"`
}

// Run implements the command. The running server is asked; with none, what the configuration names is started here.
func (c *doctorCommand) Run(r *run) error {
	config, err := r.app()
	if err != nil {
		return err
	}
	gateway, err := app.Inspect(r.ctx, config)
	if err != nil {
		return err
	}
	defer func() { _ = gateway.Close() }()
	d, raw, err := ask[diagnosis](&operator{r, gateway}, "house.doctor", struct{}{})
	if err != nil {
		return err
	}
	if r.flags.JSON {
		err = r.sayJSON(raw)
	} else {
		err = r.sayDiagnosis(d)
	}
	wrong := 0
	for _, c := range d.Checkups {
		if c.Problem != "" {
			wrong++
		}
	}
	if err == nil && wrong > 0 {
		return withHint(fmt.Errorf("%d of %d checks found something wrong", wrong, len(d.Checkups)), "the lines that begin with wrong say what")
	}
	return err
}

func (r *run) sayDiagnosis(d diagnosis) error {
	for _, c := range d.Checkups {
		word, what := "ok   ", ""
		if c.Problem != "" {
			word, what = "wrong", ": "+c.Problem
		}
		lines := []string{word + " " + c.Subject + what}
		if c.Hint != "" {
			lines = append(lines, "      hint: "+c.Hint)
		}
		for _, note := range c.Notes {
			lines = append(lines, "      "+note)
		}
		for line := range strings.Lines(c.Proposal) {
			lines = append(lines, "        "+strings.TrimSuffix(line, "\n"))
		}
		for _, line := range lines {
			if err := r.say("%s", line); err != nil {
				return err
			}
		}
	}
	return nil
}
