// Package rest is the entry for programs that speak plain HTTP: tools as POST requests, the built-in modules as resources,
// an OpenAPI document of the caller's own tools, and a page to read it. It must never decide: it finds out who is calling,
// hands the call to the gate and translates the outcome by one table (outcome.go).
//
// Every path goes through one funnel: bearer, [gate.Gate.Authenticate], request, [gate.Gate.Call], answer. Only the probes,
// the reference page and answers about paths and methods need no bearer; they are the same for everyone. The handler must be
// mounted under httpfront, which looks at Host and Origin and bounds the body. It keeps no state of callers and is safe for
// concurrent use.
//
// Sources: RFC 9110 (methods, conditional requests), RFC 9457 (problem documents), RFC 6585 (428), RFC 6750 (bearer),
// OpenAPI 3.1.1.
package rest

import (
	"context"
	"log/slog"
	"maps"
	"net/http"
	"path"
	"slices"
	"strings"

	"gatehouse/gate"
	"gatehouse/httpfront"
	"gatehouse/outcome"
)

// Config is what the entry has to know besides the gate.
type Config struct {
	PublicURL string                      // where clients find us, for the OpenAPI document; empty: the address that they used
	Version   string                      // of the program, for the OpenAPI document
	Ready     func(context.Context) error // whether calls can be served now; its error is logged, never shown. nil: always
	Log       *slog.Logger                // of the process. nil: slog.Default
}

// entry holds nothing that changes after New, but for what readiness was last seen.
type entry struct {
	gate   *gate.Gate
	config Config
	log    *slog.Logger
	ready  readiness
}

// caller handles a request of somebody who was authenticated.
type caller func(http.ResponseWriter, *http.Request, gate.Caller)

// New gives the handler of all paths of this entry; any other path is answered with a problem of status 404.
func New(g *gate.Gate, c Config) http.Handler {
	e := &entry{gate: g, config: c, log: c.Log}
	if e.log == nil {
		e.log = slog.Default()
	}
	p := paths{mux: http.NewServeMux(), methods: map[string][]string{}}
	p.handle(http.MethodGet, "/healthz", e.healthz)
	p.handle(http.MethodGet, "/readyz", e.readyz)
	p.handle(http.MethodGet, "/v1/docs", e.page)
	p.handle(http.MethodGet, "/v1/docs/{file}", e.asset)
	p.handle(http.MethodGet, "/v1/openapi.json", e.known(e.openAPI))
	p.handle(http.MethodGet, "/v1/tools", e.known(e.list))
	p.handle(http.MethodPost, "/v1/tools/{tool}", e.known(e.tool))
	for _, r := range routes {
		p.handle(r.method, r.path, e.known(func(w http.ResponseWriter, req *http.Request, c gate.Caller) { e.resource(w, req, c, r) }))
	}
	p.refuseTheRest()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		// The mux would answer with a redirect, and there is nothing at a second spelling of a path.
		if p := r.URL.EscapedPath(); path.Clean(p) != p {
			noSuchPath(w, r)
			return
		}
		p.mux.ServeHTTP(w, r)
	})
}

// known finds out who is calling before it goes on. A request without a good token ends here.
func (e *entry) known(next caller) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		bearer, _ := httpfront.Bearer(r) // a header that holds none is the empty bearer, which the gate refuses and counts
		c, err := e.gate.Authenticate(r.Context(), gate.Credential{Bearer: bearer}, gate.Origin{
			Entry:   "rest",
			Address: httpfront.Address(r),
			Session: strings.ToValidUTF8(r.Header.Get("Gatehouse-Session"), "\uFFFD"),
			Task:    strings.ToValidUTF8(r.Header.Get("Gatehouse-Task"), "\uFFFD"),
			Trace:   r.Header.Get("Traceparent"),
		})
		if err != nil {
			answer(w, explained(err))
			return
		}
		next(w, r, c)
	}
}

// paths is a mux whose own answers (no such path, no such method) are problems too.
type paths struct {
	mux     *http.ServeMux
	methods map[string][]string // of each path
}

func (p *paths) handle(method, path string, h http.HandlerFunc) {
	p.mux.HandleFunc(method+" "+path, h)
	p.methods[path] = append(p.methods[path], method)
	if method == http.MethodGet {
		p.methods[path] = append(p.methods[path], http.MethodHead)
	}
}

func (p *paths) refuseTheRest() {
	for _, path := range slices.Sorted(maps.Keys(p.methods)) {
		methods := slices.Sorted(slices.Values(p.methods[path]))
		allow := strings.Join(methods, ", ")
		p.mux.HandleFunc(path, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Allow", allow)
			refuse(w, http.StatusMethodNotAllowed, outcome.Invalid.Because("this path takes %s", allow))
		})
	}
	p.mux.HandleFunc("/", noSuchPath)
}

func noSuchPath(w http.ResponseWriter, _ *http.Request) {
	refuse(w, http.StatusNotFound, outcome.NotFound.Because("there is nothing at this path; GET /v1/openapi.json lists what there is"))
}
