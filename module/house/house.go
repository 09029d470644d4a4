// Package house tells of the gateway itself: what runs, whether it can take calls, and its figures. It must never show
// what a person did, nor a secret.
package house

import (
	"context"
	"time"

	"gatehouse/gate"
	"gatehouse/module"
)

var (
	statusKey  = gate.NewKey("house/status")
	metricsKey = gate.NewKey("house/metrics")
)

// Config is what the process knows of itself.
type Config struct {
	Version string
	Storage string                      // sqlite or postgres
	Ready   func(context.Context) error // why calls cannot be taken, or nil
	Running func() int                  // calls under way
	Metrics func() (string, error)      // as Prometheus reads them
	CertEnd func() time.Time            // when the certificate of TLS ends; nil: there is none
}

// Module offers house.status and house.metrics.
type Module struct {
	config Config
	began  time.Time
}

var _ gate.Module = (*Module)(nil)

// New makes the module. It keeps nothing.
func New(_ context.Context, _ module.Kit, c Config) (*Module, error) {
	return &Module{c, time.Now()}, nil
}

// Name implements gate.Module.
func (*Module) Name() string { return "house" }

// Tools implements gate.Module.
func (m *Module) Tools() []gate.Tool {
	return []gate.Tool{
		gate.AccessControlled("status", statusKey, gate.Spec{
			Title:       "State of the gateway",
			Description: "Says which gatehouse runs, since when, and whether it can take calls or why not.",
			Effect:      gate.Reads, Trusted: true, Who: gate.Persons,
		}, m.status),
		gate.AccessControlled("metrics", metricsKey, gate.Spec{
			Title:       "Figures of the gateway",
			Description: "Gives the figures of the process in the text format of Prometheus.",
			Effect:      gate.Reads, Trusted: true, Who: gate.Persons,
		}, m.metrics),
	}
}

type noArgs struct{}

// Status is the result of house.status.
type Status struct {
	Version        string    `json:"version"`
	Started        time.Time `json:"started"`
	Storage        string    `json:"storage" jsonschema:"sqlite or postgres"`
	Ready          bool      `json:"ready"`
	Reason         string    `json:"reason,omitzero" jsonschema:"why calls cannot be taken"`
	Running        int       `json:"running" jsonschema:"calls under way, this one included"`
	CertificateEnd time.Time `json:"certificate_end,omitzero" jsonschema:"when the certificate of TLS ends"`
}

func (m *Module) status(ctx context.Context, _ gate.Permit, _ noArgs) (Status, error) {
	s := Status{
		Version: m.config.Version, Started: m.began.UTC().Truncate(time.Second), Storage: m.config.Storage, Ready: true,
		Running: m.config.Running(),
	}
	if err := m.config.Ready(ctx); err != nil {
		s.Ready, s.Reason = false, err.Error()
	}
	if m.config.CertEnd != nil {
		s.CertificateEnd = m.config.CertEnd().UTC()
	}
	return s, nil
}

// Metrics is the result of house.metrics.
type Metrics struct {
	Text string `json:"text" jsonschema:"Prometheus text exposition format"`
}

func (m *Module) metrics(context.Context, gate.Permit, noArgs) (Metrics, error) {
	text, err := m.config.Metrics()
	return Metrics{text}, err
}
