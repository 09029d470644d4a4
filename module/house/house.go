// Package house keeps the gateway itself: it tells what runs, whether it can take calls, and its figures, and takes orders
// for backups. It must never show what a person did, nor a secret; and it never does the work of a backup: what it is
// handed does, and it says who may ask for what.
//
// A backup takes everything out of the house. So the operator alone says for whom it is encrypted, where it is written and
// whether keys go along; a person who was permitted house.backup names a file in the configured folder, for the
// configured recipients, and gets no keys.
package house

import (
	"context"
	"time"

	"gatehouse/gate"
	"gatehouse/module"
)

var (
	statusKey   = gate.NewKey("house/status")
	doctorKey   = gate.NewKey("house/doctor")
	metricsKey  = gate.NewKey("house/metrics")
	backupKey   = gate.NewKey("house/backup")
	restoredKey = gate.NewKey("house/restored")
)

// Config is what the process knows of itself.
type Config struct {
	Version string
	Storage string                      // sqlite or postgres
	Ready   func(context.Context) error // why calls cannot be taken, or nil
	Running func() int                  // calls under way
	Metrics func() (string, error)      // as Prometheus reads them
	CertEnd func() time.Time            // when the certificate of TLS ends; nil: there is none

	Examine func(context.Context) []gate.Checkup // how the systems behind the modules do

	Backup     func(context.Context, Order) (Report, error) // makes a backup as ordered
	Revoke     func(context.Context) (int64, error)         // ends all tokens and says how many
	Folder     string                                       // where backups of persons go, absolute; empty: only the operator makes backups
	Recipients []string                                     // for whom backups are encrypted of which nothing is said
}

// backupTime is how long a backup may take.
const backupTime = 6 * time.Hour

// Module offers house.status, house.doctor, house.metrics, house.backup and, for jobs, house.restored. It is safe for concurrent use.
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
		gate.AccessControlled("doctor", doctorKey, gate.Spec{
			Title: "Examine the gateway",
			Description: "Looks whether each system behind the gateway answers: databases connect, MCP servers start and list their tools. " +
				"Says what is down and why, and proposes how to classify tools of which the configuration says nothing.",
			Effect: gate.Reads, Who: gate.Persons, Deadline: examination,
		}, m.doctor),
		gate.AccessControlled("metrics", metricsKey, gate.Spec{
			Title:       "Figures of the gateway",
			Description: "Gives the figures of the process in the text format of Prometheus.",
			Effect:      gate.Reads, Trusted: true, Who: gate.Persons,
		}, m.metrics),
		gate.AccessControlled("backup", backupKey, gate.Spec{
			Title: "Make a backup",
			Description: "Writes an encrypted copy of all databases, as they are at one moment, into a new file. Calls go on meanwhile. " +
				"Keys are left out unless the operator asks for them.",
			Effect: gate.Writes, Trusted: true, Who: gate.Persons, Deadline: backupTime,
		}, m.backup),
		gate.AccessControlled("restored", restoredKey, gate.Spec{
			Title:       "Begin after a restore",
			Description: "Marks in the log that everything before it came out of a backup, and ends the tokens that were good in it.",
			Effect:      gate.Destroys, Trusted: true, Who: gate.Jobs, Deadline: 10 * time.Minute,
		}, m.restored),
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
