package promise_test

import (
	"bytes"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"gatehouse/app"
	"gatehouse/config"
	"gatehouse/gatetest"
	"gatehouse/guard"
	"gatehouse/store"
)

// world is a gateway with a ledger behind it, and whoever the test makes.
type world struct {
	*gatetest.House
	t      *testing.T
	ledger *ledger
	sabot  *saboteur
	log    *lockedBuffer // what the process logged
	source store.Source  // the PostgreSQL of two replicas; zero: SQLite
	people map[string]gatetest.Person
	tokens map[string]gatetest.Token
}

func newWorld(t *testing.T, yaml string) *world {
	t.Helper()
	return newWorldWith(t, gatetest.Config{YAML: yaml})
}

func newWorldWith(t *testing.T, c gatetest.Config) *world {
	t.Helper()
	w := emptyWorld(t)
	if onReplicas && c.Data == "" && c.Store == (config.Store{}) {
		w.share(&c)
	}
	w.start(c)
	return w
}

func emptyWorld(t *testing.T) *world {
	return &world{
		t: t, ledger: &ledger{}, sabot: &saboteur{}, log: &lockedBuffer{},
		people: map[string]gatetest.Person{}, tokens: map[string]gatetest.Token{},
	}
}

func (w *world) start(c gatetest.Config) {
	w.t.Helper()
	c.Log, c.Parts, c.Guards = w.log, w.sabot.parts, []guard.Guard{sentry{w.sabot}}
	c.Modules = maps.Clone(c.Modules)
	if c.Modules == nil {
		c.Modules = map[string]app.Starter{}
	}
	c.Modules["ledger"] = app.Start(w.ledger.start)
	w.House = gatetest.Start(w.t, c)
	if w.shared() {
		keepLogins(w.t, filepath.Dir(w.Data), w.source) // for whoever looks at what the closed gateway left
	}
}

// throughEveryDoor runs a test once for each entry, each time with a gateway of its own.
func throughEveryDoor(t *testing.T, yaml string, test func(t *testing.T, w *world, d gatetest.Door)) {
	t.Helper()
	for i, d := range (&gatetest.House{}).Doors() {
		t.Run(d.Title(), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, yaml)
			test(t, w, w.Doors()[i])
		})
	}
}

// withFiles is a configuration with a real MCP server over stdio, played by the test's own binary, and a file in which it
// notes one byte for each call that reaches it.
func withFiles(t *testing.T) (yaml, dir, count string) {
	t.Helper()
	base := t.TempDir()
	dir, count = base+"/files", base+"/count"
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	for path, text := range map[string]string{dir + "/a.txt": "inside\n", base + "/outside.txt": "outside\n", count: ""} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf(`modules:
  mcp:
    servers:
      files:
        command: [%q, mcp-files, %q, %q]
        sandbox: {write: [%q, %q], user: same}
        tools:
          read_file: {effect: reads, args: {path: {kind: path, root: %q}}}
          write_file: {effect: writes, args: {path: {kind: path, root: %q}, content: {carries: content}}}
          list_directory: {effect: reads, args: {path: {kind: path, root: %q}}}
`, self, dir, count, dir, count, dir, dir, dir), dir, count
}

// withShop is a configuration with a database.
func withShop(t *testing.T) string {
	t.Helper()
	b, err := os.ReadFile("../demo/shop.db")
	if err != nil {
		t.Fatal(err)
	}
	path := t.TempDir() + "/shop.db"
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("modules: {database: {connections: {shop: {driver: sqlite, dsn: %q, writable: true}}}}\n", path)
}

// untilTool waits for a tool of another process.
func (w *world) untilTool(name string) {
	w.t.Helper()
	end := time.Now().Add(30 * time.Second)
	for _, h := range w.Replicas() {
		for {
			if _, there := h.Gate.Directory().Find(name); there {
				break
			}
			if time.Now().After(end) {
				w.t.Fatalf("the tool %s does not come", name)
			}
			<-time.After(10 * time.Millisecond)
		}
	}
}

// lockedBuffer is written by many goroutines.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// words are rows as scripts compare them. What the test itself read as the operator is left out.
func words(rows []gatetest.Row) []string {
	var all []string
	for _, r := range rows {
		if r.Operator && r.Effect == "reads" {
			continue
		}
		all = append(all, r.String())
	}
	return all
}

func same(a, b []string) bool { return strings.Join(a, "|") == strings.Join(b, "|") }
