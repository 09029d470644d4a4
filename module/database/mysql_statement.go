package database

import (
	"slices"
	"strings"

	"gatehouse/outcome"
)

// mysqlText is one statement, from its first word on and without a semicolon at its end.
type mysqlText struct {
	text  string
	words []mysqlWord
}

// mysqlWord is a word outside of texts, quoted names and comments.
type mysqlWord struct {
	upper string
	depth int  // of parentheses
	at    bool // an @ stands behind it
}

// readMySQLText splits a statement into words by the rules of https://mariadb.com/kb/en/sql-language-structure/, in the mode
// that prepare sets. Comments that a server executes are refused, and so is whatever is open at the end.
func readMySQLText(text string) (mysqlText, error) {
	r := mysqlReader{text: text, start: -1}
	if err := r.read(); err != nil {
		return mysqlText{}, err
	}
	if r.start < 0 {
		return mysqlText{}, errNoStatement()
	}
	return mysqlText{text[r.start:r.end], r.words}, nil
}

type mysqlReader struct {
	text  string
	at    int
	start int // of the first token, or -1
	end   int // of the last
	ended bool
	depth int
	words []mysqlWord
}

func fault(problem string) error {
	return outcome.WithFaults(outcome.Fault{Path: "/sql", Problem: problem})
}

func (r *mysqlReader) read() error {
	for r.at < len(r.text) {
		rest := r.text[r.at:]
		c := rest[0]
		switch {
		case c == ' ' || c >= '\t' && c <= '\r':
			r.at++
		case strings.HasPrefix(rest, "/*!") || strings.HasPrefix(rest, "/*M!") || strings.HasPrefix(rest, "/*+"):
			return outcome.Blocked.Because("/sql: comments that the server executes, and hints, may not be used here")
		case strings.HasPrefix(rest, "/*"):
			if i := strings.Index(rest[2:], "*/"); i >= 0 {
				r.at += i + 4
			} else {
				return fault("holds a comment that does not end")
			}
		case c == '#' || rest == "--" || strings.HasPrefix(rest, "--") && rest[2] <= ' ':
			if i := strings.IndexByte(rest, '\n'); i >= 0 {
				r.at += i + 1
			} else {
				r.at = len(r.text)
			}
		case c == ';':
			if r.start < 0 {
				return fault("starts with a semicolon")
			}
			r.ended = true
			r.at++
		case r.ended:
			return fault("holds more than one statement; send one at a time")
		default:
			if r.start < 0 {
				r.start = r.at
			}
			if err := r.token(c); err != nil {
				return err
			}
			r.end = r.at
		}
	}
	return nil
}

func (r *mysqlReader) token(c byte) error {
	switch {
	case c == '\'' || c == '"' || c == '`':
		return r.quoted(c)
	case identifier(c):
		start := r.at
		for r.at < len(r.text) && identifier(r.text[r.at]) {
			r.at++
		}
		// A word behind a dot counts too: in 1.INTO the dot belongs to the number.
		r.words = append(r.words, mysqlWord{upper: strings.ToUpper(r.text[start:r.at]), depth: r.depth})
		return nil
	case c == '(':
		r.depth++
	case c == ')':
		r.depth--
	case c == '@' && len(r.words) > 0:
		r.words[len(r.words)-1].at = true
	}
	r.at++
	return nil
}

// quoted steps over a text or name, in which a doubled mark stands for itself and, in texts, a backslash for what follows.
func (r *mysqlReader) quoted(mark byte) error {
	for r.at++; r.at < len(r.text); r.at++ {
		switch c := r.text[r.at]; {
		case c == '\\' && mark != '`':
			r.at++
		case c == mark && strings.HasPrefix(r.text[r.at+1:], string(mark)):
			r.at++
		case c == mark:
			r.at++
			return nil
		}
	}
	return fault("holds a text or name that does not end")
}

// has reports whether a word stands anywhere.
func (t mysqlText) has(words ...string) bool {
	return slices.ContainsFunc(t.words, func(w mysqlWord) bool { return slices.Contains(words, w.upper) })
}

func (t mysqlText) word(i int) string {
	if i < len(t.words) {
		return t.words[i].upper
	}
	return ""
}

// shown are what SHOW may show: nothing of logins, other sessions or the server's files.
var shown = []string{
	"TABLES", "COLUMNS", "FIELDS", "INDEX", "INDEXES", "KEYS", "CREATE", "DATABASES", "SCHEMAS", "TABLE", "COLLATION", "CHARACTER", "CHARSET", "WARNINGS", "ERRORS", "COUNT",
}

// checkReading refuses what is not reading. Rights and the transaction stop most of it; statements that end a transaction by
// themselves and SHOW are stopped here alone.
func (t mysqlText) checkReading() error {
	first := t.word(0)
	switch first {
	case "SELECT", "WITH", "VALUES", "TABLE":
	case "SHOW":
		what := t.word(1)
		if what == "FULL" || what == "EXTENDED" {
			what = t.word(2)
		}
		if !slices.Contains(shown, what) || what == "CREATE" && t.word(2) != "TABLE" && t.word(2) != "VIEW" {
			return outcome.Blocked.Because("/sql: SHOW tells of tables, views, columns and indexes here")
		}
	case "DESCRIBE", "DESC", "EXPLAIN":
		if t.has("ANALYZE", "CONNECTION") {
			return outcome.Blocked.Because("/sql: EXPLAIN is possible here without ANALYZE, which would run the statement")
		}
	default:
		if err := refuseVerb(first); err != nil {
			return err
		}
		if t.text[0] != '(' {
			return outcome.Blocked.Because("/sql: only reading is possible here, by SELECT, WITH, SHOW, DESCRIBE or EXPLAIN")
		}
	}
	if t.has("INTO") {
		return outcome.Blocked.Because("/sql: INTO may not be used here: only reading is possible")
	}
	return nil
}

// checkChanging admits what changes rows and nothing else.
func (t mysqlText) checkChanging() error {
	if err := refuseChange(t.word(0), "INSERT", "UPDATE", "DELETE", "REPLACE", "WITH"); err != nil {
		return err
	}
	for i, w := range t.words {
		if w.upper == "INTO" && (w.at || t.word(i+1) == "OUTFILE" || t.word(i+1) == "DUMPFILE") {
			return outcome.Blocked.Because("/sql: rows go into tables only")
		}
	}
	changes := slices.ContainsFunc(t.words, func(w mysqlWord) bool { return w.depth == 0 && (w.upper == "UPDATE" || w.upper == "DELETE") })
	if t.word(0) == "WITH" && !changes {
		return outcome.Invalid.Because("/sql: the statement changes nothing; use database.query")
	}
	return nil
}
