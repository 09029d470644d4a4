package promise_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"time"

	"gatehouse/canon"
	"gatehouse/egress"
	"gatehouse/gate"
	"gatehouse/module"
	"gatehouse/outcome"
)

var ledgerRead, ledgerWrite, ledgerDestroy, ledgerRaw = gate.NewKey("ledger/canary-read"), gate.NewKey("ledger/canary-write"),
	gate.NewKey("ledger/canary-destroy"), gate.NewKey("ledger/canary-raw")

// ledger is the downstream system of the promises. It does what it is told and notes everything that reaches it, so that
// what happened is not taken from our own answers.
type ledger struct {
	mu       sync.Mutex // guards all below
	arrivals []arrival
	during   func(arrival) error // what happens downstream before it answers; nil: nothing
	out      *egress.Egress      // as every module has it
}

type arrival struct {
	tool   string
	person gate.PersonID
	args   string // canonical
}

func (l *ledger) start(_ context.Context, kit module.Kit, _ struct{}) (*ledger, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.out = kit.Egress
	return l, nil
}

func (*ledger) Name() string { return "ledger" }

// orders is what a test tells the ledger to do.
type orders struct {
	Do   string `json:"do,omitzero" kind:"opaque"` // panic, hang, miss, clash, fail, credential, end as CODE; empty: answer
	Text string `json:"text,omitzero"`
}

type entered struct {
	Text string `json:"text,omitzero"`
}

// Tools implements gate.Module.
func (l *ledger) Tools() []gate.Tool {
	loose, err := gate.ParseSchema(nil)
	if err != nil {
		panic(err)
	}
	const brief = 500 * time.Millisecond
	return []gate.Tool{
		gate.AccessControlled("read", ledgerRead, gate.Spec{Title: "Read", Effect: gate.Reads, Deadline: brief}, l.does("read")),
		gate.AccessControlled("write", ledgerWrite, gate.Spec{Title: "Write", Effect: gate.Writes, Deadline: brief, Price: 250_000}, l.does("write")),
		gate.AccessControlled("destroy", ledgerDestroy, gate.Spec{Title: "Destroy"}, l.does("destroy")),
		gate.AccessControlled("raw", ledgerRaw, gate.Spec{Effect: gate.Reads, Input: loose}, l.raw),
	}
}

func (l *ledger) does(tool string) func(context.Context, gate.Permit, orders) (entered, error) {
	return func(ctx context.Context, p gate.Permit, o orders) (entered, error) {
		args, err := canon.From(o)
		if err != nil {
			return entered{}, err
		}
		if o.Do == "credential" { // it is fetched before anything is sent
			if _, err := p.Credential(ctx, "bank", "password"); err != nil {
				return entered{}, err
			}
		}
		if err := l.arrive(arrival{"ledger." + tool, p.Person(), args.String()}); err != nil {
			return entered{}, err
		}
		if code, as := strings.CutPrefix(o.Do, "end as "); as {
			c, _ := outcome.Parse(code)
			return entered{}, c.Because("the ledger says %s", o.Text)
		}
		switch o.Do {
		case "panic":
			panic("told to")
		case "hang":
			<-ctx.Done()
			return entered{}, ctx.Err()
		case "miss":
			return entered{}, outcome.NotFound.Because("there is no %s", o.Text)
		case "clash":
			return entered{}, outcome.Conflict.Because("it was changed in between")
		case "fail":
			return entered{}, errors.New("a fault inside that nobody must see")
		}
		return entered{o.Text}, nil
	}
}

func (l *ledger) raw(_ context.Context, p gate.Permit, args gate.Raw) (gate.Content, error) {
	if err := l.arrive(arrival{"ledger.raw", p.Person(), args.String()}); err != nil {
		return gate.Content{}, err
	}
	content, err := canon.From(map[string]any{"content": []any{}, "structuredContent": args})
	_, failed := args.Member("failed")
	return gate.Content{Result: content, Failed: failed}, err
}

func (l *ledger) arrive(a arrival) error {
	l.mu.Lock()
	l.arrivals = append(l.arrivals, a)
	during := l.during
	l.mu.Unlock()
	if during != nil {
		return during(a)
	}
	return nil
}

// meanwhile says what happens downstream before it answers.
func (l *ledger) meanwhile(do func(arrival) error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.during = do
}

// count is how many calls have arrived.
func (l *ledger) count() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.arrivals)
}

// since gives what arrived after the first n.
func (l *ledger) since(n int) []arrival {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]arrival(nil), l.arrivals[n:]...)
}
