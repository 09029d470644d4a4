// Package urls looks at arguments that are web addresses: absolute http or https, without a user, and with a host that
// lies in the public network. It must never look a name up or connect: what a name leads to is checked where the
// connection is made, by package egress. What is refused here would lead inwards, or means different hosts to different
// programs.
//
// Which addresses are public comes from the IANA registries, through code.dny.dev/ssrf. Sources: WHATWG URL (hosts that
// end in a number), RFC 6761, 6762, 8375 and ICANN's .internal (names that are never public).
package urls

import (
	"context"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"code.dny.dev/ssrf"

	"gatehouse/guard"
)

// Guard implements [guard.Guard] for URLs. It has no state besides the registry.
type Guard struct{ public *ssrf.Guardian }

// New makes the guard.
func New() Guard { return Guard{ssrf.New(ssrf.WithAnyPort())} }

// Name implements [guard.Guard].
func (Guard) Name() string { return "urls" }

// Looks implements [guard.Guard].
func (Guard) Looks(stage guard.Stage, kind guard.Kind) bool {
	return stage == guard.Before && kind == guard.URL
}

// maxURL is what browsers and servers take at the most, in bytes.
const maxURL = 8192

// fault is a rule that an address breaks.
type fault struct{ rule, kind, reason string }

var (
	form     = fault{"form", "malformed-url", "this is not an address that all programs read alike; send a plain http or https address"}
	scheme   = fault{"scheme", "scheme", "only http and https addresses can be used here"}
	control  = fault{"control", "control-character", "the address holds white space, control characters or a backslash; encode them or leave them out"}
	long     = fault{"long", "long-url", "the address is longer than 8192 bytes"}
	user     = fault{"user", "user-in-url", "a user or password does not belong into an address; leave it out"}
	port     = fault{"port", "port", "the port must be a number from 1 to 65535"}
	letters  = fault{"letters", "international-host", "write an international name in its xn-- form"}
	numbers  = fault{"number", "address-in-disguise", "the host ends in a number but is no address in the usual form; write it as 192.0.2.1 or [2001:db8::1]"}
	inwards  = fault{"inwards", "internal-address", "this address is not in the public network and cannot be reached from here"}
	internal = fault{"name", "internal-name", "this name is not in the public network and cannot be reached from here"}
)

// Inspect implements [guard.Guard].
func (g Guard) Inspect(_ context.Context, s guard.Subject) ([]guard.Finding, error) {
	f := g.look(s.Text)
	if f == (fault{}) {
		return nil, nil
	}
	return []guard.Finding{{Rule: f.rule, Kind: f.kind, End: len(s.Text), Action: guard.Block, Reason: f.reason}}, nil
}

// look gives the rule that an address breaks, or nothing.
func (g Guard) look(text string) fault {
	switch {
	case len(text) > maxURL:
		return long
	case !utf8.ValidString(text) || strings.ContainsFunc(text, unwelcome):
		return control
	}
	u, err := url.Parse(text)
	if err != nil {
		return form
	}
	if s := strings.ToLower(u.Scheme); s != "http" && s != "https" {
		return scheme
	}
	// http:example.org and http:///example.org are one host to browsers and none to others.
	if u.Opaque != "" || u.Host == "" {
		return form
	}
	if u.User != nil {
		return user
	}
	if !goodPort(u) {
		return port
	}
	return g.lookAtHost(strings.ToLower(u.Hostname()), strings.HasPrefix(u.Host, "["))
}

// unwelcome reports letters that some programs drop or turn into others: white space, control characters, backslash.
func unwelcome(r rune) bool {
	return r <= ' ' || r >= 0x7f && r <= 0xa0 || r == '\\' || r == 0x3000 || r == 0xfeff ||
		r >= 0x2000 && r <= 0x200f || r >= 0x2028 && r <= 0x202f || r >= 0x205f && r <= 0x206f
}

func goodPort(u *url.URL) bool {
	if u.Port() == "" {
		return !strings.HasSuffix(u.Host, ":")
	}
	n, err := strconv.ParseUint(u.Port(), 10, 16)
	return err == nil && n > 0
}

// lookAtHost judges a host in lower case.
func (g Guard) lookAtHost(host string, bracketed bool) fault {
	if ip, err := netip.ParseAddr(host); err == nil {
		if ip.Is6() != bracketed || ip.Zone() != "" {
			return form
		}
		return g.lookAtAddress(ip)
	}
	if bracketed {
		return form
	}
	if strings.ContainsFunc(host, func(r rune) bool { return r >= utf8.RuneSelf }) {
		return letters
	}
	host = strings.TrimSuffix(host, ".")
	labels := strings.Split(host, ".")
	if len(host) > 253 || !slices.ContainsFunc(labels, func(l string) bool { return l != "" }) {
		return form
	}
	for _, l := range labels {
		if l == "" || len(l) > 63 || strings.Trim(l, "abcdefghijklmnopqrstuvwxyz0123456789-_") != "" {
			return form
		}
	}
	switch last := labels[len(labels)-1]; {
	case isNumber(last):
		return numbers
	case len(labels) == 1 || slices.Contains(internalTops, last) || strings.HasSuffix(host, ".home.arpa"):
		return internal // a name without a dot is looked up among the neighbours
	}
	return g.lookInside(labels)
}

// internalTops are top-level names that are never public.
var internalTops = []string{"local", "localhost", "localdomain", "internal", "intranet", "private", "corp", "home", "lan", "invalid", "test", "onion"}

// isNumber reports whether a browser would take the host for an IPv4 address: https://url.spec.whatwg.org/#ends-in-a-number-checker.
func isNumber(label string) bool {
	if strings.Trim(label, "0123456789") == "" {
		return true
	}
	hex, ok := strings.CutPrefix(label, "0x")
	return ok && strings.Trim(hex, "0123456789abcdef") == ""
}

// lookAtAddress asks the registry. Forms of IPv6 that carry an IPv4 address (mapped, NAT64, 6to4) are refused whatever
// they carry: nobody honest writes them.
func (g Guard) lookAtAddress(ip netip.Addr) fault {
	if g.public.SafeAddr(ip) != nil {
		return inwards
	}
	return fault{}
}

// lookInside finds addresses inside names. Public services answer 127.0.0.1.example and 127-0-0-1.example with that very
// address, so such a name leads wherever its letters say.
func (g Guard) lookInside(labels []string) fault {
	for i := range labels {
		if i+4 <= len(labels) {
			if f := g.lookInsideLabel(strings.Join(labels[i:i+4], ".")); f != (fault{}) {
				return f
			}
		}
		parts := strings.Split(labels[i], "-")
		for j := 0; j+4 <= len(parts); j++ {
			if f := g.lookInsideLabel(strings.Join(parts[j:j+4], ".")); f != (fault{}) {
				return f
			}
		}
	}
	return fault{}
}

func (g Guard) lookInsideLabel(text string) fault {
	if ip, err := netip.ParseAddr(text); err == nil && ip.Is4() {
		return g.lookAtAddress(ip)
	}
	return fault{}
}
