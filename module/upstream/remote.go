package upstream

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"sync"
	"time"

	"gatehouse/canon"
	"gatehouse/wire"
)

// The ways in which an address gives no proper answer.
var (
	errMisfit  = errors.New("an argument does not fit the header that must repeat it")
	errCut     = errors.New("the connection ended before an answer came")
	errEmpty   = errors.New("the server took the request and gave no answer")
	errForeign = errors.New("the server answered something that was not asked")
	errGone    = errors.New("the server had forgotten our session and did nothing; there is a new one, call again")
)

// statusError is an HTTP status that stands for no answer.
type statusError struct{ status int }

func (e *statusError) Error() string {
	switch e.status {
	case http.StatusUnauthorized:
		return "the server refuses the credential that is configured for it, or wants one (HTTP 401)"
	case http.StatusForbidden: // many servers on loopback let one name of theirs in, and no other
		return "the server refuses the credential that is configured for it, or the host in its url (HTTP 403)"
	case http.StatusTooManyRequests:
		return "the server says that it is asked too often (HTTP 429)"
	}
	if e.status/100 == 3 {
		return fmt.Sprintf("the server leads to another address (HTTP %d), which is not followed: configure that one", e.status)
	}
	return fmt.Sprintf("the server answered with HTTP %d", e.status)
}

// refused says that the server did nothing: it is no failure in the middle of doing it.
func (e *statusError) refused() bool { return e.status < 500 && e.status != http.StatusRequestTimeout }

// astray says that another server may stand at the address by now, or one of another era.
func (e *statusError) astray() bool {
	return e.status == http.StatusBadRequest || e.status == http.StatusNotFound || e.status == http.StatusMethodNotAllowed
}

const (
	// patience is how long what nobody waits for may take: a notification, the end of a session.
	patience = 5 * time.Second
	// maxRefusal bounds what is read of the body of a refusal.
	maxRefusal = 64 << 10
	// lingering is how long the end of a stream may take to come after the answer, before its connection is given up. A busy
	// server can be late; a new connection costs both sides more than the wait, which nobody notices.
	lingering = time.Second
	// maxReplies is how many answers to the server's own requests are under way at a time.
	maxReplies = 8
)

// line is an address with all that is sent along to it. The client reaches nothing else, so no header does.
type line struct {
	url    string
	client *http.Client
	header http.Header // the credentials
}

// remote is a server at an address that speaks streamable HTTP. Calls share its connections and its session.
type remote struct {
	*ear
	line
	life  context.Context // of the server: when it ends, so does all that is under way
	pause timing

	leaving    context.Context // ended by leave
	stop       context.CancelFunc
	calls      sync.WaitGroup // what may need the session
	background sync.WaitGroup // what nobody waits for
	replies    chan struct{}  // has a place for each answer that is under way

	renewing chan struct{} // holds one: whoever has it may begin a new session

	mu       sync.Mutex    // guards the rest
	left     bool          // no call begins any more
	session  string        // Mcp-Session-Id; empty where the server gave none
	revision wire.Revision // for the header, once a handshake has found it
}

func newRemote(life context.Context, l line, t timing) *remote {
	r := &remote{ear: newEar(), line: l, life: life, pause: t, replies: make(chan struct{}, maxReplies), renewing: make(chan struct{}, 1)}
	r.leaving, r.stop = context.WithCancel(life)
	return r
}

// leave ends what is kept of the server, once the calls that are under way have ended.
func (r *remote) leave() {
	r.end(errors.New("it was stopped"))
	r.stop()
	r.mu.Lock()
	r.left = true
	r.mu.Unlock()
	r.calls.Wait()
	r.background.Wait()
	if session, _ := r.known(); session != "" {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(r.life), r.pause.grace)
		defer cancel()
		if answer, _, err := r.send(ctx, http.MethodDelete, r.url, nil, r.repeated(question{})); err == nil {
			_ = answer.Body.Close()
		}
	}
	r.client.CloseIdleConnections()
}

func (r *remote) known() (session string, revision wire.Revision) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.session, r.revision
}

