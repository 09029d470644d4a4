package mcp

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/coder/websocket"

	"gatehouse/gate"
	"gatehouse/httpfront"
	"gatehouse/outcome"
	"gatehouse/secret"
	"gatehouse/wire"
)

const stopping = "the server stops"

const (
	subprotocol    = "mcp" // what the SDKs' WebSocket transports speak: one JSON-RPC message a frame
	requestsEach   = 256   // requests of one socket at a time; then it is not read until one has ended
	subscriptsEach = 64    // modern subscriptions of one socket
)

// statusTokenEnded closes a socket whose token is revoked or past its end, or whose owner was disabled.
const statusTokenEnded websocket.StatusCode = 4401

// socket is one WebSocket. Like a session it grants nothing: the caller is built anew for each message. Besides the reading
// goroutine it has some only while there is something to do, so that an idle one costs little.
type socket struct {
	h      *Handler
	conn   *websocket.Conn
	raw    net.Conn // beneath conn
	token  secret.Text
	id     gate.TokenID // of token
	origin gate.Origin
	watch  *gate.Watch
	calls  underway
	heard  atomic.Int64 // Unix seconds when the client last gave a sign of life
	asked  atomic.Bool  // a ping is on its way

	mu          sync.Mutex // guards all below
	outbox      outbox
	initialized bool         // by a legacy client
	listens     []subscribed // modern
	leaving     bool         // no request is taken any more
	running     int          // requests
	bytes       int64        // of their frames
	room        sync.Cond    // for a further request
	waiting     bool         // for room: nothing is read meanwhile, no pong either
	closing     *closing     // why the server closes; nil while it does not
	asking      bool         // for whom a message is
	later       *closing     // what came up meanwhile
	gone        bool         // the reading goroutine has ended
	limit       *time.Timer  // ends a close that the client does not answer
}

// subscribed is a modern subscription of a socket.
type subscribed struct {
	id    wire.ID
	tools bool
}

// closing is what a client is told when the server closes its socket.
type closing struct {
	code   websocket.StatusCode
	reason string // at most 123 bytes
}

// Socket serves WebSockets at /ws. It ends with the Handler's Close.
func (h *Handler) Socket() http.Handler { return http.HandlerFunc(h.upgrade) }

// upgrade lets a client in. Host and Origin were checked by package httpfront, for every method and path.
func (h *Handler) upgrade(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path != "/ws" {
		http.NotFound(w, r)
		return
	}
	token, shown := httpfront.SocketBearer(r)
	origin := gate.Origin{
		Entry: "ws", Address: httpfront.Address(r), Session: r.Header.Get("Gatehouse-Session"), Task: r.Header.Get("Gatehouse-Task"),
	}
	caller, err := h.gate.Authenticate(r.Context(), gate.Credential{Bearer: token}, origin)
	if err != nil {
		refuseStranger(w, token, shown, err)
		return
	}
	if !offers(r, subprotocol) {
		http.Error(w, "offer the WebSocket subprotocol mcp", http.StatusBadRequest)
		return
	}
	if err := h.sessions.enter(caller.Token()); err != nil {
		http.Error(w, asError(err).Message, http.StatusTooManyRequests)
		return
	}
	small := &slim{ResponseWriter: w}
	conn, err := websocket.Accept(small, r, &websocket.AcceptOptions{
		Subprotocols:       []string{subprotocol},
		InsecureSkipVerify: true, // of the Origin, which httpfront has compared with its list
		CompressionMode:    websocket.CompressionDisabled,
	})
	if err != nil { // and answered
		h.sessions.leave(caller.Token())
		return
	}
	conn.SetReadLimit(-1) // read bounds it, and says so in words
	s := &socket{h: h, conn: conn, raw: small.conn, token: token, id: caller.Token(), origin: origin}
	s.room.L = &s.mu
	s.heard.Store(time.Now().Unix())
	if !h.sockets.add(s) {
		_ = conn.Close(websocket.StatusGoingAway, stopping)
		h.sessions.leave(s.id)
		return
	}
	s.watch = h.gate.Watch(caller, "", s.hear)
	// A goroutine of its own: the one of net/http holds the request and a far larger stack.
	go s.read()
}

// offers reports whether the client offers a subprotocol.
func offers(r *http.Request, name string) bool {
	for _, line := range r.Header.Values("Sec-WebSocket-Protocol") {
		for one := range strings.SplitSeq(line, ",") {
			if strings.TrimSpace(one) == name {
				return true
			}
		}
	}
	return false
}

