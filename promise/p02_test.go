package promise_test

import (
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"gatehouse/gate"
	"gatehouse/gatetest"
	"gatehouse/outcome"
)

// TestPromise_P2_EveryPartFails: whatever the gate asks, and however the answer fails to come, the call is refused and
// nothing reaches the downstream system; only what is asked after the effect leaves the effect done, and says so. Here it is
// a call with an idempotency key, which asks most.
func TestPromise_P2_EveryPartFails(t *testing.T) {
	t.Parallel()
	afterwards := map[string]outcome.Code{ // what is asked when the call has been carried out
		"log.record": outcome.Unknown, "guard.after": outcome.Blocked, "results.keep": outcome.OK,
	}
	notAsked := map[string]bool{"results.drop": true, "vault.credential": true, "policy.holds": true} // by this call
	for _, how := range []string{"error", "panic"} {
		for _, what := range sabotaged {
			t.Run(what+" "+how, func(t *testing.T) {
				t.Parallel()
				w := newWorld(t, "")
				ann := w.Person("ann", "ledger.write")
				mark := w.Mark()
				w.sabot.breaks(what, how)
				status, body := w.post(ann.Token.Text, "ledger.write", `{"text":"x"}`, "key")
				w.sabot.mend()
				code, late := afterwards[what]
				switch {
				case notAsked[what]:
					code, late = outcome.OK, true
				case !late:
					code = outcome.Internal // or a code of its own: anything but ok
				}
				if (status == http.StatusOK) != (code == outcome.OK) || strings.Contains(body, "sabotage") {
					t.Errorf("%d %s, want %s", status, body, code)
				}
				if n := w.ledger.count(); n != 0 != late {
					t.Errorf("%d calls reached the ledger", n)
				}
				rows := w.RowsSince(mark)
				if want := 1; what != "log.record" && len(rows) != want {
					t.Errorf("%d rows, want %d:\n%s", len(rows), want, gatetest.Print(rows))
				}
			})
		}
	}
}

// TestPromise_P2_CredentialsThatCannotBeRead: a handler whose credential does not come has nothing to call with.
func TestPromise_P2_CredentialsThatCannotBeRead(t *testing.T) {
	t.Parallel()
	throughEveryDoor(t, "", func(t *testing.T, w *world, d gatetest.Door) {
		ann := w.Person("ann", "ledger.write")
		for _, tt := range []struct {
			how  string
			want outcome.Code
		}{{"", outcome.NotFound}, {"error", outcome.Internal}, {"panic", outcome.Internal}} {
			if tt.how != "" {
				w.sabot.breaks("vault.credential", tt.how)
			}
			got := d.Call(ann.Token.Text, "ledger.write", `{"do":"credential"}`)
			w.sabot.mend()
			if got.Code != tt.want || strings.Contains(got.Raw, "sabotage") {
				t.Errorf("%q: %s, want %s: %s", tt.how, got.Code, tt.want, got.Raw)
			}
		}
		if n := w.ledger.count(); n != 0 {
			t.Errorf("%d calls reached the ledger", n)
		}
	})
}

// TestPromise_P2_NothingIsLeftUnbroken: a question that the gate learns to ask must be broken too.
func TestPromise_P2_NothingIsLeftUnbroken(t *testing.T) {
	t.Parallel()
	notTheGate := map[string]bool{"vault.seal": true, "vault.open": true, // modules ask them; the gate hands them on
		"policy.fit": true} // asked when tools are listed, not for a call: a start that fails is in module/policy
	scripts, err := filepath.Glob("testdata/*.txt")
	if err != nil {
		t.Fatal(err)
	}
	var all strings.Builder
	for _, file := range scripts {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		all.Write(b)
	}
	parts, asked := reflect.TypeFor[gate.Parts](), 0
	for i := range parts.NumField() {
		field := parts.Field(i)
		for j := range field.Type.NumMethod() {
			name := strings.ToLower(field.Name + "." + field.Type.Method(j).Name)
			asked++
			if !slices.Contains(sabotaged, name) && !notTheGate[name] {
				t.Errorf("nothing breaks %s", name)
			}
		}
	}
	if asked < 9 {
		t.Errorf("the gate asks %d questions: this test looks in the wrong place", asked)
	}
	for _, name := range []string{"tokens.find", "tokens.current", "permissions.rights", "log.left", "log.affords", "log.admit", "policy.judge", "policy.holds", "guard.before"} {
		if !strings.Contains(all.String(), "break "+name) || !strings.Contains(all.String(), "panic "+name) {
			t.Errorf("no script breaks %s both ways through every entry", name)
		}
	}
}

// post is one call over REST with an idempotency key.
func (w *world) post(token, tool, args, key string) (status int, body string) {
	w.t.Helper()
	header := http.Header{"Idempotency-Key": {key}}
	if key == "" {
		header = nil
	}
	res, body := w.Send(http.MethodPost, "/v1/tools/"+tool, token, args, header)
	return res.StatusCode, body
}