// ask implements peer.
func (r *remote) ask(ctx context.Context, q question) (canon.Value, error) {
	session, err := r.enter()
	if err != nil {
		return canon.Value{}, err
	}
	defer r.calls.Done()
	result, _, err := r.post(ctx, q)
	var status *statusError
	switch {
	case errors.As(err, &status) && status.status == http.StatusNotFound && session != "":
		if failed := r.renew(ctx, session); failed != nil {
			return canon.Value{}, fmt.Errorf("%w: the server has forgotten our session, and a new one cannot be had: %w", errUnsent, failed)
		}
		if !q.repeats {
			return canon.Value{}, errGone
		}
		result, _, err = r.post(ctx, q)
	case errors.As(err, &status) && status.astray(), errors.Is(err, errUnsent):
		r.again() // it may be another server by now: if it gives no list any more, we begin anew
	}
	return result, err
}

// enter counts a call in, and gives the session that it begins with.
func (r *remote) enter() (session string, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.left {
		return "", fmt.Errorf("%w: %w", errUnsent, r.cause)
	}
	r.calls.Add(1)
	return r.session, nil
}

// renew begins a new session in the place of one that the server has forgotten, unless another call has done so already.
func (r *remote) renew(ctx context.Context, forgotten string) error {
	select {
	case r.renewing <- struct{}{}:
		defer func() { <-r.renewing }()
	case <-ctx.Done():
		return ctx.Err()
	}
	session, before := r.known()
	if session != forgotten {
		return nil
	}
	revision, err := r.initialize(ctx)
	if err == nil && revision != before {
		err = fmt.Errorf("it speaks revision %s now, and spoke %s", revision, before)
	}
	if err != nil {
		r.end(err)
		return err
	}
	r.again()
	return nil
}

// post sends one request and reads its answer.
func (r *remote) post(ctx context.Context, q question) (result canon.Value, header http.Header, err error) {
	// The exchange outlives the call by the end of its answer: cancelled with the call, its connection would be lost.
	exchange, cancel := context.WithCancel(context.WithoutCancel(ctx))
	withLife, withCall := context.AfterFunc(r.life, cancel), context.AfterFunc(ctx, cancel)
	end := func() { withLife(); withCall(); cancel() }
	id, _ := r.expect(q.tells)
	defer r.unexpect(id)
	header = r.repeated(q)
	if err := wire.SetParamHeaders(header, q.headers, q.args); err != nil {
		end()
		return canon.Value{}, nil, fmt.Errorf("%w: %w", errMisfit, err)
	}
	answer, sent, err := r.send(exchange, http.MethodPost, r.url, q.frame(id), header)
	if err != nil {
		defer end()
		return canon.Value{}, nil, r.failed(ctx, id, sent, err)
	}
	result, err = r.read(answer, id)
	withCall()
	if err != nil && (ctx.Err() != nil || r.life.Err() != nil) {
		err = r.failed(ctx, id, true, err)
	}
	header = answer.Header
	if err == nil && mediaType(answer) == jsonType { // it was read to its end
		_ = answer.Body.Close()
		end()
		return result, header, nil
	}
	r.drain(answer.Body, end)
	return result, header, err
}

// failed says what became of a request that got no answer, and tells the server if nobody waits any more.
func (r *remote) failed(ctx context.Context, id int64, sent bool, err error) error {
	switch {
	case r.life.Err() != nil:
		err = fmt.Errorf("%w: %w", errLost, r.life.Err())
	case ctx.Err() != nil:
		err = ctx.Err()
	case sent:
		err = fmt.Errorf("%w: %w", errCut, err)
	}
	if !sent {
		return fmt.Errorf("%w: %w", errUnsent, err)
	}
	// In the legacy era a lost connection is no cancellation; in the modern one it is the way to say so.
	if _, revision := r.known(); ctx.Err() != nil && revision != "" {
		r.tell(cancelled(id))
	}
	return err
}

