package store

import (
	"slices"
	"strings"

	"modernc.org/sqlite"
)

// readablePragmas may be read, never set, on a handle: they tell a test or doctor what holds.
var readablePragmas = []string{
	"busy_timeout", "data_version", "foreign_keys", "fullfsync", "integrity_check", "journal_mode", "query_only",
	"quick_check", "synchronous", "trusted_schema",
}

// newAuthorizer says what the SQL of a handle may do: read and change rows of the module's own tables. The schema is made
// by migrations, which run before on a connection of their own, so all that touches it is refused, and so is every way to
// another file; UPDATE and DELETE of the append-only tables are refused besides. SQLite asks it when a statement is
// prepared: https://www.sqlite.org/c3ref/set_authorizer.html.
func newAuthorizer(appendOnly []string) sqlite.AuthorizerFn {
	only := map[string]bool{}
	for _, table := range appendOnly {
		only[strings.ToLower(table)] = true
	}
	return func(action sqlite.AuthorizerActionCode, arg1, arg2, _, _ string) sqlite.AuthorizerReturnCode {
		ok := false
		switch action {
		case sqlite.AuthSelect, sqlite.AuthRead, sqlite.AuthRecursive, sqlite.AuthTransaction, sqlite.AuthSavepoint:
			ok = true
		case sqlite.AuthFunction:
			ok = !strings.EqualFold(arg2, "load_extension") && !strings.EqualFold(arg2, "fts3_tokenizer")
		case sqlite.AuthInsert:
			ok = !isInternal(arg1)
		case sqlite.AuthUpdate, sqlite.AuthDelete:
			ok = !isInternal(arg1) && !only[strings.ToLower(arg1)]
		case sqlite.AuthPragma:
			ok = mayReadPragma(arg1, arg2)
		}
		if ok {
			return sqlite.AuthorizerOK
		}
		return sqlite.AuthorizerDeny
	}
}

// isInternal reports whether a table is SQLite's own or this package's.
func isInternal(table string) bool {
	table = strings.ToLower(table)
	return strings.HasPrefix(table, "sqlite_") || table == migrationTable
}

func mayReadPragma(name, value string) bool {
	name = strings.ToLower(name)
	if name == "table_info" || name == "index_list" { // the value is a table; nothing can be set by them
		return true
	}
	return value == "" && slices.Contains(readablePragmas, name)
}
