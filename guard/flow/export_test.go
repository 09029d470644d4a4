package flow

// What the tests outside need of the insides.
const (
	MaxRecent  = maxRecent
	MaxHeld    = maxHeld
	MaxSources = maxSources
)

// Hash is SipHash of one value.
func Hash(k Key, kind byte, s string) uint64 { return k.hash(kind, s) }

// Addresses gives what is found in a text, in its views.
func Addresses(text string) (all []string) {
	views, _ := views(text)
	for _, view := range views {
		addresses(view, func(a address) { all = append(all, a.canonical) })
	}
	return all
}

// Met reports whether a part was met.
func Met(m *Memory, part string) bool { return m.met(m.key.hash(isPart, part)) }

// Views gives the ways in which a text may be meant.
func Views(text string) []string {
	all, _ := views(text)
	return all
}
