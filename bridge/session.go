package bridge

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"gatehouse/wire"
)

const (
	listenAgain = time.Second      // after a stream of notifications ended
	listenSlow  = 30 * time.Second // the longest wait after several that did not begin
)

// session is the client's handshake with the gateway, in the era that has one.
type session struct {
	mu    sync.Mutex // guards what follows
	now   handshake
	quiet context.CancelFunc // ends the stream of notifications of now; nil: there is none

	renewing sync.Mutex // held while the handshake is repeated
}

// handshake is one that the gateway agreed to.
type handshake struct {
	id       string // Mcp-Session-Id; empty: the gateway gave none
	revision string
	hello    []byte // the client's initialize, as it came
	frame    wire.Frame
	ready    []byte // its notifications/initialized
}

func (s *session) current() handshake {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.now
}

// dress says on a request to which session it belongs.
func (h handshake) dress(r *http.Request) {
	if h.id != "" {
		r.Header.Set(wire.HeaderSession, h.id)
	}
	if h.revision != "" {
		r.Header.Set(wire.HeaderProtocolVersion, h.revision)
	}
}

// initialize passes the client's handshake on and keeps it. Nothing else is read from the client meanwhile.
func (b *bridge) initialize(ctx context.Context, f wire.Frame, line []byte) {
	if old := b.session.current(); old.id != "" {
		b.part(ctx)
	}
	if _, err := b.shake(ctx, f, line, false); err != nil && ctx.Err() == nil {
		b.answer(f.ID, wire.InternalError.Because("%s", err))
	}
}

// shake sends an initialize and keeps what it agreed on. If it is a repeat, the client does not see the answer.
func (b *bridge) shake(ctx context.Context, f wire.Frame, line []byte, repeat bool) (h handshake, err error) {
	a, err := b.send(ctx, f, line, nil)
	if err != nil {
		return h, err
	}
	h = handshake{id: a.session, hello: line, frame: f}
	err = b.deliver(a, f.ID, func(answer wire.Frame) bool {
		v, _ := answer.Result.Member("protocolVersion")
		h.revision, _ = v.Text()
		// The client may send its next frame as soon as it reads the answer: the session must stand before.
		b.session.mu.Lock()
		if h.revision != "" {
			h.ready = b.session.now.ready
			b.session.now = h
		}
		b.session.mu.Unlock()
		return repeat
	})
	if err == nil && repeat && h.revision == "" {
		err = errors.New("it answered the handshake with an error")
	}
	return h, err
}

// ready notes the end of the client's handshake and begins to listen.
func (b *bridge) ready(line []byte) {
	b.session.mu.Lock()
	b.session.now.ready = line
	b.session.mu.Unlock()
	b.listen()
}

// renew repeats the client's handshake because the gateway does not know the session any more.
func (b *bridge) renew(ctx context.Context, gone handshake) error {
	b.session.renewing.Lock()
	defer b.session.renewing.Unlock()
	if b.session.current().id != gone.id {
		return nil // somebody else did
	}
	if gone.hello == nil {
		return errors.New("the gateway knows no such session: initialize first")
	}
	h, err := b.shake(ctx, gone.frame, gone.hello, true)
	if err != nil {
		return fmt.Errorf("the gateway forgot the session and a new one could not be opened: %w", err)
	}
	if h.revision != gone.revision {
		return fmt.Errorf("the gateway forgot the session and now speaks %s instead of %s: start this client again", h.revision, gone.revision)
	}
	if h.ready == nil {
		return nil // the client itself will send it
	}
	f, err := wire.ParseFrame(h.ready)
	if err != nil {
		return fmt.Errorf("repeating the handshake: %w", err)
	}
	a, err := b.send(ctx, f, h.ready, nil)
	if err == nil {
		err = b.deliver(a, wire.ID{}, nil)
	}
	if err != nil {
		return fmt.Errorf("repeating the handshake: %w", err)
	}
	b.tell("the gateway had forgotten the session; a new one is open")
	// What the old session would have told of is lost.
	b.out.line(wire.AppendNotification(nil, "notifications/tools/list_changed", ""))
	b.listen()
	return nil
}

// listen holds the session's stream of notifications, until the session is another.
func (b *bridge) listen() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return
	}
	ctx, quiet := context.WithCancel(b.life)
	b.session.mu.Lock()
	if b.session.quiet != nil {
		b.session.quiet()
	}
	b.session.quiet = quiet
	h := b.session.now
	b.session.mu.Unlock()
	b.listeners.Go(func() {
		defer quiet()
		for wait := listenAgain; ; wait = min(wait*2, listenSlow) {
			began, again := b.hear(ctx, h)
			if !again {
				return
			}
			if began {
				wait = listenAgain
			}
			select {
			case <-time.After(wait):
			case <-ctx.Done():
				return
			}
		}
	})
}

// hear reads one stream of notifications to its end. again says whether it is worth to ask for another.
func (b *bridge) hear(ctx context.Context, h handshake) (began, again bool) {
	shown, err := b.token.current()
	if err != nil {
		return false, false
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, b.url, http.NoBody)
	if err != nil {
		return false, false
	}
	b.dress(r, shown)
	h.dress(r)
	r.Header.Set("Accept", "text/event-stream")
	res, err := b.client.Do(r) //nolint:bodyclose // head closes it, or deliver does
	if err != nil {
		return false, ctx.Err() == nil
	}
	a, err := b.head(res)
	if err != nil {
		return false, ctx.Err() == nil
	}
	switch {
	case a.status == http.StatusOK && a.kind == "text/event-stream":
		if err := b.deliver(a, wire.ID{}, nil); err != nil && ctx.Err() == nil {
			return true, true
		}
		return true, ctx.Err() == nil
	case a.status == http.StatusNotFound:
		// Renewing begins a stream of its own. It ends this one first, so it must not hang on its context.
		if err := b.renew(b.life, h); err != nil && ctx.Err() == nil {
			b.tell("%s", err)
		}
		return false, false
	case a.status < http.StatusMultipleChoices:
		_ = a.body.Close()
		return false, false
	}
	// Without a right to be here, or where there is no such stream, asking again would only fill the gateway's log.
	return false, a.status == http.StatusTooManyRequests || a.status >= http.StatusInternalServerError
}

// part ends the session at the gateway, if there is one.
func (b *bridge) part(ctx context.Context) {
	b.session.mu.Lock()
	h, quiet := b.session.now, b.session.quiet
	b.session.now, b.session.quiet = handshake{}, nil
	b.session.mu.Unlock()
	if quiet != nil {
		quiet()
	}
	if h.id == "" {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, partTime)
	defer cancel()
	shown, err := b.token.current()
	if err != nil {
		return
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodDelete, b.url, http.NoBody)
	if err != nil {
		return
	}
	b.dress(r, shown)
	h.dress(r)
	res, err := b.client.Do(r)
	if err != nil {
		return // the gateway forgets an idle session by itself
	}
	_ = res.Body.Close()
}
