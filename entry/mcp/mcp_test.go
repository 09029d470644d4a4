package mcp_test

import (
	"context"
	"testing"

	"gatehouse/app"
	"gatehouse/gate"
	"gatehouse/gatetest"
	"gatehouse/module"
	"gatehouse/outcome"
)

var echoKey, shoutKey = gate.NewKey("echo/say"), gate.NewKey("echo/shout")

// echo is a module with one tool of ours and one that speaks MCP.
type echo struct{}

type said struct {
	Text string `json:"text"`
}

func newEcho(context.Context, module.Kit, struct{}) (*echo, error) { return &echo{}, nil }

// modules is one module for a house with a configuration.
func modules[C any, M gate.Module](construct func(context.Context, module.Kit, C) (M, error)) map[string]app.Starter {
	return map[string]app.Starter{"tested": app.Start(construct)}
}

func (*echo) Name() string { return "echo" }

func (*echo) Tools() []gate.Tool {
	return []gate.Tool{
		gate.AccessControlled("say", echoKey, gate.Spec{Title: "Say", Effect: gate.Reads},
			func(_ context.Context, _ gate.Permit, s said) (said, error) { return s, nil }),
		gate.AccessControlled("shout", shoutKey, gate.Spec{Title: "Shout", Effect: gate.Writes},
			func(_ context.Context, _ gate.Permit, s said) (said, error) { return said{s.Text + "!"}, nil }),
	}
}

func TestDoorsGiveOneOutcome(t *testing.T) {
	t.Parallel()
	h := gatetest.New(t, newEcho)
	ann := h.Person("ann", "echo.say")
	for _, d := range h.Doors() {
		t.Run(d.Title(), func(t *testing.T) {
			for _, tt := range []struct {
				tool, args string
				want       outcome.Code
				result     string
			}{
				{"echo.say", `{"text":"a\u00e9"}`, outcome.OK, `{"text":"aé"}`},
				{"echo.shout", `{"text":"a"}`, outcome.NotAllowed, ``},
				{"echo.nothing", `{"text":"a"}`, outcome.NotAllowed, ``},
				{"echo.say", `{"txt":"a"}`, outcome.Invalid, ``},
			} {
				got := d.Call(ann.Token.Text, tt.tool, tt.args)
				if got.Code != tt.want || got.Result != tt.result || got.ID == "" {
					t.Errorf("%s %s: %+v, want %s %s", tt.tool, tt.args, got, tt.want, tt.result)
				}
			}
			if list, code := d.List(ann.Token.Text); code != outcome.OK || len(list) != 4 {
				t.Errorf("list: %v %s", list, code)
			}
			if got := d.Call("st_x", "echo.say", `{}`); got.Code != outcome.Unauthenticated {
				t.Errorf("a stranger: %+v", got)
			}
		})
	}
	t.Log(gatetest.Print(h.Rows()))
}
