package database

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"gatehouse/gate"
	"gatehouse/outcome"
)

// examination is how long one database may take to say what tables it has.
const examination = 15 * time.Second

var _ gate.Examined = (*Module)(nil)

// Examine implements [gate.Examined]: each connection is asked for its tables.
func (m *Module) Examine(ctx context.Context) []gate.Checkup {
	names := slices.Sorted(maps.Keys(m.connections))
	found := make([]gate.Checkup, len(names))
	done := make(chan struct{})
	for i, name := range names {
		go func() {
			found[i] = m.connections[name].examine(ctx)
			done <- struct{}{}
		}()
	}
	for range names {
		<-done
	}
	return found
}

func (c connection) examine(ctx context.Context) gate.Checkup {
	ctx, cancel := context.WithTimeout(ctx, examination)
	defer cancel()
	one := gate.Checkup{Subject: "database " + c.name}
	tables, err := c.tables(ctx)
	if err != nil {
		e := outcome.Explain(err)
		if one.Problem = e.Reason; one.Problem == "" {
			one.Problem = "its tables cannot be listed: " + e.Code.String()
		}
		one.Hint = "see modules.database.connections." + c.name + " in the configuration"
		return one
	}
	may := "can be read"
	if c.writable {
		may = "can be read and changed"
	}
	one.Notes = []string{fmt.Sprintf("%s, %d tables, %s", c.dialect, len(tables.Tables), may)}
	return one
}
