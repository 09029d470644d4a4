package config

import "time"

// Rule is one entry of policy, as it was written. What it means is checked where rules are compiled; [Rule.Wrap] then says
// where the fault stands.
type Rule struct {
	Name     string        `yaml:"name"`      // stands in the log; left out: the number of the entry, from 1
	Tool     string        `yaml:"tool"`      // a tool's name, MODULE.* or *
	When     string        `yaml:"when"`      // CEL; left out: always
	Then     string        `yaml:"then"`      // allow, ask or refuse
	Decide   []string      `yaml:"decide"`    // addresses, or administrators
	FourEyes bool          `yaml:"four_eyes"` // another person must decide
	Expire   time.Duration `yaml:"expire"`    // how long a call waits
	Reason   string        `yaml:"reason"`    // what the caller of a refused call is told
	Shadow   bool          `yaml:"shadow"`    // only log what it would have done

	at Section
}

// Wrap puts the place of one of the rule's fields before an error; of the rule, where the field is not there.
func (r Rule) Wrap(field string, err error) error {
	return r.at.fault(find(r.at.node, []any{field}), "%w", err)
}
