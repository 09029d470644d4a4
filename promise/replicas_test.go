package promise_test

import (
	"fmt"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"gatehouse/gatetest"
	"gatehouse/outcome"
	"gatehouse/store"
	"gatehouse/store/storetest"
)

// onReplicas: every world of the suite is two replicas on one PostgreSQL, which tell each other nothing, behind a round
// robin. A call goes to the one or the other, as it comes.
var onReplicas = os.Getenv("GATEHOUSE_TEST_STORE") == "replicas"

// share makes of what will be one gateway two on a PostgreSQL of their own. Neither listens, nor looks by itself what the
// other one wrote.
func (w *world) share(c *gatetest.Config) {
	w.t.Helper()
	w.shareSource(c, storetest.Postgres(w.t))
}

// shareSource is share with a database that is there.
func (w *world) shareSource(c *gatetest.Config, source store.Source) {
	w.t.Helper()
	w.source = source
	dir := w.t.TempDir()
	keepLogins(w.t, dir, source)
	c.Store = storeBeside(dir)
	c.Deaf, c.Replicas = true, 2
}

// newReplicas is a world of two replicas, whatever the suite is run on.
func newReplicas(t *testing.T, yaml string) *world {
	t.Helper()
	w := emptyWorld(t)
	c := gatetest.Config{YAML: yaml}
	w.share(&c)
	w.start(c)
	return w
}

// TestPromise_P5_OnEveryReplica: what one replica took away is refused by the other at the next call, on every entry, in
// sessions that are open, with no message between them.
func TestPromise_P5_OnEveryReplica(t *testing.T) {
	t.Parallel()
	w := newReplicas(t, "")
	one, two := w.Replicas()[0], w.Replicas()[1]
	for name, way := range map[string]struct {
		want outcome.Code
		away func(gatetest.Person)
	}{
		"permission": {outcome.NotAllowed, func(p gatetest.Person) {
			p.Grant(map[string]string{"ledger.read": "none", "ledger.write": "none"})
		}},
		"token":  {outcome.Unauthenticated, func(p gatetest.Person) { one.Revoke(p.Token) }},
		"person": {outcome.Unauthenticated, func(p gatetest.Person) { one.Operate("people.disable", map[string]any{"person": p.ID}) }},
	} {
		for i, d := range two.Doors() {
			for _, tool := range []string{"ledger.read", "ledger.write", "list"} {
				p := one.Person(fmt.Sprint(name, i, tool), "ledger.read", "ledger.write")
				if got := d.Call(p.Token.Text, "ledger.read", `{}`); got.Code != outcome.OK { // the session is open, the snapshot is made
					t.Fatalf("%s %s: %s (%s) while it is permitted", d.Title(), tool, got.Code, got.Reason)
				}
				before := w.ledger.count()
				way.away(p)
				if tool == "list" { // no row is written that would be compared: the tables are asked
					names, code := d.List(p.Token.Text)
					if listed := slices.Contains(names, "ledger.read"); listed || code != way.want && (code != outcome.OK || name != "permission") {
						t.Errorf("%s gone, %s lists %v: %s", name, d.Title(), names, code)
					}
					continue
				}
				if got := d.Call(p.Token.Text, tool, `{}`); got.Code != way.want || got.Result != "" {
					t.Errorf("%s gone, %s %s: %s (%s) %s, want %s", name, d.Title(), tool, got.Code, got.Reason, got.Result, way.want)
				}
				if tool == "ledger.write" && w.ledger.count() != before {
					t.Errorf("%s gone, %s: the call reached the ledger", name, d.Title())
				}
			}
		}
	}
	if v := one.TryOperate("audit.verify", map[string]any{}); v.Code != outcome.OK {
		t.Errorf("the one chain: %s (%s)", v.Code, v.Reason)
	}
}

// TestPromise_P6_UsesOfAllReplicas: of a hundred calls at once on two replicas, exactly as many run as the token has uses.
func TestPromise_P6_UsesOfAllReplicas(t *testing.T) {
	t.Parallel()
	w := newReplicas(t, "")
	one, two := w.Replicas()[0], w.Replicas()[1]
	const uses = 17
	token := one.Person("ann", "ledger.write").Issue(map[string]any{"tools": []string{"ledger.write"}, "max_uses": uses})
	var ran, others atomic.Int64
	var all sync.WaitGroup
	for i := range 100 {
		h := []*gatetest.House{one, two}[i%2]
		all.Go(func() {
			switch got := h.Doors()[0].Call(token.Text, "ledger.write", `{}`); got.Code {
			case outcome.OK:
				ran.Add(1)
			case outcome.Limited:
			default:
				others.Add(1)
				t.Errorf("%s (%s)", got.Code, got.Reason)
			}
		})
	}
	all.Wait()
	if arrived := w.ledger.count(); ran.Load() != uses || int64(arrived) != uses {
		t.Errorf("%d were answered and %d arrived, want %d", ran.Load(), arrived, uses)
	}
	if v := two.Operate("audit.verify", map[string]any{}); v.IsZero() {
		t.Error("the log was not verified")
	}
}
