package flow

import (
	"html"
	"iter"
	"strings"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// views gives the ways in which a text may be meant: as it stands with compatible characters made one (NFKC) and hidden
// ones left out, and with each layer of percent, HTML and JSON escapes taken off. whole is false if there were more layers
// than are looked at, or characters that stand for so many others that nobody writes them in earnest.
func views(text string) (all []string, whole bool) {
	longest := maxGrowth*len(text) + 64
	text = plain(text)
	all = []string{text}
	if len(text) > longest {
		return all, false
	}
	for range maxLayers {
		bare := unescape(text)
		if bare == text {
			return all, true
		}
		text = plain(bare)
		all = append(all, text)
	}
	return all, unescape(text) == text
}

// plain is NFKC without hidden characters.
func plain(s string) string {
	ascii := true
	for i := range len(s) {
		if s[i] >= utf8.RuneSelf {
			ascii = false
			break
		}
	}
	if ascii {
		return s
	}
	return norm.NFKC.String(strings.Map(func(r rune) rune {
		if hidden(r) {
			return -1
		}
		return r
	}, s))
}

// hidden reports whether a character is not seen and only parts others that are.
func hidden(r rune) bool {
	return r >= 0xad && (unicode.Is(unicode.Cf, r) || unicode.In(r, unicode.Other_Default_Ignorable_Code_Point, unicode.Variation_Selector))
}

// unescape takes one layer of each kind of escape off.
func unescape(s string) string {
	if strings.IndexByte(s, '%') >= 0 {
		s = unescapePercent(s)
	}
	if strings.IndexByte(s, '&') >= 0 {
		s = html.UnescapeString(s)
	}
	if strings.IndexByte(s, '\\') >= 0 {
		s = unescapeJSON(s)
	}
	return s
}

// unescapePercent decodes what is valid and leaves the rest, as lenient readers do.
func unescapePercent(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '%' && i+2 < len(s) {
			if high, low := hex(s[i+1]), hex(s[i+2]); high >= 0 && low >= 0 {
				b.WriteByte(byte(high<<4 | low))
				i += 2
				continue
			}
		}
		b.WriteByte(s[i])
	}
	return strings.ToValidUTF8(b.String(), "\ufffd")
}

func hex(c byte) int {
	switch {
	case c >= '0' && c <= '9':
		return int(c - '0')
	case c >= 'a' && c <= 'f':
		return int(c-'a') + 10
	case c >= 'A' && c <= 'F':
		return int(c-'A') + 10
	}
	return -1
}

// unescapeJSON decodes the escapes of JSON strings wherever they stand.
func unescapeJSON(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] != '\\' || i+1 == len(s) {
			b.WriteByte(s[i])
			continue
		}
		i++
		switch s[i] {
		case '"', '\\', '/':
			b.WriteByte(s[i])
		case 'n', 'r', 't', 'b', 'f':
			b.WriteByte(' ')
		case 'u':
			r, ok := unit(s[i:])
			if !ok {
				b.WriteString(`\u`)
				continue
			}
			i += 4
			if utf16.IsSurrogate(r) && strings.HasPrefix(s[i+1:], `\u`) {
				if low, ok := unit(s[i+2:]); ok {
					r = utf16.DecodeRune(r, low)
					i += 6
				}
			}
			b.WriteRune(r)
		default:
			b.WriteByte('\\')
			b.WriteByte(s[i])
		}
	}
	return strings.ToValidUTF8(b.String(), "\ufffd")
}

// unit reads the u and the four digits at the beginning of s.
func unit(s string) (r rune, ok bool) {
	if len(s) < 5 {
		return 0, false
	}
	for _, c := range []byte(s[1:5]) {
		digit := hex(c)
		if digit < 0 {
			return 0, false
		}
		r = r<<4 | rune(digit)
	}
	return r, true
}

// lower folds case. Signs that only look like a letter (the Kelvin sign) stay what they are.
func lower(s string) string {
	for i := range len(s) {
		if s[i] >= utf8.RuneSelf {
			return strings.Map(func(r rune) rune {
				if l := unicode.ToLower(r); r < utf8.RuneSelf || l >= utf8.RuneSelf {
					return l
				}
				return r
			}, s)
		}
	}
	return strings.ToLower(s)
}

func isAlnum(r rune) bool {
	if r < utf8.RuneSelf {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9'
	}
	return unicode.IsLetter(r) || unicode.IsDigit(r) || unicode.IsMark(r)
}

// parts gives the runs of letters and digits of a text in lower case: alice@x.example has three. They are for finding a
// value again, however it was cut up; never for releasing one.
func parts(text string) iter.Seq[string] {
	return strings.FieldsFuncSeq(lower(text), func(r rune) bool { return !isAlnum(r) })
}

// phrase writes a text as its words, in lower case, each with a space before it. A word ends at white space, quotes,
// brackets and commas, not at the signs that are parts of names and addresses: someone who names alice@x.example did not
// name alice, and someone who names https://x.example/alice neither.
func phrase(text string) string {
	var b strings.Builder
	for word := range strings.FieldsFuncSeq(text, endsWord) {
		// At the end are the signs of a sentence; at the beginning only those that mark a name, for ../x is not x.
		if word = strings.TrimRight(strings.TrimLeft(word, "@#*"), ".-_:/#@!?*=&+~"); word != "" {
			b.WriteByte(' ')
			b.WriteString(lower(word))
		}
	}
	return b.String()
}

func endsWord(r rune) bool {
	switch r {
	case ',', ';', '"', '\'', '`', '(', ')', '[', ']', '{', '}', '<', '>', '|', '’', '‘', '“', '”', '«', '»', '\\':
		return true
	}
	return r <= ' ' || r > 0x7f && unicode.IsSpace(r)
}
