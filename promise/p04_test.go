package promise_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"gatehouse/gatetest"
	"gatehouse/outcome"
)

// TestPromise_P4_AnothersIsNobodys: what belongs to another person, or to another token of the same person, answers exactly
// like what is not there, on every entry (T8).
func TestPromise_P4_AnothersIsNobodys(t *testing.T) {
	t.Parallel()
	throughEveryDoor(t, "", func(t *testing.T, w *world, d gatetest.Door) {
		tools := []string{"tokens.revoke", "tokens.list", "audit.get", "audit.search", "audit.sums", "permissions.get", "people.list", "ledger.read", "ledger.write"}
		ann := w.Person("ann", tools...)
		time.Sleep(2 * time.Millisecond) // ids of all tables are milliseconds: bob's must be nothing of ann's by chance
		bob := w.Person("bob", tools...)
		time.Sleep(2 * time.Millisecond)
		row := d.Call(bob.Token.Text, "ledger.read", `{"text":"bobs-words"}`).ID
		if status, body := w.post(bob.Token.Text, "ledger.write", `{"text":"bobs-words"}`, "key"); status != 200 {
			t.Fatal(body)
		}
		const nobody = int64(987654321)
		for _, tt := range []struct {
			tool, args      string
			theirs, nobodys any
		}{
			{"tokens.revoke", `{"token":%v}`, bob.Token.ID, nobody},
			{"audit.get", `{"id":"%v"}`, row, "1-0"},
			{"audit.search", `{"person":%v}`, bob.ID, nobody},
			{"audit.sums", `{"person":%v}`, bob.ID, nobody},
			{"permissions.get", `{"person":%v}`, bob.ID, nobody},
			{"tokens.list", `{"person":%v}`, bob.ID, nobody},
			{"calls.get", `{"call":"%v"}`, row, "1-0"},
		} {
			theirs := d.Call(ann.Token.Text, tt.tool, fmt.Sprintf(tt.args, tt.theirs))
			nobodys := d.Call(ann.Token.Text, tt.tool, fmt.Sprintf(tt.args, tt.nobodys))
			a := strings.ReplaceAll(withoutID(theirs), fmt.Sprint(tt.theirs), "THAT")
			b := strings.ReplaceAll(withoutID(nobodys), fmt.Sprint(tt.nobodys), "THAT")
			if a != b || theirs.Code != nobodys.Code {
				t.Errorf("%s\nof another: %s\nof nobody:  %s", tt.tool, a, b)
			}
		}
		for _, list := range []string{"tokens.list", "audit.search", "audit.sums", "people.list", "calls.list", "permissions.get"} {
			got := d.Call(ann.Token.Text, list, `{}`)
			if got.Code != outcome.OK || strings.Contains(got.Raw, fmt.Sprint(bob.ID)) || strings.Contains(got.Raw, "bob") {
				t.Errorf("%s shows what is bob's: %s", list, got.Raw)
			}
		}
		if got := d.Call(bob.Token.Text, "ledger.read", `{}`); got.Code != outcome.OK {
			t.Errorf("bob's token was ended by ann: %s", got.Code)
		}
	})
}
