package rest_test

import (
	"context"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"gatehouse/canon"
	"gatehouse/entry/rest"
	"gatehouse/gate"
	"gatehouse/gatetest"
)

// TestRoutesFitTheModules holds the table of routes against the modules that really answer: the tool is there, and so is
// each argument that the table names.
func TestRoutesFitTheModules(t *testing.T) {
	t.Parallel()
	h := gatetest.Start(t, gatetest.Config{})
	operator, err := h.App.Operator(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	inputs := map[gate.ToolName]canon.Value{}
	for _, c := range []gate.Caller{operator, h.Caller(h.Person("ann").Token)} {
		offers, err := h.Gate.Tools(t.Context(), c)
		if err != nil {
			t.Fatal(err)
		}
		for _, o := range offers {
			inputs[o.Name] = o.Input
		}
	}
	for _, way := range rest.Ways() {
		input := inputs[way.Tool()]
		if input.IsZero() {
			t.Errorf("%s is bound to %s, which does not exist", way.Operation(), way.Tool())
			continue
		}
		wanted := []string{}
		if way.ID() != "" {
			wanted = append(wanted, way.ID())
		}
		if takes, _ := way.Versioned(); takes {
			wanted = append(wanted, "version")
		}
		for _, name := range wanted {
			if _, ok := input.Lookup("/properties/" + name); !ok {
				t.Errorf("%s names the argument %s, which %s does not take: %s", way.Operation(), name, way.Tool(), input)
			}
		}
	}
}

// TestTheHouseOverREST uses the routes as a script would, on real modules and stores.
func TestTheHouseOverREST(t *testing.T) {
	t.Parallel()
	h := gatetest.Start(t, gatetest.Config{})
	ann := h.Person("ann", "tokens.issue", "tokens.list", "tokens.revoke", "audit.search", "audit.get", "people.list")
	bob := h.Person("bob", "tokens.list", "audit.search", "audit.get")
	ask := func(method, path, token, body string) (status int, v canon.Value) {
		t.Helper()
		r, err := http.NewRequestWithContext(context.Background(), method, "http://127.0.0.1"+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", "Bearer "+token)
		if body != "" {
			r.Header.Set("Content-Type", "application/json")
		}
		res, err := h.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = res.Body.Close() }()
		b, err := io.ReadAll(res.Body)
		if err != nil {
			t.Fatal(err)
		}
		if v, err = canon.ParseObject(b); err != nil {
			t.Fatalf("%s %s: %d %s", method, path, res.StatusCode, b)
		}
		return res.StatusCode, v
	}
	status, issued := ask("POST", "/v1/tokens", ann.Token.Text, `{"agent":"child","tools":["tokens.list"],"ttl_seconds":60}`)
	child, id := textAt(issued, "/result/token"), at(issued, "/result/token_id")
	if status != 200 || child == "" {
		t.Fatalf("issuing a child: %d %s", status, issued)
	}
	row := textAt(issued, "/id")
	for _, tt := range []struct {
		name, method, path, token, body string
		want                            int
	}{
		{"the child lists", "GET", "/v1/tokens", child, "", 200},
		{"the child issues", "POST", "/v1/tokens", child, `{"agent":"x","tools":[]}`, 403},
		{"her row", "GET", "/v1/audit/" + row, ann.Token.Text, "", 200},
		{"her row, to another", "GET", "/v1/audit/" + row, bob.Token.Text, "", 404},
		{"no such row, to another", "GET", "/v1/audit/1763871234567-3", bob.Token.Text, "", 404},
		{"no row's id", "GET", "/v1/audit/yesterday", bob.Token.Text, "", 400},
		{"her rows", "GET", "/v1/audit?person=" + strconv.FormatInt(int64(ann.ID), 10) + "&limit=5", ann.Token.Text, "", 200},
		{"her permissions", "GET", "/v1/people/" + strconv.FormatInt(int64(ann.ID), 10) + "/permissions", ann.Token.Text, "", 200},
		{"another's permissions", "GET", "/v1/people/" + strconv.FormatInt(int64(bob.ID), 10) + "/permissions", ann.Token.Text, "", 404},
		{"nobody's permissions", "GET", "/v1/people/1/permissions", ann.Token.Text, "", 404},
		{"people", "GET", "/v1/people", ann.Token.Text, "", 200},
		{"adding people is for persons", "POST", "/v1/people", ann.Token.Text, `{"email":"c@example.org"}`, 403},
		{"kept calls", "GET", "/v1/calls?limit=3", ann.Token.Text, "", 200},
		{"no such call", "GET", "/v1/calls/1763871234567-3", ann.Token.Text, "", 404},
		{"revoking with an older version", "DELETE", "/v1/tokens/" + id + "?version=0", ann.Token.Text, "", 400},
		{"revoking the child", "DELETE", "/v1/tokens/" + id, ann.Token.Text, "", 200},
		{"the child is gone", "GET", "/v1/tokens", child, "", 401},
	} {
		if status, v := ask(tt.method, tt.path, tt.token, tt.body); status != tt.want {
			t.Errorf("%s: %s %s: %d %s, want %d", tt.name, tt.method, tt.path, status, v, tt.want)
		}
	}
	_, document := ask("GET", "/v1/openapi.json", ann.Token.Text, "")
	checkRefs(t, document)
}

func at(v canon.Value, pointer string) string {
	found, _ := v.Lookup(pointer)
	return found.String()
}
