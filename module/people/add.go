package people

import (
	"context"
	"errors"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"gatehouse/gate"
	"gatehouse/outcome"
	"gatehouse/store"
)

// keepHouse are the modules whose tools an administrator is permitted from the start.
const keepHouse = "people permissions tokens audit vault servers"

type addArgs struct {
	Email         string `json:"email" kind:"email" jsonschema:"one address; no two people have the same one"`
	Name          string `json:"name,omitzero" jsonschema:"how people call them, at most 100 characters"`
	Administrator bool   `json:"administrator,omitzero" carries:"nothing" jsonschema:"may keep the house from the start"`
}

// Changed says which version a person and their map have after a change.
type Changed struct {
	Person  gate.PersonID `json:"person"`
	Version int64         `json:"version"`
}

func (p persons) add(ctx context.Context, permit gate.Permit, a addArgs) (Changed, error) {
	return p.addAs(ctx, askerOf(permit), permit.Tools(), a)
}

// addAs leaves one thing to those who keep the house: whoever may add people could else make an administrator of their own.
func (p *People) addAs(ctx context.Context, who asker, tools gate.Directory, a addArgs) (Changed, error) {
	email, folded, ok := parseEmail(a.Email)
	if !ok {
		return Changed{}, outcome.WithFaults(outcome.Fault{Path: "/email", Problem: "is not one plain address, like ada@example.org"})
	}
	if !printable(a.Name, 100) {
		return Changed{}, outcome.WithFaults(outcome.Fault{Path: "/name", Problem: "has more than 100 characters, or one that cannot be seen"})
	}
	if a.Administrator && !who.keepsHouse() {
		return Changed{}, outcome.NotAllowed.Because("only an administrator or the operator adds an administrator")
	}
	added, err := p.write(ctx, func(tx *store.Tx) (gate.PersonID, error) {
		id, err := p.rows.add(ctx, tx, record{email: email, name: a.Name, administrator: a.Administrator}, folded)
		if errors.Is(err, outcome.Conflict) {
			return 0, outcome.Conflict.From(err, "there is a person with this address already")
		}
		if err != nil || !a.Administrator {
			return id, err
		}
		return id, p.startAdministrator(ctx, tx, id, tools)
	})
	if err != nil {
		return Changed{}, err
	}
	return Changed{added.id, added.version}, nil
}

// startAdministrator permits the tools that keep the house and exist now. They are grants like any other afterwards.
func (p *People) startAdministrator(ctx context.Context, tx *store.Tx, id gate.PersonID, tools gate.Directory) error {
	for _, t := range tools.All() {
		module, _, _ := strings.Cut(string(t.Name), ".")
		if !slices.Contains(strings.Fields(keepHouse), module) {
			continue
		}
		if err := p.rows.permit(ctx, tx, grant{person: id, number: t.Key, tool: t.Name, decision: gate.Allow}); err != nil {
			return err
		}
	}
	return nil
}

// printable reports whether a text has at most n characters, all of which can be seen.
func printable(s string, n int) bool {
	return utf8.RuneCountInString(s) <= n && strings.IndexFunc(s, func(r rune) bool { return !unicode.IsPrint(r) }) < 0
}
