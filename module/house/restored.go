package house

import (
	"context"

	"gatehouse/gate"
)

// Restored says from what a house was restored.
type Restored struct {
	Made       string `json:"made"`      // the moment that the backup shows
	Gatehouse  string `json:"gatehouse"` // the version that made it
	Engine     string `json:"engine"`    // from which it was made
	Rows       int64  `json:"rows"`      // of the log at that moment
	Last       string `json:"last"`      // the last of them
	Head       string `json:"head"`      // its hash
	PublicKey  string `json:"public_key,omitzero"`
	KeepTokens bool   `json:"keep_tokens,omitzero"` // they stay good
}

// Ended says what a restore ended.
type Ended struct {
	Tokens int64 `json:"tokens"` // that were good and are revoked
}

// restored ends what was good in the backup: since it was made somebody may have revoked a token, and nobody knows.
func (m *Module) restored(ctx context.Context, _ gate.Permit, r Restored) (e Ended, err error) {
	if r.KeepTokens {
		return e, nil
	}
	e.Tokens, err = m.config.Revoke(ctx)
	return e, err
}