// send does one HTTP exchange up to the header of its answer. sent says that there was a connection to send it over.
func (l line) send(ctx context.Context, method, to string, body []byte, header http.Header) (answer *http.Response, sent bool, err error) {
	trace := &httptrace.ClientTrace{GotConn: func(httptrace.GotConnInfo) { sent = true }}
	request, err := http.NewRequestWithContext(httptrace.WithClientTrace(ctx, trace), method, to, bytes.NewReader(body))
	if err != nil {
		return nil, false, err
	}
	request.Header = header
	header["User-Agent"] = userAgent
	for name, values := range l.header {
		header[name] = values
	}
	answer, err = l.client.Do(request)
	var wrapped *url.Error
	if errors.As(err, &wrapped) {
		err = wrapped.Err // without the whole address, which may hold what should not be printed
	}
	return answer, sent, err
}

// What every request says; nothing changes these lists.
var (
	userAgent = []string{"gatehouse"}
	oneFrame  = []string{jsonType}
	either    = []string{jsonType + ", " + eventsType}
)

const (
	jsonType   = "application/json"
	eventsType = "text/event-stream"
)

// mediaType is the type that an answer says to have, without its parameters.
func mediaType(answer *http.Response) string {
	said := answer.Header.Get("Content-Type")
	if said == jsonType || said == eventsType {
		return said // nearly all do, and parsing costs a map
	}
	kind, _, _ := mime.ParseMediaType(said)
	return kind
}

// repeated makes the headers that say again what the body says.
func (r *remote) repeated(q question) http.Header {
	h := make(http.Header, 8)
	h["Content-Type"], h["Accept"] = oneFrame, either
	if q.revision.Era() == wire.Modern {
		wire.SetHeaders(h, q.revision, q.method, q.target)
		return h
	}
	session, revision := r.known()
	if q.method == "initialize" {
		return h
	}
	if session != "" {
		h.Set(wire.HeaderSession, session)
	}
	if revision >= wire.R20250618 {
		h.Set(wire.HeaderProtocolVersion, string(revision))
	}
	return h
}

// read takes the answer to one request out of an HTTP answer.
func (r *remote) read(answer *http.Response, id int64) (canon.Value, error) {
	kind := mediaType(answer)
	switch {
	case answer.StatusCode == http.StatusAccepted, answer.StatusCode == http.StatusNoContent:
		return canon.Value{}, errEmpty
	case answer.StatusCode/100 != 2:
		return canon.Value{}, refusal(answer, kind, id)
	case kind == eventsType:
		return r.stream(answer.Body, id)
	}
	body, err := whole(answer)
	switch {
	case len(body) > maxLine:
		return canon.Value{}, errTooLong
	case err != nil:
		return canon.Value{}, fmt.Errorf("%w: %w", errCut, err)
	case len(bytes.TrimSpace(body)) == 0:
		return canon.Value{}, errEmpty
	case kind != jsonType:
		return canon.Value{}, fmt.Errorf("%w: it is %q", errUnreadable, tidy(kind))
	}
	f, err := wire.ParseFrame(body)
	if err != nil {
		r.noise.unread.Add(1)
		return canon.Value{}, fmt.Errorf("%w: %v", errUnreadable, err) //nolint:errorlint // a *wire.Error would be taken for the server's own
	}
	return r.mine(f, id)
}

// whole reads an answer that is one text, and of one that is too long a byte too many.
func whole(answer *http.Response) ([]byte, error) {
	var text bytes.Buffer
	if said := answer.ContentLength; said > 0 && said <= maxLine {
		text.Grow(int(said) + bytes.MinRead) // so that it never grows
	}
	_, err := text.ReadFrom(io.LimitReader(answer.Body, maxLine+1))
	return text.Bytes(), err
}

// mine takes the answer out of a frame that must be one.
func (r *remote) mine(f wire.Frame, id int64) (canon.Value, error) {
	got, ok := f.ID.Int()
	switch {
	case f.Kind == wire.ErrorResponse && (f.ID.IsZero() || ok && got == id):
		return canon.Value{}, asError(f.Error)
	case f.Kind == wire.Response && ok && got == id:
		return f.Result, nil
	}
	r.noise.foreign.Add(1)
	return canon.Value{}, errForeign
}

