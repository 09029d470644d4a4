// A tool declares its permission key, or there is no tool.
package main

import (
	"context"

	"gatehouse/gate"
)

type args struct{}

func read(context.Context, gate.Permit, args) (args, error) { return args{}, nil }

func main() {
	_ = gate.AccessControlled("read", gate.Spec{Title: "Read"}, read) // want: not enough arguments in call to gate.AccessControlled
}
