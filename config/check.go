package config

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"strings"
	"time"
)

// check looks at each value and at values together. It gives the first fault and the path to the value that has it.
func (f *File) check() (path []any, err error) {
	for _, c := range []struct {
		path []any
		err  error
	}{
		{[]any{"listen"}, f.checkListen()},
		{[]any{"public_url"}, checkPublicURL(f.PublicURL)},
		{[]any{"tls"}, f.checkTLS()},
		{[]any{"metrics", "listen"}, f.checkMetrics()},
		{[]any{"otlp", "endpoint"}, checkEndpoint(f.OTLP.Endpoint)},
		{[]any{"store", "postgres_owner_dsn_env"}, f.checkStore()},
		{[]any{"tokens", "default_ttl"}, atLeast(f.Tokens.DefaultTTL, time.Second)},
		{[]any{"tokens", "max_ttl"}, f.checkMaxTTL()},
		{[]any{"tokens", "max_per_person"}, atLeast(f.Tokens.MaxPerPerson, 1)},
		{[]any{"limits", "body"}, errors.Join(atLeast(f.Limits.Body, 1<<10), atMost(f.Limits.Body, 1<<30))},
		{[]any{"limits", "calls_per_minute"}, atLeast(f.Limits.CallsPerMinute, 1)},
		{[]any{"limits", "in_flight"}, atLeast(f.Limits.InFlight, 1)},
		{[]any{"audit", "payload"}, atMost(f.Audit.Payload, 16<<20)},
		{[]any{"audit", "keep_payloads"}, atLeast(f.Audit.KeepPayloads, day)},
	} {
		if c.err != nil {
			return c.path, c.err
		}
	}
	return f.checkLists()
}

func (f *File) checkLists() (path []any, err error) {
	for i, p := range f.TrustedProxies {
		if p.Bits() == 0 {
			return []any{"trusted_proxies", i}, fmt.Errorf("%s would let anybody name any address as theirs", p)
		}
	}
	for i, o := range f.AllowedOrigins {
		if !isOrigin(o) {
			return []any{"allowed_origins", i}, fmt.Errorf("%q is not an origin: write scheme and host, as https://host or chrome-extension://id", o)
		}
	}
	for i, h := range f.AllowedHosts {
		if !isHost(h) {
			return []any{"allowed_hosts", i}, fmt.Errorf("%q is not a host: write a name or an address, with a port or without", h)
		}
	}
	for i, r := range f.Backup.Recipients {
		if !isRecipient(r) { // not repeated: it may be the secret key
			return []any{"backup", "recipients", i}, errors.New("this is not a public key of age: write it as age1…")
		}
	}
	if f.Backup.Folder != "" && len(f.Backup.Recipients) == 0 {
		return []any{"backup", "folder"}, errors.New("a folder for persons' backups needs recipients beside it, who can open them")
	}
	return nil, nil
}

// isRecipient takes what looks like a public key of age; whoever encrypts takes it apart.
func isRecipient(s string) bool {
	return strings.HasPrefix(s, "age1") && len(s) > 20 && strings.Trim(s, "abcdefghijklmnopqrstuvwxyz0123456789") == ""
}

// checkListen also writes localhost as the address that it stands for, so that all who read Listen can parse it.
func (f *File) checkListen() (err error) {
	at, err := listenAddress(&f.Listen)
	if err != nil {
		return err
	}
	if !at.Addr().Unmap().IsLoopback() && len(f.TrustedProxies) == 0 && f.TLS.IsZero() {
		return fmt.Errorf("%s is not a loopback address, and tokens would cross the network in the clear: "+
			"give a certificate in tls, or let a proxy that speaks TLS stand in front and name it in trusted_proxies", f.Listen)
	}
	return nil
}

