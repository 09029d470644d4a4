package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"time"

	"gatehouse/canon"
	"gatehouse/egress"
	"gatehouse/entry/socket"
	"gatehouse/gate"
	"gatehouse/outcome"
	"gatehouse/store"
)

// Operator makes calls as the operator. It is for one goroutine at a time.
type Operator struct {
	call   func(ctx context.Context, tool string, arguments canon.Value) (gate.Outcome, error)
	closer io.Closer
}

// Call makes one call; arguments is a struct with json tags. The error is about reaching the gateway; what became of the
// call stands in the outcome.
func (o *Operator) Call(ctx context.Context, tool string, arguments any) (gate.Outcome, error) {
	args, err := canon.From(arguments)
	if err != nil {
		return gate.Outcome{}, fmt.Errorf("writing the arguments of %s: %w", tool, err)
	}
	return o.call(ctx, tool, args)
}

// Close leaves the server, or the data folder.
func (o *Operator) Close() error { return o.closer.Close() }

// Operate becomes the operator of a data folder: over the socket of the server that runs on it, else by opening the folder
// in this process, under its lock and through the same gate; then only the tools of the built-in modules are known. A
// server that is just starting, or another command, is waited for.
func Operate(ctx context.Context, c Config) (*Operator, error) {
	return operate(ctx, c, offline)
}

// Attach is Operate for what makes sense only while a server runs: without one it is outcome.Unavailable.
func Attach(ctx context.Context, c Config) (*Operator, error) {
	return operate(ctx, c, func(_ context.Context, c Config) (*Operator, error) {
		return nil, outcome.Unavailable.Because("no server runs on %s", c.File.Data)
	})
}

// Inspect is Operate for whoever wants to see everything at work: with no server running, all that the configuration names
// is started in this process until Close.
func Inspect(ctx context.Context, c Config) (*Operator, error) {
	return operate(ctx, c, func(ctx context.Context, c Config) (*Operator, error) {
		c.Offline = false
		return offline(ctx, c)
	})
}

// operate finds the server. alone is called when there is none, nor one that starts.
func operate(ctx context.Context, c Config, alone func(context.Context, Config) (*Operator, error)) (*Operator, error) {
	data, err := filepath.Abs(c.File.Data)
	if err != nil {
		return nil, fmt.Errorf("finding the data folder: %w", err)
	}
	c.File.Data, c.Offline = data, true
	for deadline := time.Now().Add(lockWait); ; {
		client, err := socket.Dial(ctx, data, dialSocket)
		if err == nil {
			return &Operator{client.Call, client}, nil
		}
		if !errors.Is(err, outcome.Unavailable) {
			return nil, err
		}
		free, lockErr := unserved(ctx, data)
		if free {
			o, err := alone(ctx, c)
			if errors.Is(err, outcome.Unavailable) { // perhaps a server was faster
				if client, dialErr := socket.Dial(ctx, data, dialSocket); dialErr == nil {
					return &Operator{client.Call, client}, nil
				}
			}
			return o, err
		}
		if lockErr != nil {
			return nil, lockErr
		}
		if time.Now().After(deadline) {
			return nil, outcome.Unavailable.From(err, "another process holds the data folder %s and does not answer on its socket", data)
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// unserved reports whether no server runs on the folder or waits to do so. Commands that hold the folder do not count:
// opening it waits for them.
func unserved(ctx context.Context, data string) (bool, error) {
	release, err := store.LockFolder(ctx, serveFolder(data), 0)
	if errors.Is(err, outcome.Unavailable) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	return true, release()
}

// serveFolder holds the lock by which a server tells commands that it runs or waits for the folder. Without it a command
// that holds the folder could be followed by another, which knows none of the server's tools, ahead of the server.
func serveFolder(data string) string { return filepath.Join(data, "serve") }

// announce takes the lock of serveFolder.
func (a *App) announce(ctx context.Context, data string) error {
	release, err := store.LockFolder(ctx, serveFolder(data), lockWait)
	if errors.Is(err, outcome.Unavailable) {
		return outcome.Unavailable.From(err, "another gatehouse serves the data folder %s", data)
	}
	if err != nil {
		return fmt.Errorf("opening the data folder %s: %w", data, err)
	}
	a.onClose(release)
	return nil
}

func dialSocket(ctx context.Context, path string) (net.Conn, error) {
	return egress.New(egress.Config{}).Dial(ctx, egress.Socket(path))
}

// offline opens the folder in this process.
func offline(ctx context.Context, c Config) (*Operator, error) {
	a, err := New(ctx, c)
	if err != nil {
		return nil, err
	}
	call := func(ctx context.Context, tool string, arguments canon.Value) (gate.Outcome, error) {
		caller, err := a.Operator(ctx)
		if err != nil {
			return gate.Outcome{}, err
		}
		return a.Gate.Call(ctx, caller, gate.Request{Tool: gate.ToolName(tool), Canonical: arguments}), nil
	}
	return &Operator{call, a}, nil
}
