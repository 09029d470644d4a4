package gate_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
	"unicode/utf8"

	"gatehouse/app"
	"gatehouse/gate"
	"gatehouse/gatetest"
	"gatehouse/guard"
	"gatehouse/outcome"
	"gatehouse/secret"
)

func house(t testing.TB, c gatetest.Config) (*gatetest.House, *probe) {
	t.Helper()
	p := &probe{}
	c.Modules = map[string]app.Starter{"probe": app.Start(p.start)}
	return gatetest.Start(t, c), p
}

var allProbes = []string{"probe.reads", "probe.writes", "probe.destroys", "probe.slow", "probe.mcp"}

// TestHowACallEnds: one row for each call, whatever happens in it, with the outcome that the caller got.
func TestHowACallEnds(t *testing.T) {
	t.Parallel()
	h, p := house(t, gatetest.Config{})
	ann := h.Person("ann", allProbes...)
	ann.Grant(map[string]string{"probe.destroys": "ask"})
	for _, tt := range []struct {
		name, tool, args string
		want             outcome.Code
		reason           string
		reached          int64
	}{
		{"carried out", "probe.reads", `{"text":"a"}`, outcome.OK, "", 1},
		{"without arguments", "probe.reads", ``, outcome.OK, "", 1},
		{"by its exported name", "probe__reads", `{}`, outcome.OK, "", 1},
		{"an unknown argument", "probe.reads", `{"texts":"a"}`, outcome.Invalid, "/texts: is not an argument", 0},
		{"no object", "probe.reads", `[]`, outcome.Invalid, "object", 0},
		{"twice the same name", "probe.reads", `{"text":"a","text":"b"}`, outcome.Invalid, "stands twice", 0},
		{"asks", "probe.destroys", `{}`, outcome.Denied, "nobody can decide here yet", 0},
		{"a panic", "probe.reads", `{"do":"panic"}`, outcome.Internal, "", 1},
		{"an error with a code", "probe.reads", `{"do":"missing","text":"x"}`, outcome.NotFound, "there is no x", 1},
		{"too slow, and only reading", "probe.slow", `{"do":"wait"}`, outcome.Timeout, "ask for less", 1},
		{"too slow, and with an effect", "probe.writes", `{"do":"wait"}`, outcome.Unknown, "look whether it happened", 1},
		{"MCP", "probe.mcp", `{"n":12345678901234567890}`, outcome.OK, "", 1},
		{"MCP that failed", "probe.mcp", `{"failed":true}`, outcome.Upstream, "content says which", 1},
		{"MCP that breaks its own schema", "probe.mcp", `{"m":1}`, outcome.Upstream, "schema that it declares", 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			mark, before := h.Mark(), p.reached.Load()
			got := ann.Call(tt.tool, tt.args)
			if got.Code != tt.want || !strings.Contains(got.Reason, tt.reason) {
				t.Errorf("%s %s: %s (%s), want %s (%s)", tt.tool, tt.args, got.Code, got.Reason, tt.want, tt.reason)
			}
			if n := p.reached.Load() - before; n != tt.reached {
				t.Errorf("%d calls reached the handler, want %d", n, tt.reached)
			}
			rows := h.RowsSince(mark)
			if len(rows) != 1 || rows[0].Outcome != tt.want.String() || rows[0].ID != got.ID.String() {
				t.Errorf("rows, want one that says %s as %s:\n%s", tt.want, got.ID, gatetest.Print(rows))
			}
		})
	}
}

// TestAnyNameIsARow: what a client calls a tool is written down whatever its bytes are.
func TestAnyNameIsARow(t *testing.T) {
	t.Parallel()
	h, _ := house(t, gatetest.Config{})
	ann := h.Person("ann", "probe.reads")
	for _, name := range []string{"a\x00b", "\xff", "", strings.Repeat("é", 80), "\u202e.x"} {
		mark := h.Mark()
		o := ann.Call(name, `{}`)
		rows := h.RowsSince(mark)
		if o.Code != outcome.NotAllowed || len(rows) != 1 || !utf8.ValidString(rows[0].Tool) || strings.Contains(rows[0].Tool, "\x00") {
			t.Errorf("%q: %s (%s)\n%s", name, o.Code, o.Reason, gatetest.Print(rows))
		}
	}
}

