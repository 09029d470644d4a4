package policy

import (
	"errors"
	"net/netip"
	"strconv"
	"strings"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
)

// errPlain is the error of a text that domain or host does not take.
var errPlain = errors.New("an address or URL is not in its plain form")

// functions are ours besides CEL's own. Both refuse what they do not fully understand: two programs that read an address
// in two ways are how mail leaves a house past a rule.
func functions() []cel.EnvOption {
	one := func(name string, f func(string) (string, bool)) cel.EnvOption {
		return cel.Function(name, cel.Overload(name+"_string", []*cel.Type{cel.StringType}, cel.StringType,
			cel.UnaryBinding(func(v ref.Val) ref.Val {
				s, ok := v.(types.String)
				if !ok {
					return types.MaybeNoSuchOverloadErr(v)
				}
				found, ok := f(string(s))
				if !ok {
					return types.WrapErr(errPlain)
				}
				return types.String(found)
			})))
	}
	return []cel.EnvOption{one("domain", domain), one("host", host)}
}

// domain gives what stands after the @ of one plain address, name@host in ASCII with the host in lower case. A display
// name, a second address, a comment, quotes, a literal address, white space, a route ("%", "!", ":") or another letter is
// none.
func domain(address string) (string, bool) {
	local, name, found := strings.Cut(address, "@")
	if !found || len(address) > 254 || len(local) > 64 || !plainLocal(local) || !plainHost(name) || !strings.Contains(name, ".") {
		return "", false
	}
	return name, true
}

func plainLocal(s string) bool {
	for _, part := range strings.Split(s, ".") {
		if part == "" {
			return false
		}
	}
	return strings.Trim(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.+-_='&~") == ""
}

// plainHost takes a name in lower-case ASCII, of labels that DNS takes, whose last one is no number.
func plainHost(s string) bool {
	if s == "" || len(s) > 253 {
		return false
	}
	labels := strings.Split(s, ".")
	for _, label := range labels {
		if label == "" || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' ||
			strings.Trim(label, "abcdefghijklmnopqrstuvwxyz0123456789-") != "" {
			return false
		}
	}
	// What ends in a number is read as an address by some programs, in octal, hexadecimal or as one large number.
	last := labels[len(labels)-1]
	return strings.Trim(last, "0123456789") != "" && !strings.HasPrefix(last, "0x")
}

// host gives the host of one plain absolute URL, without its port: a name in lower-case ASCII, or an address in its
// normal form. A user, a backslash, white space, an escape or another letter before the path is none.
func host(url string) (string, bool) {
	scheme, rest, found := strings.Cut(url, "://")
	if !found || scheme == "" || strings.Trim(scheme, "abcdefghijklmnopqrstuvwxyz0123456789+-.") != "" || scheme[0] < 'a' {
		return "", false
	}
	if strings.ContainsFunc(url, func(r rune) bool { return r <= ' ' || r == '\\' || r == 0x7f }) {
		return "", false // programs cut URLs at such characters, each at others
	}
	authority := rest
	if end := strings.IndexAny(rest, "/?#"); end >= 0 {
		authority = rest[:end]
	}
	if inner, bracketed := strings.CutPrefix(authority, "["); bracketed {
		inner, after, closed := strings.Cut(inner, "]")
		a, err := netip.ParseAddr(inner)
		if !closed || err != nil || !a.Is6() || a.Zone() != "" || a.String() != inner || after != "" && after[0] != ':' {
			return "", false
		}
		return inner, after == "" || plainPort(after[1:])
	}
	name, port, has := strings.Cut(authority, ":")
	if has && !plainPort(port) {
		return "", false
	}
	if a, err := netip.ParseAddr(name); err == nil && a.Is4() && a.String() == name {
		return name, true
	}
	return name, plainHost(name)
}

func plainPort(s string) bool {
	n, err := strconv.Atoi(s)
	return err == nil && n > 0 && n < 65536 && strconv.Itoa(n) == s
}
