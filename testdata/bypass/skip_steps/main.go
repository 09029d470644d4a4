// The steps cannot be walked one by one.
package main

import (
	"context"

	"gatehouse/gate"
)

func bypass(g *gate.Gate) {
	_ = g.run(context.Background(), nil) // want: g.run undefined (cannot refer to unexported method run)
}

func main() { bypass(nil) }