func TestAPermitEndsWithItsCall(t *testing.T) {
	t.Parallel()
	h, p := house(t, gatetest.Config{})
	ann := h.Person("ann", "probe.reads")
	ann.MustCall("probe.reads", `{}`)
	if _, err := p.permit.Load().Credential(t.Context(), "x", "y"); !errors.Is(err, outcome.NotAllowed) {
		t.Errorf("a permit of a call that ended: %v", err)
	}
	defer func() {
		if recover() == nil {
			t.Error("a permit that nobody gave does not panic")
		}
	}()
	gate.Permit{}.Person()
}

func TestAClientThatLeft(t *testing.T) {
	t.Parallel()
	h, p := house(t, gatetest.Config{})
	ann := h.Person("ann", "probe.reads", "probe.writes")
	for _, tt := range []struct {
		name, tool, args string
		want             outcome.Code
		before           bool // it left before the call came to the gate
	}{
		{"before anything", "probe.writes", `{}`, outcome.Cancelled, true},
		{"while reading", "probe.reads", `{"do":"wait"}`, outcome.Cancelled, false},
		{"while writing", "probe.writes", `{"do":"wait"}`, outcome.Unknown, false},
	} {
		mark, reached := h.Mark(), p.reached.Load()
		ctx, leave := context.WithCancel(t.Context())
		caller := h.Caller(ann.Token)
		if tt.before {
			leave()
		} else {
			go func() { <-p.waiting; leave() }()
		}
		got := h.Gate.Call(ctx, caller, gate.Request{Tool: gate.ToolName(tt.tool), Arguments: []byte(tt.args)})
		leave()
		if rows := h.RowsSince(mark); got.Code != tt.want || len(rows) != 1 || rows[0].Outcome != tt.want.String() {
			t.Errorf("%s: %s (%s), want %s and its row:\n%s", tt.name, got.Code, got.Reason, tt.want, gatetest.Print(rows))
		}
		if tt.before && p.reached.Load() != reached {
			t.Errorf("%s: it was carried out", tt.name)
		}
	}
}

func TestT5_UsesAreTakenExactly(t *testing.T) {
	t.Parallel()
	h, p := house(t, gatetest.Config{})
	ann := h.Person("ann", "probe.reads", "probe.writes", "tokens.issue")
	token := ann.Issue(map[string]any{"tools": []string{"probe.reads", "probe.writes"}, "max_uses": 7})
	for _, refused := range []string{"probe.destroys", "probe.nothing"} {
		h.CallAs(token.Text, refused, `{}`) // takes no use
	}
	h.CallAs(token.Text, "probe.reads", `{"x":1}`)
	var ok, limited atomic.Int64
	var all sync.WaitGroup
	for i := range 50 {
		all.Go(func() {
			tool := []string{"probe.reads", "probe.writes"}[i%2]
			switch o := h.CallAs(token.Text, tool, `{}`); o.Code {
			case outcome.OK:
				ok.Add(1)
			case outcome.Limited:
				limited.Add(1)
			default:
				t.Errorf("%s (%s)", o.Code, o.Reason)
			}
		})
	}
	all.Wait()
	if ok.Load() != 7 || limited.Load() != 43 || p.reached.Load() != 7 {
		t.Errorf("%d ok, %d limited, %d reached the handler; want 7, 43, 7", ok.Load(), limited.Load(), p.reached.Load())
	}
}

