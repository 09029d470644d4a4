package calls

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"gatehouse/canon"
	"gatehouse/gate"
	"gatehouse/outcome"
)

const (
	// elsewhere is how long a claim may be another replica's call that is still under way. Later it counts as lost: it is
	// answered with "unknown", which is true of a call that is under way too.
	elsewhere = 2 * time.Minute
	// lookAgain is how often the claim of another replica is read meanwhile.
	lookAgain = 200 * time.Millisecond

	// What one root token may have kept at a time, or an agent could fill the disk.
	maxKept  = 10_000
	maxBytes = 256 << 20

	maxKey = 200
)

// Claim implements gate.Results. The key is 1 to 200 printable ASCII characters, else outcome.Invalid. When ctx ends while
// the same call is under way it is outcome.Conflict; outcome.Unknown: the call was begun and its end is not known.
func (m *Module) Claim(ctx context.Context, key gate.ResultKey, digest canon.Digest) (*gate.Outcome, error) {
	if !printable(key.Key) {
		return nil, outcome.Invalid.Because("an idempotency key is 1 to %d printable ASCII characters", maxKey)
	}
	for {
		f, mine := m.flights.enter(placeOf(key), digest)
		if mine {
			kept, err := m.claimFirst(ctx, key, digest, f)
			if code := outcome.Of(err); code == outcome.Timeout || code == outcome.Cancelled {
				return nil, underWay(err) // the asker left in the middle of a look into the tables
			}
			return kept, err
		}
		if f.digest != digest {
			return nil, otherArguments()
		}
		select {
		case <-f.done:
		case <-ctx.Done():
			return nil, underWay(ctx.Err())
		}
	}
}

func underWay(cause error) error {
	return outcome.Conflict.From(cause, "the same call is still under way; ask again with the same key")
}

// claimFirst claims as the one in this process who does. Unless the call is now the caller's, the others go on.
func (m *Module) claimFirst(ctx context.Context, key gate.ResultKey, digest canon.Digest, f *flight) (o *gate.Outcome, err error) {
	owned := false
	defer func() { // the sealer may panic
		if !owned {
			m.flights.leave(placeOf(key))
		}
	}()
	for {
		row, err := m.rows.find(ctx, key)
		if errors.Is(err, outcome.NotFound) {
			f.row, err = m.insert(ctx, key, digest)
			if errors.Is(err, outcome.Conflict) {
				continue // another replica was faster
			}
			owned = err == nil
			return nil, err
		}
		if err != nil {
			return nil, fmt.Errorf("reading a kept outcome: %w", err)
		}
		if row.id <= m.oldest() {
			if err := m.rows.remove(ctx, row.id, row.version); err != nil {
				return nil, fmt.Errorf("removing an old outcome: %w", err)
			}
			continue
		}
		if o, err = m.known(ctx, row, digest); o != nil || err != nil {
			return o, err
		}
		if err := m.lookAgain(ctx, row); err != nil {
			return nil, err
		}
	}
}

// insert writes the claim.
func (m *Module) insert(ctx context.Context, key gate.ResultKey, digest canon.Digest) (id int64, err error) {
	count, size, err := m.rows.held(ctx, key.Root)
	if err != nil {
		return 0, fmt.Errorf("counting the kept outcomes: %w", err)
	}
	if count >= maxKept || size >= maxBytes {
		return 0, outcome.Limited.Because("too many outcomes are kept for your idempotency keys; each goes after 24 hours")
	}
	sealed, err := m.sealer.Seal(ctx, key.Person, binding("digest", key), digest[:])
	if err != nil {
		return 0, fmt.Errorf("sealing a digest: %w", err)
	}
	return m.rows.insert(ctx, key, sealed)
}

// known gives what a row tells about a call with these arguments: its outcome, a refusal, or nothing yet.
func (m *Module) known(ctx context.Context, row kept, digest canon.Digest) (*gate.Outcome, error) {
	plain, err := m.sealer.Open(ctx, row.key.Person, binding("digest", row.key), row.digest)
	if err != nil {
		return nil, fmt.Errorf("opening the digest of claim %d: %w", row.id, err)
	}
	if !bytes.Equal(plain, digest[:]) {
		return nil, otherArguments()
	}
	if row.sealed == nil {
		return nil, nil
	}
	return m.open(ctx, row)
}

// lookAgain waits for a claim that may be another replica's. After a crash, and where there are no replicas, nobody will
// ever say how the call ended.
func (m *Module) lookAgain(ctx context.Context, row kept) error {
	if m.rows.db.Clock().Now().Sub(time.UnixMilli(row.id)) >= m.waits {
		return outcome.Unknown.Because("the call was begun under this key and its end is not known, so it may have happened: " +
			"look before you repeat it with another key")
	}
	timer := time.NewTimer(lookAgain)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return underWay(ctx.Err())
	}
}

// Keep implements gate.Results. Whatever comes of it, those who wait for the call go on.
func (m *Module) Keep(ctx context.Context, key gate.ResultKey, o gate.Outcome) error {
	f, err := m.flights.owned(placeOf(key))
	if err != nil {
		return err
	}
	defer m.flights.leave(placeOf(key))
	plain, err := encode(o)
	if err != nil {
		return fmt.Errorf("keeping an outcome: %w", err)
	}
	sealed, err := m.sealer.Seal(ctx, key.Person, binding("outcome", key), plain)
	if err != nil {
		return fmt.Errorf("keeping an outcome: %w", err)
	}
	if err := m.rows.keep(ctx, f.row, o.ID, o.Code, sealed); err != nil {
		return fmt.Errorf("keeping an outcome: %w", err)
	}
	return nil
}

// Drop implements gate.Results.
func (m *Module) Drop(ctx context.Context, key gate.ResultKey) error {
	f, err := m.flights.owned(placeOf(key))
	if err != nil {
		return err
	}
	defer m.flights.leave(placeOf(key))
	if err := m.rows.remove(ctx, f.row, 1); err != nil {
		return fmt.Errorf("dropping a claim: %w", err)
	}
	return nil
}

func otherArguments() error {
	return outcome.Conflict.Because("this idempotency key was used for the same tool with other arguments; use a new key for a new call")
}

// binding is what a sealed part of a row is bound to. Quotes keep names with signs in them apart.
func binding(part string, key gate.ResultKey) string {
	return fmt.Sprintf("calls %s %d %q %q", part, key.Token, key.Tool, key.Key)
}

func printable(key string) bool {
	if key == "" || len(key) > maxKey {
		return false
	}
	for i := range len(key) {
		if key[i] < ' ' || key[i] > '~' {
			return false
		}
	}
	return true
}
