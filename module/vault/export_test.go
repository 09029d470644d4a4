package vault

import (
	"context"

	"gatehouse/gate"
	"gatehouse/store"
)

// RingTime is how long an unwrapped key stays in memory.
const RingTime = ringTime

// RingSize is how many do.
const RingSize = ringSize

// CredentialFor is what a credential is bound to, and Associated what any sealed text is.
var (
	CredentialFor = credentialFor
	Associated    = associated
)

// Replace is what Put does after it has seen a version.
func (m *Module) Replace(ctx context.Context, person gate.PersonID, connection, field string, version int64) error {
	return m.rows.updateSecret(ctx, person, connection, field, version, []byte("sealed"))
}

// LateStart is a first start that finds, when it writes how the vault was made, that another one was faster.
func (m *Module) LateStart(ctx context.Context, file string) error {
	late, err := openMaster(file, true)
	if err != nil {
		return err
	}
	probe, err := m.rows.addProbe(ctx, late)
	if err != nil {
		return err
	}
	return late.check(probe)
}

// MakeMaster makes a master file.
var MakeMaster = makeMaster

// DB is the vault's database, for what an attacker who can write to it could do.
func (m *Module) DB() *store.DB { return m.rows.db }

// DropHeld takes a person's key out of memory.
func (m *Module) DropHeld(person gate.PersonID) { m.ring.drop(person) }

// ReadMaster reads a master file.
func ReadMaster(file string) error {
	_, err := readMaster(file)
	return err
}

// Ring is the ring with keys that nobody uses.
type Ring struct{ *ring }

// NewRing makes an empty ring.
func NewRing() Ring { return Ring{newRing()} }

// Len is how many keys it holds.
func (r Ring) Len() int { return len(r.keys) }

// Seen is what get says where there is no key.
func (r Ring) Seen(person gate.PersonID) uint64 { _, seen := r.get(person); return seen }

// Put holds a key that was read just now.
func (r Ring) Put(person gate.PersonID) { r.PutSeen(person, r.Seen(person)) }

// PutSeen holds a key that was read after Seen.
func (r Ring) PutSeen(person gate.PersonID, seen uint64) { r.put(person, nil, seen) }

// Drop forgets a key.
func (r Ring) Drop(person gate.PersonID) { r.drop(person) }

// Status is what vault.status answers.
func (m *Module) Status(ctx context.Context) (Status, error) {
	return m.status(ctx, gate.Permit{}, statusArgs{})
}
