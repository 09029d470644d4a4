package upstream

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"sync"

	"gatehouse/canon"
	"gatehouse/wire"
)

// old is a server that speaks HTTP+SSE, the transport of revision 2024-11-05: all its answers come on one stream, which
// also says to which address requests go.
type old struct {
	*ear
	line
	endpoint string
	life     context.Context
	pause    timing

	open       context.Context // as long as the stream may be
	shut       context.CancelFunc
	background sync.WaitGroup
	replies    chan struct{} // has a place for each answer that is under way
}

// dialOld opens the stream and waits for the address.
func dialOld(ctx, life context.Context, l line, t timing) (_ *old, err error) {
	o := &old{ear: newEar(), line: l, life: life, pause: t, replies: make(chan struct{}, maxReplies)}
	o.open, o.shut = context.WithCancel(life)
	defer func() {
		if err != nil {
			o.shut()
			o.client.CloseIdleConnections()
		}
	}()
	stop := context.AfterFunc(ctx, o.shut)
	answer, _, err := o.send(o.open, http.MethodGet, o.url, nil, http.Header{"Accept": {"text/event-stream"}})
	if err != nil {
		return nil, err
	}
	kind := mediaType(answer)
	if answer.StatusCode != http.StatusOK || kind != "text/event-stream" {
		_ = answer.Body.Close()
		return nil, &statusError{answer.StatusCode}
	}
	events := wire.NewEvents(answer.Body, maxLine)
	ev, err := events.Next()
	if err == nil && ev.Name != "endpoint" {
		err = errors.New("its stream does not begin with an endpoint")
	}
	if err == nil {
		o.endpoint, err = sameOrigin(o.url, string(ev.Data))
	}
	if !stop() && err == nil {
		err = ctx.Err()
	}
	if err != nil {
		_ = answer.Body.Close()
		return nil, err
	}
	o.background.Go(func() { o.hear(answer.Body, events) })
	return o, nil
}

// sameOrigin resolves the address that a server gives. What lies elsewhere would get our credentials.
func sameOrigin(base, given string) (string, error) {
	from, err := url.Parse(base)
	if err != nil {
		return "", err
	}
	to, err := from.Parse(given)
	if err != nil || to.Scheme != from.Scheme || to.Host != from.Host || to.User != nil {
		return "", errors.New("the endpoint that it gives lies at another address, which is not followed")
	}
	to.Fragment = ""
	return to.String(), nil
}

// hear heeds what comes until the stream ends.
func (o *old) hear(body io.Closer, events *wire.Events) {
	defer o.forget()
	defer func() { _ = body.Close() }()
	for {
		ev, err := events.Next()
		if err != nil {
			if errors.Is(err, wire.ErrEventTooLong) {
				o.noise.long.Add(1)
			}
			o.end(fmt.Errorf("its stream ended: %w", err))
			return
		}
		if ev.Name == "message" && len(ev.Data) > 0 {
			o.take(ev.Data, o.reply)
		}
	}
}

// initialize does the handshake.
func (o *old) initialize(ctx context.Context) (wire.Revision, error) {
	result, err := o.ask(ctx, handshake())
	if err != nil {
		return "", err
	}
	revision, err := agreed(result)
	if err != nil {
		return "", err
	}
	return revision, o.pass(ctx, wire.AppendNotification(nil, "notifications/initialized", ""))
}

// leave ends the stream, and with it all calls.
func (o *old) leave() {
	o.end(errors.New("it was stopped"))
	o.shut()
	o.background.Wait()
	o.client.CloseIdleConnections()
}

// ask implements peer.
func (o *old) ask(ctx context.Context, q question) (canon.Value, error) {
	id, got := o.expect(q.tells)
	defer o.unexpect(id)
	if err := o.pass(ctx, q.frame(id)); err != nil {
		return canon.Value{}, err
	}
	select {
	case a := <-got:
		return a.result, a.err
	case <-ctx.Done():
		o.tell(cancelled(id))
		return canon.Value{}, fmt.Errorf("waiting for the answer to %s: %w", q.method, ctx.Err())
	}
}

// pass sends one message to the server.
func (o *old) pass(ctx context.Context, frame []byte) error {
	answer, sent, err := o.send(ctx, http.MethodPost, o.endpoint, frame, http.Header{"Content-Type": {"application/json"}})
	switch {
	case err != nil && !sent:
		return fmt.Errorf("%w: %w", errUnsent, err)
	case err != nil && ctx.Err() != nil:
		return ctx.Err()
	case err != nil:
		return fmt.Errorf("%w: %w", errCut, err)
	}
	defer func() { _ = answer.Body.Close() }()
	_, _ = io.CopyN(io.Discard, answer.Body, maxRefusal)
	if answer.StatusCode/100 != 2 {
		return &statusError{answer.StatusCode}
	}
	return nil
}

// tell implements peer.
func (o *old) tell(method, params string) {
	o.behind(wire.AppendNotification(nil, method, params), func() {})
}

// reply sends an answer to what the server asked; if it asks too much at a time, it gets none.
func (o *old) reply(frame []byte) {
	select {
	case o.replies <- struct{}{}:
		o.behind(frame, func() { <-o.replies })
	default:
	}
}

func (o *old) behind(frame []byte, then func()) {
	o.background.Go(func() {
		defer then()
		ctx, cancel := context.WithTimeout(o.open, patience)
		defer cancel()
		_ = o.pass(ctx, frame)
	})
}

// follow implements peer: the stream is open already.
func (*old) follow(wire.Revision) {}
