package app

import (
	"gatehouse/guard"
	"gatehouse/guard/paths"
	"gatehouse/guard/urls"
)

// guards look at every call, in this order. Adding a guard is one folder and one line here.
func guards() []guard.Guard {
	return []guard.Guard{
		paths.New(),
		urls.New(),
	}
}
