package promise_test

import (
	"encoding/json"
	"net/http"
	"testing"

	"gatehouse/gatetest"
	"gatehouse/outcome"
)

// TestPromise_P5_BehindARoundRobin: with a child's parent revoked at one replica, the child is refused by each of them, on
// every entry; a permission that was taken away too.
func TestPromise_P5_BehindARoundRobin(t *testing.T) {
	t.Parallel()
	w := newReplicas(t, "")
	for _, d := range w.Doors() {
		p := w.Person("ann"+w.Mark(), "ledger.write", "tokens.issue")
		o := w.CallAs(p.Token.Text, "tokens.issue", `{"agent":"child","tools":["ledger.write"]}`)
		var child struct{ Token string }
		if err := json.Unmarshal(o.Result.Bytes(), &child); err != nil || o.Code != outcome.OK {
			t.Fatal(o.Code, o.Reason, err)
		}
		for range 2 { // both replicas have seen it while it is good
			if got := d.Call(child.Token, "ledger.write", `{}`); got.Code != outcome.OK {
				t.Fatalf("%s: %s (%s) while it is permitted", d.Title(), got.Code, got.Reason)
			}
		}
		before := w.ledger.count()
		w.Revoke(p.Token)
		for range 4 {
			if got := d.Call(child.Token, "ledger.write", `{}`); got.Code != outcome.Unauthenticated {
				t.Errorf("%s, parent revoked: %s (%s)", d.Title(), got.Code, got.Reason)
			}
		}
		if n := w.ledger.count() - before; n != 0 {
			t.Errorf("%s: %d calls reached the ledger", d.Title(), n)
		}
	}
	robin := w.RoundRobin()
	if robin.Sent(0) == 0 || robin.Sent(1) == 0 {
		t.Errorf("%d and %d requests: one replica was not asked", robin.Sent(0), robin.Sent(1))
	}
}

// TestSessionOfAReplicaThatWentAway: it stays on its replica while that lives; afterwards the other one answers 404, and a
// client that initialises again goes on.
func TestSessionOfAReplicaThatWentAway(t *testing.T) {
	t.Parallel()
	w := newReplicas(t, "")
	ann := w.Person("ann", "ledger.write")
	legacy := w.Doors()[1]
	call := func() gatetest.Reply { return legacy.Call(ann.Token.Text, "ledger.write", `{}`) }
	for range 5 {
		if got := call(); got.Code != outcome.OK {
			t.Fatalf("%s (%s): the session did not stay on its replica", got.Code, got.Reason)
		}
	}
	old := w.Session(legacy, ann.Token.Text)
	at, known := w.RoundRobin().Keeps(old)
	if !known || old == "" {
		t.Fatalf("no replica keeps the session %q", old)
	}
	w.StopReplica(at)
	header := http.Header{"Mcp-Session-Id": {old}, "Mcp-Protocol-Version": {"2025-11-25"}}
	res, body := w.Send(http.MethodPost, "/mcp", ann.Token.Text, `{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{}}`, header)
	if res.StatusCode != http.StatusNotFound {
		t.Errorf("the session of a replica that went away: %d %s, want 404", res.StatusCode, body)
	}
	if got := call(); got.Code != outcome.OK || w.Session(legacy, ann.Token.Text) == old {
		t.Errorf("initialised again: %s (%s)", got.Code, got.Reason)
	}
	if n := w.ledger.count(); n != 6 {
		t.Errorf("%d calls arrived, want 6", n)
	}
}
