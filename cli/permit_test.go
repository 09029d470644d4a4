package cli_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"

	"gatehouse/app"
	"gatehouse/cli"
	"gatehouse/config"
)

// Two who permit different tools at the same moment both get what they asked for: the one who came second looks again.
func TestTwoWhoPermitAtOnce(t *testing.T) {
	t.Parallel()
	data := t.TempDir()
	file := config.Default(data)
	file.Listen = "127.0.0.1:0"
	ctx, cancel := context.WithCancel(t.Context())
	a, err := app.New(ctx, app.Config{File: file, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	l, err := a.Listen(ctx)
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- a.Run(ctx, l) }()
	defer func() {
		cancel()
		if err := errors.Join(<-ended, a.Close()); err != nil {
			t.Errorf("the server: %v", err)
		}
	}()
	run := func(line string) string {
		var out, errs bytes.Buffer
		if status := cli.Main(append(strings.Fields(line), "--data", data), nil, &out, &errs); status != 0 {
			t.Errorf("%s: status %d: %s", line, status, &errs)
		}
		return out.String()
	}
	run("user add ada@example.org")
	for _, decision := range []string{"allow", "ask", "allow", "ask", "allow", "ask", "allow", "ask", "allow", "ask"} {
		var both sync.WaitGroup
		for _, tool := range []string{"people.list", "tokens.list"} {
			both.Go(func() { run("permit ada@example.org --" + decision + " " + tool) })
		}
		both.Wait()
		now := run("permissions ada@example.org --json")
		if want := `{"people.list":"` + decision + `","tokens.list":"` + decision + `"}`; !strings.Contains(now, want) {
			t.Fatalf("the map is %s, want %s", now, want)
		}
	}
}
