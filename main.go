// Command gatehouse is an AI agent gateway: every call of an agent passes one door. It must never do anything but hand
// its arguments to the command line in package cli.
package main

import (
	"os"

	"gatehouse/cli"
)

func main() {
	os.Exit(cli.Main(os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}
