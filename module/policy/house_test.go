package policy_test

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"

	"go.uber.org/goleak"

	"gatehouse/app"
	"gatehouse/config"
	"gatehouse/gate"
	"gatehouse/gatetest"
	"gatehouse/module"
	"gatehouse/store"
	"gatehouse/store/storetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// mailbox is a module gmail with the arguments of gmail.send, and counts what reached it.
type mailbox struct{ sent atomic.Int64 }

var sendKey, readKey = gate.NewKey("policy_test/send"), gate.NewKey("policy_test/read")

type sendArgs struct {
	To      []string   `json:"to" carries:"destination"`
	CC      []string   `json:"cc,omitzero" carries:"destination"`
	BCC     []string   `json:"bcc,omitzero" carries:"destination"`
	Subject string     `json:"subject,omitzero"`
	Body    string     `json:"body,omitzero"`
	Copies  int64      `json:"copies,omitzero"`
	Groups  [][]string `json:"groups,omitzero"`
}

type done struct {
	Sent int64 `json:"sent"`
}

func (b *mailbox) start(context.Context, module.Kit, struct{}) (*mailbox, error) { return b, nil }
func (*mailbox) Name() string                                                    { return "gmail" }

func (b *mailbox) Tools() []gate.Tool {
	return []gate.Tool{
		gate.AccessControlled("send", sendKey, gate.Spec{Effect: gate.Writes}, func(context.Context, gate.Permit, sendArgs) (done, error) {
			return done{b.sent.Add(1)}, nil
		}),
		gate.AccessControlled("read", readKey, gate.Spec{Effect: gate.Reads}, func(context.Context, gate.Permit, struct {
			Message string `json:"message,omitzero"`
		},
		) (done, error) {
			return done{b.sent.Add(1)}, nil
		}),
	}
}

// buffer is what the process logged.
type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *buffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *buffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// house is a gateway with the mailbox behind it.
func house(t testing.TB, c gatetest.Config) (*gatetest.House, *mailbox, *buffer) {
	t.Helper()
	b, log := &mailbox{}, &buffer{}
	if c.Modules == nil {
		c.Modules = map[string]app.Starter{}
	}
	c.Modules["gmail"] = app.Start(b.start)
	c.Log = log
	return gatetest.Start(t, c), b, log
}

// onEngines runs a test on SQLite and on PostgreSQL.
func onEngines(t *testing.T, test func(t *testing.T, c gatetest.Config)) {
	t.Helper()
	storetest.Engines(t, func(t *testing.T, source store.Source) {
		var c gatetest.Config
		if !source.Run.IsZero() {
			dir := t.TempDir()
			for name, dsn := range map[string]string{"run": source.Run.Reveal(), "owner": source.Owner.Reveal()} {
				if err := os.WriteFile(filepath.Join(dir, name), []byte(dsn), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			c.Store = config.Store{
				PostgresDSN: config.Secret{File: filepath.Join(dir, "run")}, PostgresOwnerDSN: config.Secret{File: filepath.Join(dir, "owner")},
			}
		}
		test(t, c)
	})
}

type args = map[string]any

// rule is one as policy.list shows it.
type rule struct {
	Name    string
	Rule    int64
	Version int64
	Author  int64
	Tool    string
	When    string
	Then    string
	Tools   int
	Faults  []struct{ Tool, Problem string }
	Shadow  bool
	Decide  []string
}

func rules(t testing.TB, h *gatetest.House) []rule {
	t.Helper()
	var l struct{ Rules []rule }
	read(t, h.Operate("policy.list", args{}).Bytes(), &l)
	return l.Rules
}

func set(t testing.TB, h *gatetest.House, a args) (c struct{ Rule, Version int64 }) {
	t.Helper()
	read(t, h.Operate("policy.set", a).Bytes(), &c)
	return c
}

func read(t testing.TB, b []byte, into any) {
	t.Helper()
	if err := json.Unmarshal(b, into); err != nil {
		t.Fatalf("%s: %v", b, err)
	}
}

// row is what of a call's row the tests look at.
func row(t testing.TB, h *gatetest.House, id string) (r struct{ Decision, Rule, Shadow, Outcome string }) {
	t.Helper()
	var whole struct {
		Row *struct{ Decision, Rule, Shadow, Outcome string }
	}
	whole.Row = &r
	read(t, h.Operate("audit.get", args{"id": id}).Bytes(), &whole)
	return r
}
