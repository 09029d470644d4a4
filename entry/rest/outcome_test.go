package rest_test

import (
	"fmt"
	"strings"
	"testing"

	"gatehouse/entry/rest"
	"gatehouse/gate"
	"gatehouse/outcome"
)

// TestEveryOutcomeHasItsTranslation is the contract's table "One outcome, four translations", its column REST.
func TestEveryOutcomeHasItsTranslation(t *testing.T) {
	t.Parallel()
	want := map[outcome.Code]int{
		outcome.OK: 200, outcome.NotAllowed: 403, outcome.Invalid: 400, outcome.Blocked: 422, outcome.Pending: 202,
		outcome.Input: 409, outcome.Denied: 403, outcome.Expired: 403, outcome.Invalidated: 409, outcome.Limited: 429,
		outcome.Conflict: 409, outcome.NotFound: 404, outcome.Upstream: 502, outcome.Timeout: 504, outcome.Unknown: 502,
		outcome.Unavailable: 503, outcome.Internal: 500, outcome.Cancelled: 409, outcome.Unauthenticated: 401,
	}
	w := newWorld(t, rest.Config{})
	token := w.person(1, map[string]gate.Decision{"end.as": gate.Allow})
	titles := map[string]string{}
	for _, code := range outcome.All() {
		r := w.send("POST", "/v1/tools/end.as", token, fmt.Sprintf(`{"code":%q}`, code))
		status, ok := want[code]
		if !ok || r.status != status {
			t.Errorf("%s is %d, want %d (known: %v)", code, r.status, status, ok)
		}
		_, rows := w.seen()
		if len(rows) != 1 || rows[0].Outcome != code || rows[0].Entry != "rest" || rows[0].Address != "127.0.0.1" {
			t.Errorf("%s: rows %+v", code, rows)
		}
		if got, want := r.header.Get("WWW-Authenticate"), code == outcome.Unauthenticated; (got == "Bearer") != want || got != "" && !want {
			t.Errorf("%s: WWW-Authenticate %q", code, got)
		}
		if r.header.Get("Retry-After") != "" {
			t.Errorf("%s says when to come back, and nobody said so", code)
		}
		if code == outcome.OK {
			continue
		}
		p := r.problem(t)
		if p.Code != code.String() || !strings.HasSuffix(p.ID, "-1") {
			t.Errorf("%s: code %q, id %q", code, p.Code, p.ID)
		}
		inOwnWords := code == outcome.Timeout || code == outcome.Cancelled // the gate says itself what these mean
		if want := "because of " + code.String(); p.Reason == "" || !inOwnWords && p.Reason != want {
			t.Errorf("%s: reason %q, want %q", code, p.Reason, want)
		}
		if other := titles[p.Title]; other != "" {
			t.Errorf("%s and %s have one title", code, other)
		}
		titles[p.Title] = code.String()
	}
	if len(want) != len(outcome.All()) {
		t.Errorf("the table has %d rows for %d codes", len(want), len(outcome.All()))
	}
}

func TestLimitedSaysWhenToComeBack(t *testing.T) {
	t.Parallel()
	w := newWorld(t, rest.Config{})
	token := w.person(1, map[string]gate.Decision{"end.as": gate.Allow})
	for after, want := range map[int]string{0: "", 1: "1", 1000: "1", 1001: "2", 60000: "60"} {
		r := w.send("POST", "/v1/tools/end.as", token, fmt.Sprintf(`{"code":"limited","after_ms":%d}`, after))
		if got := r.header.Get("Retry-After"); got != want {
			t.Errorf("limited for %d ms: Retry-After %q, want %q", after, got, want)
		}
	}
}

// TestResultIsSpliced: the result stands in the answer to the byte as the gate gave it, numbers too large for a float included.
func TestResultIsSpliced(t *testing.T) {
	t.Parallel()
	w := newWorld(t, rest.Config{})
	token := w.person(1, w.everything())
	r := w.send("POST", "/v1/tools/files.tree", token, `{"root":{"name":"a"}}`)
	const want = `"result":{"content":[{"text":"mail [redacted:email]","type":"text"}],"structuredContent":{"big":12345678901234567890123,"small":0.1000000000000000055511151231257827}},"redactions":[{"kind":"email","count":1}]}`
	if r.status != 200 || !strings.HasSuffix(r.body, want) {
		t.Errorf("%d %s\nwant an end of %s", r.status, r.body, want)
	}
	if r.header.Get("Content-Length") != fmt.Sprint(len(r.body)) || r.header.Get("Cache-Control") != "no-store" {
		t.Errorf("headers %v of %d bytes", r.header, len(r.body))
	}
}

// TestErrorOfATool: what a foreign tool says of its failure reaches the caller, cleaned.
func TestErrorOfATool(t *testing.T) {
	t.Parallel()
	w := newWorld(t, rest.Config{})
	token := w.person(1, w.everything())
	p := w.send("POST", "/v1/tools/files__fails", token, `{}`).problem(t)
	if p.Status != 502 || p.Result.String() != `{"content":[{"text":"no such file of [redacted:email]","type":"text"}]}` || p.Cut.IsZero() {
		t.Errorf("%+v, want 502 with the tool's own content and what was cut from it", p)
	}
}

func TestFaultsNameTheirPlace(t *testing.T) {
	t.Parallel()
	w := newWorld(t, rest.Config{})
	token := w.person(1, w.everything())
	p := w.send("POST", "/v1/tools/tokens.issue", token, `{"agent":1,"colour":"red"}`).problem(t)
	var paths []string
	for _, f := range p.Faults {
		paths = append(paths, f.Path)
	}
	if p.Status != 400 || fmt.Sprint(paths) != "[/tools /agent /colour]" {
		t.Errorf("%d with faults at %v, want 400 and each argument", p.Status, paths)
	}
}
