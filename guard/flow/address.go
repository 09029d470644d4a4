package flow

import (
	"net/url"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/net/publicsuffix"
)

// address is something that says where to go: an e-mail address, a URL, the name of a host, an IBAN.
type address struct {
	canonical string // the same for all spellings that are certain to mean the same
	explicit  bool   // it cannot be anything else; a bare host may be a file's name, an IBAN an order number
}

// addressOf reads a whole text as one address. What is not exactly one address is none: a destination that is not
// understood is never released.
func addressOf(s string) (address, bool) {
	if at := strings.IndexByte(s, '@'); at >= 0 && !strings.Contains(s, "://") {
		return emailOf(s, at)
	}
	if strings.Contains(s, "://") || strings.HasPrefix(s, "//") || hasPrefixFold(s, "www.") {
		return urlOf(s)
	}
	if iban, ok := ibanOf(s); ok {
		return address{"iban:" + iban, false}, true
	}
	if host, _, _ := strings.Cut(s, "/"); isHost(host) && isPublic(host) {
		a, ok := urlOf("http://" + s)
		a.explicit = false
		return a, ok
	}
	return address{}, false
}

func hasPrefixFold(s, prefix string) bool {
	return len(s) >= len(prefix) && strings.EqualFold(s[:len(prefix)], prefix)
}

func emailOf(s string, at int) (address, bool) {
	local, domain := s[:at], s[at+1:]
	if hasPrefixFold(local, "mailto:") {
		local = local[len("mailto:"):]
	}
	if local == "" || !isHost(domain) {
		return address{}, false
	}
	for _, r := range local {
		if !inLocalPart(r) {
			return address{}, false
		}
	}
	return address{"email:" + lower(local) + "@" + lower(domain), true}, true
}

func inLocalPart(r rune) bool {
	return r == '.' || r == '_' || r == '+' || r == '-' || isAlnum(r)
}

// isHost reports whether a text has the form of a host's name with at least one dot.
func isHost(s string) bool {
	if !strings.Contains(s, ".") {
		return false
	}
	for label := range strings.SplitSeq(s, ".") {
		if label == "" || label[0] == '-' || label[len(label)-1] == '-' {
			return false
		}
		for _, r := range label {
			if r != '-' && r != '_' && !isAlnum(r) {
				return false
			}
		}
	}
	return true
}

// isPublic reports whether a name ends in a suffix under which hosts are registered, so that feedback.xlsx is none.
func isPublic(host string) bool {
	_, registered := publicsuffix.PublicSuffix(strings.ToLower(host))
	return registered
}

// urlOf reads a URL. The canonical form leaves out only what cannot change who is asked for what: http or https, www., the
// case of the host, a slash at the end. A user before the host, a port, query and fragment all stay.
func urlOf(s string) (address, bool) {
	for _, r := range s {
		if r <= ' ' || r == '\\' || r == 0x7f || r == unicode.ReplacementChar || unicode.IsSpace(r) || hidden(r) {
			return address{}, false
		}
	}
	scheme, rest, found := strings.Cut(s, "://")
	switch {
	case !found:
		scheme, rest = "http", strings.TrimPrefix(s, "//")
	case strings.EqualFold(scheme, "http") || strings.EqualFold(scheme, "https"):
		scheme = "http"
	}
	if _, err := url.Parse("http://" + rest); err != nil {
		return address{}, false
	}
	end := strings.IndexAny(rest, "/?#")
	if end < 0 {
		end = len(rest)
	}
	host := lower(rest[:end])
	if host == "" {
		return address{}, false
	}
	if !strings.Contains(host, "@") {
		host = strings.TrimPrefix(host, "www.")
	}
	return address{"url:" + lower(scheme) + "://" + host + strings.TrimSuffix(rest[end:], "/"), true}, true
}

// ibanOf reads a text that has the form of an IBAN, in one piece or in groups. The check digits are not looked at: a wrong
// account number is a destination too.
func ibanOf(s string) (string, bool) {
	compact := make([]byte, 0, 34)
	digits := 0
	for i := range len(s) {
		c := s[i]
		switch {
		case c == ' ' || c == '-':
			if i == 0 || i == len(s)-1 || s[i-1] == ' ' || s[i-1] == '-' {
				return "", false
			}
			continue
		case c >= '0' && c <= '9':
			digits++
		case c >= 'a' && c <= 'z':
		case c >= 'A' && c <= 'Z':
			c += 'a' - 'A'
		default:
			return "", false
		}
		if len(compact) == 34 {
			return "", false
		}
		compact = append(compact, c)
	}
	if len(compact) < 14 || digits < 8 || isDigit(compact[0]) || isDigit(compact[1]) || !isDigit(compact[2]) || !isDigit(compact[3]) {
		return "", false
	}
	return string(compact), true
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }

