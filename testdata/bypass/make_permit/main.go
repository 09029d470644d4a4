// A permit that says something can be made only by the gate.
package main

import "gatehouse/gate"

func main() {
	_ = gate.Permit{p: nil} // want: cannot refer to unexported field p in struct literal of type gate.Permit
}
