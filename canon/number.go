package canon

import (
	"math"
	"strconv"
)

// appendNumber appends the canonical text of the number num, which must follow JSON's grammar. It returns a problem if
// the number is refused.
//
// The text depends on the exact value alone: its significant decimal digits are laid out as RFC 8785 (ECMAScript's
// Number::toString) lays out a double's. So whatever a double holds is written as RFC 8785 writes it, and whatever a
// double would have changed keeps its digits. The one addition: an integer from 1e21 on that is not the text of a double
// is written in plain digits, not with an exponent.
func appendNumber(dst, num []byte) (_ []byte, problem string) {
	if plain(num) {
		return append(dst, num...), ""
	}
	if len(num) > MaxNumber {
		return dst, tooLong
	}
	var buf [MaxNumber]byte
	d := decimalOf(num, buf[:0])
	if len(d.digits) == 0 {
		return append(dst, '0'), "" // -0 and 0.00 are 0
	}
	double, err := strconv.ParseFloat(string(num), 64)
	if err != nil || math.IsInf(double, 0) {
		return dst, "this number is too large"
	}
	if double == 0 {
		return dst, "this number is too small"
	}
	begin := len(dst)
	dst = d.append(dst, double)
	if len(dst)-begin > MaxNumber {
		return dst[:begin], tooLong
	}
	return dst, ""
}

const tooLong = "a number may have at most 100 characters"

// plain says that num is canonical as it stands: a short integer or a short decimal without leading or trailing zeros. It
// is the usual case, and what it cannot tell is left to the exact way.
func plain(num []byte) bool {
	n, i := len(num), 0
	if num[0] == '-' {
		i++
	}
	if n > 16 || n == i || num[i] == '0' && n > 1 {
		return false
	}
	point := false
	for _, c := range num[i:] {
		if c == '.' {
			point = true
		} else if c < '0' || c > '9' {
			return false
		}
	}
	return !point || num[n-1] != '0'
}

// decimal is the number 0.d₁d₂d₃… × 10^point; neither the first digit nor the last is 0, and zero has no digits.
type decimal struct {
	negative bool
	digits   []byte
	point    int
}

// decimalOf takes apart a number that follows JSON's grammar; buf is where its digits go.
func decimalOf(num, buf []byte) decimal {
	d := decimal{digits: buf}
	fraction := 0
	i := 0
	if num[0] == '-' {
		d.negative = true
		i++
	}
	inFraction := false
	for ; i < len(num); i++ {
		c := num[i]
		if c == '.' {
			inFraction = true
			continue
		}
		if c < '0' || c > '9' {
			break // e or E
		}
		if inFraction {
			fraction++
		}
		if c != '0' || len(d.digits) > 0 {
			d.digits = append(d.digits, c)
		}
	}
	exponent := 0
	if i < len(num) {
		// One that is out of range makes the double infinite or 0, which is refused; zero has no digits and needs no point.
		exponent, _ = strconv.Atoi(string(num[i+1:]))
	}
	d.point = len(d.digits) - fraction + exponent
	for n := len(d.digits); n > 0 && d.digits[n-1] == '0'; n-- {
		d.digits = d.digits[:n-1]
	}
	return d
}

// append lays out the digits; double is the nearest double to the value.
func (d decimal) append(dst []byte, double float64) []byte {
	begin := len(dst)
	if d.negative {
		dst = append(dst, '-')
	}
	k, n := len(d.digits), d.point
	room := MaxNumber - len(dst) + begin
	switch {
	case k <= n && (n <= 21 || n <= room && !d.isDouble(double)):
		dst = append(dst, d.digits...)
		return zeros(dst, n-k)
	case 0 < n && n <= 21:
		dst = append(dst, d.digits[:n]...)
		dst = append(dst, '.')
		return append(dst, d.digits[n:]...)
	case -6 < n && n <= 0:
		dst = append(dst, '0', '.')
		dst = zeros(dst, -n)
		return append(dst, d.digits...)
	}
	dst = append(dst, d.digits[0])
	if k > 1 {
		dst = append(dst, '.')
		dst = append(dst, d.digits[1:]...)
	}
	dst = append(dst, 'e')
	if n > 0 {
		dst = append(dst, '+')
	}
	return strconv.AppendInt(dst, int64(n-1), 10)
}

// isDouble says that the digits are those that RFC 8785 writes for the nearest double; then the power of ten is, too.
func (d decimal) isDouble(double float64) bool {
	var buf, digits [32]byte
	text := strconv.AppendFloat(buf[:0], math.Abs(double), 'e', -1, 64)
	return string(decimalOf(text, digits[:0]).digits) == string(d.digits)
}

func zeros(dst []byte, n int) []byte {
	for range n {
		dst = append(dst, '0')
	}
	return dst
}
