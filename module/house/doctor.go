package house

import (
	"context"
	"time"

	"gatehouse/gate"
)

// examination is how long all systems together may take to answer.
const examination = 2 * time.Minute

// Diagnosis is the result of house.doctor.
type Diagnosis struct {
	Well     bool           `json:"well" jsonschema:"nothing is wrong"`
	Checkups []gate.Checkup `json:"checkups"`
}

func (m *Module) doctor(ctx context.Context, _ gate.Permit, _ noArgs) (Diagnosis, error) {
	self := gate.Checkup{Subject: "gatehouse"}
	if err := m.config.Ready(ctx); err != nil {
		self.Problem = "it cannot take calls: " + err.Error()
	}
	d := Diagnosis{Well: true, Checkups: append([]gate.Checkup{self}, m.config.Examine(ctx)...)}
	for _, c := range d.Checkups {
		d.Well = d.Well && c.Problem == ""
	}
	return d, nil
}
