// A module's tools are there for everyone to see; their handlers are not.
package main

import (
	"context"

	"gatehouse/gate"
)

func bypass(m gate.Module) {
	m.Tools()[0].run(context.Background(), gate.Permit{}, gate.Raw{}) // want: m.Tools()[0].run undefined (cannot refer to unexported field run)
}

func main() { bypass(nil) }
