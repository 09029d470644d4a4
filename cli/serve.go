package cli

import (
	"errors"
	"log/slog"
	"strings"
	"syscall"
	"time"

	"gatehouse/app"
)

// serveCommand runs the gateway.
type serveCommand struct {
	Listen string `placeholder:"ADDRESS" help:"The address of the HTTP server (else the configuration's, else 127.0.0.1:8080)."`
}

// Run implements the command. It ends in order at the first signal, and at once at the second.
func (c *serveCommand) Run(r *run) (err error) {
	file, err := r.file()
	if err != nil {
		return err
	}
	if c.Listen != "" {
		if err := file.SetListen(c.Listen); err != nil {
			return withHint(err, "an address that others can reach needs tls or trusted_proxies in the configuration")
		}
	}
	app.RelaxCollector()
	a, err := app.New(r.ctx, app.Config{File: file, Version: version().Version, Log: r.log(slog.LevelInfo)})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, a.Close()) }()
	l, err := a.Listen(r.ctx)
	if errors.Is(err, syscall.EADDRINUSE) {
		return withHint(err, "choose another address with --listen, as 127.0.0.1:8081")
	}
	if err != nil {
		return err
	}
	scheme := "http://"
	if !file.TLS.IsZero() {
		scheme = "https://"
	}
	if err := r.greet(scheme+l.Addr().String(), file.Data, a.Empty()); err != nil {
		return errors.Join(err, l.Close())
	}
	defer time.AfterFunc(settling, app.Settle).Stop()
	return a.Run(r.ctx, l)
}

// settling is how long a start takes at most until nothing of it is under way any more.
const settling = time.Second

// greet says where the server listens, and in a new house what to type next.
func (r *run) greet(url, data string, empty bool) error {
	if r.flags.JSON {
		return r.sayAsJSON(struct {
			Listening string `json:"listening"`
			Empty     bool   `json:"empty"`
		}{url, empty})
	}
	if err := r.say("listening on %s", url); err != nil || !empty {
		return err
	}
	return r.say("nobody is here yet; next, in another terminal: gatehouse %suser add YOU@EXAMPLE.ORG --administrator", dataFlag(data))
}

// dataFlag gives the flag that names a data folder, with a space after it, for commands that are shown; empty for the
// folder that they would take anyway.
func dataFlag(data string) string {
	if data == "./data" || data == "data" {
		return ""
	}
	if strings.IndexFunc(data, needsQuotes) >= 0 {
		data = "'" + strings.ReplaceAll(data, "'", `'\''`) + "'"
	}
	return "--data " + data + " "
}

func needsQuotes(r rune) bool {
	return !strings.ContainsRune("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-./", r)
}
