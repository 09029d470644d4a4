package people

import (
	"context"

	"gatehouse/gate"
)

// ParseEmail is parseEmail.
var ParseEmail = parseEmail

// Asker is a signed-in person, of whom there are none yet who could come through the gate.
func Asker(person gate.PersonID, administrator bool) asker {
	return asker{person: person, administrator: administrator}
}

func (p *People) AddAs(ctx context.Context, who asker, tools gate.Directory, email string, administrator bool) (Changed, error) {
	return p.addAs(ctx, who, tools, addArgs{Email: email, Administrator: administrator})
}

func (p *People) ActivateAs(ctx context.Context, who asker, person gate.PersonID, active bool) (Changed, error) {
	return p.activate(ctx, who, activeArgs{Person: person}, active)
}

func (p *People) SetAs(ctx context.Context, who asker, tools gate.Directory, person gate.PersonID, version int64, grants map[string]string) (Changed, error) {
	return p.setAs(ctx, who, tools, setArgs{person, version, grants})
}

// Doubt is the state after a write of which nobody knows what it did.
func (p *People) Doubt() { p.doubt.Store(true) }

// CheckVersions is the store's.
func (p *People) CheckVersions(ctx context.Context) error { return p.rows.db.CheckVersions(ctx) }
