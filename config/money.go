package config

import (
	"errors"
	"regexp"
	"strconv"
	"strings"
)

// Money is an amount in millionths of the unit that the operator counts in: 2.50 in the file is 2500000.
type Money int64

var amounts = regexp.MustCompile(`^(0|[1-9][0-9]{0,8})(?:\.([0-9]{1,6}))?$`)

// UnmarshalText implements encoding.TextUnmarshaler.
func (m *Money) UnmarshalText(text []byte) (err error) {
	*m, err = ParseMoney(string(text))
	return err
}

// ParseMoney reads an amount such as 2.50.
func ParseMoney(text string) (Money, error) {
	parts := amounts.FindStringSubmatch(text)
	if parts == nil {
		return 0, errors.New("an amount is a number like 2.50, with at most six digits after the point")
	}
	millionths, err := strconv.ParseInt(parts[1]+parts[2]+strings.Repeat("0", 6-len(parts[2])), 10, 64)
	return Money(millionths), err
}
