package upstream

import (
	"strings"
	"unicode"
)

// maxReason is how much of a foreign text stands in a reason of ours.
const maxReason = 300

// tidy makes a foreign text one short line that shows what is in it: signs that cannot be seen become escapes.
func tidy(s string) string {
	var b strings.Builder
	for _, r := range s {
		piece := string(r) // what is not UTF-8 becomes U+FFFD
		if !unicode.IsPrint(r) {
			piece = escaped(r)
		}
		if b.Len()+len(piece) > maxReason-len("…") {
			return b.String() + "…"
		}
		b.WriteString(piece)
	}
	return b.String()
}

func escaped(r rune) string {
	const digits = "0123456789abcdef"
	if r > 0xffff {
		return `\U` + string([]byte{'0', '0', digits[r>>20&15], digits[r>>16&15], digits[r>>12&15], digits[r>>8&15], digits[r>>4&15], digits[r&15]})
	}
	return `\u` + string([]byte{digits[r>>12&15], digits[r>>8&15], digits[r>>4&15], digits[r&15]})
}
