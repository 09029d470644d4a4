package upstream

import (
	"errors"
	"fmt"
	"maps"
	"net/textproto"
	"net/url"
	"slices"
	"strings"

	"gatehouse/canon"
	"gatehouse/egress"
	"gatehouse/module"
)

// identity names what a right to a tool of the server is bound to: its command, or its address. A command is a list and
// an address a text, so neither can be taken for the other.
func (s Server) identity() (canon.Digest, error) {
	var what any = s.Command
	if s.URL != "" {
		what = s.URL
	}
	v, err := canon.From(what)
	return v.Digest(), err
}

// allow is where the server may be reached.
func (s Server) allow() (egress.Allow, error) { return egress.Configured(s.URL, s.Private) }

// own are the headers that the protocol or the connection needs.
var own = strings.Fields(`Accept Accept-Encoding Connection Content-Encoding Content-Length Content-Type Expect Forwarded Host
	Keep-Alive Last-Event-Id Origin Proxy-Authorization Proxy-Connection Te Trailer Transfer-Encoding Upgrade User-Agent`)

func (s Server) checkAddress(module.Kit) error {
	if len(s.Command) > 0 || len(s.Env) > 0 || len(s.EnvFrom) > 0 || !s.Sandbox.IsZero() {
		return errors.New("it has url as well as command, env, env_from or sandbox: it is either an address or a program")
	}
	u, err := url.Parse(s.URL)
	if err != nil {
		return errors.New("url is not an address") // the error repeats it, and it may hold what should not be printed
	}
	if _, err := s.allow(); err != nil {
		return fmt.Errorf("url: %w", err)
	}
	switch {
	case u.Scheme != "http" && u.Scheme != "https":
		return errors.New("url must begin with http:// or https://")
	case u.Fragment != "" || strings.HasSuffix(s.URL, "#"):
		return errors.New("url has a part after #, which no server gets to see")
	case len(s.HeadersFrom) > 0 && s.Credentials != "shared":
		return errors.New("headers_from is sent for everybody who may call: write credentials: shared beside it")
	case len(s.HeadersFrom) == 0 && s.Credentials != "":
		return errors.New("credentials says for whom headers_from is sent, and there is none")
	}
	return s.checkHeaders()
}

func (s Server) checkHeaders() error {
	seen := map[string]bool{}
	for _, name := range slices.Sorted(maps.Keys(s.HeadersFrom)) {
		usual := textproto.CanonicalMIMEHeaderKey(name)
		switch {
		case !isHeader(name):
			return fmt.Errorf("headers_from: %q cannot be a header", name)
		case slices.Contains(own, usual) || strings.HasPrefix(usual, "Mcp-"):
			return fmt.Errorf("headers_from: header %s is the protocol's own", usual)
		case seen[usual]:
			return fmt.Errorf("headers_from: header %s stands there twice", usual)
		}
		seen[usual] = true
	}
	return nil
}

// isHeader says that s is a token of RFC 9110 §5.6.2.
func isHeader(s string) bool {
	for _, r := range s {
		if r <= ' ' || r >= 0x7f || strings.ContainsRune(`"(),/:;<=>?@[\]{}`, r) {
			return false
		}
	}
	return s != ""
}

// address is how the server is shown: a query may hold what should not be.
func (s Server) address() string {
	u, err := url.Parse(s.URL)
	if err != nil || s.URL == "" {
		return ""
	}
	return u.Scheme + "://" + u.Host + u.EscapedPath()
}
