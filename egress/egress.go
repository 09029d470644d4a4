// Package egress is the only place that opens a connection: to hosts that the configuration or a permitted call named,
// each an [Allow]. It must never follow a redirect elsewhere, take a proxy from the environment, or connect to an address
// that was not checked at the moment of dialling.
//
// Names are resolved first and every address they give is checked when it is dialled, so a name that changes its answer
// between a look-up and the connection gains nothing. Which addresses are public comes from the IANA registries, through
// code.dny.dev/ssrf. A refusal is [outcome.Blocked]. An [Egress] may be used from any goroutine.
package egress

import (
	"context"
	"math"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"syscall"
	"time"

	"code.dny.dev/ssrf"

	"gatehouse/outcome"
)

// Config is what an [Egress] is made from. Its zero value works.
type Config struct {
	// Observe, if set, is told of every attempt to connect, before the address is checked: "tcp4" and "127.0.0.1:80",
	// "unix" and a path, and the look-ups of Go's own resolver ("udp" and the name server). It is called from many
	// goroutines.
	Observe func(network, address string)
	// Resolver looks names up. Nil is the system's.
	Resolver *net.Resolver
	// MaxBody bounds the body of a response in bytes, after it was inflated. Zero is 16 MiB.
	MaxBody int64
	// Timeout bounds a whole exchange of [Egress.Client], the body included. Zero is 60 s.
	Timeout time.Duration
}

// Egress dials.
type Egress struct {
	config  Config
	public  *ssrf.Guardian
	private *ssrf.Guardian
}

// New makes an Egress. It connects to nothing by itself.
func New(c Config) *Egress {
	if c.Observe == nil {
		c.Observe = func(string, string) {}
	}
	if c.MaxBody == 0 {
		c.MaxBody = 16 << 20
	}
	if c.Timeout == 0 {
		c.Timeout = time.Minute
	}
	e := &Egress{
		config: c,
		public: ssrf.New(ssrf.WithAnyPort()),
		// What an operator means by private: their own networks. Not link-local, where clouds keep machine credentials.
		private: ssrf.New(ssrf.WithAnyPort(),
			ssrf.WithAllowedV4Prefixes(prefixes("10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16")...),
			ssrf.WithAllowedV6Prefixes(prefixes("::1/128", "fc00::/7")...)),
	}
	if c.Resolver == nil {
		e.config.Resolver = &net.Resolver{Dial: e.dialNameServer}
	}
	return e
}

func prefixes(list ...string) []netip.Prefix {
	all := make([]netip.Prefix, len(list))
	for i, p := range list {
		all[i] = netip.MustParsePrefix(p)
	}
	return all
}

// Dial opens a connection to the place that was allowed.
func (e *Egress) Dial(ctx context.Context, to Allow) (net.Conn, error) {
	if to.word == nobody {
		return nil, refused("nothing")
	}
	network := "tcp"
	if to.scheme == "unix" {
		network = "unix"
	}
	return e.dial(ctx, to, network, to.address())
}

// Redial opens another connection to the very machine that an open one of the same place has reached, where the place's
// name may lead to several: a database takes the order to end a statement only where that statement runs.
func (e *Egress) Redial(ctx context.Context, to Allow, open net.Conn) (net.Conn, error) {
	if to.word == nobody || to.scheme == "unix" {
		return e.Dial(ctx, to)
	}
	at := open.RemoteAddr()
	return e.dial(ctx, to, at.Network(), at.String())
}

// dial connects after the check, and only then.
func (e *Egress) dial(ctx context.Context, to Allow, network, address string) (net.Conn, error) {
	d := e.dialer()
	d.ControlContext = func(_ context.Context, network, address string, _ syscall.RawConn) error {
		e.config.Observe(network, address)
		return e.check(to, network, address)
	}
	return d.DialContext(ctx, network, address)
}

