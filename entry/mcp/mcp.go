// Package mcp is the entry for MCP clients: streamable HTTP and WebSockets, the revisions with a handshake (legacy) and the
// one without (modern, 2026-07-28) on one address. It must never decide: it finds out who is calling, hands the call to the
// gate, and translates the outcome by the table in outcome.go.
//
// The order of checks is fixed: size, Host and Origin (package httpfront, before this one), the token, strict JSON, the
// era, headers against the body, the method. Every request carries its token, and the caller is built anew each time: a
// session is nothing but a place for streams and cancellation.
//
// What a request means is said once, in request.go; exchange (HTTP) and socket (WebSocket) bring requests there.
//
// At /mcp and /ws stand all tools of a caller under their exported names, at /mcp/{module} those of one module under their own.
//
// Sources: MCP revisions 2025-03-26 to 2026-07-28, chapters basic/transports, basic/lifecycle, server/tools.
package mcp

import (
	"bytes"
	"errors"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"gatehouse/gate"
	"gatehouse/httpfront"
	"gatehouse/outcome"
	"gatehouse/secret"
	"gatehouse/wire"
)

// Config says how the entry presents itself, and what bounds a WebSocket.
type Config struct {
	Version string        // of Gatehouse
	Log     *slog.Logger  // nil: slog.Default
	MaxBody int64         // bytes of one message on a WebSocket; 0: 4 MiB
	Drain   time.Duration // how long Close waits for the calls of WebSockets
}

// Handler serves MCP. It is safe for concurrent use.
type Handler struct {
	gate     *gate.Gate
	log      *slog.Logger
	server   string // serverInfo, as JSON
	sessions *sessions
	sockets  *sockets
	headers  sync.Map // definition of a tool → []wire.ParamHeader that its schema asks for
	closing  chan struct{}
	closed   sync.Once
}

// New makes the entry.
func New(g *gate.Gate, c Config) *Handler {
	h := &Handler{gate: g, log: c.Log, sessions: newSessions(), sockets: newSockets(c), closing: make(chan struct{})}
	if h.log == nil {
		h.log = slog.Default()
	}
	h.server = string(appendString([]byte(`{"name":"gatehouse","title":"Gatehouse","version":`), c.Version)) + `}`
	return h
}

// Close ends all open streams, and all WebSockets once their calls are answered or the time for that is over. HTTP requests
// that come later are still answered.
func (h *Handler) Close() error {
	h.closed.Do(func() {
		close(h.closing)
		h.sockets.close()
	})
	return nil
}

// exchange is one HTTP request of an authenticated caller.
type exchange struct {
	request
	w         http.ResponseWriter
	r         *http.Request
	withdrawn func() bool // ends a call that the client could take back, and reports whether it did; nil where it cannot
}

// ServeHTTP implements http.Handler.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	x := &exchange{w: w, r: r, request: request{header: r.Header}}
	var ok bool
	if x.module, ok = module(r.URL.Path); !ok {
		http.NotFound(w, r)
		return
	}
	token, shown := httpfront.Bearer(r)
	caller, err := h.gate.Authenticate(r.Context(), gate.Credential{Bearer: token}, gate.Origin{
		Entry: "mcp", Address: httpfront.Address(r), Session: r.Header.Get("Gatehouse-Session"), Task: r.Header.Get("Gatehouse-Task"),
		Trace: r.Header.Get("Traceparent"),
	})
	if err != nil {
		refuseStranger(w, token, shown, err)
		return
	}
	x.caller = caller
	switch r.Method {
	case http.MethodPost:
		h.post(x)
	case http.MethodGet:
		h.get(x)
	case http.MethodDelete:
		h.delete(x)
	default:
		w.Header().Set("Allow", "DELETE, GET, POST")
		x.plain(http.StatusMethodNotAllowed, "use POST")
	}
}

// module finds which tools a path is for: /mcp or /mcp/{module}.
func module(path string) (name string, ok bool) {
	rest := strings.TrimPrefix(strings.TrimPrefix(path, "/t"), "/mcp")
	name = strings.TrimPrefix(rest, "/")
	return name, rest == "" || rest == "/" || rest[0] == '/' && !strings.Contains(name, "/")
}