// checkMetrics takes any address: the figures name nobody.
func (f *File) checkMetrics() error {
	if f.Metrics.Listen == "" {
		return nil
	}
	at, err := listenAddress(&f.Metrics.Listen)
	if err == nil && at.Port() != 0 && f.Metrics.Listen == f.Listen {
		return errors.New("this is the address of listen; the metrics need one of their own")
	}
	return err
}

// listenAddress reads an address to bind, after it wrote localhost as the address that it stands for.
func listenAddress(listen *string) (at netip.AddrPort, err error) {
	if port, ok := strings.CutPrefix(*listen, "localhost:"); ok {
		*listen = "127.0.0.1:" + port
	}
	if at, err = netip.ParseAddrPort(*listen); err != nil {
		return at, fmt.Errorf("%q is not an address and a port, such as 127.0.0.1:8080", *listen)
	}
	if at.Addr().Zone() != "" {
		return at, fmt.Errorf("%q has a zone; write an address without one", *listen)
	}
	return at, nil
}

func (f *File) checkTLS() error {
	if (f.TLS.CertFile == "") != (f.TLS.KeyFile == "") {
		return errors.New("cert_file and key_file belong together: one of them is missing")
	}
	return nil
}

func checkEndpoint(s string) error {
	if s == "" {
		return nil
	}
	u, err := url.Parse(s)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || !isHost(u.Host) || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return errors.New("this is not http:// or https:// and a host, with a path or without") // not repeated: it may hold a password
	}
	return nil
}

func checkPublicURL(s string) error {
	if s == "" {
		return nil
	}
	u, err := url.Parse(s)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || !isOrigin(strings.TrimSuffix(s, "/")) {
		return errors.New("this is not http:// or https:// and a host, without a path, user or query") // not repeated: it may hold a password
	}
	return nil
}

func (f *File) checkStore() error {
	if !f.Store.PostgresOwnerDSN.IsZero() && f.Store.PostgresDSN.IsZero() {
		return fmt.Errorf("postgres_owner_dsn_env needs postgres_dsn_env beside it")
	}
	return nil
}

func (f *File) checkMaxTTL() error {
	if f.Tokens.MaxTTL < f.Tokens.DefaultTTL {
		return errors.New("max_ttl is shorter than default_ttl")
	}
	return nil
}

func atLeast[T time.Duration | int | Size](value, least T) error {
	if value < least {
		return fmt.Errorf("%v is too little: at least %v", value, least)
	}
	return nil
}

func atMost[T time.Duration | int | Size](value, most T) error {
	if value > most {
		return fmt.Errorf("%v is too much: at most %v", value, most)
	}
	return nil
}

// isOrigin takes a scheme and a host, with a port or without, and nothing more. "null" and "*" are no origins.
func isOrigin(s string) bool {
	scheme, host, ok := strings.Cut(s, "://")
	return ok && scheme != "" && strings.Trim(strings.ToLower(scheme), "abcdefghijklmnopqrstuvwxyz0123456789+-.") == "" && isHost(host)
}

// isHost takes a DNS name, an IPv4 address or an IPv6 address in brackets, with a port from 1 to 65535 or without.
func isHost(s string) bool {
	host := s
	if h, port, err := net.SplitHostPort(s); err == nil {
		if at, err := netip.ParseAddrPort("127.0.0.1:" + port); err != nil || at.Port() == 0 {
			return false
		}
		if host = h; strings.Contains(h, ":") {
			host = "[" + h + "]"
		}
	}
	if inner, ok := strings.CutPrefix(host, "["); ok {
		a, err := netip.ParseAddr(strings.TrimSuffix(inner, "]"))
		return err == nil && a.Is6() && a.Zone() == "" && strings.HasSuffix(inner, "]")
	}
	for label := range strings.SplitSeq(strings.ToLower(host), ".") {
		if label == "" || len(label) > 63 || strings.Trim(label, "abcdefghijklmnopqrstuvwxyz0123456789-_") != "" {
			return false
		}
	}
	return len(host) <= 253
}
