//go:build breakable

package gate

import "fmt"

// broken is the one check that this build leaves out.
var broken check

func on(c check) bool { return c != broken }

// Breakable lists what [Break] can switch off.
func Breakable() []string {
	all := make([]string, 0, len(checks))
	for _, c := range checks {
		all = append(all, string(c))
	}
	return all
}

// Break switches one check off for the life of the process. It exists only in builds with the tag breakable, which show
// that the tour and the promises notice when a check is missing. Call it before a gate is made.
func Break(name string) error {
	for _, c := range checks {
		if string(c) == name {
			broken = c
			return nil
		}
	}
	return fmt.Errorf("there is no check %q: %v", name, Breakable())
}
