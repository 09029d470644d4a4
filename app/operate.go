package app

import (
	"context"
	"errors"
	"fmt"
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
type Operator interface {
	// Call makes one call. The error is about reaching the gateway; what became of the call stands in the outcome.
	Call(ctx context.Context, tool string, arguments canon.Value) (gate.Outcome, error)
	Close() error
}

// Operate becomes the operator of a data folder: over the socket of the server that runs on it, else by opening the folder
// in this process, under its lock and through the same gate. A server that is just starting is waited for.
func Operate(ctx context.Context, c Config) (Operator, error) {
	data, err := filepath.Abs(c.File.Data)
	if err != nil {
		return nil, fmt.Errorf("finding the data folder: %w", err)
	}
	c.File.Data, c.Offline = data, true
	for deadline := time.Now().Add(lockWait); ; {
		client, err := socket.Dial(ctx, data, dialSocket)
		if err == nil {
			return client, nil
		}
		if !errors.Is(err, outcome.Unavailable) {
			return nil, err
		}
		release, lockErr := store.LockFolder(ctx, data, 0)
		if lockErr == nil {
			if err := release(); err != nil {
				return nil, err
			}
			a, err := New(ctx, c)
			if err != nil {
				return nil, err
			}
			return offline{a}, nil
		}
		if !errors.Is(lockErr, outcome.Unavailable) {
			return nil, lockErr
		}
		if time.Now().After(deadline) {
			return nil, outcome.Unavailable.From(errors.Join(err, lockErr), "another process holds the data folder %s and does not answer on its socket", data)
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(50 * time.Millisecond):
		}
	}
}

func dialSocket(ctx context.Context, path string) (net.Conn, error) {
	return egress.New(egress.Config{}).Dial(ctx, egress.Socket(path))
}

// offline is the operator in this process.
type offline struct{ app *App }

// Call implements Operator.
func (o offline) Call(ctx context.Context, tool string, arguments canon.Value) (gate.Outcome, error) {
	c, err := o.app.Operator(ctx)
	if err != nil {
		return gate.Outcome{}, err
	}
	return o.app.Gate.Call(ctx, c, gate.Request{Tool: gate.ToolName(tool), Arguments: []byte(arguments.String())}), nil
}

// Close implements Operator.
func (o offline) Close() error { return o.app.Close() }
