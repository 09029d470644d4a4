package mcpjson

import (
	"net/url"
	"regexp"
	"slices"
	"strings"
)

// What is a secret cannot be known from outside, so the lists here say what is clearly none. Whatever they do not know
// counts as one: a harmless value in a variable costs a line, a secret in a file costs the secret.

var (
	secretWords = regexp.MustCompile(`(?i)key|token|secret|pass|pwd|cred|auth|bearer|cookie|session|private|sign|salt|dsn|conn|webhook|cert|jwt|license|account|login|user|seed|mnemonic|hash|otp|(^|[^a-z])(pat|pin|pw|sid|sas|code)([^a-z]|$)`)

	// settings are names of variables and parameters whose plain words are no secrets.
	settings = regexp.MustCompile(`(?i)log|level|debug|verbos|mode|port|host|region|zone|lang|locale|path|dir|root|folder|file|timeout|format|transport|version|node_env|environment|tz|color|limit|max|min|size|count|retries|enable|disable|toolset|feature|read_?only|telemetry|cache|^(lc_.*|ci|env|home|tmp)$`)

	harmlessWords = strings.Fields(`true false yes no on off none null auto default all any trace debug info notice warn warning
		error fatal silent quiet verbose production development staging test testing local stdio http https sse streamable-http
		json text yaml utf-8 utf8 c posix readonly read-only read-write`)

	// known are beginnings that issuers give to their secrets.
	known = regexp.MustCompile(`(^|[^A-Za-z0-9])(((sk|pk|rk|key)[-_]|(st|hf|npm|gh[pousr]|github_pat|shp(at|ss|ca)|lin_api|apify_api|dckr_pat|ntn)_|(glpat|gldt|xox[a-z]|xapp|tvly|figd|pypi|ctx7sk|dop_v1)[-_]|SG\.)[A-Za-z0-9_.-]{8}|AKIA|ASIA|AIza|ya29\.|eyJ)|-----BEGIN|AGE-SECRET-KEY|(?i:\b(bearer|basic|digest)\s+\S)`)

	assigned = regexp.MustCompile(`(?i)(key|token|secret|passw(or)?d|pwd|pass|cred[a-z]*|auth[a-z]*|bearer|cookie|sid|jwt)["']?\s*[=:]\s*\S`)

	run      = regexp.MustCompile(`[A-Za-z0-9+_=-]{10,}`)
	plain    = regexp.MustCompile(`^[A-Za-z0-9_.,:@/\\ -]*$`)
	smallNum = regexp.MustCompile(`^-?[0-9]{1,6}(\.[0-9]{1,4})?(ms|s|m|h|d|kb|mb|gb|kib|mib|gib)?$`)
	flag     = regexp.MustCompile(`^--?[A-Za-z][A-Za-z-]*$`)
	pinned   = regexp.MustCompile(`@sha256:[0-9a-f]{64}$|@[0-9a-f]{40}$`)
	version  = regexp.MustCompile(`^v?[0-9]+(\.[0-9]+){0,3}([-+.][a-z0-9.]{1,12})?$`)
)

// secretName reports whether what goes by this name could be a secret.
func secretName(name string) bool {
	return secretWords.MatchString(name) && !slices.Contains([]string{"NODE_OPTIONS", "PYTHONHASHSEED"}, name)
}

// random reports whether a text holds a run of characters that nobody would have thought of as a word.
func random(s string) bool {
	for _, r := range run.FindAllString(s, -1) {
		changes, digits, upper, lower := 0, 0, 0, 0
		for i, c := range []byte(r) {
			switch {
			case c >= '0' && c <= '9':
				digits++
			case c >= 'A' && c <= 'Z':
				upper++
			case c >= 'a' && c <= 'z':
				lower++
			}
			if i > 0 && class(c) != class(r[i-1]) {
				changes++
			}
		}
		words := strings.FieldsFunc(r, func(c rune) bool { return c == '-' || c == '_' || c == '=' || c == '+' })
		longest := 0
		mixed := false
		for _, w := range words {
			longest = max(longest, len(w))
			mixed = mixed || len(w) >= 8 && strings.ContainsAny(w, "0123456789") && strings.Trim(w, "0123456789") != ""
		}
		switch {
		case mixed, longest >= 24, digits >= 10, changes >= 10,
			len(words) == 1 && upper > 1 && lower > 1 && (digits > 0 || changes >= 6):
			return true
		}
	}
	return false
}

