package vault

import (
	"context"
	"errors"
	"fmt"
	"time"

	"gatehouse/gate"
	"gatehouse/outcome"
	"gatehouse/store"
)

// errNoKey is a person who has no data key and never had one that is remembered.
var errNoKey = errors.New("no data key")

// rows is all the SQL of the vault.
type rows struct{ db *store.DB }

// probe is outcome.NotFound in a new vault.
func (r rows) probe(ctx context.Context) (sealed []byte, err error) {
	err = r.db.Get(ctx, []any{&sealed}, `SELECT sealed FROM master WHERE name = 'probe'`)
	return sealed, err
}

func (r rows) insertProbe(ctx context.Context, sealed []byte) error {
	_, err := r.db.Insert(ctx, `INSERT INTO master (id, version, name, sealed) VALUES ($1, 1, 'probe', $2) ON CONFLICT (id) DO NOTHING`, sealed)
	return err
}

// dataKey is errNoKey for a person without a row, and outcome.NotFound for one whose key was destroyed.
func (r rows) dataKey(ctx context.Context, person gate.PersonID) (wrapped []byte, err error) {
	err = r.db.Get(ctx, []any{&wrapped}, `SELECT wrapped FROM data_key WHERE person = $1`, int64(person))
	switch {
	case errors.Is(err, outcome.NotFound):
		return nil, errNoKey
	case err != nil:
		return nil, fmt.Errorf("reading a data key: %w", err)
	case wrapped == nil:
		return nil, outcome.NotFound.Because("this person's key was destroyed; what was sealed under it cannot be read any more")
	}
	return wrapped, nil
}

func (r rows) insertDataKey(ctx context.Context, person gate.PersonID, wrapped []byte) error {
	_, err := r.db.Insert(ctx, `INSERT INTO data_key (id, version, person, wrapped) VALUES ($1, 1, $2, $3) ON CONFLICT (id) DO NOTHING`,
		int64(person), wrapped)
	return err
}

// forget leaves a row without a key, so that none is made again. The person's credentials go too: nothing opens them.
func (r rows) forget(ctx context.Context, person gate.PersonID) error {
	return r.db.Tx(ctx, func(tx *store.Tx) error {
		if _, err := tx.Exec(ctx, `DELETE FROM secret WHERE person = $1`, int64(person)); err != nil {
			return err
		}
		var version int64
		now := time.Now().UnixMilli()
		err := tx.Get(ctx, []any{&version}, `SELECT version FROM data_key WHERE person = $1`, int64(person))
		if errors.Is(err, outcome.NotFound) {
			_, err = tx.Insert(ctx, `INSERT INTO data_key (id, version, person, forgotten) VALUES ($1, 1, $2, $3) ON CONFLICT (id) DO NOTHING`,
				int64(person), now)
			return err
		}
		if err != nil {
			return err
		}
		return tx.Update(ctx, `UPDATE data_key SET version = version + 1, wrapped = NULL, forgotten = $1 WHERE person = $2 AND version = $3`,
			now, int64(person), version)
	})
}

func (r rows) secret(ctx context.Context, person gate.PersonID, connection, field string) (version int64, sealed []byte, err error) {
	err = r.db.Get(ctx, []any{&version, &sealed}, `SELECT version, sealed FROM secret WHERE person = $1 AND connection = $2 AND field = $3`,
		int64(person), connection, field)
	return version, sealed, err
}

func (r rows) insertSecret(ctx context.Context, person gate.PersonID, connection, field string, sealed []byte) error {
	_, err := r.db.Insert(ctx, `INSERT INTO secret (id, version, person, connection, field, sealed) VALUES ($1, 1, $2, $3, $4, $5) ON CONFLICT (id) DO NOTHING`,
		int64(person), connection, field, sealed)
	return err
}

func (r rows) updateSecret(ctx context.Context, person gate.PersonID, connection, field string, version int64, sealed []byte) error {
	return r.db.Update(ctx, `UPDATE secret SET version = version + 1, sealed = $1 WHERE person = $2 AND connection = $3 AND field = $4 AND version = $5`,
		sealed, int64(person), connection, field, version)
}

func (r rows) count(ctx context.Context) (keys, forgotten, secrets int64, err error) {
	err = r.db.Get(ctx, []any{&keys, &forgotten, &secrets}, `SELECT (SELECT count(*) FROM data_key WHERE forgotten IS NULL),
  (SELECT count(*) FROM data_key WHERE forgotten IS NOT NULL), (SELECT count(*) FROM secret)`)
	return keys, forgotten, secrets, err
}
