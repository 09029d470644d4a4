package database

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/go-sql-driver/mysql"
)

const mysqlHint = "make a login of its own: CREATE USER … IDENTIFIED BY …; GRANT SELECT ON that one database (or on single tables), and nothing ON *.*"

// verdictFor is how long a login that was found plain is not asked about again.
const verdictFor = time.Minute

// prepare asks what the login may do, sets the session and opens the transaction.
func (m *mysqlServer) prepare(ctx, inner context.Context, s *mysqlSession, begin string) error {
	left := deadline
	if until, ok := ctx.Deadline(); ok {
		left = time.Until(until)
	}
	_ = s.wire.SetDeadline(time.Now().Add(max(left, 0) + cancelTime))
	facts, err := s.rows(inner, "SELECT CONNECTION_ID(), VERSION(), COALESCE(CURRENT_ROLE(), 'NONE')")
	if err != nil {
		return err
	}
	id, mariadb, role := facts[0][0], strings.Contains(facts[0][1], "MariaDB"), facts[0][2]
	s.id = id
	if !m.plainStill() {
		if why, err := s.tooMuch(inner, mariadb, role); err != nil {
			return err
		} else if why != "" {
			return m.refuseLogin(why, mysqlHint)
		}
		m.found()
	}
	// The statement's own end comes first and kills; the server's is for when we are gone. A mode of ours, since the mode
	// decides where a text ends.
	limit := fmt.Sprintf("max_execution_time = %d", (max(left, 0) + cancelTime).Milliseconds())
	if mariadb {
		limit = fmt.Sprintf("max_statement_time = %.3f", (max(left, 0) + cancelTime).Seconds())
	}
	set := fmt.Sprintf("SET SESSION sql_mode = 'STRICT_TRANS_TABLES,ERROR_FOR_DIVISION_BY_ZERO,NO_ENGINE_SUBSTITUTION', innodb_lock_wait_timeout = %d, lock_wait_timeout = %[1]d, %s",
		int(lockTime.Seconds()), limit)
	if err := s.run(inner, set); err != nil {
		return err
	}
	return s.run(inner, begin)
}

// harmlessGlobally are privileges that a login may have on the whole server.
var harmlessGlobally = []string{"USAGE", "SHOW DATABASES"}

// tooMuch says what a login may do that it must not, or nothing. SHOW GRANTS gives, on MariaDB, those of its role too.
func (s *mysqlSession) tooMuch(ctx context.Context, mariadb bool, role string) (string, error) {
	text := "SHOW GRANTS FOR CURRENT_USER()"
	if mariadb {
		text = "SHOW GRANTS"
	} else if role != "NONE" {
		text += " USING " + role // quoted by the server
	}
	grants, err := s.rows(ctx, text)
	if err != nil {
		return "", err
	}
	if len(grants) == 0 {
		return "", errors.New("the server did not say what its login may do")
	}
	for _, g := range grants {
		privileges, isGlobal := strings.CutPrefix(g[0], "GRANT ")
		privileges, _, global := strings.Cut(privileges, " ON *.* TO ")
		if !isGlobal || !global {
			continue
		}
		for _, p := range strings.Split(privileges, ",") {
			if p = strings.TrimSpace(p); !slices.Contains(harmlessGlobally, p) {
				return "it has " + p + " on the whole server", nil
			}
		}
	}
	// A grant on a pattern, or on the system database itself, shows when it is tried.
	for _, table := range []string{"mysql.user", "mysql.global_priv", "mysql.db"} {
		_, err := s.rows(ctx, "SELECT 1 FROM "+table+" LIMIT 0")
		var e *mysql.MySQLError
		switch {
		case err == nil:
			return "it may read the system database, with the passwords of all logins", nil
		case !errors.As(err, &e):
			return "", err
		}
	}
	return "", nil
}

// plainStill reports whether the login was found plain a short while ago.
func (m *mysqlServer) plainStill() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return time.Now().Before(m.plainUntil)
}

func (m *mysqlServer) found() {
	m.warned.Store(false)
	m.mu.Lock()
	defer m.mu.Unlock()
	m.plainUntil = time.Now().Add(verdictFor)
}
