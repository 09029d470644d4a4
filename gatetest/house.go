// Package gatetest makes a real gateway on real stores for tests: the same App that serve starts, in a folder that goes
// with the test, reached over listeners in memory. It must never be imported by anything but tests.
//
//	h := gatetest.New(t, note.New)
//	ann := h.Person("ann", "note.read", "note.write")
//	got := ann.Call("note.write", `{"text":"buy milk"}`)
//
// [House.Doors] gives every entry as a door that one call can be sent through, so that a test runs through all of them.
package gatetest

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"gatehouse/app"
	"gatehouse/canon"
	"gatehouse/config"
	"gatehouse/gate"
	"gatehouse/guard"
	"gatehouse/module"
	"gatehouse/outcome"
)

// Config says what is special about a house. The zero value is an empty gateway on SQLite.
type Config struct {
	YAML    string                        // a configuration file; $DIR stands for a folder beside the data folder
	Data    string                        // an existing data folder; empty: a new one that goes with the test
	Modules map[string]app.Starter        // further modules
	Parts   func(gate.Parts) gate.Parts   // puts parts that fail in the place of some
	Guards  []guard.Guard                 // further guards
	Observe func(network, address string) // is told of every connection
	Log     io.Writer                     // what the process logs; nil: nothing
	Deaf    bool                          // does not look by itself what other replicas wrote
	Store   config.Store                  // PostgreSQL, where YAML cannot name it; zero: what YAML says

	// Replicas beyond one are further gateways on the same Store, with the same keys, behind a [RoundRobin]: what is sent
	// over HTTP goes through it, and what is called straight at the gate goes to one after the other.
	Replicas int

	Received io.Writer // gets every answer of [House.Send] and of the doors, headers and all
}

// House is a gateway in a test, or several that share their Store. App, Gate and Data are then those of the first.
type House struct {
	T    testing.TB
	App  *app.App
	Gate *gate.Gate
	Data string // the data folder
	Dir  string // where the configuration lies, and whatever the test puts there

	config   Config
	running  bool // App is open
	file     config.File
	operator gate.Caller
	listener *pipeListener
	server   *http.Server
	streams  func() error
	client   *http.Client
	mu       sync.Mutex   // guards sessions, sockets and ids
	ids      map[int]bool // JSON-RPC ids of requests under way
	sessions map[string]string
	sockets  map[string]*socket

	robin  *RoundRobin  // nil: there is one gateway
	alone  *House       // the first replica, past the round robin
	others []*House     // the other replicas
	turn   atomic.Int64 // calls that went straight to a gate
}

// New is a house with one module, started with the zero value of its Config and the configuration's defaults.
func New[C any, M gate.Module](t testing.TB, construct func(context.Context, module.Kit, C) (M, error)) *House {
	t.Helper()
	return Start(t, Config{Modules: map[string]app.Starter{"tested": app.Start(construct)}})
}

// Start makes a house. It ends with the test.
func Start(t testing.TB, c Config) *House {
	t.Helper()
	h, err := TryStart(t, c)
	if err != nil {
		t.Fatalf("starting a gateway: %v", err)
	}
	return h
}

// TryStart is Start for tests in which the start fails.
func TryStart(t testing.TB, c Config) (*House, error) {
	t.Helper()
	h := &House{T: t, Dir: t.TempDir(), Data: c.Data, config: c, ids: map[int]bool{}}
	if h.Data == "" {
		h.Data = filepath.Join(h.Dir, "data")
	}
	h.file = config.Default(h.Data)
	if c.YAML != "" {
		path := filepath.Join(h.Dir, "gatehouse.yaml")
		if err := os.WriteFile(path, []byte(strings.ReplaceAll(c.YAML, "$DIR", h.Dir)), 0o600); err != nil {
			return nil, err
		}
		var err error
		if h.file, err = config.Load(path); err != nil {
			return nil, err
		}
		h.file.Data = h.Data
	}
	if c.Store != (config.Store{}) {
		h.file.Store = c.Store
	}
	if c.Replicas > 1 {
		h.robin = NewRoundRobin(t, c.Replicas)
	}
	t.Cleanup(h.Close)
	return h, h.open()
}