// addresses finds the addresses inside a text. One pass looks at each byte; what has none of the signs that every address
// has is not looked at again.
func addresses(text string, yield func(address)) {
	begin := 0 // of the token that is being looked at
	at, dot, slashes, digits := false, false, false, 0
	end := func(i int) {
		if at || dot || slashes || digits >= 8 {
			addressesIn(text[begin:i], yield)
		}
		at, dot, slashes, digits = false, false, false, 0
	}
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case c >= utf8.RuneSelf:
			if r, n := utf8.DecodeRuneInString(text[i:]); unicode.IsSpace(r) {
				end(i)
				i += n - 1
				begin = i + 1
			}
		case endsAddress[c]:
			end(i)
			begin = i + 1
		case c == '@':
			at = true
		case c == '.':
			dot = dot || i > begin && i+1 < len(text) && (text[i+1] >= utf8.RuneSelf || isAlnum(rune(text[i+1])))
		case c == '/':
			slashes = slashes || i+1 < len(text) && text[i+1] == '/'
		case isDigit(c):
			digits++
			if i >= 3 && isDigit(text[i-1]) && i+1 < len(text) && (text[i+1] == ' ' || text[i+1] == '-') {
				if iban, ok := spacedIBAN(text, i-3); ok {
					yield(address{"iban:" + iban, false})
				}
			}
		}
	}
	end(len(text))
}

// endsAddress says which characters of ASCII stand in no address; white space beyond ASCII does not either.
var endsAddress = func() (ends [utf8.RuneSelf]bool) {
	for c := range ends {
		ends[c] = c <= ' ' || c == 0x7f || strings.ContainsRune("<>\"`\\|", rune(c))
	}
	return ends
}()

// around are characters that stand around an address more often than at its ends.
const around = ".,;:!?'*_~()[]{}#@="

func addressesIn(token string, yield func(address)) {
	if n := strings.Index(token, "://"); n >= 0 {
		begin := n
		for begin > 0 && (isAlnum(rune(token[begin-1])) || strings.IndexByte("+-.", token[begin-1]) >= 0) {
			begin--
		}
		whole := strings.TrimRight(token[begin:], around)
		if a, ok := addressOf(whole); ok {
			yield(a)
		} else if whole != "" {
			yield(address{"odd:" + whole, true}) // what is not understood is named by nobody
		}
		if begin > 0 {
			addressesIn(token[:begin], yield)
		}
		return
	}
	if strings.Contains(token, "@") {
		emailsIn(token, yield)
		if strings.HasPrefix(token, "//") {
			yield(address{"odd:" + token, true})
		}
		return
	}
	if strings.HasPrefix(token, "//") {
		if a, ok := urlOf(strings.TrimRight(token, around)); ok && strings.Contains(a.canonical, ".") {
			yield(a)
		}
		return
	}
	if len(token) > 4 && strings.IndexByte(token, '.') > 0 {
		for part := range strings.FieldsFuncSeq(token, func(r rune) bool { return strings.ContainsRune(",;()[]{}'=", r) }) {
			if a, ok := addressOf(strings.Trim(part, around)); ok {
				yield(a)
			}
		}
		return
	}
	if len(token) >= 14 { // the shortest IBAN
		for part := range strings.FieldsFuncSeq(token, func(r rune) bool { return !isAlnum(r) }) {
			if iban, ok := ibanOf(part); ok {
				yield(address{"iban:" + iban, false})
			}
		}
	}
}

// emailsIn finds what stands around each @ of a token.
func emailsIn(token string, yield func(address)) {
	for at := 0; at < len(token); at++ {
		if token[at] != '@' {
			continue
		}
		begin, end := at, at+1
		for begin > 0 {
			r, n := utf8.DecodeLastRuneInString(token[:begin])
			if !inLocalPart(r) {
				break
			}
			begin -= n
		}
		for end < len(token) {
			r, n := utf8.DecodeRuneInString(token[end:])
			if r != '.' && r != '-' && !isAlnum(r) {
				break
			}
			end += n
		}
		if a, ok := addressOf(strings.Trim(token[begin:end], ".-_")); ok {
			yield(a)
		}
	}
}

// spacedIBAN reads an IBAN that is written in groups of four and begins at i.
func spacedIBAN(text string, i int) (string, bool) {
	if i > 0 && isAlnum(rune(text[i-1])) || !beginsIBAN(text[i:]) {
		return "", false
	}
	end := i + 4
	for groups := 1; groups < 9; groups++ {
		if end == len(text) || text[end] != ' ' && text[end] != '-' {
			break
		}
		group := text[end+1:]
		n := 0
		for n < len(group) && n < 5 && group[n] < utf8.RuneSelf && isAlnum(rune(group[n])) {
			n++
		}
		group = group[:n]
		// The second group may be a bank's letters. Later ones have digits, so that words that follow are none of them.
		if n == 0 || n > 4 || groups > 1 && !strings.ContainsAny(group, "0123456789") || groups > 3 && n == 4 && beginsIBAN(group) {
			break
		}
		end += 1 + n
		if n < 4 {
			break
		}
	}
	return ibanOf(text[i:end])
}

func beginsIBAN(s string) bool {
	return len(s) >= 4 && isLetter(s[0]) && isLetter(s[1]) && isDigit(s[2]) && isDigit(s[3])
}

func isLetter(c byte) bool { return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' }
