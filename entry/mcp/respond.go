package mcp

import (
	"context"
	"errors"
	"net/http"
	"time"

	"gatehouse/gate"
	"gatehouse/httpfront"
	"gatehouse/outcome"
	"gatehouse/wire"
)

// respond answers a request: as JSON, or, once there is progress to tell of, as a stream of events that ends with the
// answer. refused is the HTTP status of an error.
func (h *Handler) respond(ctx context.Context, x *exchange, refused int) {
	if x.frame.Method != "tools/call" || x.frame.ProgressToken().IsZero() {
		result, err := h.answer(ctx, &x.request, nil)
		x.finish(result, err, refused)
		return
	}
	words, tell := newest()
	var result []byte
	var err error
	done := make(chan struct{})
	go func() {
		defer close(done)
		result, err = h.answer(ctx, &x.request, tell)
	}()
	var out *events
	var quiet <-chan time.Time
	for {
		select {
		case p := <-words:
			if out == nil {
				out = h.openEvents(x)
				ticker := time.NewTicker(keepAlive)
				defer ticker.Stop()
				quiet = ticker.C
			}
			out.send(wire.AppendEvent(nil, "", appendProgress(nil, x.frame.ProgressToken(), p)))
			continue
		case <-quiet:
			out.send(wire.AppendComment(nil))
			continue
		case <-done:
		}
		break
	}
	if out == nil {
		x.finish(result, err, refused)
		return
	}
	x.finishEvents(out, words, result, err)
}

// finish sends the answer as JSON.
func (x *exchange) finish(result []byte, err error, refused int) {
	switch {
	case x.withdrawn != nil && x.withdrawn():
		// A request that was taken back has no answer: a stream that ends without one.
		x.w.Header().Set("Content-Type", "text/event-stream")
		x.w.WriteHeader(http.StatusOK)
	case errors.Is(err, outcome.Unauthenticated): // gone since the token was looked at: another replica knew
		token, shown := httpfront.Bearer(x.r)
		refuseStranger(x.w, token, shown, err)
	case err != nil && asError(err).Code == wire.MethodNotFound && x.era == wire.Modern:
		x.fail(http.StatusNotFound, err)
	case err != nil:
		x.fail(refused, err)
	default:
		x.result(result)
	}
}

// finishEvents sends what is left of the progress, and the answer.
func (x *exchange) finishEvents(out *events, words <-chan gate.Progress, result []byte, err error) {
	if x.withdrawn != nil && x.withdrawn() {
		return
	}
	select {
	case p := <-words:
		out.send(wire.AppendEvent(nil, "", appendProgress(nil, x.frame.ProgressToken(), p)))
	default:
	}
	answer := wire.AppendResult(nil, x.frame.ID, result)
	if err != nil {
		answer = wire.AppendError(nil, x.frame.ID, asError(err))
	}
	out.send(wire.AppendEvent(nil, "", answer))
}
