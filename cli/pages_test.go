package cli_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"gatehouse/app"
	"gatehouse/cli"
	"gatehouse/config"
)

// Lists are read page by page until there are as many as were asked for.
func TestListsAreReadWhole(t *testing.T) {
	t.Parallel()
	data := t.TempDir()
	o, err := app.Operate(t.Context(), app.Config{File: config.Default(data), Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	for i := range 510 {
		args := struct {
			Email string `json:"email"`
		}{"nobody"}
		if i < 210 {
			args.Email = fmt.Sprintf("p%d@example.org", i)
		}
		if _, err := o.Call(t.Context(), "people.add", args); err != nil {
			t.Fatal(err)
		}
	}
	if err := o.Close(); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		args   string
		member string
		want   int
	}{
		{"audit search --tool people.add", "rows", 50},
		{"audit search --tool people.add --limit 3", "rows", 3},
		{"audit search --tool people.add --limit 505", "rows", 505},
		{"audit search --tool people.add --limit 10000", "rows", 510},
		{"audit search --tool people.add --outcome invalid --limit 10000", "rows", 300},
		{"user list", "people", 210},
	} {
		var out, errs bytes.Buffer
		if status := cli.Main(append(strings.Fields(tt.args), "--data", data, "--json"), nil, &out, &errs); status != 0 {
			t.Fatalf("%s: %d %s", tt.args, status, &errs)
		}
		var got map[string][]struct {
			ID     string `json:"id"`
			Person int64  `json:"person"`
		}
		if err := json.Unmarshal(out.Bytes(), &got); err != nil {
			t.Fatalf("%s: %v", tt.args, err)
		}
		seen := map[string]bool{}
		for _, e := range got[tt.member] {
			seen[fmt.Sprint(e)] = true
		}
		if len(got[tt.member]) != tt.want || len(seen) != tt.want {
			t.Errorf("%s: %d elements, %d of them different, want %d", tt.args, len(got[tt.member]), len(seen), tt.want)
		}
	}
}
