package httpfront

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"gatehouse/outcome"
)

// parseOrigin gives an origin in the form in which browsers send it: lower case, without the scheme's own port.
func parseOrigin(s string) (string, error) {
	u, err := url.Parse(s)
	if err != nil || u.Scheme == "" || u.Hostname() == "" || u.User != nil || u.Opaque != "" || u.Path != "" ||
		u.RawQuery != "" || u.ForceQuery || u.Fragment != "" || strings.ContainsAny(s, "*#") || strings.HasSuffix(u.Host, ":") {
		return "", fmt.Errorf("%q is not an origin: scheme and host, without a path", s)
	}
	host := strings.ToLower(u.Host)
	if p := u.Port(); p != "" && p == defaultPort(u.Scheme) {
		host = strings.TrimSuffix(host, ":"+p)
	}
	return u.Scheme + "://" + host, nil // url.Parse gives the scheme in lower case
}

// checkOrigin holds for every method: a GET that opens a stream or answers with data is as good to a stranger as a POST.
func (f *Front) checkOrigin(r *http.Request) error {
	switch origins := r.Header.Values("Origin"); len(origins) {
	case 0:
		// Browsers leave Origin out of a GET that a page makes without CORS (an image, a script), but say where it is from.
		// Ports do not count for same-site: any other program's page on localhost is one. Only same-origin and none are ours.
		for _, site := range r.Header.Values("Sec-Fetch-Site") {
			if site != "same-origin" && site != "none" {
				return outcome.NotAllowed.Because("a page of another site may not ask here")
			}
		}
		return nil
	case 1:
		if f.own[origins[0]] || f.foreign[origins[0]] {
			return nil
		}
	}
	return outcome.NotAllowed.Because("a page of this origin may not ask here; see allowed_origins in the configuration")
}

// cors lets pages of allowed origins read answers, and answers their preflights; then it reports true and the request is
// done. Cookies are never let in this way.
func (f *Front) cors(w http.ResponseWriter, r *http.Request) bool {
	w.Header().Add("Vary", "Origin")
	origin := r.Header.Get("Origin")
	if !f.foreign[origin] {
		return false
	}
	h := w.Header()
	h.Set("Access-Control-Allow-Origin", origin)
	h.Set("Access-Control-Expose-Headers", "ETag, Location, Mcp-Session-Id, Retry-After, WWW-Authenticate")
	if r.Method != http.MethodOptions || r.Header.Get("Access-Control-Request-Method") == "" {
		return false
	}
	h.Set("Access-Control-Allow-Methods", "GET, POST, PUT, DELETE")
	if asked := r.Header.Get("Access-Control-Request-Headers"); asked != "" {
		h.Set("Access-Control-Allow-Headers", asked) // headers give no right: the token in one does
	}
	h.Set("Access-Control-Max-Age", "600")
	w.WriteHeader(http.StatusNoContent)
	return true
}