// slim hands out a hijacked connection with small buffers: those of net/http hold 8 KiB of each socket for ever.
type slim struct {
	http.ResponseWriter
	conn net.Conn
}

// Hijack implements http.Hijacker.
func (s *slim) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, rw, err := http.NewResponseController(s.ResponseWriter).Hijack()
	if err != nil {
		return nil, nil, fmt.Errorf("taking the connection over: %w", err)
	}
	s.conn = conn
	early, err := rw.Reader.Peek(rw.Reader.Buffered())
	if err != nil {
		return nil, nil, errors.Join(fmt.Errorf("taking the connection over: %w", err), conn.Close())
	}
	in := bufio.NewReaderSize(io.MultiReader(bytes.NewReader(bytes.Clone(early)), conn), max(512, len(early)))
	_, err = in.Peek(len(early)) // whoever takes over looks at what is buffered
	return conn, bufio.NewReadWriter(in, bufio.NewWriterSize(conn, 512)), err
}

// read takes messages until the socket ends.
func (s *socket) read() {
	defer s.h.sockets.remove(s)
	for {
		body, err := s.next()
		if err != nil {
			break
		}
		s.heard.Store(time.Now().Unix())
		s.take(body)
	}
	s.left()
}

// next reads one message. What is too long or no text ends the socket with that reason.
func (s *socket) next() ([]byte, error) {
	kind, r, err := s.conn.Reader(context.Background())
	if err != nil {
		return nil, err
	}
	if kind != websocket.MessageText {
		s.end(websocket.StatusUnsupportedData, "send text frames with JSON")
		return nil, errors.New("a binary frame")
	}
	limit := s.h.sockets.maxBody
	body, err := io.ReadAll(io.LimitReader(r, limit+1))
	if err == nil && int64(len(body)) > limit {
		s.end(websocket.StatusMessageTooBig, fmt.Sprintf("a message has at most %d bytes", limit))
		return nil, errors.New("a message too long")
	}
	return body, err
}

// take handles one message. The order of checks is that of HTTP: size, token, strict JSON, era, method. It belongs to the
// reading goroutine, so that a cancel never overtakes its request.
func (s *socket) take(body []byte) {
	caller, good, err := s.authenticate()
	if !good {
		return
	}
	q := &request{caller: caller}
	var bad error
	if q.frame, bad = wire.ParseFrame(body); err != nil {
		bad = unavailable(err)
	}
	if bad == nil {
		q.tellSession(s.origin.Session, s.origin.Task)
		if q.era = wire.EraOf("", q.frame); q.era == wire.Modern {
			bad = wire.CheckModern(q.frame)
		}
	}
	if bad != nil {
		if q.frame.Kind != wire.Notification && q.frame.Kind != wire.Response {
			s.send(wire.AppendError(nil, q.frame.ID, asError(bad)))
		}
		return
	}
	switch q.frame.Kind {
	case wire.Request:
		if err := s.request(q, int64(len(body))); err != nil {
			s.send(wire.AppendError(nil, q.frame.ID, asError(err)))
		}
	case wire.Notification:
		if q.frame.Method == "notifications/cancelled" {
			s.calls.cancel(q.frame)
			s.unsubscribe(q.frame)
		}
	case wire.Response, wire.ErrorResponse: // we ask nothing of clients yet
	}
}

// authenticate finds out who sends a message. good is false when the socket ends: either it did so before the message was
// looked at, or because of it, never both, so that a client can tell from the reason whether the message has a row.
func (s *socket) authenticate() (caller gate.Caller, good bool, err error) {
	s.mu.Lock()
	s.asking = s.closing == nil
	asking := s.asking
	s.mu.Unlock()
	if !asking {
		return caller, false, nil // the client has not yet read that it is over
	}
	caller, err = s.h.gate.Authenticate(context.Background(), gate.Credential{Bearer: s.token}, s.origin)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asking = false
	if errors.Is(err, outcome.Unauthenticated) {
		s.endLocked(statusTokenEnded, outcome.Explain(err).Reason)
	} else if s.later != nil {
		s.endLocked(s.later.code, s.later.reason)
	}
	return caller, s.closing == nil, err
}