func TestRatesAndPlacesInFlight(t *testing.T) {
	t.Parallel()
	h, p := house(t, gatetest.Config{YAML: "limits: {calls_per_minute: 20, in_flight: 3}\n"})
	ann := h.Person("ann", "probe.reads")
	var all sync.WaitGroup
	ctx, leave := context.WithCancel(t.Context())
	caller := h.Caller(ann.Token)
	for range 3 {
		all.Go(func() {
			h.Gate.Call(ctx, caller, gate.Request{Tool: "probe.reads", Arguments: []byte(`{"do":"wait"}`)})
		})
	}
	for range 3 {
		<-p.waiting
	}
	if o := ann.Call("probe.reads", `{}`); o.Code != outcome.Limited || !strings.Contains(o.Reason, "under way") || o.RetryAfter == 0 {
		t.Errorf("a fourth call at a time: %s (%s)", o.Code, o.Reason)
	}
	leave()
	all.Wait()
	n := 0
	for ; n < 30; n++ {
		if o := ann.Call("probe.reads", `{}`); o.Code == outcome.Limited {
			if !strings.Contains(o.Reason, "minute") || o.RetryAfter == 0 {
				t.Errorf("%s after %s", o.Reason, o.RetryAfter)
			}
			break
		}
	}
	if n < 15 || n > 18 {
		t.Errorf("%d more calls of 20 a minute", n)
	}
}

// TestStrangersCannotFillTheLog: what is refused again and again stands in one row a minute.
func TestStrangersCannotFillTheLog(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h, _ := house(t, gatetest.Config{})
		ann := h.Person("ann", "probe.reads")
		mark := h.Mark()
		for range 200 {
			h.CallAs(ann.Token.Text, "probe.writes", `{}`)
		}
		_, before := count(h.RowsSince(mark))
		time.Sleep(61 * time.Second)
		rows, calls := count(h.RowsSince(mark))
		if before != 60 || rows != 61 || calls != 200 {
			t.Errorf("%d rows at first, then %d rows for %d calls; want 60, 61, 200", before, rows, calls)
		}
		mark = h.Mark()
		for range 100 {
			_, _ = h.Gate.Authenticate(t.Context(), gate.Credential{Bearer: secret.New("st_x")}, gate.Origin{Entry: "rest", Address: gatetest.Loopback})
		}
		time.Sleep(61 * time.Second)
		if rows, calls := count(h.RowsSince(mark)); rows != 6 || calls != 100 {
			t.Errorf("%d rows for %d failed authentications, want 6 and 100", rows, calls)
		}
		for i := range 1000 {
			address := netip.AddrFrom16([16]byte{0x20, 1, 0xd, 0xb8, byte(i >> 8), byte(i)})
			_, _ = h.Gate.Authenticate(t.Context(), gate.Credential{Bearer: secret.New("st_x")}, gate.Origin{Entry: "rest", Address: address})
		}
		if n := h.Gate.Windows(); n > 100 {
			t.Errorf("%d windows are open for a thousand addresses", n)
		}
		h.Close()
	})
}

func count(rows []gatetest.Row) (n int, calls int64) {
	for _, r := range rows {
		n++
		calls += r.Count
	}
	return n, calls
}

