package people

import "gatehouse/gate"

// decisions are the words for a grant, in the tables and in what tools take and show.
var decisions = map[string]gate.Decision{"allow": gate.Allow, "ask": gate.Ask, "none": gate.Refuse}

func word(d gate.Decision) string {
	for w, one := range decisions {
		if one == d {
			return w
		}
	}
	return "none"
}