// open starts the gateway, and all its replicas.
func (h *House) open() error {
	if err := h.openOne(); err != nil || h.robin == nil {
		return err
	}
	return h.openOthers()
}

// openOne starts the gateway on the house's data folder.
func (h *House) openOne() (err error) {
	out := h.config.Log
	if out == nil {
		out = io.Discard
	}
	ctx := context.Background()
	h.App, err = app.New(ctx, app.Config{
		File: h.file, Log: slog.New(slog.NewTextHandler(out, &slog.HandlerOptions{Level: slog.LevelDebug})), Version: "test",
		Modules: h.config.Modules, Parts: h.config.Parts, Guards: h.config.Guards, Observe: h.config.Observe, Deaf: h.config.Deaf,
	})
	if err != nil {
		return err
	}
	h.running, h.Gate, h.sessions = true, h.App.Gate, map[string]string{}
	h.sockets = map[string]*socket{}
	if h.operator, err = h.App.Operator(ctx); err != nil {
		return fmt.Errorf("becoming the operator: %w", err)
	}
	return h.serve()
}

// Restart stops the gateway and starts it again on the same data folder. Sessions and connections are gone.
func (h *House) Restart() {
	h.T.Helper()
	h.Close()
	if err := h.open(); err != nil {
		h.T.Fatalf("starting the gateway again: %v", err)
	}
}

// serve starts the HTTP entries on a listener in memory.
func (h *House) serve() (err error) {
	h.listener = newPipeListener()
	_, h.server, h.streams, err = h.App.Handler("127.0.0.1:80")
	if err != nil {
		return err
	}
	server, listener := h.server, h.listener // Close may take them away before the goroutine runs
	go func() { _ = server.Serve(listener) }()
	h.client = &http.Client{
		Transport: &http.Transport{
			DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) { return h.listener.dial(ctx) },
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return nil
}

// Close stops the gateway and its replicas as serve would. It may be called before the test's end, to start another on the
// same data.
func (h *House) Close() {
	for i := range h.others {
		h.StopReplica(i + 1)
	}
	if h.robin != nil {
		h.robin.Away(0)
	}
	h.closeOne()
}

func (h *House) closeOne() {
	if h.server != nil {
		if err := h.streams(); err != nil {
			h.T.Errorf("ending the streams: %v", err)
		}
		h.client.CloseIdleConnections()
		_ = h.server.Close()
		h.server = nil
	}
	if h.running {
		h.running = false
		if h.alone != nil {
			h.alone.running = false
		}
		if err := h.App.Close(); err != nil {
			h.T.Errorf("closing the gateway: %v", err)
		}
	}
}

// Do sends an HTTP request to the entries. The host of the URL is 127.0.0.1.
func (h *House) Do(r *http.Request) (*http.Response, error) { return h.client.Do(r) }

// Operate makes a call as the operator and fails the test if it does not end well.
func (h *House) Operate(tool string, args any) canon.Value {
	h.T.Helper()
	o := h.TryOperate(tool, args)
	if o.Code != outcome.OK {
		h.T.Fatalf("operator: %s %v: %s (%s)", tool, args, o.Code, o.Reason)
	}
	return o.Result
}

// TryOperate makes a call as the operator.
func (h *House) TryOperate(tool string, args any) gate.Outcome {
	h.T.Helper()
	b, err := json.Marshal(args)
	if err != nil {
		h.T.Fatal(err)
	}
	to := h.inTurn()
	return to.Gate.Call(context.Background(), to.operator, gate.Request{Tool: gate.ToolName(tool), Arguments: b})
}

// decode reads a result of ours.
func decode[T any](t testing.TB, v canon.Value) (x T) {
	t.Helper()
	if err := json.Unmarshal(v.Bytes(), &x); err != nil {
		t.Fatalf("reading %s: %v", v, err)
	}
	return x
}