// Dialer is [Egress.Dial] in the form that database drivers and transports ask for: it opens connections to the places
// that were allowed and refuses all others. For the network "unix" the address is the socket's path.
func (e *Egress) Dialer(to ...Allow) func(ctx context.Context, network, address string) (net.Conn, error) {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		i := slices.IndexFunc(to, func(a Allow) bool {
			return a.address() == address && (a.scheme == "unix") == (network == "unix")
		})
		if i < 0 {
			return nil, refused(address)
		}
		return e.Dial(ctx, to[i])
	}
}

func (e *Egress) dialer() *net.Dialer {
	return &net.Dialer{Timeout: 10 * time.Second, KeepAlive: 30 * time.Second, Resolver: e.config.Resolver}
}

// dialNameServer lets the recorder see look-ups too. Which name server is asked is the system's word.
func (e *Egress) dialNameServer(ctx context.Context, network, address string) (net.Conn, error) {
	e.config.Observe(network, address)
	return (&net.Dialer{Timeout: 5 * time.Second}).DialContext(ctx, network, address)
}

// metadata are addresses inside private ranges where clouds hand out a machine's credentials; see also 169.254.0.0/16.
var metadata = [...]netip.Addr{
	netip.MustParseAddr("fd00:ec2::254"),   // AWS
	netip.MustParseAddr("fd20:ce::254"),    // Google Cloud
	netip.MustParseAddr("100.100.100.200"), // Alibaba Cloud
}

// check decides on one resolved address, at the moment when it is dialled.
func (e *Egress) check(to Allow, network, address string) error {
	if to.scheme == "unix" {
		if network == "unix" && address == to.host {
			return nil
		}
		return refused(address)
	}
	at, err := netip.ParseAddrPort(address)
	if err != nil || at.Port() != to.port {
		return refused(address)
	}
	ip := at.Addr().Unmap()
	switch to.word {
	case literally:
		if ip == to.literal {
			return nil
		}
		return refused(address)
	case private:
		if slices.Contains(metadata[:], ip) {
			return refused(address)
		}
		err = e.private.SafeAddr(ip)
	case named, requested:
		err = e.public.SafeAddr(ip)
	default:
		return refused(address)
	}
	if err != nil {
		return outcome.Blocked.From(err, "%s leads to an address that may not be reached from here", to)
	}
	return nil
}

func refused(address string) error {
	return outcome.Blocked.Because("%s is not an address that may be reached from here", address)
}

// Client makes an HTTP client for one place, and for no other: a request elsewhere fails before anything is dialled, and
// a redirect is handed to the caller as it came. Close its idle connections when it is no longer needed.
func (e *Egress) Client(to Allow) *http.Client {
	transport := &http.Transport{
		Proxy: nil, // with one, the check would see the proxy's address
		// bound has compared the request's place with this one, whatever form its address was written in.
		DialContext:            func(ctx context.Context, _, _ string) (net.Conn, error) { return e.Dial(ctx, to) },
		ForceAttemptHTTP2:      true,
		MaxConnsPerHost:        64,
		MaxIdleConnsPerHost:    8,
		IdleConnTimeout:        90 * time.Second,
		TLSHandshakeTimeout:    10 * time.Second,
		ResponseHeaderTimeout:  e.config.Timeout,
		ExpectContinueTimeout:  time.Second,
		MaxResponseHeaderBytes: 64 << 10,
	}
	return &http.Client{
		Transport:     &bound{to: to, max: e.config.MaxBody, next: transport},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Timeout:       e.config.Timeout,
	}
}

// Stream makes an HTTP client like [Egress.Client] for answers that may stay open for long, or grow for long: it bounds
// neither how long an exchange takes nor how much comes. Who uses it must bound both, by context and while reading.
func (e *Egress) Stream(to Allow) *http.Client {
	c := e.Client(to)
	c.Timeout = 0
	if b, ok := c.Transport.(*bound); ok {
		b.max = math.MaxInt64 - 1
		b.next.ResponseHeaderTimeout = 0
		// What waits for a free connection would wait for calls that may take minutes. The gate bounds how many run.
		// As many are kept: the end of a stream is read behind its caller's back, so that more connections than calls come and go.
		b.next.MaxConnsPerHost, b.next.MaxIdleConnsPerHost = 0, 256
	}
	return c
}