// refuseStranger answers who is not known, without saying why.
func refuseStranger(w http.ResponseWriter, token secret.Text, shown bool, err error) {
	status := http.StatusUnauthorized
	e := outcome.Explain(err)
	if errors.Is(err, outcome.Unauthenticated) {
		challenge := "Bearer"
		if shown && !token.IsZero() {
			challenge = `Bearer error="invalid_token"`
		}
		w.Header().Set("WWW-Authenticate", challenge)
	} else {
		status = http.StatusServiceUnavailable
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	body := appendString([]byte(`{"error":`), e.Code.String())
	body = appendString(append(body, `,"error_description":`...), e.Reason)
	_, _ = w.Write(append(body, "}\n"...))
}

// post takes one frame.
func (h *Handler) post(x *exchange) {
	if kind, _, _ := strings.Cut(x.r.Header.Get("Content-Type"), ";"); !strings.EqualFold(strings.TrimSpace(kind), "application/json") {
		x.plain(http.StatusUnsupportedMediaType, "send Content-Type: application/json")
		return
	}
	if !accepts(x.r, "application/json") || !accepts(x.r, "text/event-stream") {
		x.plain(http.StatusNotAcceptable, "send Accept: application/json, text/event-stream")
		return
	}
	body, err := whole(x.r)
	if err != nil {
		var tooLarge *http.MaxBytesError
		if errors.As(err, &tooLarge) {
			x.plain(http.StatusRequestEntityTooLarge, "the body is too large")
			return
		}
		x.plain(http.StatusBadRequest, "the body cannot be read")
		return
	}
	if x.frame, err = wire.ParseFrame(body); err != nil {
		x.fail(http.StatusBadRequest, err)
		return
	}
	x.tellSession(x.r.Header.Get("Gatehouse-Session"), x.r.Header.Get("Gatehouse-Task"))
	if x.era = wire.EraOf(x.r.Header.Get(wire.HeaderProtocolVersion), x.frame); x.era == wire.Modern {
		h.modern(x)
		return
	}
	h.legacy(x)
}

// whole reads a body. What the client says of its length saves growing, and is believed no further.
func whole(r *http.Request) ([]byte, error) {
	var body bytes.Buffer
	if r.ContentLength > 0 {
		body.Grow(int(min(r.ContentLength, 16<<10)) + bytes.MinRead)
	}
	_, err := body.ReadFrom(r.Body)
	return body.Bytes(), err
}

// accepts reports whether the client takes answers of a type. A header that is missing takes all.
func accepts(r *http.Request, kind string) bool {
	lists := r.Header.Values("Accept")
	if len(lists) == 0 {
		return true
	}
	group, _, _ := strings.Cut(kind, "/")
	for _, list := range lists {
		for one := range strings.SplitSeq(list, ",") {
			one, _, _ = strings.Cut(one, ";")
			switch strings.ToLower(strings.TrimSpace(one)) {
			case kind, group + "/*", "*/*":
				return true
			}
		}
	}
	return false
}

// plain answers what is no JSON-RPC.
func (x *exchange) plain(status int, text string) {
	http.Error(x.w, text, status)
}

// fail answers a frame with a JSON-RPC error.
func (x *exchange) fail(status int, err error) {
	x.json(status, wire.AppendError(nil, x.frame.ID, asError(err)))
}

// result answers a request.
func (x *exchange) result(result []byte) {
	head, tail := wire.ResultFrame(x.frame.ID)
	x.json(http.StatusOK, head, result, tail)
}

// json answers with the parts of one text.
func (x *exchange) json(status int, parts ...[]byte) {
	length := 0
	for _, part := range parts {
		length += len(part)
	}
	h := x.w.Header()
	h["Content-Type"] = jsonType
	// Without it net/http cuts what is larger than its buffer into chunks, which costs both sides.
	h["Content-Length"] = []string{strconv.Itoa(length)}
	x.w.WriteHeader(status)
	for _, part := range parts {
		_, _ = x.w.Write(part)
	}
}

// jsonType is the type of nearly all answers; nothing changes the list.
var jsonType = []string{"application/json"}

// taken answers a notification or a response: there is nothing to say.
func (x *exchange) taken() { x.w.WriteHeader(http.StatusAccepted) }
