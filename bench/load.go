package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"slices"
	"sync"
	"time"
)

// target is what the load is sent to.
type target struct {
	name    string
	process *process // whose CPU is measured
	url     string
	token   string
	prefix  string // before the tool's name
	http    *http.Client
}

// maxCalls bounds one measurement in count, as its length does in time.
const maxCalls = 200_000

// measure sends calls from all callers at once for the given time.
func measure(ctx context.Context, t *target, s scenario, length time.Duration) (figures, error) {
	for range 20 { // connections, caches
		if err := t.call(ctx, s); err != nil {
			return figures{}, err
		}
	}
	before, err := t.process.usage()
	if err != nil {
		return figures{}, err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	began := time.Now()
	took := make([][]time.Duration, s.callers)
	var all sync.WaitGroup
	for i := range took {
		all.Go(func() {
			for time.Since(began) < length && len(took[i]) < maxCalls/s.callers {
				at := time.Now()
				if err := t.call(ctx, s); err != nil {
					cancel(err)
					return
				}
				took[i] = append(took[i], time.Since(at))
			}
		})
	}
	all.Wait()
	elapsed := time.Since(began)
	if err := context.Cause(ctx); err != nil {
		return figures{}, err
	}
	after, err := t.process.usage()
	if err != nil {
		return figures{}, err
	}
	times := slices.Concat(took...)
	slices.Sort(times)
	n := len(times)
	return figures{
		rate: float64(n) / elapsed.Seconds(), cpu: (after.cpu - before.cpu) / time.Duration(n),
		p50: times[n/2], p99: times[n*99/100],
	}, nil
}

// call makes one tools/call by the revision without a handshake, and looks whether it ended well.
func (t *target) call(ctx context.Context, s scenario) error {
	name := t.prefix + s.tool
	body := `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28",` +
		`"io.modelcontextprotocol/clientCapabilities":{}},"name":"` + name + `","arguments":` + s.args + `}}`
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, t.url, bytes.NewReader([]byte(body)))
	if err != nil {
		return err
	}
	r.Header["Content-Type"] = []string{"application/json"}
	r.Header["Accept"] = []string{"application/json, text/event-stream"}
	r.Header["Mcp-Protocol-Version"] = []string{"2026-07-28"}
	r.Header["Mcp-Method"] = []string{"tools/call"}
	r.Header["Mcp-Name"] = []string{name}
	if t.token != "" {
		r.Header["Authorization"] = []string{"Bearer " + t.token}
	}
	res, err := t.http.Do(r)
	if err != nil {
		return err
	}
	got, err := io.ReadAll(res.Body)
	_ = res.Body.Close()
	if err != nil {
		return err
	}
	if res.StatusCode != http.StatusOK || !bytes.Contains(got, []byte(`"content"`)) || bytes.Contains(got, []byte(`"isError":true`)) {
		return fmt.Errorf("status %d: %.300s", res.StatusCode, got)
	}
	return nil
}
