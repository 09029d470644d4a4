package cli

import (
	"errors"
	"strings"
	"time"
)

// statusCommand says how the server is that runs.
type statusCommand struct{}

// status is what is shown of house.status.
type status struct {
	Version        string    `json:"version"`
	Started        time.Time `json:"started"`
	Storage        string    `json:"storage"`
	Ready          bool      `json:"ready"`
	Reason         string    `json:"reason"`
	Running        int       `json:"running"`
	CertificateEnd time.Time `json:"certificate_end"`
}

// Run implements the command. A gateway that cannot take calls is a failure, for scripts that wait for it.
func (c *statusCommand) Run(r *run) error {
	return r.attach(func(o *operator) error {
		s, raw, err := ask[status](o, "house.status", struct{}{})
		if err != nil {
			return err
		}
		if r.flags.JSON {
			err = r.sayJSON(raw)
		} else {
			err = r.sayStatus(s)
		}
		if err == nil && !s.Ready {
			return withHint(errors.New("the gateway cannot take calls: "+s.Reason), "what serve writes says more")
		}
		return err
	})
}

func (r *run) sayStatus(s status) error {
	word := "ready"
	if !s.Ready {
		word = "not ready"
	}
	if err := r.say("gatehouse %s, %s, on %s since %s, %d calls under way", s.Version, word, s.Storage,
		s.Started.Format(time.RFC3339), s.Running); err != nil || s.CertificateEnd.IsZero() {
		return err
	}
	return r.say("the certificate ends %s", s.CertificateEnd.Format(time.RFC3339))
}

// metricsCommand prints the figures of the server that runs.
type metricsCommand struct{}

// Run implements the command.
func (c *metricsCommand) Run(r *run) error {
	return r.attach(func(o *operator) error {
		got, raw, err := ask[struct {
			Text string `json:"text"`
		}](o, "house.metrics", struct{}{})
		if err != nil {
			return err
		}
		if r.flags.JSON {
			return r.sayJSON(raw)
		}
		for line := range strings.Lines(got.Text) {
			if err := r.say("%s", strings.TrimSuffix(line, "\n")); err != nil {
				return err
			}
		}
		return nil
	})
}
