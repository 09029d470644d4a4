package rest_test

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"

	"gatehouse/entry/rest"
	"gatehouse/gate"
	"gatehouse/outcome"
)

// TestT10_StrictBodies: what is not exactly one JSON object is refused with a row, and no handler sees it.
func TestT10_StrictBodies(t *testing.T) {
	t.Parallel()
	w := newWorld(t, rest.Config{})
	const good = `{"agent":"a","tools":[]}`
	bodies := map[string]string{
		"duplicate":            `{"agent":"a","agent":"b","tools":[]}`,
		"duplicate, escaped":   `{"agent":"a","\u0061gent":"b","tools":[]}`,
		"duplicate, deep":      `{"agent":"a","tools":[{"a":1,"a":2}]}`,
		"other case":           `{"agent":"a","Agent":"b","tools":[]}`,
		"only in other case":   `{"Agent":"a","tools":[]}`,
		"NUL in a name":        `{"agent":"a","tools":[],"agent\u0000":"b"}`,
		"unknown":              `{"agent":"a","tools":[],"more":1}`,
		"BOM":                  "\xef\xbb\xbf" + good,
		"NaN":                  `{"agent":NaN,"tools":[]}`,
		"trailing":             good + `x`,
		"two":                  good + good,
		"array":                `[` + good + `]`,
		"string":               `"agent"`,
		"null":                 `null`,
		"cut short":            good[:len(good)-1],
		"comment":              `{"agent":"a",/* */"tools":[]}`,
		"no UTF-8":             "{\"agent\":\"\xff\",\"tools\":[]}",
		"lone surrogate":       `{"agent":"\ud800","tools":[]}`,
		"10,000 levels":        `{"agent":"a","tools":` + strings.Repeat("[", 10000) + strings.Repeat("]", 10000) + `}`,
		"number out of bounds": `{"agent":"a","tools":[1e` + strings.Repeat("9", 200) + `]}`,
		"white space":          "  \n",
		"wrong type":           `{"agent":1,"tools":[]}`,
	}
	reasons := map[string]string{}
	for i, path := range []string{"/v1/tools/tokens.issue", "/v1/tools/tokens__issue", "/v1/tokens"} {
		token := w.person(gate.PersonID(i+1), w.everything()) // one for each, since a token's refusals beyond 60 a minute share a row
		for name, body := range bodies {
			r := w.send("POST", path, token, body)
			ran, rows := w.seen()
			p := r.problem(t)
			if p.Status != 400 || p.Code != "invalid" || p.ID == "" {
				t.Errorf("%s, %s: %s", path, name, r.body)
			}
			if said := reasons[name]; said != "" && said != p.Reason {
				t.Errorf("%s, %s: %q, by another path %q", path, name, p.Reason, said)
			}
			reasons[name] = p.Reason
			if len(ran) != 0 || len(rows) != 1 || rows[0].Outcome != outcome.Invalid {
				t.Errorf("%s, %s: ran %v, rows %+v", path, name, ran, rows)
			}
		}
		if r := w.send("POST", path, token, good); r.status != 200 {
			t.Errorf("%s: a good body: %d %s", path, r.status, r.body)
		}
		w.seen()
	}
}

// TestT12_OnlyJSON: what a page can send without asking first is no call.
func TestT12_OnlyJSON(t *testing.T) {
	t.Parallel()
	w := newWorld(t, rest.Config{})
	token := w.person(1, w.everything())
	for header, want := range map[string]int{
		"application/json":                               200,
		"Application/JSON; charset=UTF-8":                200,
		"application/json; charset=utf-16":               415,
		"application/json, text/plain":                   415,
		"text/plain":                                     415,
		"text/plain; application/json":                   415,
		"application/x-www-form-urlencoded":              415,
		"multipart/form-data; boundary=application/json": 415,
		"application/jsonp":                              415,
		"application/problem+json":                       415,
		"":                                               415,
	} {
		for _, path := range []string{"/v1/tools/people.add", "/v1/people"} {
			r := w.send("POST", path, token, `{"email":"a@b.example"}`, "Content-Type", header)
			if r.status != want {
				t.Errorf("%s with %q: %d, want %d", path, header, r.status, want)
			}
			if want == 415 {
				if p := r.problem(t); p.Code != "invalid" || p.ID != "" {
					t.Errorf("%s with %q: %s", path, header, r.body)
				}
			}
		}
	}
	if r := w.send("POST", "/v1/people", token, `{"email":"a@b.example"}`, "Content-Encoding", "gzip"); r.status != 415 {
		t.Errorf("an encoded body: %d", r.status)
	}
	if ran, _ := w.seen(); len(ran) != 4 {
		t.Errorf("%d calls ran, want those 4 with the right type", len(ran))
	}
	for _, q := range [][2]string{{"Host", "localhost.evil"}, {"Origin", "https://evil.example"}, {"Origin", "null"}} {
		r := w.send("POST", "/v1/people", token, `{"email":"a@b.example"}`, q[0], q[1])
		if r.status != 403 {
			t.Errorf("%s: %s: %d", q[0], q[1], r.status)
		}
	}
}

