// Package demo makes a throwaway gateway with something behind it (a shop's database, a folder of files behind an MCP
// server), takes a tour of real calls through every entry, and prints each with its outcome, its row in the log and what
// the downstream side saw. It must never reach into a store: it uses the gateway as its users do.
package demo

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"gatehouse/app"
	"gatehouse/config"
)

// Config says how the demo runs.
type Config struct {
	Listen string    // address; empty: 127.0.0.1:8080, or a free port if that is taken
	Data   string    // data folder; empty: a new one that is removed at the end
	Once   bool      // end after the tour
	Break  string    // switch this check off first; only in builds with the tag breakable
	Out    io.Writer // where the tour is printed
	// Program is the command that plays the files server: the demo adds the folder and the file for its count. Empty: this
	// executable with the argument mcp-files.
	Program []string
}

//go:embed shop.db
var shop []byte

// ErrTour says that a step of the tour ended otherwise than it must.
var ErrTour = errors.New("the tour saw something that must not be")

// Run runs the demo until the tour has ended, or without Once until ctx ends. It is ErrTour if a step ended otherwise
// than it must.
func Run(ctx context.Context, c Config) (err error) {
	if c.Break != "" {
		if err := breakCheck(c.Break); err != nil {
			return err
		}
	}
	if c.Data == "" {
		c.Data, err = os.MkdirTemp("", "gatehouse-demo-")
		if err != nil {
			return fmt.Errorf("making a folder: %w", err)
		}
		defer func() { err = errors.Join(err, os.RemoveAll(c.Data)) }()
	}
	h, err := open(ctx, c)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, h.close()) }()
	p := &printer{out: c.Out}
	p.line("Gatehouse demo: %s", h.address)
	p.line("data folder:    %s", h.data)
	p.line("")
	t := &tour{house: h, print: p}
	if err := t.run(ctx); err != nil {
		return err
	}
	if c.Once {
		return t.verdict()
	}
	if err := t.verdict(); err != nil {
		p.line("%v", err)
	}
	if err := t.stay(ctx); err != nil {
		return err
	}
	<-ctx.Done()
	return nil
}

// house is the gateway of the demo and what lies behind it.
type house struct {
	data    string // the data folder
	files   string // the folder behind the files server
	count   string // the file with one byte for each call that reached the files server
	address string
	file    config.File
	app     *app.App
	served  chan error
	stop    context.CancelFunc
}

// open seeds the folders and starts the gateway.
func open(ctx context.Context, c Config) (*house, error) {
	base, err := filepath.Abs(c.Data)
	if err != nil {
		return nil, fmt.Errorf("finding the folder: %w", err)
	}
	h := &house{
		data: filepath.Join(base, "data"), files: filepath.Join(base, "files"),
		count: filepath.Join(base, "files.count"), served: make(chan error, 1),
	}
	yaml, err := h.seed(base, c)
	if err != nil {
		return nil, fmt.Errorf("seeding the demo: %w", err)
	}
	if h.file, err = config.Load(yaml); err != nil {
		return nil, err
	}
	log := slog.New(slog.NewTextHandler(io.Discard, nil))
	if h.app, err = app.New(ctx, app.Config{File: h.file, Log: log, Version: "demo"}); err != nil {
		return nil, err
	}
	l, err := h.app.Listen(ctx)
	if errors.Is(err, syscall.EADDRINUSE) && c.Listen == "" {
		l, err = h.app.ListenAt(ctx, "127.0.0.1:0")
	}
	if err != nil {
		return nil, errors.Join(err, h.app.Close())
	}
	h.address = l.Addr().String()
	running, stop := context.WithCancel(ctx)
	h.stop = stop
	go func() { h.served <- h.app.Run(running, l) }()
	return h, nil
}

// seed writes the shop, the files and the configuration.
func (h *house) seed(base string, c Config) (string, error) {
	program := c.Program
	if len(program) == 0 {
		self, err := os.Executable()
		if err != nil {
			return "", fmt.Errorf("finding this program: %w", err)
		}
		program = []string{self, "mcp-files"}
	}
	var command []string
	for _, arg := range append(append([]string{}, program...), h.files, h.count) {
		command = append(command, strconv.Quote(arg))
	}
	listen := c.Listen
	if listen == "" {
		listen = "127.0.0.1:8080"
	}
	yaml := fmt.Sprintf(`listen: %q
data: %q
modules:
  database:
    connections:
      shop: {driver: sqlite, dsn: shop.db, writable: false}
  mcp:
    servers:
      files:
        command: [%s]
        sandbox: {write: [%q, %q], user: same}
        tools:
          list_directory: {effect: reads, args: {path: {kind: path, root: %q}}}
          read_file: {effect: reads, args: {path: {kind: path, root: %q}}}
          write_file: {effect: writes, args: {path: {kind: path, root: %q}, content: {carries: content}}}
`, listen, h.data, strings.Join(command, ", "), h.files, h.count, h.files, h.files, h.files)
	if err := os.MkdirAll(h.files, 0o700); err != nil {
		return "", err
	}
	path := filepath.Join(base, "gatehouse.yaml")
	for name, text := range map[string][]byte{
		path:                                   []byte(yaml),
		filepath.Join(base, "shop.db"):         shop,
		filepath.Join(base, "secret.txt"):      []byte("outside of the folder that was permitted\n"),
		filepath.Join(h.files, "minutes.txt"):  []byte("Monday: kettles are out of stock until the 30th.\n"),
		filepath.Join(h.files, "supplier.txt"): []byte("Brass & Sons deliver on Thursdays.\n"),
		h.count:                                nil,
	} {
		if err := os.WriteFile(name, text, 0o600); err != nil {
			return "", err
		}
	}
	return path, nil
}

// arrived is how many calls reached the files server.
func (h *house) arrived() (int, error) {
	b, err := os.ReadFile(h.count)
	if err != nil {
		return 0, fmt.Errorf("reading the files server's count: %w", err)
	}
	return len(b), nil
}

func (h *house) close() error {
	h.stop()
	err := <-h.served
	if errors.Is(err, net.ErrClosed) {
		err = nil
	}
	return errors.Join(err, h.app.Close())
}

// printer writes lines; that nobody can read them is no reason to stop.
type printer struct{ out io.Writer }

func (p *printer) line(format string, args ...any) { _, _ = fmt.Fprintf(p.out, format+"\n", args...) }
