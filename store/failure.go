package store

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"gatehouse/outcome"
)

// versionRefused is what the triggers of versioned tables say, on both engines. See the package comment.
const versionRefused = "version must rise by one"

const (
	reasonUnavailable = "the store cannot be read or written now; try again later"
	reasonTaken       = "a value that must be unique is taken"
	reasonReference   = "what it refers to is gone, or something still refers to it"
	reasonVersion     = "it was changed by someone else; read it again"
	reasonLost        = "someone else wrote at the same time; try again"
	reasonUnclear     = "the connection broke while writing; it may have happened: look before repeating"
)

// translate gives an error of a driver its code. Errors of the context stay what they are; what we do not know stays
// without a code, which is internal.
func translate(ctx context.Context, err error) error {
	if err == nil {
		return nil
	}
	var ours callerError
	if errors.As(err, &ours) {
		return ours.error
	}
	var coded *outcome.Error
	var code outcome.Code
	if errors.As(err, &coded) || errors.As(err, &code) {
		return err
	}
	if known := classify(err); known != nil && known.Code != outcome.Unavailable {
		return known
	} else if ctxErr := ctx.Err(); ctxErr != nil {
		return fmt.Errorf("%w: %w", ctxErr, err)
	} else if known != nil {
		return known
	}
	return err
}

func classify(err error) *outcome.Error {
	var lite *sqlite.Error
	if errors.As(err, &lite) {
		return classifySQLite(lite, err)
	}
	var pg *pgconn.PgError
	if errors.As(err, &pg) {
		return classifyPostgres(pg, err)
	}
	if isBroken(err) {
		return outcome.Unavailable.From(err, reasonUnavailable)
	}
	return nil
}

// classifySQLite goes by https://www.sqlite.org/rescode.html. The low byte is the primary code.
func classifySQLite(e *sqlite.Error, err error) *outcome.Error {
	switch e.Code() {
	case sqlite3.SQLITE_CONSTRAINT_UNIQUE, sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY, sqlite3.SQLITE_CONSTRAINT_ROWID:
		return outcome.Conflict.From(err, reasonTaken)
	case sqlite3.SQLITE_CONSTRAINT_FOREIGNKEY:
		return outcome.Conflict.From(err, reasonReference)
	case sqlite3.SQLITE_CONSTRAINT_TRIGGER:
		if strings.Contains(e.Error(), versionRefused) {
			return outcome.Conflict.From(err, reasonVersion)
		}
	}
	switch e.Code() & 0xff {
	case sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN,
		sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_NOMEM, sqlite3.SQLITE_PROTOCOL, sqlite3.SQLITE_INTERRUPT:
		return outcome.Unavailable.From(err, reasonUnavailable)
	case sqlite3.SQLITE_READONLY:
		// Of the file or the disk; a write through a read-only connection of ours is a bug and stays without a code.
		if e.Code() != sqlite3.SQLITE_READONLY {
			return outcome.Unavailable.From(err, reasonUnavailable)
		}
	}
	return nil
}

// Full reports whether err says that there is no room left where the database keeps its files.
func Full(err error) bool {
	var lite *sqlite.Error
	if errors.As(err, &lite) { // the index of a write-ahead log cannot grow either
		return lite.Code()&0xff == sqlite3.SQLITE_FULL || lite.Code() == sqlite3.SQLITE_IOERR_SHMSIZE
	}
	var pg *pgconn.PgError
	return errors.As(err, &pg) && pg.Code == "53100"
}

// classifyPostgres goes by https://www.postgresql.org/docs/current/errcodes-appendix.html.
func classifyPostgres(e *pgconn.PgError, err error) *outcome.Error {
	switch e.Code {
	case "23505":
		return outcome.Conflict.From(err, reasonTaken)
	case "23503":
		return outcome.Conflict.From(err, reasonReference)
	case "40001", "40P01": // serialization_failure, deadlock_detected
		return outcome.Conflict.From(err, reasonLost)
	case "P0001": // raise_exception
		if strings.Contains(e.Message, versionRefused) {
			return outcome.Conflict.From(err, reasonVersion)
		}
	case "25006", "55P03", "58030": // read only, lock not available, I/O
		return outcome.Unavailable.From(err, reasonUnavailable)
	}
	switch e.Code[:min(2, len(e.Code))] {
	case "08", "28", "53", "57", "XX": // connection, authorization of it, resources, intervention of an operator, internal
		return outcome.Unavailable.From(err, reasonUnavailable)
	}
	return nil
}

// isBroken reports whether err says that a connection could not be had or is gone.
func isBroken(err error) bool {
	var connect *pgconn.ConnectError
	var network net.Error
	var path *os.PathError
	return errors.As(err, &connect) || errors.As(err, &network) || errors.As(err, &path) ||
		errors.Is(err, driver.ErrBadConn) || errors.Is(err, sql.ErrConnDone) || errors.Is(err, sql.ErrTxDone) ||
		errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, net.ErrClosed) ||
		strings.HasSuffix(err.Error(), "conn closed") // pgconn's, which has no value of its own
}

// isDatabases reports whether err came from the database, rather than from an All's callback or from there being no row.
func isDatabases(err error) bool {
	var ours callerError
	return err != nil && !errors.As(err, &ours) && !errors.Is(err, outcome.NotFound)
}

// unclear is for errors of a COMMIT, or of a statement that commits by itself: where the database did not say no, it is unknown whether it happened.
func unclear(err error) error {
	if outcome.Of(err) == outcome.Conflict || errors.Is(err, pgx.ErrTxCommitRollback) {
		return err
	}
	var lite *sqlite.Error
	if errors.As(err, &lite) && lite.Code()&0xff != sqlite3.SQLITE_IOERR {
		return err
	}
	var pg *pgconn.PgError
	if errors.As(err, &pg) && !strings.HasPrefix(pg.Code, "08") && !strings.HasPrefix(pg.Code, "57P") {
		return err
	}
	return outcome.Unknown.From(err, reasonUnclear)
}
