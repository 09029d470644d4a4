package cli

import (
	"maps"
	"slices"

	"gatehouse/gate"
)

// permissionsCommand shows a person's permission map.
type permissionsCommand struct {
	Email string `arg:"" help:"The person's address."`
}

// permissionMap is what permissions.get gives.
type permissionMap struct {
	Version int64             `json:"version"`
	Grants  map[string]string `json:"grants"`
	Stale   []string          `json:"stale"`
}

func (o *operator) permissions(id gate.PersonID) (permissionMap, string, error) {
	return ask[permissionMap](o, "permissions.get", struct {
		Person gate.PersonID `json:"person"`
	}{id})
}

// Run implements the command.
func (c *permissionsCommand) Run(r *run) error {
	return r.operate(func(o *operator) error {
		p, err := o.person(c.Email)
		if err != nil {
			return err
		}
		now, raw, err := o.permissions(p.ID)
		if err != nil {
			return err
		}
		if r.flags.JSON {
			return r.sayJSON(raw)
		}
		var rows [][]string
		for _, tool := range slices.Sorted(maps.Keys(now.Grants)) {
			rows = append(rows, []string{tool, now.Grants[tool]})
		}
		for _, tool := range now.Stale {
			rows = append(rows, []string{tool, "stale: the tool is gone or another one now, or its system is not running"})
		}
		return r.table([]string{"TOOL", "DECISION"}, rows)
	})
}
