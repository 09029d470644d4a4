// Command gatehouse is an AI agent gateway: every call of an agent passes one door. It must never do anything but hand
// its arguments to the command line in package cli.
package main

func main() {}
