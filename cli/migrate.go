package cli

import (
	"fmt"
	"maps"
	"slices"

	"gatehouse/app"
)

// migrateCommand brings the databases to this version, or moves them.
type migrateCommand struct {
	Check bool   `help:"Only say what would be done; exit status 1 if something would."`
	To    string `enum:",postgres" default:"" placeholder:"postgres" help:"Move a SQLite data folder into the empty PostgreSQL of the configuration."`
}

// Run implements the command.
func (c *migrateCommand) Run(r *run) error {
	if c.Check && c.To != "" {
		return wrong("--check looks at what --to does not touch: give one of them")
	}
	config, err := r.app()
	if err != nil {
		return err
	}
	if c.To != "" {
		return c.move(r, config)
	}
	all, err := app.Migrate(r.ctx, config, c.Check)
	if err != nil {
		return withHint(err, "name the data folder with --data, or the configuration with --config")
	}
	behind := 0
	for _, m := range all {
		if m.Behind() {
			behind++
		}
	}
	if err := c.show(r, all); err != nil {
		return err
	}
	if c.Check && behind > 0 {
		return withHint(fmt.Errorf("%d of %d databases are behind this version", behind, len(all)),
			"stop the gateway, make a backup, and run gatehouse migrate")
	}
	return nil
}

func (c *migrateCommand) show(r *run, all []app.Migrated) error {
	if r.flags.JSON {
		return r.sayAsJSON(struct {
			Databases []app.Migrated `json:"databases"`
		}{all})
	}
	var rows [][]string
	for _, m := range all {
		state := "up to date"
		if m.Behind() {
			state = fmt.Sprintf("%d to %d", m.From, m.To)
		}
		rows = append(rows, []string{m.Database, state, m.Copy})
	}
	return r.table([]string{"DATABASE", "MIGRATION", "COPY"}, rows)
}

func (c *migrateCommand) move(r *run, config app.Config) error {
	done, err := app.MoveToPostgres(r.ctx, config)
	if err != nil {
		return withHint(err, "nothing was moved, and the data folder is as it was")
	}
	if r.flags.JSON {
		return r.sayAsJSON(done)
	}
	for _, name := range slices.Sorted(maps.Keys(done.Rows)) {
		if err := r.say("%-10s %d rows", name, done.Rows[name]); err != nil {
			return err
		}
	}
	return r.say("moved to PostgreSQL: the log holds there with %d rows, the last hash is %s", done.Log, done.Head)
}
