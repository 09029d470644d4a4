// Who is calling is found out by the gate, not said by an entry.
package main

import "gatehouse/gate"

func main() {
	_ = gate.Caller{operator: true} // want: cannot refer to unexported field operator in struct literal of type gate.Caller
}
