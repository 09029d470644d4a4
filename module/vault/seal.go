package vault

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/tink-crypto/tink-go/v2/aead"
	"github.com/tink-crypto/tink-go/v2/keyset"
	"github.com/tink-crypto/tink-go/v2/tink"

	"gatehouse/gate"
	"gatehouse/outcome"
)

// Seal implements gate.Sealer. A person's first text makes their key; for one whose key was destroyed it is
// outcome.NotFound, and no new key is made.
func (m *Module) Seal(ctx context.Context, person gate.PersonID, binding string, plain []byte) ([]byte, error) {
	key, err := m.key(ctx, person, m.makeKey)
	if err != nil {
		return nil, fmt.Errorf("sealing for person %d: %w", person, err)
	}
	sealed, err := key.Encrypt(plain, associated(person, binding))
	if err != nil {
		return nil, fmt.Errorf("sealing for person %d: %w", person, err)
	}
	return sealed, nil
}

// Open implements gate.Sealer. A text that was changed, or sealed for another person or binding, is an error without a
// code; one whose key is gone is outcome.NotFound.
func (m *Module) Open(ctx context.Context, person gate.PersonID, binding string, sealed []byte) ([]byte, error) {
	key, err := m.key(ctx, person, noKey)
	if err != nil {
		return nil, fmt.Errorf("opening for person %d: %w", person, err)
	}
	plain, err := key.Decrypt(sealed, associated(person, binding))
	if err != nil {
		return nil, fmt.Errorf("opening for person %d: it was changed, or was not sealed for this: %w", person, err)
	}
	return plain, nil
}

// associated is what a sealed text is bound to. The person is a number and the binding comes last, so no two pairs give
// the same bytes.
func associated(person gate.PersonID, binding string) []byte {
	b := make([]byte, 0, len("v1||")+20+len(binding))
	b = append(b, "v1|"...)
	b = strconv.AppendInt(b, int64(person), 10)
	b = append(b, '|')
	return append(b, binding...)
}

// wrapping is what a wrapped data key is bound to.
func wrapping(person gate.PersonID) []byte {
	return strconv.AppendInt([]byte("dek|"), int64(person), 10)
}

// key gives a person's data key; where there is none, what otherwise gives, wrapped.
func (m *Module) key(ctx context.Context, person gate.PersonID,
	otherwise func(context.Context, gate.PersonID) ([]byte, error),
) (tink.AEAD, error) {
	if person < 0 {
		return nil, fmt.Errorf("there is no person %d", person)
	}
	key, seen := m.ring.get(person)
	if key != nil {
		return key, nil
	}
	wrapped, err := m.rows.dataKey(ctx, person)
	if errors.Is(err, errNoKey) {
		wrapped, err = otherwise(ctx, person)
	}
	if err != nil {
		return nil, err
	}
	if key, err = m.unwrap(person, wrapped); err != nil {
		return nil, err
	}
	m.ring.put(person, key, seen)
	return key, nil
}

// noKey is for opening, which never makes a key.
func noKey(context.Context, gate.PersonID) ([]byte, error) {
	return nil, outcome.NotFound.Because("nothing was ever sealed for this person, or the key is gone")
}

// makeKey makes a person's data key. Of two that race for it the first one's is used by both.
func (m *Module) makeKey(ctx context.Context, person gate.PersonID) ([]byte, error) {
	handle, err := keyset.NewHandle(aead.XAES256GCM192BitNonceKeyTemplate())
	if err != nil {
		return nil, fmt.Errorf("making a data key: %w", err)
	}
	var wrapped bytes.Buffer
	if err := handle.WriteWithAssociatedData(keyset.NewBinaryWriter(&wrapped), m.master.aead, wrapping(person)); err != nil {
		return nil, fmt.Errorf("wrapping a data key: %w", err)
	}
	err = m.rows.insertDataKey(ctx, person, wrapped.Bytes())
	if errors.Is(err, outcome.Conflict) {
		return m.rows.dataKey(ctx, person)
	}
	return wrapped.Bytes(), err
}

func (m *Module) unwrap(person gate.PersonID, wrapped []byte) (tink.AEAD, error) {
	handle, err := keyset.ReadWithAssociatedData(keyset.NewBinaryReader(bytes.NewReader(wrapped)), m.master.aead, wrapping(person))
	if err != nil {
		return nil, fmt.Errorf("unwrapping a data key: it was changed, or is another person's: %w", err)
	}
	key, err := aead.New(handle)
	if err != nil {
		return nil, fmt.Errorf("unwrapping a data key: %w", err)
	}
	return key, nil
}

// Forget destroys a person's data key, and with it all that was ever sealed under it. It cannot be taken back, and the
// person gets no new key. Whoever has none yet is marked all the same. The house's key (person 0) is refused.
func (m *Module) Forget(ctx context.Context, person gate.PersonID) error {
	if person <= 0 {
		return outcome.Invalid.Because("only a person's key can be destroyed")
	}
	err := m.rows.forget(ctx, person)
	m.ring.drop(person) // whatever the error: it may have happened
	if err != nil {
		return fmt.Errorf("forgetting person %d: %w", person, err)
	}
	return nil
}