// stream reads an event stream up to the answer. What the server says before that is heeded.
func (r *remote) stream(body io.Reader, id int64) (canon.Value, error) {
	events := wire.NewEvents(body, maxLine)
	defer events.Release() // a frame is a copy
	for {
		ev, err := events.Next()
		switch {
		case errors.Is(err, wire.ErrEventTooLong):
			r.noise.long.Add(1)
			return canon.Value{}, errTooLong
		case err != nil:
			return canon.Value{}, fmt.Errorf("%w: %w", errCut, err)
		case ev.Name != "message" || len(ev.Data) == 0:
			continue
		}
		f, err := wire.ParseFrame(ev.Data)
		if err != nil {
			r.noise.unread.Add(1)
			if got, ok := answered(ev.Data, ev.Data); ok && got == id {
				return canon.Value{}, fmt.Errorf("%w: %v", errUnreadable, err) //nolint:errorlint // a *wire.Error would be taken for the server's own
			}
			continue
		}
		if f.Kind == wire.Response || f.Kind == wire.ErrorResponse {
			return r.mine(f, id)
		}
		r.heed(f, r.reply)
	}
}

// refusal reads an HTTP answer that is none: a JSON-RPC error where the body is one, else the status.
func refusal(answer *http.Response, kind string, id int64) error {
	status := &statusError{answer.StatusCode}
	if kind != jsonType {
		return status
	}
	body, err := io.ReadAll(io.LimitReader(answer.Body, maxRefusal))
	if err != nil {
		return status
	}
	f, err := wire.ParseFrame(body)
	if got, ok := f.ID.Int(); err != nil || f.Kind != wire.ErrorResponse || !f.ID.IsZero() && (!ok || got != id) {
		return status
	}
	return &refusedError{f.Error, status}
}

// refusedError is a refusal that says why. It is both.
type refusedError struct {
	why    *wire.Error
	status *statusError
}

func (e *refusedError) Error() string   { return e.status.Error() + ": " + e.why.Error() }
func (e *refusedError) Unwrap() []error { return []error{e.why, e.status} }

// drain reads what is left of an answer, which is nothing but its end with most servers, so that the connection can be
// used again; then it ends the exchange.
func (r *remote) drain(body io.ReadCloser, end func()) {
	r.background.Go(func() {
		defer end()
		late := time.AfterFunc(lingering, end)
		defer late.Stop()
		_, _ = io.CopyN(io.Discard, body, 64<<10)
		_ = body.Close()
	})
}

// tell implements peer.
func (r *remote) tell(method, params string) {
	r.behind(func(ctx context.Context) { _ = r.notify(ctx, method, params) })
}

// notify sends a notification and waits until it was taken.
func (r *remote) notify(ctx context.Context, method, params string) error {
	return r.deliverFrame(ctx, wire.AppendNotification(nil, method, params))
}

// reply sends an answer to what the server asked; if it asks too much at a time, it gets none.
func (r *remote) reply(frame []byte) {
	select {
	case r.replies <- struct{}{}:
	default:
		return
	}
	r.behind(func(ctx context.Context) {
		defer func() { <-r.replies }()
		_ = r.deliverFrame(ctx, frame)
	})
}

// behind does what nobody waits for.
func (r *remote) behind(do func(context.Context)) {
	r.background.Go(func() {
		ctx, cancel := context.WithTimeout(r.life, patience)
		defer cancel()
		do(ctx)
	})
}

// deliverFrame sends what gets no answer.
func (r *remote) deliverFrame(ctx context.Context, frame []byte) error {
	answer, _, err := r.send(ctx, http.MethodPost, r.url, frame, r.repeated(question{}))
	if err != nil {
		return err
	}
	defer func() { _ = answer.Body.Close() }()
	_, _ = io.CopyN(io.Discard, answer.Body, maxRefusal)
	if answer.StatusCode/100 != 2 {
		return &statusError{answer.StatusCode}
	}
	return nil
}
