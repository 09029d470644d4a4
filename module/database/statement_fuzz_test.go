package database_test

import (
	"slices"
	"strings"
	"testing"

	"gatehouse/module/database"
	"gatehouse/outcome"
)

var odd = []string{
	"SELECT 1", " \t\n-- a\nSELECT 1; -- b", "/* a */ select 1 /* b", "/* /* a */ */ INSERT INTO a VALUES ('it''s', \"a\\\"b\", `c``d`)", "#\nDELETE FROM a;;",
	"SELECT 'a\\", "SELECT '", "--", "-- ", "/*", "/*/", "/**/", "/*!50000 DROP TABLE a*/", "(SELECT 1)", "1.INTO", "SELECT @a:=1 INTO @b", "\xff\xfe", "\x00SELECT", "E'\\'", "$$a$$", ";",
	"SELECT 1; SELECT 2", "a@b.c()", "-- \rDROP TABLE a", "--a\rDROP", "--#0",
}

// FuzzMySQLText: what is read of a statement is what a second reading finds, with whatever comments before it.
func FuzzMySQLText(f *testing.F) {
	for _, seed := range odd {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, sql string) {
		text, words, err := database.MySQLText(sql)
		if err != nil {
			if code := outcome.Of(err); code != outcome.Invalid && code != outcome.Blocked {
				t.Errorf("%q: %v", sql, err)
			}
			return
		}
		if text == "" || !strings.Contains(sql, text) {
			t.Errorf("%q became %q", sql, text)
		}
		others := []string{"/* ' */-- \"\n#`\n\t" + sql, text, text + " ; /* ' */ -- "}
		if strings.HasSuffix(text, "--") { // of --#, which are two signs and a comment, two signs are left: a comment
			others = others[:1]
		}
		for _, again := range others {
			text2, words2, err := database.MySQLText(again)
			if err != nil || text2 != text || !slices.Equal(words, words2) {
				t.Errorf("%q is %q %q, and %q is %q %q (%v)", sql, text, words, again, text2, words2, err)
			}
		}
	})
}

// FuzzPostgresStart: nothing that the server would skip stands before the first word, whatever comments come before it.
func FuzzPostgresStart(f *testing.F) {
	for _, seed := range odd {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, sql string) {
		first, rest := database.PostgresStart(sql)
		if !strings.HasSuffix(sql, rest) || !strings.HasPrefix(strings.ToUpper(rest), first) {
			t.Errorf("%q starts with %q, and goes on as %q", sql, first, rest)
		}
		if rest != strings.TrimLeft(rest, " \t\n\r\f") || strings.HasPrefix(rest, "--") || strings.HasPrefix(rest, "/*") {
			t.Errorf("%q: the server skips more than that: %q", sql, rest)
		}
		for _, again := range []string{rest, "/* /* ' */ */--\"\r" + sql} {
			if first2, rest2 := database.PostgresStart(again); first2 != first || rest2 != rest {
				t.Errorf("%q gives %q %q, and %q gives %q %q", sql, first, rest, again, first2, rest2)
			}
		}
	})
}
