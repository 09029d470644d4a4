package vault

import (
	"context"
	"errors"
	"fmt"

	"gatehouse/gate"
	"gatehouse/outcome"
	"gatehouse/secret"
)

// maxName is how many bytes the name of a connection or a field may have.
const maxName = 200

// Credential implements gate.Vault.
func (m *Module) Credential(ctx context.Context, person gate.PersonID, connection, field string) (secret.Text, error) {
	_, sealed, err := m.rows.secret(ctx, person, connection, field)
	if errors.Is(err, outcome.NotFound) {
		return secret.Text{}, outcome.NotFound.Because("no credential is kept for the connection %q", connection)
	}
	if err != nil {
		return secret.Text{}, fmt.Errorf("reading a credential: %w", err)
	}
	plain, err := m.Open(ctx, person, credentialFor(connection, field), sealed)
	if err != nil {
		return secret.Text{}, fmt.Errorf("opening a credential: %w", err)
	}
	defer clear(plain)
	return secret.New(string(plain)), nil
}

// Put keeps a credential of a person, in the place of the one that was there. Of two that are put at the same time one is
// outcome.Conflict and changes nothing.
func (m *Module) Put(ctx context.Context, person gate.PersonID, connection, field string, value secret.Text) error {
	if connection == "" || field == "" || len(connection) > maxName || len(field) > maxName || value.IsZero() {
		return outcome.Invalid.Because("a credential needs a connection, a field (at most %d bytes each) and a value", maxName)
	}
	version, _, err := m.rows.secret(ctx, person, connection, field)
	first := errors.Is(err, outcome.NotFound)
	if err != nil && !first {
		return fmt.Errorf("reading a credential: %w", err)
	}
	sealed, err := m.Seal(ctx, person, credentialFor(connection, field), []byte(value.Reveal()))
	if err != nil {
		return err
	}
	if first {
		err = m.rows.insertSecret(ctx, person, connection, field, sealed)
	} else {
		err = m.rows.updateSecret(ctx, person, connection, field, version, sealed)
	}
	if err != nil {
		return fmt.Errorf("keeping a credential: %w", err)
	}
	return nil
}

// credentialFor is what a credential is bound to besides its person. The length keeps ("a|b", "c") and ("a", "b|c") apart.
func credentialFor(connection, field string) string {
	return fmt.Sprintf("credential|%d:%s|%s", len(connection), connection, field)
}