func TestIdempotencyKeys(t *testing.T) {
	t.Parallel()
	h, p := house(t, gatetest.Config{})
	ann := h.Person("ann", "probe.writes", "probe.reads")
	other := ann.Issue(map[string]any{"tools": []string{"probe.writes"}})
	call := func(token gatetest.Token, tool, key, args string) gate.Outcome {
		return h.Gate.Call(t.Context(), h.Caller(token), gate.Request{Tool: gate.ToolName(tool), Arguments: []byte(args), IdempotencyKey: key})
	}
	first := call(ann.Token, "probe.writes", "k1", `{"text":"a"}`)
	for _, tt := range []struct {
		name    string
		token   gatetest.Token
		tool    string
		key     string
		args    string
		want    outcome.Code
		reached int64
	}{
		{"the same again", ann.Token, "probe.writes", "k1", ` {"text" : "a"}`, outcome.OK, 0},
		{"other arguments", ann.Token, "probe.writes", "k1", `{"text":"b"}`, outcome.Conflict, 0},
		{"another key", ann.Token, "probe.writes", "k2", `{"text":"a"}`, outcome.OK, 1},
		{"another tool", ann.Token, "probe.reads", "k1", `{"text":"a"}`, outcome.OK, 1},
		{"another token", other, "probe.writes", "k1", `{"text":"a"}`, outcome.OK, 1},
		{"invalid, and the key stays free", ann.Token, "probe.writes", "k3", `{"x":1}`, outcome.Invalid, 0},
		{"the freed key", ann.Token, "probe.writes", "k3", `{}`, outcome.OK, 1},
	} {
		before := p.reached.Load()
		got := call(tt.token, tt.tool, tt.key, tt.args)
		if got.Code != tt.want || p.reached.Load()-before != tt.reached {
			t.Errorf("%s: %s (%s), %d reached; want %s, %d", tt.name, got.Code, got.Reason, p.reached.Load()-before, tt.want, tt.reached)
		}
		if tt.name == "the same again" && (got.Result != first.Result || got.Code != first.Code) {
			t.Errorf("the kept outcome is %v, was %v", got, first)
		}
	}
	ann.Grant(map[string]string{"probe.writes": "none"})
	if got := call(ann.Token, "probe.writes", "k1", `{"text":"a"}`); got.Code != outcome.NotAllowed {
		t.Errorf("the kept outcome after the permission went: %s", got.Code)
	}
}

// watchman is a guard that does what the text says.
type watchman struct{ stage guard.Stage }

func (watchman) Name() string { return "watchman" }

func (w watchman) Looks(s guard.Stage, _ guard.Kind) bool { return s == w.stage }

func (w watchman) Inspect(_ context.Context, s guard.Subject) ([]guard.Finding, error) {
	f := guard.Finding{Rule: "r", Kind: "word", Reason: "say something else"}
	at := strings.Index(s.Text, "bad")
	f.Start, f.End = max(at, 0), max(at, 0)+3
	switch {
	case strings.Contains(s.Text, "bad:cut"):
		f.Action = guard.Cut
	case strings.Contains(s.Text, "bad:mark"):
		f.Action = guard.Mark
	case strings.Contains(s.Text, "bad:ask"):
		f.Action = guard.Ask
	case strings.Contains(s.Text, "bad:two"):
		f.Action, f.Start, f.End = guard.Cut, 0, len(s.Text)
		g := f
		g.Start = 2
		return []guard.Finding{f, g}, nil
	case strings.Contains(s.Text, "bad:far"):
		f.Action, f.End = guard.Cut, 1000
	case strings.Contains(s.Text, "bad:error"):
		return nil, errors.New("cannot judge")
	case strings.Contains(s.Text, "bad:panic"):
		panic("guard")
	case strings.Contains(s.Text, "bad"):
		f.Action = guard.Block
	default:
		return nil, nil
	}
	return []guard.Finding{f}, nil
}

