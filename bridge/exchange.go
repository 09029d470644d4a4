package bridge

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/http/httptrace"
	"strings"
	"sync"
	"time"
	"unicode"

	"gatehouse/outcome"
	"gatehouse/secret"
	"gatehouse/wire"
)

const (
	patience = 10 * time.Second // with a gateway that takes no connection: it may be starting
	firstTry = 100 * time.Millisecond
	maxWords = 64 << 10 // of an answer that is an error, in bytes
)

// token is what the bridge shows to the gateway.
type token struct {
	read func() (secret.Text, error)
	from string

	mu   sync.Mutex // guards what follows
	now  secret.Text
	told secret.Text // people know that this one is refused
}

// current gives the token, and reads it the first time.
func (t *token) current() (secret.Text, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.now.IsZero() {
		return t.now, nil
	}
	var err error
	t.now, err = t.read()
	return t.now, err
}

// fresh gives another token than the one that was refused, if there is one by now.
func (t *token) fresh(refused secret.Text) (another bool, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.now.Equal(refused) {
		return true, nil // somebody else has read it again
	}
	read, err := t.read()
	if err != nil {
		return false, fmt.Errorf("the gateway refused the token, and it cannot be read again: %w", err)
	}
	t.now = read
	return !read.Equal(refused), nil
}

// refused says that the token is refused; news is whether people have not been told yet.
func (t *token) refused() (news bool, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	news = !t.told.Equal(t.now)
	t.told = t.now
	return news, fmt.Errorf("the gateway refused the token in %s: it is unknown, revoked or expired; put a new one into the file "+
		"(gatehouse token issue), it is read again with the next request", t.from)
}

// answer is what the gateway said to one POST.
type answer struct {
	status  int
	kind    string // the media type
	session string // Mcp-Session-Id, if the gateway gave one
	body    io.ReadCloser
	words   []byte // the beginning of the body, already read, where the status is an error
}

// send posts one frame. A refusal that came before the frame was looked at is dealt with and the frame sent once more: a
// token that is another by now, a session that is gone, headers that the bridge did not know of. sent, if not nil, is
// called when the frame is written.
func (b *bridge) send(ctx context.Context, f wire.Frame, line []byte, sent func()) (answer, error) {
	var renewed, learnt bool
	var tried secret.Text
	for {
		shown, err := b.token.current()
		if err != nil {
			return answer{}, err
		}
		s := b.session.current()
		r, err := b.post(ctx, f, line, s, shown)
		if err != nil {
			return answer{}, err
		}
		a, err := b.do(ctx, r, sent)
		if err != nil {
			return answer{}, err
		}
		switch {
		case a.status == http.StatusUnauthorized && !tried.Equal(shown):
			tried = shown
			another, err := b.token.fresh(shown)
			if err != nil {
				return answer{}, err
			}
			if !another {
				return answer{}, b.lockedOut()
			}
		case a.status == http.StatusUnauthorized:
			return answer{}, b.lockedOut()
		case a.status == http.StatusNotFound && r.Header.Get(wire.HeaderSession) != "" && !renewed:
			renewed = true
			if err := b.renew(ctx, s); err != nil {
				return answer{}, err
			}
		case a.status == http.StatusBadRequest && f.Method == "tools/call" && !learnt && mismatched(a.words):
			learnt = true
			if err := b.learn(ctx, f); err != nil {
				return answer{}, err
			}
		default:
			return a, nil
		}
	}
}

// lockedOut tells people of a refused token, once for each, and gives what the client is told each time.
func (b *bridge) lockedOut() error {
	news, err := b.token.refused()
	if news {
		b.tell("%s", err)
	}
	return err
}

// post makes the request for one frame.
func (b *bridge) post(ctx context.Context, f wire.Frame, line []byte, s handshake, shown secret.Text) (*http.Request, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, b.url, bytes.NewReader(line))
	if err != nil {
		return nil, fmt.Errorf("making a request: %w", err)
	}
	b.dress(r, shown)
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Accept", "application/json, text/event-stream")
	if wire.EraOf("", f) == wire.Legacy {
		if f.Method != "initialize" {
			s.dress(r)
		}
		return r, nil
	}
	target, _ := f.Target()
	wire.SetHeaders(r.Header, f.Revision(), f.Method, target)
	if f.Method == "tools/call" {
		err = b.params.dress(r, f)
	}
	return r, err
}

func (b *bridge) dress(r *http.Request, shown secret.Text) {
	r.Header.Set("User-Agent", b.agent)
	r.Header.Set("Authorization", "Bearer "+shown.Reveal())
}

