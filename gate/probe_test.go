package gate_test

import (
	"context"
	"sync/atomic"
	"time"

	"gatehouse/canon"
	"gatehouse/gate"
	"gatehouse/guard"
	"gatehouse/module"
	"gatehouse/outcome"
)

var probeReads, probeWrites, probeDestroys, probeSlow, probeMCP = gate.NewKey("probe/reads"), gate.NewKey("probe/writes"),
	gate.NewKey("probe/destroys"), gate.NewKey("probe/slow"), gate.NewKey("probe/mcp")

// probe is a downstream system that does what it is told, and counts what reaches it.
type probe struct {
	reached atomic.Int64
	waiting chan struct{} // gets one for each call that waits
	permit  atomic.Pointer[gate.Permit]
}

type order struct {
	Do   string `json:"do,omitzero"`
	Text string `json:"text,omitzero"`
}

type done struct {
	Text string   `json:"text,omitzero"`
	List []string `json:"list,omitzero"`
}

// start is the constructor that a house is started with.
func (p *probe) start(context.Context, module.Kit, struct{}) (*probe, error) {
	p.waiting = make(chan struct{}, 1000)
	return p, nil
}

func (*probe) Name() string { return "probe" }

func (p *probe) Tools() []gate.Tool {
	loose, err := gate.ParseSchema(nil)
	if err != nil {
		panic(err)
	}
	strict, err := gate.ParseSchema([]byte(`{"type":"object","properties":{"n":{"type":"integer"}},"required":["n"]}`))
	if err != nil {
		panic(err)
	}
	return []gate.Tool{
		gate.AccessControlled("reads", probeReads, gate.Spec{Effect: gate.Reads}, p.run),
		gate.AccessControlled("writes", probeWrites, gate.Spec{Effect: gate.Writes, Deadline: time.Second}, p.run),
		gate.AccessControlled("destroys", probeDestroys, gate.Spec{}, p.run),
		gate.AccessControlled("slow", probeSlow, gate.Spec{Effect: gate.Reads, Deadline: time.Second}, p.run),
		gate.AccessControlled("mcp", probeMCP, gate.Spec{
			Effect: gate.Reads, Input: loose, Output: strict, Arguments: []gate.Argument{{Pointer: "/path", Kind: guard.Path}},
		}, p.mcp),
	}
}

func (p *probe) run(ctx context.Context, permit gate.Permit, o order) (done, error) {
	p.reached.Add(1)
	p.permit.Store(&permit)
	switch o.Do {
	case "panic":
		panic("told to")
	case "wait":
		p.waiting <- struct{}{}
		<-ctx.Done()
		return done{}, ctx.Err()
	case "missing":
		return done{}, outcome.NotFound.Because("there is no %s", o.Text)
	}
	return done{Text: o.Text, List: []string{o.Text}}, nil
}

func (p *probe) mcp(_ context.Context, _ gate.Permit, args gate.Raw) (gate.Content, error) {
	p.reached.Add(1)
	v, ok := args.Lookup("/result")
	if !ok {
		v = args
	}
	content, err := canon.From(map[string]any{"content": []any{}, "structuredContent": v})
	_, failed := args.Lookup("/failed")
	return gate.Content{Result: content, Failed: failed}, err
}
