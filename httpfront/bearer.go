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

// bearerProtocol begins a subprotocol of a WebSocket in which a browser shows its token, since it can set no header.
const bearerProtocol = "bearer."

// SocketBearer is [Bearer] for a WebSocket: the token stands in the Authorization header, or in a second subprotocol
// bearer.TOKEN. Two tokens are none: nobody should have to guess which of them counts.
func SocketBearer(r *http.Request) (secret.Text, bool) {
	var tokens []string
	for _, line := range r.Header.Values("Sec-WebSocket-Protocol") {
		for one := range strings.SplitSeq(line, ",") {
			if token, ok := strings.CutPrefix(strings.TrimSpace(one), bearerProtocol); ok {
				tokens = append(tokens, token)
			}
		}
	}
	if len(tokens) == 0 {
		return Bearer(r)
	}
	if len(tokens) > 1 || len(r.Header.Values("Authorization")) > 0 || r.URL.Query().Has("access_token") ||
		len(tokens[0]) > maxBearer || !isToken68(tokens[0]) {
		return secret.Text{}, false
	}
	return secret.New(tokens[0]), true
}
