package rest_test

import (
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/go-json-experiment/json/jsontext"

	"gatehouse/canon"
	"gatehouse/entry/rest"
)

func newRecorder() *httptest.ResponseRecorder { return httptest.NewRecorder() }

// TestRoutes: what each route hands to its tool, and what the gate says of arguments that are wrong.
func TestRoutes(t *testing.T) {
	t.Parallel()
	w := newWorld(t, rest.Config{})
	token := w.person(1, w.everything())
	for _, tt := range []struct {
		method, path, body, ifMatch string
		status                      int
		saw                         string // tool and arguments, or the path of the fault
	}{
		{"GET", "/v1/tokens", "", "", 200, `tokens.list {}`},
		{"GET", "/v1/tokens?person=17", "", "", 200, `tokens.list {"person":17}`},
		{"GET", "/v1/tokens?person=17.5", "", "", 400, `/person`},
		{"GET", "/v1/tokens?person=seven", "", "", 400, `/person`},
		{"GET", "/v1/tokens?person=007", "", "", 400, `/person`},
		{"GET", "/v1/tokens?person=%207", "", "", 400, `/person`},
		{"GET", "/v1/tokens?person=", "", "", 400, `/person`},
		{"GET", "/v1/tokens?person=1&person=2", "", "", 400, `/person`},
		{"GET", "/v1/tokens?Person=1", "", "", 400, `/Person`},
		{"GET", "/v1/tokens?person=1;colour=red", "", "", 400, ``},
		{"GET", "/v1/tokens?person=%zz", "", "", 400, ``},
		{"GET", "/v1/tokens?person=%ff", "", "", 400, ``},
		{"GET", "/v1/tokens?%ff=1", "", "", 400, ``},
		{"GET", "/v1/tokens?colour=red", "", "", 400, `/colour`},
		{"POST", "/v1/tokens", `{"agent":"a","tools":["x"]}`, "", 200, `tokens.issue {"agent":"a","tools":["x"]}`},
		{"POST", "/v1/tokens", ``, "", 400, `/agent`},
		{"POST", "/v1/tokens?agent=a", `{"agent":"a","tools":["x"]}`, "", 400, ``},
		{"DELETE", "/v1/tokens/42", "", "", 200, `tokens.revoke {"token":42}`},
		{"DELETE", "/v1/tokens/42", "", `"3"`, 200, `tokens.revoke {"token":42,"version":3}`},
		{"DELETE", "/v1/tokens/42", "", `3`, 400, ``},
		{"DELETE", "/v1/tokens/42", `{"token":43}`, "", 400, ``},
		{"DELETE", "/v1/tokens/forty", "", "", 400, `/token`},
		{"DELETE", "/v1/tokens/42%2F43", "", "", 400, `/token`},
		{"DELETE", "/v1/tokens/42?token=43", "", "", 400, ``},
		{"GET", "/v1/calls", "", "", 200, `calls.list {}`},
		{"GET", "/v1/calls?limit=5&cursor=9", "", "", 200, `calls.list {"cursor":"9","limit":5}`},
		{"GET", "/v1/calls/1763871234567-3", "", "", 200, `calls.get {"call":"1763871234567-3"}`},
		{"GET", "/v1/calls/5", "", "", 200, `calls.get {"call":"5"}`},
		{"GET", "/v1/calls/%ff", "", "", 400, ``},
		{
			"GET", "/v1/audit?outcome=ok&outcome=denied&newest=true&above=-1.5e3&agent=5&person=9007199254740993", "", "", 200,
			`audit.search {"above":-1500,"agent":"5","newest":true,"outcome":["ok","denied"],"person":9007199254740993}`,
		},
		{"GET", "/v1/audit?outcome=ok", "", "", 200, `audit.search {"outcome":["ok"]}`},
		{"GET", "/v1/audit?newest=1", "", "", 400, `/newest`},
		{"GET", "/v1/audit?newest=true,%22person%22:5", "", "", 400, `/newest`},
		{"GET", "/v1/audit?above=1,%22person%22:5", "", "", 400, `/above`},
		{"GET", "/v1/audit/1763871234567-3", "", "", 200, `audit.get {"id":"1763871234567-3"}`},
		{"GET", "/v1/people?limit=2", "", "", 200, `people.list {"limit":2}`},
		{"POST", "/v1/people", `{"email":"a@b.example"}`, "", 200, `people.add {"email":"a@b.example"}`},
		{"GET", "/v1/people/5/permissions", "", "", 200, `permissions.get {"person":5}`},
		{"GET", "/v1/people/5/permissions?person=6", "", "", 400, ``},
		{"PUT", "/v1/people/5/permissions", `{"grants":{"a.b":"ask"}}`, `"7"`, 200, `permissions.set {"grants":{"a.b":"ask"},"person":5,"version":7}`},
		{"PUT", "/v1/people/5/permissions", `{"grants":{}}`, "", 428, ``},
		{"PUT", "/v1/people/5/permissions", `{"grants":{}}`, `*`, 400, ``},
		{"PUT", "/v1/people/5/permissions", `{"grants":{}}`, `W/"7"`, 400, ``},
		{"PUT", "/v1/people/5/permissions", `{"grants":{}}`, `"7", "8"`, 400, ``},
		{"PUT", "/v1/people/5/permissions", `{"grants":{}}`, `"07"`, 400, ``},
		{"PUT", "/v1/people/5/permissions", `{"grants":{}}`, `"99999999999999999999"`, 400, ``},
		{"PUT", "/v1/people/5/permissions", `{"grants":{},"person":6}`, `"7"`, 400, `/person`},
		{"PUT", "/v1/people/5/permissions", `{"grants":{},"person":5}`, `"7"`, 400, `/person`},
		{"PUT", "/v1/people/5/permissions", `{"grants":{},"version":9}`, `"7"`, 400, `/version`},
		{"PUT", "/v1/people/5/permissions", `7`, `"7"`, 400, ``},
	} {
		var headers []string
		if tt.ifMatch != "" {
			headers = []string{"If-Match", tt.ifMatch}
		}
		r := w.send(tt.method, tt.path, token, tt.body, headers...)
		ran, _ := w.seen()
		name := tt.method + " " + tt.path + " " + tt.body + " " + tt.ifMatch
		if r.status != tt.status {
			t.Errorf("%s: %d %s, want %d", name, r.status, r.body, tt.status)
			continue
		}
		if tt.status == 200 {
			if len(ran) != 1 || string(ran[0].tool)+" "+ran[0].args != tt.saw {
				t.Errorf("%s: the handlers saw %v, want %s", name, ran, tt.saw)
			}
			continue
		}
		p := r.problem(t)
		if len(ran) != 0 || p.Code != "invalid" {
			t.Errorf("%s: ran %v, %s", name, ran, r.body)
		}
		if tt.saw != "" && (len(p.Faults) == 0 || p.Faults[0].Path != tt.saw || p.ID == "") {
			t.Errorf("%s: %s, want a row and a fault at %s", name, r.body, tt.saw)
		}
	}
}

