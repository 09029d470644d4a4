package upstream

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"gatehouse/wire"
)

// probing is how long a server may take for a question that it may not know.
const probing = 10 * time.Second

// dial comes to an understanding with the server at an address: it is asked in the modern way first, then with the
// handshake, and one that takes neither by POST is asked for the stream of the transport before that.
func dial(ctx context.Context, life context.Context, l line, t timing) (_ *session, leave func(), err error) {
	r := newRemote(life, l, t)
	defer func() {
		if err != nil {
			r.leave()
		}
	}()
	modern, err := r.inquire(ctx)
	if err != nil {
		return nil, nil, fmt.Errorf("server/discover: %w", err)
	}
	if modern {
		return &session{r, r.ear, wire.R20260728}, r.leave, nil
	}
	revision, err := r.initialize(ctx)
	if err == nil {
		return &session{r, r.ear, revision}, r.leave, nil
	}
	if !refusesPost(err) {
		return nil, nil, fmt.Errorf("initialize: %w", err)
	}
	old, failed := dialOld(ctx, life, l, t)
	if failed != nil {
		return nil, nil, fmt.Errorf("initialize: %w; as HTTP+SSE: %w", err, failed)
	}
	if revision, failed = old.initialize(ctx); failed != nil {
		old.leave()
		return nil, nil, fmt.Errorf("initialize over HTTP+SSE: %w", failed)
	}
	r.leave()
	return &session{old, old.ear, revision}, old.leave, nil
}

// inquire asks whether the server speaks without a handshake. An error is one that no other question will mend.
func (r *remote) inquire(ctx context.Context) (modern bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, min(probing, r.pause.greeting/2))
	defer cancel()
	result, _, err := r.post(ctx, inquiry())
	var refusal *wire.Error
	var status *statusError
	switch {
	case err == nil:
		return speaks(result, "supportedVersions"), nil
	case errors.Is(err, errUnsent):
		return false, err
	case errors.As(err, &refusal):
		return false, nil
	case errors.As(err, &status):
		if status.status == http.StatusUnauthorized || status.status == http.StatusForbidden || status.status/100 == 3 {
			return false, err
		}
	}
	return false, nil
}

// refusesPost says that a server may be one of the time before streamable HTTP.
func refusesPost(err error) bool {
	var refusal *wire.Error
	var status *statusError
	if errors.As(err, &refusal) || !errors.As(err, &status) {
		return false
	}
	return status.astray()
}

// initialize makes a session. A server that gives no id for it has none.
func (r *remote) initialize(ctx context.Context) (wire.Revision, error) {
	result, header, err := r.post(ctx, handshake())
	if err != nil {
		return "", err
	}
	revision, err := agreed(result)
	if err != nil {
		return "", err
	}
	session := header.Get(wire.HeaderSession)
	if !visible(session) {
		return "", errors.New("its session id holds what a header cannot, or is too long")
	}
	r.mu.Lock()
	r.session, r.revision = session, revision
	r.mu.Unlock()
	// Some servers refuse it and work all the same.
	if err := r.notify(ctx, "notifications/initialized", ""); errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return "", err
	}
	return revision, nil
}

// visible says that a session id is visible ASCII, as the specification wants it, and not too long; empty is none.
func visible(s string) bool {
	for i := range len(s) {
		if s[i] < 0x21 || s[i] > 0x7e {
			return false
		}
	}
	return len(s) <= 1024
}
