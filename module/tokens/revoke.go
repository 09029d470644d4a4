package tokens

import (
	"context"
	"fmt"

	"gatehouse/gate"
	"gatehouse/outcome"
	"gatehouse/store"
)

type revokeArgs struct {
	Token   gate.TokenID `json:"token" carries:"nothing" jsonschema:"the token's id, as tokens.list shows it"`
	Version *int64       `json:"version,omitzero" carries:"nothing" jsonschema:"the version that you saw; with an older one nothing is changed"`
}

// Revoked says what was ended.
type Revoked struct {
	Token   gate.TokenID `json:"token"`
	Version int64        `json:"version"`
	Revoked int64        `json:"revoked"` // how many tokens this call ended, children included
}

// revoke ends a token and all its descendants in one transaction. One that is revoked already is left alone. An expired
// one is revoked like any other: its row then says so.
func (m *Module) revoke(ctx context.Context, p gate.Permit, a revokeArgs) (Revoked, error) {
	if _, err := m.fresh(ctx); err != nil {
		return Revoked{}, err
	}
	m.writing.Lock()
	defer m.writing.Unlock()
	t := m.now.Load().byID[a.Token]
	if t == nil || !t.concerns(p) {
		return Revoked{}, outcome.NotFound.Because("there is no such token; tokens.list shows those that you can end")
	}
	version := t.version
	if a.Version != nil {
		version = *a.Version
	}
	if !t.revoked.IsZero() && version == t.version {
		return Revoked{t.id, t.version, 0}, nil
	}
	ended := int64(1)
	now := m.clock().Now()
	err := m.write(ctx, func(tx *store.Tx) ([]record, error) {
		if err := m.rows.revoke(ctx, tx, t.id, version, now); err != nil {
			return nil, fmt.Errorf("revoking token %d: %w", t.id, err)
		}
		children, err := m.rows.cascade(ctx, tx, t.id, now)
		if err != nil {
			return nil, fmt.Errorf("revoking the children of token %d: %w", t.id, err)
		}
		ended += children
		return m.rows.family(ctx, tx, t.id)
	})
	if err != nil {
		return Revoked{}, err
	}
	return Revoked{t.id, version + 1, ended}, nil
}

// RevokeAll ends every token that there is and says how many. It is for the restore of a backup.
func (m *Module) RevokeAll(ctx context.Context) (ended int64, err error) {
	m.writing.Lock()
	defer m.writing.Unlock()
	now := m.clock().Now()
	err = m.write(ctx, func(tx *store.Tx) ([]record, error) {
		if ended, err = m.rows.revokeAll(ctx, tx, now); err != nil {
			return nil, fmt.Errorf("revoking all tokens: %w", err)
		}
		return m.rows.all(ctx, tx, now)
	})
	return ended, err
}
