package policy

import (
	"context"
	"sync"

	"gatehouse/canon"
	"gatehouse/policy"
)

// conditions remembers tokens' conditions once they are compiled, by text and schema.
type conditions struct {
	mu   sync.Mutex
	done map[conditionOf]*policy.Condition
}

type conditionOf struct {
	text, tool string
	schema     canon.Value
}

// maxConditions bounds what is remembered; beyond it, all is compiled anew.
const maxConditions = 5000

// Holds implements gate.Policy.
func (m *Module) Holds(_ context.Context, t *policy.Tool, c *policy.Call, text string) (bool, error) {
	of := conditionOf{text, t.Name, t.Input}
	m.conditions.mu.Lock()
	one := m.conditions.done[of]
	m.conditions.mu.Unlock()
	if one == nil {
		var err error
		if one, err = policy.NewCondition(*t, text); err != nil {
			return false, err
		}
		m.conditions.mu.Lock()
		if m.conditions.done == nil || len(m.conditions.done) >= maxConditions {
			m.conditions.done = map[conditionOf]*policy.Condition{}
		}
		m.conditions.done[of] = one
		m.conditions.mu.Unlock()
	}
	return one.Holds(c)
}