// request answers a request, or sees to it that it is answered.
func (s *socket) request(q *request, size int64) error {
	if q.era == wire.Legacy {
		switch q.frame.Method {
		case "initialize":
			return s.initialize(q)
		case "ping":
		default:
			if !s.isInitialized() {
				return wire.InvalidRequest.Because("initialize first")
			}
		}
	} else if q.frame.Method == "subscriptions/listen" {
		return s.subscribe(q)
	}
	// A lost connection is a cancel in the modern era alone.
	ctx, end, free := s.calls.begin(s.h.sockets.ctx, q.frame.ID, q.era == wire.Modern)
	if !free {
		return wire.InvalidRequest.Because("a request with this id is under way")
	}
	if !s.enter(size) {
		end()
		return nil // the socket is closing: the client is told why
	}
	s.h.sockets.open.Go(func() {
		defer s.leave(size)
		result, err := s.h.answer(ctx, q, func(p gate.Progress) { s.offer(appendProgress(nil, q.frame.ProgressToken(), p)) })
		switch {
		case end():
		case errors.Is(err, outcome.Unauthenticated): // gone since the token was looked at: another replica knew
			s.end(statusTokenEnded, outcome.Explain(err).Reason)
		case err != nil:
			s.send(wire.AppendError(nil, q.frame.ID, asError(err)))
		default:
			s.send(wire.AppendResult(make([]byte, 0, len(result)+64), q.frame.ID, result))
		}
	})
	return nil
}

// enter waits for a place for a further request. It is false when the socket takes none any more.
func (s *socket) enter(size int64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for !s.leaving && s.closing == nil && s.running > 0 && (s.running >= requestsEach || s.bytes+size > 4*s.h.sockets.maxBody) {
		s.waiting = true
		s.room.Wait()
		s.waiting = false
		s.heard.Store(time.Now().Unix())
	}
	if s.leaving || s.closing != nil {
		return false
	}
	s.running++
	s.bytes += size
	return true
}

func (s *socket) leave(size int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.running--
	s.bytes -= size
	s.room.Signal()
	s.departLocked()
}

// initialize opens the session that a legacy client has for as long as its socket.
func (s *socket) initialize(q *request) error {
	s.mu.Lock()
	again := s.initialized
	s.initialized = true
	s.mu.Unlock()
	if again {
		return wire.InvalidRequest.Because("a session is initialised once")
	}
	s.send(wire.AppendResult(nil, q.frame.ID, s.h.initialized(q)))
	return nil
}

func (s *socket) isInitialized() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.initialized
}

// subscribe opens a modern subscription. It has no answer until the server ends it.
func (s *socket) subscribe(q *request) error {
	one := subscribed{q.frame.ID, q.wantsTools()}
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case slices.ContainsFunc(s.listens, func(l subscribed) bool { return l.id == one.id }):
		return wire.InvalidRequest.Because("a request with this id is under way")
	case len(s.listens) >= subscriptsEach:
		return wire.InvalidRequest.Because("this socket has %d subscriptions: cancel one", subscriptsEach)
	}
	s.listens = append(s.listens, one)
	s.sendLocked(acknowledged(one.id, one.tools))
	return nil
}

// unsubscribe ends a subscription that the client cancels.
func (s *socket) unsubscribe(f wire.Frame) {
	id, _ := f.Params.Lookup("/requestId")
	s.mu.Lock()
	defer s.mu.Unlock()
	s.listens = slices.DeleteFunc(s.listens, func(l subscribed) bool { return l.id.String() == id.String() })
}

// hear is told by the gate what becomes of the caller.
func (s *socket) hear(e gate.Event) {
	switch {
	case e.Ended && e.Unavailable:
		s.end(websocket.StatusTryAgainLater, "nobody can be let in at the moment; try again later")
	case e.Ended:
		s.end(statusTokenEnded, "the token has ended")
	case e.Tools:
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.initialized {
			s.sendLocked(listChanged(changedParams(wire.ID{})))
		}
		for _, l := range s.listens {
			if l.tools {
				s.sendLocked(listChanged(changedParams(l.id)))
			}
		}
	}
}

// left is the end: the client is gone, or the server has closed.
func (s *socket) left() {
	s.watch.Stop()
	s.mu.Lock()
	s.gone = true
	s.outbox.clear()
	why, limit := s.closing, s.limit
	s.mu.Unlock()
	// What the library has to say of a connection that ends anyway is of no use to anyone.
	if why == nil {
		s.calls.leave()
		_ = s.conn.CloseNow()
	} else {
		_ = s.conn.Close(why.code, why.reason) // whoever closes second waits for the first
		limit.Stop()
	}
	s.h.sessions.leave(s.id)
}