// TestNoBodyIsNoArguments: a tool without required arguments needs neither a body nor its type.
func TestNoBodyIsNoArguments(t *testing.T) {
	t.Parallel()
	w := newWorld(t, rest.Config{})
	token := w.person(1, w.everything())
	if r := w.send("POST", "/v1/tools/tokens.list", token, ""); r.status != 200 || !strings.Contains(r.body, `"saw":{}`) {
		t.Errorf("no body: %d %s", r.status, r.body)
	}
	if r := w.send("POST", "/v1/tools/tokens.list?person=4", token, ""); r.status != 400 {
		t.Errorf("arguments in the query of a POST: %d, want 400 and not a call without them", r.status)
	}
	for _, path := range []string{"/v1/tools", "/v1/openapi.json", "/v1/tokens"} {
		if r := w.send("GET", path, token, `{}`); r.status != 400 {
			t.Errorf("GET %s with a body: %d", path, r.status)
		}
	}
}

func TestIdempotencyKey(t *testing.T) {
	t.Parallel()
	w := newWorld(t, rest.Config{})
	token := w.person(1, w.everything())
	const one, other = `{"email":"a@b.example"}`, `{"email":"c@d.example"}`
	first := w.send("POST", "/v1/people", token, one, "Idempotency-Key", "k")
	again := w.send("POST", "/v1/tools/people.add", token, one, "Idempotency-Key", "k")
	if first.status != 200 || again.status != 200 || rowIDs.ReplaceAllString(first.body, "") != rowIDs.ReplaceAllString(again.body, "") {
		t.Errorf("first %d %s, again %d %s", first.status, first.body, again.status, again.body)
	}
	if r := w.send("POST", "/v1/people", token, other, "Idempotency-Key", "k"); r.status != 409 {
		t.Errorf("other arguments under the key: %d", r.status)
	}
	ran, _ := w.seen()
	if len(ran) != 1 {
		t.Errorf("ran %v, want one call", ran)
	}
	for _, keys := range [][]string{{""}, {"a", "b"}, {"a", "a"}} {
		r, err := http.NewRequest("POST", "/v1/people", strings.NewReader(one))
		if err != nil {
			t.Fatal(err)
		}
		r.Host, r.RemoteAddr, r.RequestURI = host, "127.0.0.1:1", "/v1/people"
		r.Header = http.Header{"Authorization": {"Bearer " + token}, "Content-Type": {"application/json"}, "Idempotency-Key": keys}
		rec := newRecorder()
		w.handler.ServeHTTP(rec, r)
		if rec.Code != 400 {
			t.Errorf("keys %q: %d, want 400: whoever sends one must not have the thing done twice", keys, rec.Code)
		}
	}
}

// TestOverTheWire: bodies that are too long, methods without a body, and clients of net/http.
func TestOverTheWire(t *testing.T) {
	t.Parallel()
	w := newWorld(t, rest.Config{})
	token := w.person(1, w.everything())
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		r.Host = host // the front of this world was told another port
		w.handler.ServeHTTP(rw, r)
	})}
	go func() { _ = server.Serve(l) }()
	t.Cleanup(func() { _ = server.Close() })
	do := func(method, path string, body string, chunked bool) (*http.Response, error) {
		r, err := http.NewRequestWithContext(context.Background(), method, "http://"+l.Addr().String()+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		if chunked {
			r.ContentLength = -1
		}
		r.Header.Set("Authorization", "Bearer "+token)
		r.Header.Set("Content-Type", "application/json")
		return http.DefaultClient.Do(r)
	}
	long := fmt.Sprintf(`{"email":%q}`, strings.Repeat("a", 70<<10))
	for _, chunked := range []bool{false, true} {
		res, err := do("POST", "/v1/people", long, chunked)
		if err != nil {
			t.Fatal(err)
		}
		_ = res.Body.Close()
		if res.StatusCode != 413 || res.Header.Get("Content-Type") != "application/problem+json" {
			t.Errorf("70 KiB, chunked %v: %d %v", chunked, res.StatusCode, res.Header)
		}
	}
	res, err := do("HEAD", "/v1/tools", "", false)
	if err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
	if res.StatusCode != 200 || res.ContentLength <= 0 {
		t.Errorf("HEAD: %d, length %d", res.StatusCode, res.ContentLength)
	}
}
