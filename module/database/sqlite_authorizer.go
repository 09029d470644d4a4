package database

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"modernc.org/sqlite"

	"gatehouse/outcome"
)

// mode says what a statement may do.
type mode uint8

const (
	reading    mode = iota // SELECT and what belongs to it
	collecting             // reading, and handing rows to us
	describing             // reading, and the pragmas that describe tables
	changing               // reading, INSERT, UPDATE and DELETE
	bracketing             // BEGIN, COMMIT and ROLLBACK, which only we say
)

// authorizer decides what a statement may do, at the moment when SQLite compiles it, and remembers what it refused. It
// lives for one statement: https://www.sqlite.org/c3ref/set_authorizer.html.
type authorizer struct {
	mode    mode
	refused string // what was refused first, in words
	changes bool   // it would change rows
}

func register(conn any, fn sqlite.AuthorizerFn) error {
	r, ok := conn.(sqlite.AuthorizerRegisterer)
	if !ok {
		return errors.New("the SQLite driver takes no authorizer")
	}
	return r.RegisterAuthorizer(fn)
}

// on puts a new authorizer on a connection.
func (m mode) on(r raw) (*authorizer, error) {
	a := &authorizer{mode: m}
	if err := r.RegisterAuthorizer(a.authorize); err != nil {
		return nil, fmt.Errorf("setting the authorizer: %w", err)
	}
	return a, nil
}

func (a *authorizer) authorize(action sqlite.AuthorizerActionCode, arg1, arg2, _, _ string) sqlite.AuthorizerReturnCode {
	what := a.objection(action, strings.ToLower(arg1), strings.ToLower(arg2))
	if what == "" {
		return sqlite.AuthorizerOK
	}
	if a.refused == "" {
		a.refused = what
	}
	return sqlite.AuthorizerDeny
}

// forbidden are functions that reach outside the file, fill the memory, or are ours.
var forbidden = []string{
	"edit", "fts3_tokenizer", "load_extension", "randomblob", "readfile", "sqlite_log", "writefile", "zeroblob", collect,
}

// ownTables are SQLite's own tables that say something about the user's.
var ownTables = []string{"sqlite_schema", "sqlite_master", "sqlite_sequence", "sqlite_stat1", "sqlite_stat4"}

// describingPragmas only read the schema.
var describingPragmas = []string{"foreign_key_list", "index_info", "index_list", "table_list", "table_xinfo"}

// objection is what a person or model should read, or nothing. What is not named here is refused.
func (a *authorizer) objection(action sqlite.AuthorizerActionCode, arg1, arg2 string) string {
	switch action {
	case sqlite.AuthTransaction:
		if a.mode == bracketing {
			return ""
		}
		return "transactions are made by the gateway alone"
	case sqlite.AuthSelect, sqlite.AuthRecursive:
		if a.mode != bracketing {
			return ""
		}
	case sqlite.AuthRead:
		if a.mode == bracketing || internal(arg1) && !slices.Contains(ownTables, arg1) {
			return "this table is not for reading"
		}
		return ""
	case sqlite.AuthFunction:
		if a.mode == bracketing || slices.Contains(forbidden, arg2) && (a.mode != collecting || arg2 != collect) {
			return "the function " + arg2 + " may not be used here"
		}
		return ""
	case sqlite.AuthPragma:
		if a.mode == describing && slices.Contains(describingPragmas, arg1) {
			return ""
		}
		return "pragmas may not be used here; database.tables and database.describe tell what there is"
	case sqlite.AuthInsert, sqlite.AuthUpdate, sqlite.AuthDelete:
		if a.mode == changing && !internal(arg1) {
			a.changes = true
			return ""
		}
	case sqlite.AuthAttach, sqlite.AuthDetach:
		return "other files cannot be reached from here"
	}
	if a.mode == changing {
		return "only rows can be changed here, by INSERT, UPDATE or DELETE"
	}
	return "only reading is possible here"
}

// internal reports whether a table is SQLite's own. sqlite_dbpage, for one, would show deleted rows.
func internal(table string) bool { return strings.HasPrefix(table, "sqlite_") }

// judge gives the error of a compilation or a run: where the authorizer refused something, that is the reason.
func (a *authorizer) judge(err error) error {
	if err != nil && a.refused != "" {
		return outcome.Blocked.From(err, "/sql: %s", a.refused)
	}
	return err
}
