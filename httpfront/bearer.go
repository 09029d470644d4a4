package httpfront

import (
	"net/http"
	"strings"

	"gatehouse/secret"
)

// maxBearer is far longer than any token of ours, and short enough to hash at once.
const maxBearer = 4096

// Bearer takes the token out of the Authorization header: exactly one such header, the scheme Bearer in any case, one
// space, and a token of the signs that RFC 6750 allows. Anything else is false, and so is a request that carries
// access_token in its query besides: tokens in addresses end in logs and histories. Nothing is said about whether the
// token is good.
func Bearer(r *http.Request) (secret.Text, bool) {
	headers := r.Header.Values("Authorization")
	if len(headers) != 1 || r.URL.Query().Has("access_token") {
		return secret.Text{}, false
	}
	scheme, token, ok := strings.Cut(headers[0], " ")
	if !ok || !strings.EqualFold(scheme, "Bearer") || len(token) > maxBearer || !isToken68(token) {
		return secret.Text{}, false
	}
	return secret.New(token), true
}

// isToken68 checks the token68 form of RFC 9110 §11.2.
func isToken68(s string) bool {
	s = strings.TrimRight(s, "=")
	if s == "" {
		return false
	}
	for i := range len(s) {
		c := s[i]
		if !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.IndexByte("-._~+/", c) >= 0) {
			return false
		}
	}
	return true
}
