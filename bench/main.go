// Command bench measures what a call through the gate costs: calls a second against the same server reached directly and
// through a plain reverse proxy, CPU a call, added latency, and memory. It must never loosen what it measures: every call
// carries a sub-token, passes permission, schema and guards, and its row is durable before it is answered.
//
//	go run ./bench [-seconds 1] [-rounds 3] [-only sdk/record/64] [-profile FILE]
//	go run ./bench -idle 10000
//
// The parts run as processes of their own (this program, started with a part's name), so that the CPU of each is its own.
// All of them listen on loopback and end with the program.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"slices"
	"time"
)

func main() {
	parts := map[string]func() error{"sdk": serveSDK, "bare": serveBare, "proxy": serveProxy, "gate": serveGate, "hold": hold}
	if len(os.Args) > 1 && parts[os.Args[1]] != nil {
		if err := parts[os.Args[1]](); err != nil {
			fmt.Fprintln(os.Stderr, os.Args[1]+":", err)
			os.Exit(1)
		}
		return
	}
	seconds := flag.Float64("seconds", 1, "how long each measurement takes")
	rounds := flag.Int("rounds", 3, "how often each is repeated; the table shows the median")
	profile := flag.String("profile", "", "write a CPU profile of the gate to this file")
	only := flag.String("only", "", "measure one kind of work alone: upstream/tool/callers")
	idle := flag.Int("idle", 0, "measure so many idle sessions of each kind instead")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if *idle > 0 {
		if err := measureIdle(ctx, *idle); err != nil {
			fmt.Fprintln(os.Stderr, "bench:", err)
			os.Exit(1)
		}
		return
	}
	if err := run(ctx, time.Duration(*seconds*float64(time.Second)), *rounds, *only, *profile); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// figures are what one measurement gives.
type figures struct {
	rate float64       // calls a second
	cpu  time.Duration // of the measured process, a call
	p50  time.Duration
	p99  time.Duration
}

// scenario is one line of work, measured on each target in turn.
type scenario struct {
	tool    string
	args    string
	callers int
}

func run(ctx context.Context, length time.Duration, rounds int, only, profile string) error {
	h, err := startAll(ctx, profile)
	if err != nil {
		return err
	}
	defer h.close()
	idle, err := h.gate.usage()
	if err != nil {
		return err
	}
	if err := h.table(ctx, length, rounds, only); err != nil {
		return err
	}
	loaded, err := h.gate.usage()
	if err != nil {
		return err
	}
	fmt.Printf("\ngate: resident %d KiB idle, %d KiB after the load; start to first answered call %s\n",
		idle.rss>>10, loaded.rss>>10, h.firstCall.Round(time.Millisecond))
	if only != "" {
		return nil
	}
	rss, err := product(ctx, h.dir)
	if err == nil && rss > 0 {
		fmt.Printf("gatehouse serve alone, as it is released: resident %d KiB idle\n", rss>>10)
	}
	return err
}

// table measures every upstream, work and way, or what is named, and prints what came out.
func (h *parts) table(ctx context.Context, length time.Duration, rounds int, only string) error {
	known := false
	scenarios := []scenario{
		{"echo", `{"text":"hello"}`, 1}, {"echo", `{"text":"hello"}`, 64}, {"record", `{"id":7}`, 1}, {"record", `{"id":7}`, 64},
	}
	fmt.Printf("%s, %d cores, %s, %d rounds of %s, medians\n\n", runtime.GOOS+"/"+runtime.GOARCH, runtime.NumCPU(), runtime.Version(), rounds, length)
	fmt.Printf("%-8s %-8s %-8s %-8s %10s %10s %12s %10s %10s\n", "upstream", "tool", "callers", "through", "calls/s", "of direct", "CPU a call", "p50", "p99")
	for _, u := range h.upstreams {
		for _, s := range scenarios {
			if only != "" && only != fmt.Sprintf("%s/%s/%d", u.name, s.tool, s.callers) {
				continue
			}
			known = true
			ways := []*target{u.direct, u.proxied, u.gated}
			got := make([][]figures, len(ways)) // way, round
			for range rounds {
				for i, t := range ways { // paired: the ways take turns, so that a slow minute hits all of them
					f, err := measure(ctx, t, s, length)
					if err != nil {
						return fmt.Errorf("%s, %s, %s: %w", u.name, t.name, s.tool, err)
					}
					got[i] = append(got[i], f)
				}
			}
			direct := median(got[0])
			for i, t := range ways {
				m := median(got[i])
				fmt.Printf("%-8s %-8s %-8d %-8s %10.0f %10.2f %12s %10s %10s\n", u.name, s.tool, s.callers, t.name, m.rate, m.rate/direct.rate,
					m.cpu.Round(time.Microsecond), m.p50.Round(time.Microsecond), m.p99.Round(time.Microsecond))
			}
			if s.callers == 1 {
				fmt.Printf("%-8s %-8s %-8s added by the gate: %s at the median, rows durable\n", "", "", "",
					(median(got[2]).p50 - direct.p50).Round(time.Microsecond))
			}
		}
	}
	if !known {
		return fmt.Errorf("there is no work %q: sdk/echo/64, bare/record/1, …", only)
	}
	return nil
}

// median takes each figure's median by itself.
func median(all []figures) figures {
	middle := func(value func(figures) float64) float64 {
		values := make([]float64, len(all))
		for i, f := range all {
			values[i] = value(f)
		}
		slices.Sort(values)
		return values[len(values)/2]
	}
	return figures{
		rate: middle(func(f figures) float64 { return f.rate }),
		cpu:  time.Duration(middle(func(f figures) float64 { return float64(f.cpu) })),
		p50:  time.Duration(middle(func(f figures) float64 { return float64(f.p50) })),
		p99:  time.Duration(middle(func(f figures) float64 { return float64(f.p99) })),
	}
}
