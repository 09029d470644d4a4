package httpfront

import (
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"strings"

	"gatehouse/outcome"
)

// defaultPort is left out of Host and Origin by clients.
func defaultPort(scheme string) string {
	switch scheme {
	case "http":
		return "80"
	case "https":
		return "443"
	}
	return ""
}

func (f *Front) addLoopback(bound netip.AddrPort, tls bool) {
	scheme := "http"
	if tls {
		scheme = "https"
	}
	port := strconv.Itoa(int(bound.Port()))
	for _, name := range []string{"localhost", "127.0.0.1", "::1", bound.Addr().Unmap().String()} {
		host := net.JoinHostPort(name, port)
		f.hosts[host] = true
		if usual := defaultPort(scheme); port == usual {
			host = strings.TrimSuffix(host, ":"+usual)
			f.hosts[host] = true
		}
		f.own[scheme+"://"+host] = true
	}
}

func (f *Front) addPublic(public string) error {
	origin, err := parseOrigin(strings.TrimSuffix(public, "/"))
	if err != nil {
		return fmt.Errorf("reading the public URL: %w", err)
	}
	scheme, host, _ := strings.Cut(origin, "://")
	if defaultPort(scheme) == "" {
		return fmt.Errorf("the public URL %s is neither http nor https", public)
	}
	f.own[origin] = true
	f.hosts[host] = true
	if u, err := url.Parse(origin); err == nil && u.Port() == "" {
		f.hosts[host+":"+defaultPort(scheme)] = true
	}
	return nil
}

func (f *Front) addHost(host string) error {
	u, err := url.Parse("http://" + host)
	if err != nil || u.Host != host || u.Hostname() == "" || u.User != nil || strings.ContainsAny(host, "/?#*@ ") ||
		strings.HasSuffix(u.Hostname(), ".") || strings.HasSuffix(host, ":") {
		return fmt.Errorf("the allowed host %q is not a name or an address, with a port or without", host)
	}
	host = strings.ToLower(host)
	f.hosts[host] = true
	if u.Port() == "" {
		f.hosts[host+":80"], f.hosts[host+":443"] = true, true
	}
	return nil
}

// checkHost compares the whole Host header with what is ours: no suffix or prefix rule can be met by localhost.evil or
// 127.0.0.1.nip.io, and a trailing dot, user name or odd port is simply another string.
func (f *Front) checkHost(r *http.Request) error {
	// A request line in absolute form, or CONNECT, speaks to a proxy, and its host would win over the header's.
	if r.URL.Host != "" || r.URL.Scheme != "" || r.Method == http.MethodConnect {
		return outcome.NotAllowed.Because("this server is not a proxy")
	}
	if !f.hosts[strings.ToLower(r.Host)] {
		return outcome.NotAllowed.Because("the Host header does not name this server; see allowed_hosts in the configuration")
	}
	return nil
}
