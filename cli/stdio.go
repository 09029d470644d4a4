package cli

import (
	"fmt"
	"os/signal"
	"syscall"

	"gatehouse/bridge"
	"gatehouse/config"
)

// stdioCommand is the bridge for clients that start a program and speak MCP with it.
type stdioCommand struct {
	URL       string `required:"" placeholder:"URL" help:"The gateway's MCP address, as http://127.0.0.1:8080/mcp."`
	TokenFile string `required:"" placeholder:"FILE" help:"The file that holds the token; nobody else may read it (mode 0600)."`
	AllowHTTP bool   `name:"allow-http" help:"Let the token travel in the clear to another machine."`
}

// Run implements the command. Standard output is the client's: nothing but frames goes there.
func (c *stdioCommand) Run(r *run) error {
	if r.flags.JSON {
		return wrong("stdio speaks MCP on standard output: there is no result to print as JSON")
	}
	// A client that went away must be seen as a write that fails, so that the session is ended at the gateway.
	signal.Ignore(syscall.SIGPIPE)
	file := config.Secret{File: c.TokenFile}
	err := bridge.Run(r.ctx, bridge.Config{
		URL: c.URL, AllowHTTP: c.AllowHTTP, Token: file.Read, TokenFrom: file.String(), In: r.in, Out: r.out,
		Tell: func(line string) { r.note("gatehouse stdio: %s", line) }, Version: version().Version,
	})
	if err != nil {
		return withHint(fmt.Errorf("connecting to %s: %w", c.URL, err),
			"give the MCP address of a gateway, and a file with mode 0600 that holds what gatehouse token issue printed")
	}
	return nil
}
