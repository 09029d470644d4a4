package gatetest

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"sync"
	"testing"
)

// sessionHeader is the header by which a balancer keeps an MCP session on the replica that opened it.
const sessionHeader = "Mcp-Session-Id"

// Dial opens a connection to a replica.
type Dial func(context.Context) (net.Conn, error)

// RoundRobin is the reverse proxy that stands before replicas: each request goes to the next one, and a request of an MCP
// session to the one that opened it. The session of a replica that went away goes to another one, which does not know it.
// It keeps nothing else apart: the calls of one token and one WebSocket after the other land where they land.
type RoundRobin struct {
	listener net.Listener
	mu       sync.Mutex // guards all below
	behind   []*behind
	next     int
	sessions map[string]int // MCP session to replica
	sent     []int          // requests, for each replica
}

// behind is the way to one replica; one that is away is nil.
type behind struct {
	proxy     *httputil.ReverseProxy
	transport *http.Transport
}

// NewRoundRobin listens on loopback for as long as the test lasts, with room for so many replicas, all of them away.
func NewRoundRobin(t testing.TB, replicas int) *RoundRobin {
	t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatalf("listening as the round robin: %v", err)
	}
	r := &RoundRobin{listener: listener, behind: make([]*behind, replicas), sessions: map[string]int{}, sent: make([]int, replicas)}
	server := &http.Server{Handler: r}
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(func() {
		_ = server.Close()
		for i := range replicas {
			r.Away(i)
		}
	})
	return r
}

// Address is where clients connect.
func (r *RoundRobin) Address() string { return r.listener.Addr().String() }

// Back says that a replica is there, and how it is reached.
func (r *RoundRobin) Back(replica int, dial Dial) {
	transport := &http.Transport{
		DialContext:        func(ctx context.Context, _, _ string) (net.Conn, error) { return dial(ctx) },
		DisableCompression: true,
	}
	b := &behind{transport: transport}
	b.proxy = &httputil.ReverseProxy{
		Transport: transport,
		Rewrite: func(p *httputil.ProxyRequest) {
			p.SetURL(&url.URL{Scheme: "http", Host: "replica"})
			p.Out.Host = p.In.Host // as the client named it: the replica judges it
			p.Out.URL.RawQuery = p.In.URL.RawQuery
		},
		ModifyResponse: func(res *http.Response) error {
			r.remember(res.Header.Get(sessionHeader), replica)
			return nil
		},
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, err error) {
			if unreachable(err) {
				r.Away(replica)
			}
			w.WriteHeader(http.StatusBadGateway)
		},
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.behind[replica] = b
}

// unreachable reports whether there was nobody to connect to.
func unreachable(err error) bool {
	var op *net.OpError
	return errors.As(err, &op) && op.Op == "dial" || errors.Is(err, net.ErrClosed)
}

// Away says that a replica is not there any more. It is found out, too, at the cost of one request.
func (r *RoundRobin) Away(replica int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if b := r.behind[replica]; b != nil {
		b.transport.CloseIdleConnections()
		r.behind[replica] = nil
	}
}

// Sent is how many requests went to a replica.
func (r *RoundRobin) Sent(replica int) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.sent[replica]
}

// Keeps is the replica that opened an MCP session.
func (r *RoundRobin) Keeps(session string) (replica int, known bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	replica, known = r.sessions[session]
	return replica, known
}

func (r *RoundRobin) remember(session string, replica int) {
	if session == "" {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, known := r.sessions[session]; !known {
		r.sessions[session] = replica
	}
}

// choose gives the way for a request.
func (r *RoundRobin) choose(session string) *behind {
	r.mu.Lock()
	defer r.mu.Unlock()
	if at, known := r.sessions[session]; known && r.behind[at] != nil {
		r.sent[at]++
		return r.behind[at]
	}
	for range r.behind {
		at := r.next
		r.next = (r.next + 1) % len(r.behind)
		if r.behind[at] != nil {
			r.sent[at]++
			return r.behind[at]
		}
	}
	return nil
}

// ServeHTTP implements http.Handler.
func (r *RoundRobin) ServeHTTP(w http.ResponseWriter, q *http.Request) {
	to := r.choose(q.Header.Get(sessionHeader))
	if to == nil {
		w.WriteHeader(http.StatusBadGateway)
		return
	}
	// A replica may answer before net/http has looked whether more of the body comes, which by then may be closed: that breaks
	// the answer off. What is here as a whole cannot.
	body, err := io.ReadAll(q.Body)
	if err != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	if q.Body = http.NoBody; len(body) > 0 {
		q.Body = io.NopCloser(bytes.NewReader(body))
	}
	to.proxy.ServeHTTP(w, q)
}