func class(c byte) int {
	switch {
	case c >= '0' && c <= '9':
		return 0
	case c >= 'A' && c <= 'Z':
		return 1
	case c >= 'a' && c <= 'z':
		return 2
	}
	return 3
}

// secretValue reports whether a text looks like a secret or holds one.
func secretValue(s string) bool {
	if known.MatchString(s) || assigned.MatchString(s) || random(s) {
		return true
	}
	if strings.Contains(s, "://") {
		u, err := url.Parse(s)
		return err != nil || u.User != nil || u.RawQuery != "" || u.Fragment != ""
	}
	return strings.Contains(s, "@") && strings.Contains(s, ":") && !strings.HasPrefix(s, "@") && strings.Index(s, ":") < strings.LastIndex(s, "@")
}

// harmless reports whether a value that goes by a name is clearly no secret.
func harmless(name, value string) bool {
	switch {
	case value == "":
		return true
	case secretName(name) && !slices.Contains(harmlessWords, strings.ToLower(value)):
		return false
	case slices.Contains(harmlessWords, strings.ToLower(value)):
		return true
	case secretValue(value) || !plain.MatchString(value) || len(value) > 200:
		return false
	case absolute(value):
		return true
	}
	return settings.MatchString(name) && !strings.Contains(value, " ") && !guessable(value) && (smallNum.MatchString(value) || strings.Trim(value, "0123456789") != "")
}

// guessable reports whether a text looks like a password that a person made up.
func guessable(s string) bool { return odd.MatchString(s) && !slices.Contains(usual, s) }

// absolute reports whether a text is a path from the root, on Unix or Windows.
func absolute(s string) bool {
	return strings.HasPrefix(s, "/") && len(s) > 1 || len(s) > 3 && s[1] == ':' && (s[2] == '\\' || s[2] == '/')
}

// harmlessArgument reports whether an argument of a program may stand in a configuration. before is the one before it.
func harmlessArgument(before, arg string) bool {
	name, value, assignment := strings.Cut(arg, "=")
	switch {
	case reference.MatchString(arg):
		return false
	case flag.MatchString(before) && secretName(before) && !switches[before]:
		return strings.HasPrefix(arg, "-") && flag.MatchString(arg) || slices.Contains(harmlessWords, strings.ToLower(arg))
	case slices.Contains([]string{"-H", "--header", "-u"}, before):
		return false
	case (before == "-p" || before == "-k" || before == "-t" || before == "-s") && !slices.Contains(harmlessWords, strings.ToLower(arg)):
		return smallNum.MatchString(arg) || strings.HasPrefix(arg, "@") && !secretValue(arg) || strings.HasPrefix(arg, "-") && flag.MatchString(arg) ||
			ports.MatchString(arg) || absolute(arg) && !secretValue(arg)
	case flag.MatchString(arg):
		return !known.MatchString(arg) && !random(arg)
	case assignment && flag.MatchString(name):
		return harmless(strings.TrimLeft(name, "-"), value) || !secretName(name) && !secretValue(value) && !guessable(value)
	case assignment && variable.MatchString(name): // docker run -e NAME=value
		return harmless(name, value)
	case pinned.MatchString(arg):
		return !secretValue(arg[:strings.LastIndexByte(arg, '@')])
	case version.MatchString(arg):
		return true
	}
	return !secretValue(arg) && !guessable(arg)
}

var (
	ports    = regexp.MustCompile(`^([0-9.]+:)?[0-9]{1,5}:[0-9]{1,5}$`)
	variable = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)
	// odd is one word of letters with digits or signs behind them, as people make passwords, and whatever has such signs.
	odd = regexp.MustCompile(`^[A-Za-z]+[0-9!$#%^&*?]+[A-Za-z0-9!$#%^&*?]*$|[!#^&]`)
	// usual are words that look like it and are none.
	usual = strings.Fields("python3 pip3 sqlite3 s3 ipv4 ipv6 utf8 utf16 http2 k8s neo4j node18 node20 node22 node24 web3 oauth2 gpt4 claude4")
	// reference is a variable that a client puts in before it starts a program.
	reference = regexp.MustCompile(`\$\{|\$[A-Za-z_]|\{(env|file):|^%[A-Za-z_][A-Za-z0-9_]*%$`)
	// switches are flags whose names sound like a secret and that take no value.
	switches = map[string]bool{"--no-auth": true, "--disable-auth": true, "--user-data-dir": true, "--isolated-session": true}
)