// do sends a request. Nothing is repeated but the attempt to connect.
func (b *bridge) do(ctx context.Context, r *http.Request, sent func()) (answer, error) {
	if sent != nil {
		r = r.WithContext(httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
			WroteRequest: func(httptrace.WroteRequestInfo) { sent() },
		}))
	}
	end := time.Now().Add(patience)
	for wait := firstTry; ; wait *= 2 {
		res, err := b.client.Do(r) //nolint:bodyclose // head closes it, or the answer holds it until it is delivered
		switch {
		case err == nil:
			return b.head(res)
		case ctx.Err() != nil:
			return answer{}, ctx.Err()
		case !notDialled(err):
			return answer{}, fmt.Errorf("the connection to the gateway ended before the answer (%w): "+
				"the call may have happened, so look before you repeat it", bare(err))
		case errors.Is(err, outcome.Blocked) || time.Now().Add(wait).After(end):
			return answer{}, fmt.Errorf("the gateway at %s cannot be reached (%w): see whether gatehouse serve runs there", b.url, bare(err))
		}
		if r.Body, err = r.GetBody(); err != nil {
			return answer{}, fmt.Errorf("sending once more: %w", err)
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return answer{}, ctx.Err()
		}
	}
}

// bare takes method and address off an error of net/http.
func bare(err error) error {
	if inner := errors.Unwrap(err); inner != nil {
		return inner
	}
	return err
}

// head reads what an answer begins with, and all of it where the status is an error.
func (b *bridge) head(res *http.Response) (answer, error) {
	a := answer{status: res.StatusCode, body: res.Body, session: res.Header.Get(wire.HeaderSession)}
	a.kind, _, _ = mime.ParseMediaType(res.Header.Get("Content-Type"))
	if a.status < http.StatusMultipleChoices {
		return a, nil
	}
	defer func() { _ = res.Body.Close() }()
	var err error
	if a.words, err = io.ReadAll(io.LimitReader(res.Body, maxWords)); err != nil {
		a.words = nil // the status says enough
	}
	return a, nil
}

// deliver writes the frames of an answer to the client. id is the request's, zero for what needs no answer; a request whose
// answer does not come is an error. look, if not nil, sees the response first and may keep it from the client.
func (b *bridge) deliver(a answer, id wire.ID, look func(wire.Frame) (keep bool)) error {
	if a.status >= http.StatusMultipleChoices {
		return b.deliverError(a, id)
	}
	defer func() { _ = a.body.Close() }()
	for text, err := range a.frames() {
		if err != nil {
			return fmt.Errorf("the answer of the gateway was cut short (%w): the call may have happened, so look before you repeat it", err)
		}
		f, err := wire.ParseFrame(text)
		if err != nil {
			b.tell("the gateway sent what is no frame: %s", err)
			continue
		}
		ours := f.Kind == wire.Response || f.Kind == wire.ErrorResponse
		if ours && f.ID != id && !f.ID.IsZero() || ours && id.IsZero() {
			b.tell("the gateway answered request %s, which was not asked here", f.ID)
			continue
		}
		if ours && f.ID.IsZero() { // it could not read the request's id
			text = wire.AppendError(nil, id, f.Error)
		}
		if look == nil || !ours || !look(f) {
			b.out.line(text)
		}
		if ours {
			return nil
		}
	}
	if !id.IsZero() {
		return fmt.Errorf("the gateway ended its answer (HTTP %d) without a result: the call may have happened, so look before you repeat it", a.status)
	}
	return nil
}

// deliverError passes on an error that is a frame, and puts any other into words.
func (b *bridge) deliverError(a answer, id wire.ID) error {
	if f, err := wire.ParseFrame(a.words); err == nil && f.Kind == wire.ErrorResponse && !id.IsZero() {
		switch f.ID {
		case id:
			b.out.line(a.words)
			return nil
		case wire.ID{}:
			b.out.line(wire.AppendError(nil, id, f.Error))
			return nil
		}
	}
	return fmt.Errorf("the gateway answered HTTP %d%s", a.status, inWords(a))
}

// inWords gives the first line of an error's text, if it is one.
func inWords(a answer) string {
	text, _, _ := strings.Cut(strings.TrimSpace(string(a.words)), "\n")
	if a.kind == "text/html" || text == "" {
		return ""
	}
	text = strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, text)
	if r := []rune(text); len(r) > 300 {
		text = string(r[:300]) + "…"
	}
	return ": " + text
}

// frames gives the texts of an answer's frames in their order.
func (a answer) frames() func(func([]byte, error) bool) {
	return func(yield func([]byte, error) bool) {
		if a.kind != "text/event-stream" {
			text, err := io.ReadAll(io.LimitReader(a.body, maxFrame+1))
			if err == nil && len(text) > maxFrame {
				err = fmt.Errorf("it is longer than %d bytes", maxFrame)
			}
			if err != nil || len(bytes.TrimSpace(text)) > 0 {
				yield(text, err)
			}
			return
		}
		events := wire.NewEvents(a.body, maxFrame)
		for {
			e, err := events.Next()
			if errors.Is(err, io.EOF) || err == nil && !yield(e.Data, nil) {
				return
			}
			if err != nil {
				yield(nil, err)
				return
			}
		}
	}
}

// mismatched reports whether an error is that headers do not repeat the body.
func mismatched(words []byte) bool {
	f, err := wire.ParseFrame(words)
	return err == nil && f.Kind == wire.ErrorResponse && f.Error.Code == wire.HeaderMismatch
}
