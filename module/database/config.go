package database

import (
	"errors"
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"gatehouse/module"
	"gatehouse/secret"
)

// Config is the section modules.database.
type Config struct {
	Connections map[string]Connection `yaml:"connections"` // by the name that agents use
}

// Connection is one database.
type Connection struct {
	Driver   string     `yaml:"driver"`   // sqlite, postgres or mysql
	DSN      string     `yaml:"dsn"`      // sqlite: path of the file, which is never made; else a DSN without a password
	DSNEnv   secret.Ref `yaml:"dsn_env"`  // the variable that holds the DSN
	DSNFrom  secret.Ref `yaml:"dsn_from"` // likewise, or a file or credential
	Writable bool       `yaml:"writable"` // database.execute may change rows
	Private  bool       `yaml:"private"`  // a host's name in the DSN may lead to private addresses
}

// ResolvePaths is called by the decoder: only the DSN of SQLite is a path.
func (c *Connection) ResolvePaths(resolve func(string) string) {
	if c.Driver == "sqlite" {
		c.DSN = resolve(c.DSN)
	}
}

var connectionNames = regexp.MustCompile(`^[a-z][a-z0-9_-]{0,39}$`)

var drivers = []string{"sqlite", "postgres", "mysql"}

// check refuses what must not start. What was written as a DSN is left out of all errors: it may hold a password.
func (c Connection) check(name string) error {
	given := 0
	for _, is := range []bool{c.DSN != "", !c.DSNEnv.IsZero(), !c.DSNFrom.IsZero()} {
		if is {
			given++
		}
	}
	switch {
	case !connectionNames.MatchString(name):
		return errors.New("a name is a lower-case letter, then letters, digits, - or _, at most 40")
	case !slices.Contains(drivers, c.Driver):
		return fmt.Errorf("the driver %q is unknown; there are %s", c.Driver, strings.Join(drivers, ", "))
	case c.Driver == "sqlite" && (c.DSN == "" || given > 1):
		return errors.New("dsn is missing: the path of the SQLite file (and nothing else)")
	case c.Driver == "sqlite" && c.Private:
		return errors.New("private is for servers; a file has no address")
	case given == 0:
		return errors.New("dsn_env is missing: the name of the environment variable that holds the DSN")
	case given > 1:
		return errors.New("the DSN is given once: by dsn, dsn_env or dsn_from")
	}
	return nil
}

// checkFile refuses a SQLite file that must not be opened.
func (c Connection) checkFile(kit module.Kit) error {
	switch {
	case strings.ContainsAny(c.DSN, "?\x00") || strings.Contains(c.DSN, "file:") || strings.HasPrefix(filepath.Base(c.DSN), ":"):
		return errors.New("dsn must be a plain path, without file: and without parameters")
	case kit.Overlaps(c.DSN):
		return errors.New("dsn must not lie in the data folder")
	}
	return nil
}

// text gives the DSN as it stands now: a secret that was changed is taken at the next connection.
func (c Connection) text() (secret.Text, error) {
	switch {
	case !c.DSNEnv.IsZero():
		return c.DSNEnv.Resolve()
	case !c.DSNFrom.IsZero():
		return c.DSNFrom.Resolve()
	}
	return secret.New(c.DSN), nil
}
