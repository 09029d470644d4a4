// AccessControlled is the only way to make a tool.
package main

import "gatehouse/gate"

func main() {
	_ = gate.Tool{name: "read"} // want: cannot refer to unexported field name in struct literal of type gate.Tool
}
