package database

import (
	"fmt"
	"path/filepath"
	"regexp"
	"strings"

	"gatehouse/module"
)

// Config is the section modules.database.
type Config struct {
	Connections map[string]Connection `yaml:"connections"` // by the name that agents use
}

// Connection is one database.
type Connection struct {
	Driver   string `yaml:"driver"`   // sqlite
	DSN      string `yaml:"dsn,path"` // path of the file, which is never made
	Writable bool   `yaml:"writable"` // database.execute may change rows
}

var connectionNames = regexp.MustCompile(`^[a-z][a-z0-9_-]{0,39}$`)

// check refuses what must not start. The path itself is left out of the errors, as everywhere.
func (c Connection) check(kit module.Kit, name string) error {
	switch {
	case !connectionNames.MatchString(name):
		return fmt.Errorf("connection %q: a name is a lower-case letter, then letters, digits, - or _, at most 40", name)
	case c.Driver != "sqlite":
		return fmt.Errorf("connection %s: the driver %q is not built; there is sqlite", name, c.Driver)
	case c.DSN == "":
		return fmt.Errorf("connection %s: dsn is missing: the path of the SQLite file", name)
	case strings.ContainsAny(c.DSN, "?\x00") || strings.Contains(c.DSN, "file:") || strings.HasPrefix(filepath.Base(c.DSN), ":"):
		return fmt.Errorf("connection %s: dsn must be a plain path, without file: and without parameters", name)
	case kit.Overlaps(c.DSN):
		return fmt.Errorf("connection %s: dsn must not lie in the data folder", name)
	}
	return nil
}
