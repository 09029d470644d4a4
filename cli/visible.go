package cli

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
)

// hidden reports whether a character cannot be seen, moves the cursor, or turns the direction of what follows. Log rows
// and names hold what strangers sent, and must not draw on the operator's terminal.
func hidden(r rune) bool {
	return !unicode.IsPrint(r) || r == '\u2800' || // the empty Braille pattern
		unicode.In(r, unicode.Other_Default_Ignorable_Code_Point, unicode.Variation_Selector)
}

// visible writes what cannot be seen as escapes: \n, \u202e, \U000e0001, and \xff for a byte that is not UTF-8.
func visible(s string) string {
	return escape(s, func(b *strings.Builder, r rune) {
		switch {
		case r == '\n':
			b.WriteString(`\n`)
		case r == '\t':
			b.WriteString(`\t`)
		case r > 0xffff:
			fmt.Fprintf(b, `\U%08x`, r)
		default:
			fmt.Fprintf(b, `\u%04x`, r)
		}
	})
}

// visibleJSON does the same to JSON text, in which such characters stand inside strings only, with JSON's own escapes.
func visibleJSON(s string) string {
	return escape(s, func(b *strings.Builder, r rune) {
		if first, second := utf16.EncodeRune(r); first != unicode.ReplacementChar {
			fmt.Fprintf(b, `\u%04x\u%04x`, first, second)
			return
		}
		fmt.Fprintf(b, `\u%04x`, r)
	})
}

func escape(s string, write func(*strings.Builder, rune)) string {
	if strings.IndexFunc(s, hidden) < 0 && utf8.ValidString(s) {
		return s
	}
	var b strings.Builder
	for i, r := range s {
		_, n := utf8.DecodeRuneInString(s[i:])
		switch {
		case r == utf8.RuneError && n == 1:
			fmt.Fprintf(&b, `\x%02x`, s[i])
		case hidden(r):
			write(&b, r)
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}
