package httpfront

import (
	"net/http"
	"net/netip"
	"strings"

	"gatehouse/outcome"
)

// Address gives the client's address, behind trusted proxies the one that they name. It is not valid where the peer has
// none, as on an in-memory listener: a rule about networks must then refuse.
func Address(r *http.Request) netip.Addr {
	at, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return netip.Addr{}
	}
	return plain(at.Addr())
}

func plain(a netip.Addr) netip.Addr { return a.Unmap().WithZone("") }

// findClient walks X-Forwarded-For from the right, where the nearest proxy wrote, and stops at the first address that is
// not a trusted proxy: whatever stands left of it was written by a stranger.
func (f *Front) findClient(r *http.Request) error {
	client := Address(r)
	hops := strings.Split(strings.Join(r.Header.Values("X-Forwarded-For"), ","), ",")
	for i := len(hops) - 1; i >= 0 && f.trusts(client); i-- {
		hop := strings.TrimSpace(hops[i])
		if hop == "" && len(hops) == 1 {
			return nil // a proxy's own request, such as a health check
		}
		var err error
		if client, err = parseHop(hop); err != nil {
			// To go on with the proxy's address would let a network rule pass that was made for the proxy's network.
			return outcome.Invalid.Because("X-Forwarded-For, as the trusted proxy wrote it, is not a list of addresses")
		}
		r.RemoteAddr = netip.AddrPortFrom(client, 0).String()
	}
	return nil
}

// parseHop takes an address, or one with a port as some proxies write it.
func parseHop(s string) (netip.Addr, error) {
	if at, err := netip.ParseAddrPort(s); err == nil {
		return plain(at.Addr()), nil
	}
	a, err := netip.ParseAddr(strings.Trim(s, "[]"))
	return plain(a), err
}

func (f *Front) trusts(a netip.Addr) bool {
	for _, p := range f.trusted {
		if p.Contains(a) {
			return true
		}
	}
	return false
}