func TestGuards(t *testing.T) {
	t.Parallel()
	for _, stage := range []guard.Stage{guard.Before, guard.After} {
		t.Run(stage.String(), func(t *testing.T) {
			t.Parallel()
			h, p := house(t, gatetest.Config{Guards: []guard.Guard{watchman{stage}}})
			ann := h.Person("ann", "probe.reads")
			for _, tt := range []struct {
				text          string
				before, after outcome.Code
				result        string // after
			}{
				{"good", outcome.OK, outcome.OK, `{"list":["good"],"text":"good"}`},
				{"bad", outcome.Blocked, outcome.Blocked, ``},
				{"a bad:cut b", outcome.Blocked, outcome.OK, `{"list":["a [redacted:word]:cut b"],"text":"a [redacted:word]:cut b"}`},
				{"bad:mark", outcome.OK, outcome.OK, `{"list":["bad:mark"],"text":"bad:mark"}`},
				{"bad:ask", outcome.Denied, outcome.Blocked, ``},
				{"bad:two", outcome.Blocked, outcome.OK, `{"list":["[redacted:word][redacted:word]"],"text":"[redacted:word][redacted:word]"}`},
				{"bad:far", outcome.Blocked, outcome.Blocked, ``},
				{"bad:error", outcome.Blocked, outcome.Blocked, ``},
				{"bad:panic", outcome.Blocked, outcome.Blocked, ``},
			} {
				want, reached := tt.before, int64(0)
				if stage == guard.After || want == outcome.OK {
					reached = 1
				}
				if stage == guard.After {
					want = tt.after
				}
				before := p.reached.Load()
				got := ann.Call("probe.reads", fmt.Sprintf(`{"text":%q}`, tt.text))
				if got.Code != want || p.reached.Load()-before != reached {
					t.Errorf("%s: %s (%s), %d reached; want %s, %d", tt.text, got.Code, got.Reason, p.reached.Load()-before, want, reached)
				}
				if strings.Contains(got.Reason, "bad") {
					t.Errorf("%s: the reason gives the text away: %s", tt.text, got.Reason)
				}
				if stage == guard.After && got.Result.String() != tt.result {
					t.Errorf("%s: result %s, want %s", tt.text, got.Result, tt.result)
				}
				if stage == guard.After && want == outcome.OK && tt.text != "good" && tt.text != "bad:two" && fmt.Sprint(got.Redactions) != "[{word 2}]" {
					t.Errorf("%s: redactions %v", tt.text, got.Redactions)
				}
			}
			if stage == guard.After {
				got := ann.Call("probe.reads", `{"do":"missing","text":"bad:cut"}`)
				if got.Code != outcome.NotFound || got.Reason != "there is no [redacted:word]:cut" {
					t.Errorf("an error's reason is not cleaned: %s (%s)", got.Code, got.Reason)
				}
			}
		})
	}
}

// brokenLog refuses what a test says.
type brokenLog struct {
	gate.Log
	admit, record atomic.Bool
}

func (l *brokenLog) Admit(ctx context.Context, r *gate.Row, chain []gate.Link) (gate.Ticket, error) {
	if l.admit.Load() {
		return gate.Ticket{}, errors.New("disk full")
	}
	return l.Log.Admit(ctx, r, chain)
}

func (l *brokenLog) Record(ctx context.Context, t gate.Ticket, r *gate.Row) (gate.RowID, error) {
	if l.record.Load() {
		return gate.RowID{}, errors.New("disk full")
	}
	return l.Log.Record(ctx, t, r)
}

func broken(t *testing.T) (*gatetest.House, *probe, *brokenLog) {
	t.Helper()
	log := &brokenLog{}
	h, p := house(t, gatetest.Config{Parts: func(parts gate.Parts) gate.Parts {
		log.Log = parts.Log
		parts.Log = log
		return parts
	}})
	return h, p, log
}

// TestAKeyIsGivenBackWhateverBecomesOfTheRow: also when the refusal goes into the summary of the minute.
func TestAKeyIsGivenBackWhateverBecomesOfTheRow(t *testing.T) {
	t.Parallel()
	h, _, log := broken(t)
	ann := h.Person("ann", "probe.writes")
	for range 70 {
		ann.Call("probe.nothing", `{}`)
	}
	call := func() gate.Outcome {
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		return h.Gate.Call(ctx, h.Caller(ann.Token), gate.Request{Tool: "probe.writes", IdempotencyKey: "k"})
	}
	log.admit.Store(true)
	if o := call(); o.Code != outcome.Unavailable {
		t.Errorf("a log that admits nothing: %s (%s)", o.Code, o.Reason)
	}
	log.admit.Store(false)
	if o := call(); o.Code != outcome.OK {
		t.Errorf("the key after the log was mended: %s (%s)", o.Code, o.Reason)
	}
}

