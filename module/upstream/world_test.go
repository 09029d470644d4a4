package upstream_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gatehouse/app"
	"gatehouse/gatetest"
	"gatehouse/module"
	"gatehouse/module/upstream"
)

// world is a house with one server, far, that the test binary plays.
type world struct {
	*gatetest.House
	t   *testing.T
	dir string // where the server notes what happened
}

// scene says what is special about a world.
type scene struct {
	mode  string
	env   string // further lines of env
	lines string // further lines of the server
	data  string
	exe   string
	make  func(context.Context, module.Kit, upstream.Config) (*upstream.Upstream, error)
	dir   string
	url   string // of a server over HTTP, instead of the program
}

func enter(t *testing.T, s scene) world {
	t.Helper()
	if s.dir == "" {
		s.dir = t.TempDir()
	}
	if s.exe == "" {
		s.exe = executable(t)
	}
	if s.make == nil {
		s.make = upstream.NewQuick
	}
	server := fmt.Sprintf("        command: [%q]\n        env:\n          %s: %q\n          PLAY_DIR: %q\n%s        sandbox: {write: [%q], user: same}\n", s.exe, playing, s.mode, s.dir, s.env, s.dir)
	if s.url != "" {
		server = fmt.Sprintf("        url: %q\n", s.url)
	}
	h := gatetest.Start(t, gatetest.Config{
		Data: s.data, Modules: map[string]app.Starter{"tested": app.StartMany(s.make)},
		YAML: "modules:\n  tested:\n    servers:\n      far:\n" + server + s.lines,
	})
	return world{h, t, s.dir}
}

func executable(t *testing.T) string {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return exe
}

// classified says of do that it writes, and of look that it reads; neither carries anything anywhere.
const classified = `        tools:
          do: {effect: writes, deadline: 20s, args: {text: {carries: content}}}
          look: {effect: reads, deadline: 20s, args: {text: {carries: nothing}}}
          greet: {effect: reads, public: true, args: {name: {carries: content}}}
          fail: {effect: reads, args: {x: {carries: nothing}}}
`

// until waits for something that happens in another process.
func (w world) until(what string, good func() bool) {
	w.t.Helper()
	for end := time.Now().Add(20 * time.Second); !good(); {
		if time.Now().After(end) {
			w.t.Fatalf("waited in vain until %s: %+v", what, w.status())
		}
		<-time.After(5 * time.Millisecond)
	}
}

func (w world) ready() world {
	w.t.Helper()
	w.until("the server is ready", func() bool { return w.status().State == "ready" })
	w.until("its tools are listed", func() bool {
		n := 0
		for _, e := range w.Gate.Directory().All() {
			if strings.HasPrefix(string(e.Name), "far.") {
				n++
			}
		}
		return n == w.status().Tools
	})
	return w
}

func (w world) status() upstream.Status {
	w.t.Helper()
	var l upstream.Listing
	if err := json.Unmarshal(w.Operate("servers.list", map[string]any{}).Bytes(), &l); err != nil {
		w.t.Fatal(err)
	}
	return l.Servers[0]
}

func (w world) review(tool string) upstream.Review {
	w.t.Helper()
	var r upstream.Review
	args := map[string]any{"server": "far"}
	if tool != "" {
		args["tool"] = tool
	}
	if err := json.Unmarshal(w.Operate("servers.review", args).Bytes(), &r); err != nil {
		w.t.Fatal(err)
	}
	return r
}

// noted gives what the server noted.
func (w world) noted(file string) []string { return readLines(filepath.Join(w.dir, file)) }
