package egress

import (
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"strconv"
	"strings"

	"gatehouse/outcome"
)

// Allow is one place that may be dialled: a scheme, a host and a port, and whose word it stands on. The zero value
// allows nothing. It is made by [Configured], [Requested] or [Socket] alone.
type Allow struct {
	scheme  string // http, https, tcp, unix
	host    string // lower case, an address in its usual form or a name; for unix the path
	port    uint16
	literal netip.Addr // valid if the host is an address
	word    word
}

// word says how far an Allow reaches.
type word uint8

const (
	nobody    word = iota // the zero value: nothing may be dialled
	requested             // a permitted call named it: public addresses only
	named                 // the operator wrote a name: public addresses only
	private               // the operator wrote a name and private: true beside it
	literally             // the operator wrote this very address
)

// Configured is a place that the operator's configuration names, as http://, https:// or tcp://HOST:PORT. An address
// written literally may be private; a name must resolve to public addresses unless mayBePrivate was written beside it.
func Configured(rawURL string, mayBePrivate bool) (Allow, error) {
	a, err := parse(rawURL)
	switch {
	case err != nil:
		return Allow{}, err
	case a.literal.IsValid():
		a.word = literally
	case mayBePrivate:
		a.word = private
	default:
		a.word = named
	}
	return a, nil
}

// Requested is a place that the arguments of a permitted call name, as http:// or https://: public addresses only,
// whatever the configuration says of others.
func Requested(rawURL string) (Allow, error) {
	a, err := parse(rawURL)
	if err != nil {
		return Allow{}, outcome.Blocked.From(err, "this address cannot be reached from here")
	}
	if a.scheme == "tcp" {
		return Allow{}, outcome.Blocked.Because("only http and https addresses can be reached from here")
	}
	a.word = requested
	return a, nil
}

// Socket is a Unix socket that the operator's configuration or the data folder names.
func Socket(path string) Allow { return Allow{scheme: "unix", host: path, word: literally} }

// String gives scheme, host and port.
func (a Allow) String() string {
	switch a.scheme {
	case "":
		return "nowhere"
	case "unix":
		return "unix:" + a.host
	}
	return a.scheme + "://" + a.address()
}

func (a Allow) address() string {
	if a.scheme == "unix" {
		return a.host
	}
	return net.JoinHostPort(a.host, strconv.Itoa(int(a.port)))
}

// covers reports whether other is the same place.
func (a Allow) covers(other Allow) bool {
	return a.word != nobody && a.scheme == other.scheme && a.host == other.host && a.port == other.port
}

// parse takes scheme, host and port out of a URL. The rest of it says nothing about where the connection goes.
func parse(rawURL string) (Allow, error) {
	u, err := url.Parse(rawURL)
	if err != nil {
		// url.Error repeats the whole URL, which may hold what should not be printed.
		return Allow{}, fmt.Errorf("the address is not a URL")
	}
	return place(u)
}

func place(u *url.URL) (Allow, error) {
	a := Allow{scheme: strings.ToLower(u.Scheme), host: strings.ToLower(u.Hostname())}
	ports := map[string]uint16{"http": 80, "https": 443, "tcp": 0}
	port, ok := ports[a.scheme]
	switch {
	case !ok:
		return Allow{}, fmt.Errorf("the scheme %q is none of http, https", u.Scheme)
	case u.User != nil:
		return Allow{}, fmt.Errorf("a user or password does not belong into an address")
	case u.Opaque != "" || a.host == "":
		return Allow{}, fmt.Errorf("the address has no host")
	}
	if p := u.Port(); p != "" {
		n, err := strconv.ParseUint(p, 10, 16)
		if err != nil {
			return Allow{}, fmt.Errorf("the port %q is not a number from 1 to 65535", p)
		}
		port = uint16(n)
	}
	if port == 0 {
		return Allow{}, fmt.Errorf("the address has no port")
	}
	a.port = port
	return a, a.readHost()
}

// readHost tells addresses from names, and refuses what other programs would read as an address but Go would ask a
// name server for: 2130706433, 0x7f000001, 0177.0.0.1, 127.1 (https://url.spec.whatwg.org/#ends-in-a-number-checker).
func (a *Allow) readHost() error {
	if ip, err := netip.ParseAddr(a.host); err == nil {
		if ip.Zone() != "" {
			return fmt.Errorf("an address with a zone cannot be reached from here")
		}
		a.literal = ip.Unmap()
		a.host = a.literal.String()
		return nil
	}
	if len(a.host) > 253 {
		return fmt.Errorf("the host is longer than 253 characters")
	}
	for _, r := range a.host {
		if !(r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || r == '-' || r == '.' || r == '_') {
			return fmt.Errorf("the host holds %q: write an international name in its xn-- form", r)
		}
	}
	labels := strings.Split(strings.TrimSuffix(a.host, "."), ".")
	for _, l := range labels {
		if l == "" || len(l) > 63 {
			return fmt.Errorf("the host has an empty or too long part")
		}
	}
	last := labels[len(labels)-1]
	if _, err := strconv.ParseUint(last, 10, 64); err == nil || strings.HasPrefix(last, "0x") || strings.Trim(last, "0123456789") == "" {
		return fmt.Errorf("the host ends in a number but is no address in the usual form")
	}
	return nil
}