// TestPromise_P5_WhoWaitedIsAskedAgain: a repeat may wait as long as the first call runs; rights that went meanwhile count.
func TestPromise_P5_WhoWaitedIsAskedAgain(t *testing.T) {
	t.Parallel()
	h, p := house(t, gatetest.Config{})
	ann := h.Person("ann", "probe.slow")
	caller := h.Caller(ann.Token)
	call := func(ctx context.Context) gate.Outcome {
		return h.Gate.Call(ctx, caller, gate.Request{Tool: "probe.slow", Arguments: []byte(`{"do":"wait"}`), IdempotencyKey: "k"})
	}
	go call(t.Context())
	<-p.waiting
	second := make(chan gate.Outcome, 1)
	go func() { second <- call(t.Context()) }()
	h.Revoke(ann.Token)
	if o := <-second; o.Code != outcome.NotAllowed {
		t.Errorf("a repeat whose token went while it waited: %s (%s)", o.Code, o.Reason)
	}
	if n := p.reached.Load(); n != 1 {
		t.Errorf("%d calls reached the handler", n)
	}
}

func TestALostReadIsNotKept(t *testing.T) {
	t.Parallel()
	h, p := house(t, gatetest.Config{})
	ann := h.Person("ann", "probe.reads")
	ctx, leave := context.WithCancel(t.Context())
	go func() { <-p.waiting; leave() }()
	call := func(ctx context.Context, args string) gate.Outcome {
		return h.Gate.Call(ctx, h.Caller(ann.Token), gate.Request{Tool: "probe.reads", Arguments: []byte(args), IdempotencyKey: "k"})
	}
	if o := call(ctx, `{"do":"wait"}`); o.Code != outcome.Cancelled {
		t.Fatalf("%s (%s)", o.Code, o.Reason)
	}
	if o := call(t.Context(), `{}`); o.Code != outcome.OK {
		t.Errorf("the key of a read that was lost: %s (%s)", o.Code, o.Reason)
	}
}

// TestAStreamHearsOfARevocationWithoutARow: the right is gone although the row could not be written.
func TestAStreamHearsOfARevocationWithoutARow(t *testing.T) {
	t.Parallel()
	h, _, log := broken(t)
	ann := h.Person("ann", "probe.reads")
	events := make(chan gate.Event, 1)
	defer h.Gate.Watch(h.Caller(ann.Token), "", func(e gate.Event) { events <- e }).Stop()
	log.record.Store(true)
	if o := h.TryOperate("tokens.revoke", map[string]any{"token": ann.Token.ID}); o.Code != outcome.Unknown {
		t.Fatalf("%s (%s)", o.Code, o.Reason)
	}
	log.record.Store(false)
	select {
	case e := <-events:
		if !e.Ended {
			t.Errorf("%+v", e)
		}
	case <-time.After(20 * time.Second):
		t.Error("the stream heard nothing")
	}
}

// TestNamesBelowAPathAreJudged: a tool may read the names of members as paths.
func TestNamesBelowAnArgumentAreJudged(t *testing.T) {
	t.Parallel()
	h, p := house(t, gatetest.Config{Guards: []guard.Guard{watchman{guard.Before}}})
	ann := h.Person("ann", "probe.mcp")
	for args, want := range map[string]outcome.Code{
		`{"n":1,"path":{"bad":1}}`:           outcome.Blocked,
		`{"n":1,"path":[{"x":{"a bad":1}}]}`: outcome.Blocked,
		`{"n":1,"path":{"good":1}}`:          outcome.OK,
		`{"bad":1,"n":1}`:                    outcome.OK, // the argument's own name is the schema's matter
	} {
		before := p.reached.Load()
		if o := ann.Call("probe.mcp", args); o.Code != want || (p.reached.Load() > before) != (want == outcome.OK) {
			t.Errorf("%s: %s (%s), want %s", args, o.Code, o.Reason, want)
		}
	}
}
