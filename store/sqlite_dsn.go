package store

import (
	"context"
	"database/sql/driver"
	"net/url"
	"path/filepath"
	"runtime"
	"strings"

	"modernc.org/sqlite"
)

// connector opens connections by one driver value of our own, so that nothing is registered for the whole process.
type connector struct {
	driver *sqlite.Driver
	dsn    string
}

// Connect implements driver.Connector.
func (c connector) Connect(context.Context) (driver.Conn, error) { return c.driver.Open(c.dsn) }

// Driver implements driver.Connector.
func (c connector) Driver() driver.Driver { return c.driver }

// dsn makes a URI of SQLite with what holds for every connection: https://www.sqlite.org/pragma.html.
func dsn(file, mode string, more url.Values) string {
	q := url.Values{
		"mode":          {mode},
		"_busy_timeout": {"5000"}, // milliseconds; only a copy or another process makes us wait
		"_synchronous":  {"FULL"}, // a commit is on the disk when it is answered (P6)
		"_defensive":    {"1"},
		"_dqs":          {"0"}, // "name" is never a string
		"_pragma":       {"trusted_schema(0)"},
	}
	if runtime.GOOS == "darwin" { // there fsync alone leaves data in the disk's cache
		q["_pragma"] = append(q["_pragma"], "fullfsync(1)", "checkpoint_fullfsync(1)")
	}
	for key, values := range more {
		q[key] = append(q[key], values...)
	}
	path := file
	if absolute, err := filepath.Abs(file); err == nil {
		path = absolute
	}
	path = filepath.ToSlash(path)
	if !strings.HasPrefix(path, "/") { // C:/data becomes /C:/data
		path = "/" + path
	}
	u := url.URL{Scheme: "file", Path: path, RawQuery: q.Encode()}
	return u.String()
}

func dsnWriter(file string) string {
	return dsn(file, "rw", url.Values{
		"_journal_mode": {"WAL"},
		"_foreign_keys": {"1"},
		"_pragma":       {"journal_size_limit(67108864)"}, // the -wal of a large group is cut again
	})
}

// dsnClosed is for a file that was closed: it is one file, without a write-ahead log.
func dsnClosed(file string) string {
	return dsn(file, "rw", url.Values{"_journal_mode": {"DELETE"}, "_foreign_keys": {"1"}, "_txlock": {"immediate"}})
}

func dsnReader(file string) string {
	return dsn(file, "ro", url.Values{"_query_only": {"1"}})
}

// dsnMigrate leaves foreign keys off, which the way to rebuild a table needs (https://www.sqlite.org/lang_altertable.html);
// they are checked at the end of each migration, see checkForeignKeys.
func dsnMigrate(file string) string {
	return dsn(file, "rw", url.Values{"_journal_mode": {"WAL"}, "_txlock": {"immediate"}})
}
