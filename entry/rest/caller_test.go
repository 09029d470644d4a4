package rest_test

import (
	"errors"
	"regexp"
	"strings"
	"testing"
	"time"

	"gatehouse/entry/rest"
	"gatehouse/gate"
	"gatehouse/outcome"
)

// guarded are requests to every kind of path that needs a caller.
var guarded = [][3]string{
	{"GET", "/v1/tools", ""},
	{"GET", "/v1/openapi.json", ""},
	{"POST", "/v1/tools/tokens.issue", `{"agent":"a","tools":[]}`},
	{"POST", "/v1/tools/no.such", `{}`},
}

// everyPath is guarded with all routes of the table, with good arguments.
func everyPath() [][3]string {
	all := append([][3]string{}, guarded...)
	for _, way := range rest.Ways() {
		method, path := way.Request()
		body := map[string]string{"tokens.issue": `{"agent":"a","tools":[]}`, "people.add": `{"email":"a@b.example"}`, "permissions.set": `{"grants":{}}`}[string(way.Tool())]
		all = append(all, [3]string{method, strings.Replace(path, "{id}", "5", 1), body})
	}
	return all
}

// TestT1_NobodyGetsIn: whoever shows no good token gets one answer, the same on every path, and a row; nothing runs.
func TestT1_NobodyGetsIn(t *testing.T) {
	t.Parallel()
	w := newWorld(t, rest.Config{})
	good := w.person(1, w.everything())
	revoked := w.person(2, w.everything())
	w.revoke(revoked)
	expired := w.person(3, w.everything())
	w.tokens[expired].Ends = time.Now().Add(-time.Second)
	disabled := w.person(4, w.everything())
	w.rights[4].Active = false
	callers := map[string][]string{
		"no token":       {},
		"empty":          {"Authorization", "Bearer "},
		"unknown":        {"Authorization", "Bearer st_nobody"},
		"revoked":        {"Authorization", "Bearer " + revoked},
		"expired":        {"Authorization", "Bearer " + expired},
		"disabled":       {"Authorization", "Bearer " + disabled},
		"trailing space": {"Authorization", "Bearer " + good + " "},
		"two spaces":     {"Authorization", "Bearer  " + good},
		"other scheme":   {"Authorization", "Basic " + good},
		"no scheme":      {"Authorization", good},
		"other prefix":   {"Authorization", "Bearer x" + good},
		"other case":     {"Authorization", "Bearer " + strings.ToUpper(good)},
		"a cookie":       {"Cookie", "token=" + good},
	}
	first := ""
	for name, header := range callers {
		for _, q := range everyPath() {
			r := w.send(q[0], q[1], "", q[2], append(header, "If-Match", `"7"`)...)
			if r.status != 401 || r.header.Get("WWW-Authenticate") != "Bearer" {
				t.Errorf("%s: %s %s: %d %v", name, q[0], q[1], r.status, r.header)
			}
			if first == "" {
				first = r.body
			}
			if r.body != first {
				t.Errorf("%s: %s %s: %s\nothers got %s", name, q[0], q[1], r.body, first)
			}
		}
	}
	ran, rows := w.seen()
	if len(ran) != 0 || len(rows) == 0 {
		t.Errorf("%d handlers ran, %d rows", len(ran), len(rows))
	}
	for _, row := range rows {
		if row.Outcome != outcome.Unauthenticated || row.Entry != "rest" {
			t.Errorf("row %+v", row)
		}
	}
}

// TestTokenInTheQueryIsNone, also beside a good one in the header.
func TestTokenInTheQueryIsNone(t *testing.T) {
	t.Parallel()
	w := newWorld(t, rest.Config{})
	good := w.person(1, w.everything())
	for _, token := range []string{"", good} {
		if r := w.send("GET", "/v1/tools?access_token="+good, token, ""); r.status != 401 {
			t.Errorf("a token in the query and %q in the header: %d", token, r.status)
		}
	}
}

// TestT1_NotAllowed: a token without the right gets 403 on every tool, and a row; nothing runs, and no list is empty instead.
func TestT1_NotAllowed(t *testing.T) {
	t.Parallel()
	w := newWorld(t, rest.Config{})
	token := w.person(1, nil)
	for _, q := range everyPath() {
		if strings.HasPrefix(q[1], "/v1/calls") || strings.HasSuffix(q[1], "/permissions") && q[0] == "GET" {
			continue // own affairs need no grant
		}
		r := w.send(q[0], q[1], token, q[2], "If-Match", `"7"`)
		_, rows := w.seen()
		if q[1] == "/v1/tools" || q[1] == "/v1/openapi.json" {
			if r.status != 200 || strings.Contains(r.body, "tokens") || !strings.Contains(r.body, "calls.list") {
				t.Errorf("%s: %d %s", q[1], r.status, r.body)
			}
			continue
		}
		if p := r.problem(t); p.Code != "not_allowed" || p.Status != 403 || len(rows) != 1 || rows[0].Outcome != outcome.NotAllowed {
			t.Errorf("%s %s: %s with rows %+v", q[0], q[1], r.body, rows)
		}
	}
	if ran, _ := w.seen(); len(ran) != 0 {
		t.Errorf("ran: %v", ran)
	}
}

