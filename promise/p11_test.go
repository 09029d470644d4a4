package promise_test

import (
	"net"
	"strings"
	"sync"
	"testing"

	"gatehouse/egress"
	"gatehouse/gatetest"
)

// TestPromise_P11_Silent: a gateway that starts, answers calls of every kind and stops opens no connection at all, since
// neither its configuration nor a call names one: the databases are files, the files server is a child.
func TestPromise_P11_Silent(t *testing.T) {
	t.Parallel()
	yaml, dir, _ := withFiles(t)
	var mu sync.Mutex // guards dialled
	var dialled []string
	w := newWorldWith(t, gatetest.Config{YAML: yaml, Observe: func(network, address string) {
		mu.Lock()
		defer mu.Unlock()
		dialled = append(dialled, network+" "+address)
	}})
	w.untilTool("files.read_file")
	var tools []string
	for _, e := range w.Gate.Directory().All() {
		tools = append(tools, string(e.Name))
	}
	ann, bob := w.Person("ann", tools...), w.Person("bob")
	short := ann.Issue(map[string]any{"tools": tools})
	w.answerInEveryWay(dir, tools, ann, bob, short)
	w.Restart()
	w.Doors()[0].Call(ann.Token.Text, "ledger.read", `{"text":"http://192.0.2.1/ is only a word"}`)
	// What a module dials is seen, or the silence would prove nothing.
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	to, err := egress.Configured("tcp://"+l.Addr().String(), false)
	if err != nil {
		t.Fatal(err)
	}
	conn, err := w.ledger.out.Dial(t.Context(), to)
	if err != nil {
		t.Fatal(err)
	}
	_ = conn.Close()
	w.Close()
	mu.Lock()
	defer mu.Unlock()
	if want := "tcp4 " + l.Addr().String(); strings.Join(dialled, ", ") != want {
		t.Errorf("it dialled %q, want the module's own %q alone", strings.Join(dialled, ", "), want)
	}
}
