package database

import (
	"slices"
	"strings"

	"gatehouse/outcome"
)

// postgresStart gives the first word of a statement in upper case, and the statement from there on: white space and
// comments before it are left out, so that the word that was looked at is the first that the server sees.
// https://www.postgresql.org/docs/current/sql-syntax-lexical.html
func postgresStart(text string) (first, rest string) {
	for {
		text = strings.TrimLeft(text, " \t\n\r\f")
		switch {
		case strings.HasPrefix(text, "--"):
			end := strings.IndexAny(text, "\n\r")
			if end < 0 {
				return "", ""
			}
			text = text[end:]
		case strings.HasPrefix(text, "/*"):
			text = afterNested(text)
		default:
			return strings.ToUpper(text[:wordEnd(text)]), text
		}
	}
}

// afterNested gives what follows a comment; in PostgreSQL they nest.
func afterNested(text string) string {
	depth := 0
	for i := 0; i < len(text); i++ {
		if strings.HasPrefix(text[i:], "/*") {
			depth++
			i++
		} else if strings.HasPrefix(text[i:], "*/") {
			depth--
			i++
			if depth == 0 {
				return text[i+1:]
			}
		}
	}
	return ""
}

func wordEnd(text string) int {
	i := 0
	for i < len(text) && identifier(text[i]) {
		i++
	}
	return i
}

// explainOptions are those under which EXPLAIN runs nothing.
var explainOptions = []string{"VERBOSE", "COSTS", "SETTINGS", "GENERIC_PLAN", "FORMAT", "TEXT", "JSON", "XML", "YAML", "ON", "OFF", "TRUE", "FALSE", "0", "1"}

// postgresExplain writes an EXPLAIN anew with its options in parentheses, behind which the server takes no ANALYZE.
func postgresExplain(text string) (string, error) {
	refuse := outcome.Blocked.Because("/sql: EXPLAIN is possible here without ANALYZE, which would run the statement, and of SELECT, VALUES, TABLE and WITH")
	var options []string
	first, rest := postgresStart(text[len("EXPLAIN"):])
	if strings.HasPrefix(rest, "(") {
		end := strings.IndexByte(rest, ')')
		if end < 0 {
			return "", refuse
		}
		for _, option := range strings.Split(rest[1:end], ",") {
			words := strings.Fields(strings.ToUpper(option))
			for _, w := range words {
				if !slices.Contains(explainOptions, w) {
					return "", refuse
				}
			}
			options = append(options, strings.Join(words, " "))
		}
		first, rest = postgresStart(rest[end+1:])
	} else if first == "VERBOSE" {
		options = append(options, "VERBOSE")
		first, rest = postgresStart(rest[len("VERBOSE"):])
	}
	if len(options) == 0 {
		options = []string{"FORMAT TEXT"}
	}
	switch first {
	case "SELECT", "VALUES", "TABLE", "WITH":
		return "EXPLAIN (" + strings.Join(options, ", ") + ")\n" + rest, nil
	}
	return "", refuse
}