var rowIDs = regexp.MustCompile(`"id":"[0-9]+-[0-9]+"`)

// TestT2_HiddenAnswersLikeUnknown: byte for byte but for the id, in every spelling.
func TestT2_HiddenAnswersLikeUnknown(t *testing.T) {
	t.Parallel()
	w := newWorld(t, rest.Config{})
	token := w.person(1, map[string]gate.Decision{"end.as": gate.Allow})
	unknown := w.send("POST", "/v1/tools/no.such", token, `{}`)
	want := rowIDs.ReplaceAllString(unknown.body, "")
	for _, spelling := range []string{
		"tokens.issue", "tokens__issue", "tokens%2Eissue", "Tokens.Issue", "TOKENS.ISSUE", "tokens.issue%20", "%20tokens.issue",
		"tokens%00.issue", "tоkens.issue", "tokens%EF%BC%8Eissue", "end.As", "END__AS", "files.tree", "%ff", "tokens", "issue", ".", "%2e%2e",
		"tokens.issue;v=1", "end.as%2F", "*", "tokens.list", strings.Repeat("a", 5000),
	} {
		r := w.send("POST", "/v1/tools/"+spelling, token, `{}`)
		if spelling == "." {
			if r.status != 404 {
				t.Errorf("an unclean path: %d", r.status)
			}
			continue
		}
		if r.status != 403 || rowIDs.ReplaceAllString(r.body, "") != want {
			t.Errorf("%s: %d %s\nunknown: %s", spelling, r.status, r.body, unknown.body)
		}
		for k := range unknown.header {
			if k != "Content-Length" && r.header.Get(k) != unknown.header.Get(k) {
				t.Errorf("%s: header %s is %q, of an unknown tool %q", spelling, k, r.header.Get(k), unknown.header.Get(k))
			}
		}
	}
	if ran, _ := w.seen(); len(ran) != 0 {
		t.Errorf("ran: %v", ran)
	}
	if r := w.send("POST", "/v1/tools/end__as", token, `{"code":"ok"}`); r.status != 200 {
		t.Errorf("the exported spelling of a permitted tool: %d %s", r.status, r.body)
	}
}

// TestT3_GoneMeansGone: nothing of a caller is remembered between two requests (P5).
func TestT3_GoneMeansGone(t *testing.T) {
	t.Parallel()
	w := newWorld(t, rest.Config{})
	token := w.person(1, map[string]gate.Decision{"end.as": gate.Allow})
	call := func() int { return w.send("POST", "/v1/tools/end.as", token, `{"code":"ok"}`).status }
	if got := call(); got != 200 {
		t.Fatalf("permitted: %d", got)
	}
	w.person(1, nil)
	if got := call(); got != 403 {
		t.Errorf("permission taken away: %d", got)
	}
	if r := w.send("GET", "/v1/openapi.json", token, ""); strings.Contains(r.body, "end.as") {
		t.Errorf("the document still shows what was taken away")
	}
	w.revoke(token)
	if got := call(); got != 401 {
		t.Errorf("revoked: %d", got)
	}
}

// TestT6_StoreThatFails refuses, and is never an empty list (T13).
func TestT6_StoreThatFails(t *testing.T) {
	t.Parallel()
	w := newWorld(t, rest.Config{})
	token := w.person(1, w.everything())
	for good := range 2 { // the store fails while it is asked who is calling, and after that
		for _, q := range everyPath() {
			w.fail(good, errors.New("disk on fire at /var/lib/secret-place"))
			r := w.send(q[0], q[1], token, q[2], "If-Match", `"7"`)
			if good == 1 && q[1] == "/v1/tools/no.such" {
				continue // there is nothing to ask the store
			}
			if p := r.problem(t); p.Status != 503 || p.Code != "unavailable" || strings.Contains(r.body, "fire") {
				t.Errorf("%s %s: %s", q[0], q[1], r.body)
			}
		}
	}
	if ran, _ := w.seen(); len(ran) != 0 {
		t.Errorf("ran: %v", ran)
	}
}

// TestOriginStandsInTheRow: session and task are written down, and bytes that are no UTF-8 do not reach the log.
func TestOriginStandsInTheRow(t *testing.T) {
	t.Parallel()
	w := newWorld(t, rest.Config{})
	token := w.person(1, w.everything())
	w.send("POST", "/v1/tools/end.as", token, `{"code":"ok"}`, "Gatehouse-Session", "morning\xff", "Gatehouse-Task", "tidy up")
	_, rows := w.seen()
	if len(rows) != 1 || rows[0].Session != "morning\uFFFD" || rows[0].Payload.Task != "tidy up" || rows[0].Token != 1000 || rows[0].Agent != "test" {
		t.Errorf("rows %+v", rows)
	}
}
