package gate_test

import (
	"context"
	"fmt"
	"math"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"gatehouse/app"
	"gatehouse/gate"
	"gatehouse/gatetest"
	"gatehouse/guard"
	"gatehouse/module"
	"gatehouse/outcome"
)

// walker is a module whose one tool says how far it has come.
type walker struct {
	walk  func(gate.Permit)
	later func(gate.Permit)
}

var walkKey = gate.NewKey("walker/walk")

func (*walker) Name() string { return "walker" }

func (w *walker) Tools() []gate.Tool {
	return []gate.Tool{gate.AccessControlled("walk", walkKey, gate.Spec{Effect: gate.Reads},
		func(_ context.Context, p gate.Permit, _ struct{}) (struct{}, error) {
			w.walk(p)
			if w.later != nil {
				go w.later(p)
			}
			return struct{}{}, nil
		})}
}

// steps calls the walker and gives what the caller heard.
func (w *walker) steps(t *testing.T, h *gatetest.House, who gatetest.Person) (all []gate.Progress, o gate.Outcome) {
	t.Helper()
	var over, late bool
	var mu sync.Mutex
	o = h.Gate.Call(t.Context(), h.Caller(who.Token), gate.Request{Tool: "walker.walk", Progress: func(p gate.Progress) {
		mu.Lock()
		defer mu.Unlock()
		all, late = append(all, p), over
	}})
	mu.Lock()
	over = true
	mu.Unlock()
	if w.later != nil {
		time.Sleep(2 * time.Second) // in a bubble
	}
	mu.Lock()
	defer mu.Unlock()
	if late {
		t.Error("progress was heard after the call had ended")
	}
	return all, o
}

func TestProgress(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := &walker{}
		h := gatetest.New(t, func(context.Context, module.Kit, struct{}) (*walker, error) { return w, nil })
		ann := h.Person("ann", "walker.walk")
		tick := func(d time.Duration) { time.Sleep(d) }
		for _, tt := range []struct {
			name string
			walk func(gate.Permit)
			want string
		}{
			{"as it comes", func(p gate.Permit) { p.Progress(0, 2, "begun"); tick(time.Second); p.Progress(1.5, 2, "") }, "0/2 begun; 1.5/2 ;"},
			{"it must rise", func(p gate.Permit) {
				p.Progress(5, 0, "")
				tick(time.Second)
				p.Progress(5, 0, "same")
				p.Progress(4, 0, "less")
				p.Progress(6, 0, "")
			}, "5/0 ; 6/0 ;"},
			{"at most ten a second", func(p gate.Permit) {
				for i := range 100 {
					p.Progress(float64(i), 100, "")
					tick(10 * time.Millisecond)
				}
			}, "0/100 ; 10/100 ; 20/100 ; 30/100 ; 40/100 ; 50/100 ; 60/100 ; 70/100 ; 80/100 ; 90/100 ;"},
			{"what is no number", func(p gate.Permit) {
				p.Progress(math.NaN(), 1, "")
				p.Progress(math.Inf(1), 1, "")
				p.Progress(1, math.NaN(), "")
				tick(time.Second)
				p.Progress(2, -1, "")
			}, "1/0 ; 2/0 ;"},
			{"a long message", func(p gate.Permit) { p.Progress(1, 0, strings.Repeat("é", 5000)) }, "1/0 " + strings.Repeat("é", 250) + ";"},
			{"a message cut through a character", func(p gate.Permit) { p.Progress(1, 0, "a"+strings.Repeat("é", 5000)) }, "1/0 a" + strings.Repeat("é", 249) + "\uFFFD;"},
		} {
			w.walk = tt.walk
			var got strings.Builder
			all, o := w.steps(t, h, ann)
			for _, p := range all {
				fmt.Fprintf(&got, "%v/%v %s; ", p.Done, p.Total, p.Message)
			}
			if strings.TrimSpace(got.String()) != tt.want || o.Code != outcome.OK {
				t.Errorf("%s: %s, heard %s\nwant %s", tt.name, o.Code, got.String(), tt.want)
			}
		}
		w.walk, w.later = func(gate.Permit) {}, func(p gate.Permit) { tick(time.Second); p.Progress(9, 9, "late") }
		if all, _ := w.steps(t, h, ann); len(all) != 0 {
			t.Errorf("heard %v of a call that said nothing in its life", all)
		}
	})
}

// TestProgressIsGuarded: a message is shown to the guards of results, and what they find stands in the row.
func TestProgressIsGuarded(t *testing.T) {
	t.Parallel()
	w := &walker{}
	start := func(context.Context, module.Kit, struct{}) (*walker, error) { return w, nil }
	h := gatetest.Start(t, gatetest.Config{
		Modules: map[string]app.Starter{"walker": app.Start(start)}, Guards: []guard.Guard{watchman{guard.After}},
	})
	ann := h.Person("ann", "walker.walk")
	for _, tt := range []struct{ message, want string }{
		{"good", "good"}, {"bad:cut", "[redacted:word]:cut"}, {"bad:block", ""}, {"bad:panic", ""}, {"bad:error", ""},
	} {
		w.walk = func(p gate.Permit) { p.Progress(1, 0, tt.message) }
		all, o := w.steps(t, h, ann)
		if len(all) != 1 || all[0].Message != tt.want || o.Code != outcome.OK {
			t.Errorf("%s: %s, heard %v, want the message %q", tt.message, o.Code, all, tt.want)
		}
	}
}