// TestVersionsAreTags: what GET gives as ETag is what PUT takes.
func TestVersionsAreTags(t *testing.T) {
	t.Parallel()
	w := newWorld(t, rest.Config{})
	token := w.person(1, w.everything())
	tag := w.send("GET", "/v1/people/5/permissions", token, "").header.Get("ETag")
	r := w.send("PUT", "/v1/people/5/permissions", token, `{"grants":{}}`, "If-Match", tag)
	if tag != `"7"` || r.status != 200 || r.header.Get("ETag") != `"7"` {
		t.Errorf("tag %s, PUT with it: %d, %v", tag, r.status, r.header)
	}
	if r := w.send("GET", "/v1/tokens", token, ""); r.header.Get("ETag") != "" {
		t.Errorf("a list has the ETag %s", r.header.Get("ETag"))
	}
}

// TestPathsThatAreNone: the mux never answers by itself: no redirect, no plain text; and strangers see the same as callers.
func TestPathsThatAreNone(t *testing.T) {
	t.Parallel()
	w := newWorld(t, rest.Config{})
	token := w.person(1, w.everything())
	for _, tt := range []struct {
		method, path string
		status       int
		allow        string
	}{
		{"GET", "/", 404, ""},
		{"GET", "/v1", 404, ""},
		{"GET", "/v1/", 404, ""},
		{"GET", "/v1/tools/", 404, ""},
		{"POST", "/v1/tools/", 404, ""},
		{"POST", "//v1/tools/end.as", 404, ""},
		{"POST", "/v1//tools/end.as", 404, ""},
		{"POST", "/v1/x/../tools/end.as", 404, ""},
		{"POST", "/v1/tools/a/b", 404, ""},
		{"GET", "/V1/tools", 404, ""},
		{"GET", "/v1/docs/../tools", 404, ""},
		{"GET", "/v1/docs/reference.html", 404, ""},
		{"GET", "/v1/docs/..%2freference.go", 404, ""},
		{"GET", "/v1/tools/end.as", 405, "POST"},
		{"POST", "/v1/tools", 405, "GET, HEAD"},
		{"DELETE", "/v1/tokens", 405, "GET, HEAD, POST"},
		{"PATCH", "/v1/people/5/permissions", 405, "GET, HEAD, PUT"},
		{"OPTIONS", "/v1/tokens/5", 405, "DELETE"},
		{"POST", "/healthz", 405, "GET, HEAD"},
		{"TRACE", "/v1/tools", 405, "GET, HEAD"},
	} {
		r := w.send(tt.method, tt.path, token, "")
		if r.status != tt.status || r.header.Get("Allow") != tt.allow {
			t.Errorf("%s %s: %d, Allow %q; want %d, %q", tt.method, tt.path, r.status, r.header.Get("Allow"), tt.status, tt.allow)
			continue
		}
		r.problem(t)
		if stranger := w.send(tt.method, tt.path, "", ""); stranger.body != r.body {
			t.Errorf("%s %s: a stranger sees %s, a caller %s", tt.method, tt.path, stranger.body, r.body)
		}
	}
}

