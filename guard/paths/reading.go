package paths

import (
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// maxDecodings is how often a path is decoded; a receiver that decodes more often than that is beyond help.
const maxDecodings = 3

// readings are the ways in which a path might be read, the literal one first.
func readings(text string) []string {
	all := []string{text}
	add := func(s string) {
		if !slices.Contains(all, s) {
			all = append(all, s)
		}
	}
	for decoded, i := text, 0; ; i++ {
		for _, s := range []string{decoded, lookalikes.Replace(decoded)} {
			add(s)
			add(strings.ReplaceAll(s, `\`, "/"))
			if trimmed := strings.TrimSpace(s); trimmed != "" {
				add(trimmed)
				add(strings.ReplaceAll(trimmed, `\`, "/"))
			}
		}
		next := decode(decoded)
		if next == decoded || i == maxDecodings {
			return all
		}
		decoded = next
	}
}

// lookalikes are letters that some systems turn into dots and separators (best fit and NFKC).
var lookalikes = strings.NewReplacer(
	"\uFF0E", ".", "\u2024", ".", "\u2025", "..", "\uFE52", ".",
	"\uFF0F", "/", "\u2044", "/", "\u2215", "/",
	"\uFF3C", `\`, "\u2216", `\`, "\uFE68", `\`,
)

// decode takes percent-encoding off once: %2e, %u002e and, as careless decoders do, letters in overlong UTF-8 (%c0%ae is
// a dot). What is no encoding stays, and bytes that are no UTF-8 afterwards become U+FFFD, which is no separator.
func decode(s string) string {
	if !strings.Contains(s, "%") {
		return s
	}
	var out []byte
	for i := 0; i < len(s); {
		if s[i] == '%' && i+5 < len(s) && (s[i+1] == 'u' || s[i+1] == 'U') {
			if n, err := strconv.ParseUint(s[i+2:i+6], 16, 16); err == nil {
				out = utf8.AppendRune(out, rune(n))
				i += 6
				continue
			}
		}
		if s[i] == '%' && i+2 < len(s) {
			if n, err := strconv.ParseUint(s[i+1:i+3], 16, 8); err == nil {
				out = append(out, byte(n))
				i += 3
				continue
			}
		}
		out = append(out, s[i])
		i++
	}
	return strings.ToValidUTF8(string(shorten(out)), "\uFFFD")
}

// shorten turns overlong forms of ASCII letters into the letters: a first byte of up to six, zeros, and the letter in the
// last two. Decoders that take them mostly do not look at the mark of the last byte, so neither does this.
func shorten(b []byte) []byte {
	out := b[:0:0]
	for i := 0; i < len(b); {
		if c, n := overlong(b[i:]); n > 0 {
			out = append(out, c)
			i += n
			continue
		}
		_, n := utf8.DecodeRune(b[i:])
		out = append(out, b[i:i+n]...)
		i += n
	}
	return out
}

func overlong(b []byte) (letter byte, length int) {
	switch {
	case len(b) >= 2 && b[0]&0xfe == 0xc0:
		return b[0]&1<<6 | b[1]&0x3f, 2
	case len(b) >= 3 && b[0] == 0xe0 && b[1]&0xfe == 0x80:
		return b[1]&1<<6 | b[2]&0x3f, 3
	case len(b) >= 4 && b[0] == 0xf0 && b[1] == 0x80 && b[2]&0xfe == 0x80:
		return b[2]&1<<6 | b[3]&0x3f, 4
	case len(b) >= 5 && b[0] == 0xf8 && b[1] == 0x80 && b[2] == 0x80 && b[3]&0xfe == 0x80:
		return b[3]&1<<6 | b[4]&0x3f, 5
	case len(b) >= 6 && b[0] == 0xfc && b[1] == 0x80 && b[2] == 0x80 && b[3] == 0x80 && b[4]&0xfe == 0x80:
		return b[4]&1<<6 | b[5]&0x3f, 6
	}
	return 0, 0
}
