package config

import (
	"fmt"
	"math"
	"net/netip"
	"strconv"
	"strings"
	"time"
)

const day = 24 * time.Hour

// ParseDuration reads a length of time as the file writes it, for flags that say the same.
func ParseDuration(text string) (time.Duration, error) { return parseDuration(text) }

// parseDuration takes what time.ParseDuration takes, with whole days in front: 90d, 1d12h. A day has 24 hours.
func parseDuration(text string) (time.Duration, error) {
	fault := fmt.Errorf("%q is not a length of time such as 30s, 24h or 90d", text)
	rest := text
	var total time.Duration
	if days, after, ok := strings.Cut(text, "d"); ok {
		n, err := strconv.ParseUint(days, 10, 16)
		if err != nil || n > math.MaxInt64/uint64(day) {
			return 0, fault
		}
		if total, rest = time.Duration(n)*day, after; rest == "" {
			return total, nil
		}
	}
	d, err := time.ParseDuration(rest)
	if err != nil || d < 0 || rest == "0" || strings.HasPrefix(rest, "+") || total+d < total {
		return 0, fault
	}
	return total + d, nil
}

// parsePrefix takes a network, or an address that stands for itself alone.
func parsePrefix(text string) (netip.Prefix, error) {
	if a, err := netip.ParseAddr(text); err == nil && a.Zone() == "" {
		a = a.Unmap()
		return netip.PrefixFrom(a, a.BitLen()), nil
	}
	p, err := netip.ParsePrefix(text)
	switch {
	case err != nil || p.Addr().Is4In6():
		return netip.Prefix{}, fmt.Errorf("%q is not a network such as 10.0.0.0/8, nor an address", text)
	case p != p.Masked():
		return netip.Prefix{}, fmt.Errorf("%q names a place inside a network: is %s meant?", text, p.Masked())
	}
	return p, nil
}