// FuzzQuery: every parameter of a query arrives under its name, or the request is refused; none is lost or doubled.
func FuzzQuery(f *testing.F) {
	for _, seed := range []string{"", "person=1", "person=1&person=2", "outcome=a&outcome=b", "newest=true&above=1e5", "a=%22&%22=a", "a=1;b=2", "%00=1", "person=1e999", "x=\xff", "person=true", "person=null&newest=[1]", "newest=true,\"person\":5"} {
		f.Add(seed)
	}
	schema, err := canon.Parse([]byte(`{"type":"object","properties":{"person":{"type":"integer"},"outcome":{"type":"array","items":{"type":"string"}},"newest":{"type":"boolean"},"above":{"type":"number"}}}`))
	if err != nil {
		f.Fatal(err)
	}
	way := rest.Ways()[0]
	if way.Operation() != "listTokens" {
		f.Fatalf("the first route is %s", way.Operation())
	}
	f.Fuzz(func(t *testing.T, query string) {
		r := httptest.NewRequest("GET", "/v1/tokens", nil)
		r.URL.RawQuery = query
		got, err := way.Arguments(r, schema)
		if err != nil {
			return
		}
		v, err := canon.ParseObject(got)
		if err != nil {
			if !jsontext.Value(got).IsValid() && !strings.Contains(query, "%00") {
				t.Fatalf("%q became %s: %v", query, got, err)
			}
			return // beyond a limit, which is the gate's to say
		}
		want, err := url.ParseQuery(query)
		if err != nil {
			t.Fatalf("%q was taken: %v", query, err)
		}
		n := 0
		for name, value := range v.Members {
			n++
			if _, ok := want[name]; !ok {
				t.Errorf("%q became %s", query, got)
			}
			if first := value.String()[0]; name == "person" && !strings.ContainsRune(`-0123456789"[`, rune(first)) {
				t.Errorf("%q became %s", query, got)
			}
			if s, ok := value.Text(); ok && s != want.Get(name) {
				t.Errorf("%q: %s became %q", query, name, s)
			}
		}
		if n != len(want) {
			t.Errorf("%q became %s: %d of %d", query, got, n, len(want))
		}
	})
}

// FuzzTag: only the one spelling that is given out is a tag.
func FuzzTag(f *testing.F) {
	for _, seed := range []string{`"7"`, `7`, `W/"7"`, `"07"`, `"-1"`, `""7""`, `"+7"`, `*`} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, s string) {
		n, ok := rest.ParseTag([]string{s})
		if ok && s != `"`+strings.TrimSpace(canonInt(t, n))+`"` {
			t.Errorf("%q is taken as %d", s, n)
		}
	})
}

func canonInt(t *testing.T, n int64) string {
	v, err := canon.From(n)
	if err != nil {
		t.Fatal(err)
	}
	return v.String()
}
