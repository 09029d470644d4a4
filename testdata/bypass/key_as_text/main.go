// A permission key has no text that another package could take.
package main

import "gatehouse/gate"

func main() {
	println(gate.NewKey("note/read").name()) // want: gate.NewKey("note/read").name undefined (cannot refer to unexported field name)
}
