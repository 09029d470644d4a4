package people

import (
	"regexp"
	"strings"
)

// An address is one addr-spec of RFC 5321 in its plain form: no display name, comment, quoted local part or literal
// address. A domain with other letters than ASCII is written as A-labels.
var (
	localPart = regexp.MustCompile("^[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(\\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*$")
	domain    = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*$`)
)

// parseEmail gives the address with its domain in lower case, and the form in which no two people may have the same one.
func parseEmail(s string) (email, folded string, ok bool) {
	local, host, found := strings.Cut(s, "@")
	host = strings.ToLower(host)
	if !found || len(local) > 64 || len(host) > 253 || !localPart.MatchString(local) || !domain.MatchString(host) {
		return "", "", false
	}
	email = local + "@" + host
	return email, strings.ToLower(email), true
}
