package app_test

import (
	"context"
	"errors"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"gatehouse/app"
	"gatehouse/config"
	"gatehouse/outcome"
	"gatehouse/store"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func house(t *testing.T) app.Config {
	t.Helper()
	file := config.Default(filepath.Join(t.TempDir(), "data"))
	file.Listen = "127.0.0.1:0"
	return app.Config{File: file, Version: "test", Log: slog.New(slog.DiscardHandler)}
}

// entry makes a call and says by which entry it came.
func entry(t *testing.T, o *app.Operator) string {
	t.Helper()
	search := struct {
		Tool string `json:"tool"`
	}{"people.list"}
	if got, err := o.Call(t.Context(), "people.list", struct{}{}); err != nil || got.Code != outcome.OK {
		t.Fatalf("people.list: %v %v", got, err)
	}
	got, err := o.Call(t.Context(), "audit.search", search)
	if err != nil || got.Code != outcome.OK {
		t.Fatalf("audit.search: %v %v", got, err)
	}
	name, _ := got.Result.Lookup("/rows/0/entry")
	return strings.Trim(name.String(), `"`)
}

// serve runs a server until the returned function is called.
func serve(t *testing.T, c app.Config) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	a, err := app.New(ctx, c)
	if err != nil {
		t.Fatal(err)
	}
	l, err := a.Listen(ctx)
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- a.Run(ctx, l) }()
	return func() {
		t.Helper()
		cancel()
		if err := errors.Join(<-ended, a.Close()); err != nil {
			t.Errorf("the server: %v", err)
		}
	}
}

func operate(t *testing.T, c app.Config) *app.Operator {
	t.Helper()
	o, err := app.Operate(t.Context(), c)
	if err != nil {
		t.Fatalf("Operate: %v", err)
	}
	return o
}

func leave(t *testing.T, o *app.Operator) {
	t.Helper()
	if err := o.Close(); err != nil {
		t.Errorf("Close: %v", err)
	}
}

func TestOperateWithAndWithoutAServer(t *testing.T) {
	t.Parallel()
	c := house(t)
	o := operate(t, c)
	if got := entry(t, o); got != "command" {
		t.Errorf("without a server the call comes by %q", got)
	}
	leave(t, o)
	stop := serve(t, c)
	first, second := operate(t, c), operate(t, c)
	if a, b := entry(t, first), entry(t, second); a != "socket" || b != "socket" {
		t.Errorf("with a server the calls come by %q and %q", a, b)
	}
	leave(t, first)
	leave(t, second)
	stop()
	o = operate(t, c)
	if got := entry(t, o); got != "command" {
		t.Errorf("after the server's end the call comes by %q", got)
	}
	leave(t, o)
}

func TestAttachWantsAServer(t *testing.T) {
	t.Parallel()
	c := house(t)
	if _, err := app.Attach(t.Context(), c); !errors.Is(err, outcome.Unavailable) {
		t.Errorf("Attach without a server: %v", err)
	}
	defer serve(t, c)()
	o, err := app.Attach(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	if got := entry(t, o); got != "socket" {
		t.Errorf("the call comes by %q", got)
	}
	leave(t, o)
}

// A command that comes while a server waits for the folder waits for that server: only the server knows all tools.
func TestNoCommandOvertakesAServerThatWaits(t *testing.T) {
	t.Parallel()
	c := house(t)
	first := operate(t, c) // holds the folder
	stopped := make(chan func(), 1)
	go func() { stopped <- serve(t, c) }()
	for end := time.Now().Add(10 * time.Second); ; <-time.After(time.Millisecond) {
		release, err := store.LockFolder(t.Context(), filepath.Join(c.File.Data, "serve"), 0)
		if errors.Is(err, outcome.Unavailable) {
			break
		}
		if err != nil || time.Now().After(end) {
			t.Fatalf("the server does not say that it waits: %v", err)
		}
		if err := release(); err != nil {
			t.Fatal(err)
		}
	}
	second := make(chan *app.Operator, 1)
	go func() { second <- operate(t, c) }()
	<-time.After(200 * time.Millisecond)
	leave(t, first)
	o := <-second
	if got := entry(t, o); got != "socket" {
		t.Errorf("the command that came after the server made its call by %q", got)
	}
	leave(t, o)
	(<-stopped)()
}

// Two commands at once take turns.
func TestCommandsTakeTurns(t *testing.T) {
	t.Parallel()
	c := house(t)
	first := operate(t, c)
	done := make(chan string, 1)
	go func() {
		o := operate(t, c)
		by := entry(t, o)
		leave(t, o) // before the test can end
		done <- by
	}()
	<-time.After(100 * time.Millisecond)
	select {
	case got := <-done:
		t.Fatalf("two hold the folder at once: %s", got)
	default:
	}
	leave(t, first)
	if got := <-done; got != "command" {
		t.Errorf("the second command's call comes by %q", got)
	}
}

func TestOneServerAFolder(t *testing.T) {
	t.Parallel()
	c := house(t)
	defer serve(t, c)()
	began := time.Now()
	_, err := app.New(t.Context(), c)
	if took := time.Since(began); !errors.Is(err, outcome.Unavailable) || took < 4*time.Second {
		t.Errorf("a second server on the folder: %v, after %s", err, took)
	}
}
