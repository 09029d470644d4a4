package database

import (
	"database/sql/driver"
	"strconv"
	"strings"

	"gatehouse/canon"
	"gatehouse/outcome"
)

// statement is exactly one, with its parameters.
type statement struct {
	text     string // without a semicolon at its end
	params   []driver.NamedValue
	explains bool
}

// parse finds the end of the statement and its parameters, by SQLite's own rules for tokens
// (https://www.sqlite.org/lang_expr.html#parameters). What it means is for SQLite to say.
func parse(text string, params []canon.Value) (statement, error) {
	t := tokens{text: text}
	if err := t.read(); err != nil {
		return statement{}, err
	}
	if t.first == "" {
		return statement{}, outcome.WithFaults(outcome.Fault{Path: "/sql", Problem: "holds no statement"})
	}
	if t.wanted() != len(params) {
		return statement{}, outcome.WithFaults(outcome.Fault{
			Path:    "/params",
			Problem: "the statement takes " + strconv.Itoa(t.wanted()) + ", but there are " + strconv.Itoa(len(params)),
		})
	}
	bound, err := bind(params)
	return statement{text: text[:t.end], params: bound, explains: strings.EqualFold(t.first, "EXPLAIN")}, err
}

// tokens walks over a text.
type tokens struct {
	text     string
	at       int
	first    string // the first word
	end      int    // where the statement ends, without its semicolon
	ended    bool
	question int // ? without a number
	numbered int // the highest of $1, ?1
}

func (t *tokens) wanted() int { return max(t.question, t.numbered) }

func (t *tokens) read() error {
	for t.at < len(t.text) {
		start := t.at
		c := t.text[start]
		switch {
		case c == ' ' || c >= '\t' && c <= '\r' && c != '\v':
			t.at++
			continue
		case strings.HasPrefix(t.text[start:], "--"):
			t.skipTo(2, "\n")
			continue
		case strings.HasPrefix(t.text[start:], "/*"):
			t.skipTo(2, "*/")
			continue
		case c == ';':
			t.at++
			if t.first == "" {
				return outcome.WithFaults(outcome.Fault{Path: "/sql", Problem: "starts with a semicolon"})
			}
			t.ended = true
			continue
		case t.ended:
			return outcome.WithFaults(outcome.Fault{Path: "/sql", Problem: "holds more than one statement; send one at a time"})
		}
		if err := t.token(c); err != nil {
			return err
		}
		if t.first == "" {
			t.first = t.text[start:t.at]
		}
		t.end = t.at
	}
	return nil
}

// token steps over one token that is not white space, a comment or a semicolon.
func (t *tokens) token(c byte) error {
	switch {
	case c == '\'' || c == '"' || c == '`':
		t.quoted(c)
	case c == '[':
		t.skipTo(1, "]")
	case c == '?' || c == '$' || c == ':' || c == '@' || c == '#':
		return t.parameter(c)
	case identifier(c):
		t.word()
	default:
		t.at++
	}
	return nil
}

// skipTo steps over an opening and everything up to a closing mark, or to the end.
func (t *tokens) skipTo(opening int, closing string) {
	t.at += opening
	if i := strings.Index(t.text[t.at:], closing); i >= 0 {
		t.at += i + len(closing)
	} else {
		t.at = len(t.text)
	}
}

// quoted steps over a literal, in which a doubled mark stands for itself.
func (t *tokens) quoted(mark byte) {
	for t.at++; t.at < len(t.text); t.at++ {
		if t.text[t.at] != mark {
			continue
		}
		if t.at+1 < len(t.text) && t.text[t.at+1] == mark {
			t.at++
			continue
		}
		t.at++
		return
	}
}

func (t *tokens) word() string {
	start := t.at
	for t.at < len(t.text) && identifier(t.text[t.at]) {
		t.at++
	}
	return t.text[start:t.at]
}

// parameter takes ?, ?1 and $1. Names would need an object of values, and two ways at once could be read in two ways.
func (t *tokens) parameter(c byte) error {
	t.at++
	name := t.word()
	n, err := strconv.Atoi(name)
	switch {
	case c == '?' && name == "":
		t.question++
	case (c == '?' || c == '$') && err == nil && n >= 1 && n <= maxParams && name[0] != '0' && !t.tclNext():
		t.numbered = max(t.numbered, n)
	case name == "" && (c == ':' || c == '#'):
		return nil // no parameter; SQLite says what it thinks of it
	default:
		return outcome.WithFaults(outcome.Fault{Path: "/sql", Problem: "parameters are written $1, $2, … or ?, at most 500"})
	}
	if t.question > 0 && t.numbered > 0 || t.question > maxParams {
		return outcome.WithFaults(outcome.Fault{Path: "/sql", Problem: "parameters are written either $1, $2, … or ?, at most 500"})
	}
	return nil
}

// tclNext reports whether SQLite takes more into the name of a parameter: $1::a and $1(a) are names of Tcl.
func (t *tokens) tclNext() bool {
	rest := t.text[t.at:]
	return strings.HasPrefix(rest, "(") || strings.HasPrefix(rest, "::")
}

// identifier reports whether SQLite lets a byte stand inside a word or a number.
func identifier(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '_' || c == '$' || c >= 0x80
}
