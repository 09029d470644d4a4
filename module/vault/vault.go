// Package vault keeps credentials, and seals for the other modules what must not lie open on a disk. It must never let a
// key out, nor open a text for another person, connection or field than the one that it was sealed for.
//
// One master key, in a file, wraps one data key for each person and one for the house (person 0); the data keys seal
// everything else. Who destroys a person's data key has destroyed all that was ever sealed under it, in backups too.
//
//	master file   a Tink keyset in JSON (AES-256-GCM), mode 0600 or 0400, made at the first start
//	data_key      a Tink keyset (XAES-256-GCM), sealed under the master key with associated data "dek|PERSON"
//	sealed texts  Tink ciphertexts with associated data "v1|PERSON|BINDING"; for credentials the binding is
//	              "credential|LENGTH:CONNECTION|FIELD", LENGTH being that of the connection's name in bytes
//
// The data keys are XAES-256-GCM (https://c2sp.org/XAES-256-GCM) and not AES-256-GCM, because the log seals under them on
// every call, and with random nonces of 96 bits a key is used up after 2³² messages.
//
// A Module is safe for concurrent use. Unwrapped data keys stay in memory for at most a minute, so a key that another
// process destroyed is gone here within that time.
package vault

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"path/filepath"

	"gatehouse/gate"
	"gatehouse/module"
	"gatehouse/outcome"
)

var statusKey = gate.NewKey("vault/status")

//go:embed sqlite/*.sql postgres/*.sql
var migrations embed.FS

// Config is what a vault needs to know.
type Config struct {
	// MasterFile is the file of the master key. Empty: keys/master.json in the data folder.
	MasterFile string
}

// Module seals, opens, keeps credentials, and offers vault.status.
type Module struct {
	rows   rows
	master *master
	ring   *ring
}

var (
	_ gate.Module = (*Module)(nil)
	_ gate.Vault  = (*Module)(nil)
)

// New opens the vault. At the first start it makes the master file; later a file that is missing, that others can read, or
// that is not the one this vault was made with is an error that says what to do.
func New(ctx context.Context, kit module.Kit, c Config) (*Module, error) {
	file := c.MasterFile
	if file == "" {
		file = filepath.Join(kit.Data, "keys", "master.json")
	}
	db, err := kit.Open(ctx, migrations)
	if err != nil {
		return nil, err
	}
	m := &Module{rows: rows{db}, ring: newRing()}
	if m.master, err = m.rows.unlock(ctx, file); err != nil {
		return nil, fmt.Errorf("opening the vault: %w", err)
	}
	return m, nil
}

// unlock reads the master key and makes sure that it is the one that the vault was made with.
func (r rows) unlock(ctx context.Context, file string) (*master, error) {
	probe, err := r.probe(ctx)
	first := errors.Is(err, outcome.NotFound)
	if err != nil && !first {
		return nil, fmt.Errorf("reading how the vault was made: %w", err)
	}
	m, err := openMaster(file, first)
	if err != nil {
		return nil, err
	}
	if first {
		if probe, err = r.addProbe(ctx, m); err != nil {
			return nil, fmt.Errorf("writing how the vault was made: %w", err)
		}
	}
	return m, m.check(probe)
}

// addProbe marks the vault as made with this master key, unless another process was faster.
func (r rows) addProbe(ctx context.Context, m *master) ([]byte, error) {
	probe, err := m.probe()
	if err != nil {
		return nil, err
	}
	err = r.insertProbe(ctx, probe)
	if errors.Is(err, outcome.Conflict) {
		return r.probe(ctx)
	}
	return probe, err
}

// Name implements gate.Module.
func (*Module) Name() string { return "vault" }

// Tools implements gate.Module.
func (m *Module) Tools() []gate.Tool {
	return []gate.Tool{
		gate.AccessControlled("status", statusKey, gate.Spec{
			Title:       "State of the vault",
			Description: "Counts the keys and credentials that the vault holds and names the master key in use. Shows none of them.",
			Effect:      gate.Reads, Trusted: true, Who: gate.Persons,
		}, m.status),
	}
}

type statusArgs struct{}

// Status is the result of vault.status.
type Status struct {
	MasterKey string `json:"master_key" jsonschema:"number of the master key in use, as 8 hexadecimal digits; not the key"`
	DataKeys  int64  `json:"data_keys" jsonschema:"how many persons, the house included, have a key"`
	Forgotten int64  `json:"forgotten" jsonschema:"how many persons' keys were destroyed"`
	Secrets   int64  `json:"secrets" jsonschema:"how many credentials are kept"`
}

func (m *Module) status(ctx context.Context, _ gate.Permit, _ statusArgs) (Status, error) {
	s := Status{MasterKey: m.master.number()}
	var err error
	s.DataKeys, s.Forgotten, s.Secrets, err = m.rows.count(ctx)
	return s, err
}
