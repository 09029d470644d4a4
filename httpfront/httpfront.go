// Package httpfront is what every HTTP entry shares before it looks at a request: the size of the body, which Host and
// Origin are ours, the client's address behind trusted proxies, security headers and the server's time-outs; and how a
// bearer is taken from its header. It must never decide what a caller may do.
//
// Browsers are the reason for Host and Origin: a page of a stranger can send requests to a loopback address, and a name
// of a stranger can be made to resolve to it (DNS rebinding). The order of checks is fixed: size, Host, Origin, then the
// handler, which looks at the token. A [Front] may be used from any goroutine.
//
// Sources: RFC 9110 (Host, Authorization), RFC 6454 (Origin), RFC 6750 (Bearer), RFC 9457 (problem documents),
// the Fetch standard (CORS) and W3C Fetch Metadata (Sec-Fetch-Site).
package httpfront

import (
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"time"

	"gatehouse/outcome"
)

// Config says what is ours.
type Config struct {
	// Listen is the address that is really bound, as 127.0.0.1:8080: with port 0 in the configuration, the port that the
	// system gave. On a loopback address the names localhost, 127.0.0.1 and [::1] with this port are ours.
	Listen string
	// TLS says that we speak it ourselves: the origins of a loopback address are then https.
	TLS bool
	// PublicURL is where clients find us, scheme and host; empty if only Listen is used.
	PublicURL string
	// AllowedHosts are further names for the Host header. Without a port, those of http and https are meant.
	AllowedHosts []string
	// AllowedOrigins are browsers and extensions besides PublicURL, as https://host or chrome-extension://id. Pages of
	// these origins may read answers (CORS).
	AllowedOrigins []string
	// TrustedProxies are the peers whose X-Forwarded-For counts.
	TrustedProxies []netip.Prefix
	// MaxBody is the most bytes that a request may carry. Zero is 4 MiB.
	MaxBody int64
	// Log gets what net/http has to say of broken connections. Nil is slog's default.
	Log *slog.Logger
}

// Front guards HTTP handlers. Nothing in it changes after New.
type Front struct {
	hosts   map[string]bool // as they may stand in the Host header, lower case
	own     map[string]bool // our own origins
	foreign map[string]bool // allowed_origins, which need CORS
	trusted []netip.Prefix
	maxBody int64
	log     *slog.Logger
}

// New makes a Front, or says which part of the configuration is not what it should be.
func New(c Config) (*Front, error) {
	f := &Front{
		hosts: map[string]bool{}, own: map[string]bool{}, foreign: map[string]bool{},
		trusted: c.TrustedProxies, maxBody: c.MaxBody, log: c.Log,
	}
	if f.maxBody == 0 {
		f.maxBody = 4 << 20
	}
	if f.log == nil {
		f.log = slog.Default()
	}
	bound, err := netip.ParseAddrPort(c.Listen)
	if err != nil {
		return nil, fmt.Errorf("reading the listen address: %w", err)
	}
	if bound.Port() == 0 {
		return nil, fmt.Errorf("the listen address %s has no port: pass the one that is bound", c.Listen)
	}
	if bound.Addr().Unmap().IsLoopback() {
		f.addLoopback(bound, c.TLS)
	}
	if c.PublicURL != "" {
		if err := f.addPublic(c.PublicURL); err != nil {
			return nil, err
		}
	}
	for _, h := range c.AllowedHosts {
		if err := f.addHost(h); err != nil {
			return nil, err
		}
	}
	for _, o := range c.AllowedOrigins {
		origin, err := parseOrigin(o)
		if err != nil {
			return nil, err
		}
		f.foreign[origin] = true
	}
	return f, nil
}

// Wrap puts the checks before a handler. The handler finds the client's address in RemoteAddr (see [Address]) and may
// set its own Content-Security-Policy and Cache-Control. WebSocket upgrades pass through.
func (f *Front) Wrap(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		secure(w.Header())
		r = r.WithContext(r.Context()) // a copy: the caller's request is not changed
		if r.ContentLength > f.maxBody {
			refuse(w, http.StatusRequestEntityTooLarge, outcome.Invalid.Because("the body is larger than %d bytes", f.maxBody))
			return
		}
		if r.Body != nil {
			r.Body = http.MaxBytesReader(w, r.Body, f.maxBody)
		}
		if err := f.checkHost(r); err != nil {
			refuse(w, http.StatusForbidden, err)
			return
		}
		if err := f.checkOrigin(r); err != nil {
			refuse(w, http.StatusForbidden, err)
			return
		}
		if err := f.findClient(r); err != nil {
			refuse(w, http.StatusBadRequest, err)
			return
		}
		if f.cors(w, r) {
			return
		}
		next.ServeHTTP(w, r)
	})
}

// bodyTime is how long a client may take to send a whole request, the header's five seconds included.
const bodyTime = 30 * time.Second

// Server makes a server with all time-outs set. There is none on writing, because streams stay open; a handler that
// streams sets its own deadlines. The time for reading ends with the body, so a handler may then wait as long as it
// likes; one that waits before it has read the body loses the body.
func (f *Front) Server(h http.Handler) *http.Server {
	return &http.Server{
		Handler:           h,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       bodyTime,
		IdleTimeout:       120 * time.Second,
		MaxHeaderBytes:    32 << 10,
		ErrorLog:          slog.NewLogLogger(f.log.Handler(), slog.LevelWarn),
	}
}

// secure sets what is right for an answer that is data. A handler that serves pages sets its own policy over it.
func secure(h http.Header) {
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
	h.Set("Cache-Control", "no-store")
}
