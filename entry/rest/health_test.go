package rest_test

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"

	"gatehouse/entry/rest"
)

// TestProbes: they need no token, tell no detail, and do not let a stranger fill the log.
func TestProbes(t *testing.T) {
	t.Parallel()
	var broken atomic.Bool
	w := newWorld(t, rest.Config{Ready: func(ctx context.Context) error {
		if _, bounded := ctx.Deadline(); !bounded {
			t.Error("the probe has no deadline")
		}
		if broken.Load() {
			return errors.New("opening /data/secret-place: disk on fire")
		}
		return nil
	}})
	if r := w.send("GET", "/readyz", "", ""); r.status != 200 || r.body != `{"status":"ready"}` {
		t.Errorf("ready: %d %s", r.status, r.body)
	}
	broken.Store(true)
	for range 3 {
		r := w.send("GET", "/readyz", "", "")
		if p := r.problem(t); p.Status != 503 || p.Code != "unavailable" || strings.Contains(r.body, "fire") {
			t.Errorf("not ready: %s", r.body)
		}
		if r := w.send("GET", "/healthz", "", ""); r.status != 200 || r.body != `{"status":"ok"}` {
			t.Errorf("up: %d %s", r.status, r.body)
		}
	}
	broken.Store(false)
	for range 3 {
		w.send("GET", "/readyz", "", "")
	}
	if log := w.log.String(); strings.Count(log, "not ready") != 1 || strings.Count(log, "ready again") != 1 || !strings.Contains(log, "fire") {
		t.Errorf("the log has\n%s\nwant each change once, with its reason", log)
	}
	if _, rows := w.seen(); len(rows) != 0 {
		t.Errorf("probes left rows: %+v", rows)
	}
}

func TestReadyByDefault(t *testing.T) {
	t.Parallel()
	if r := newWorld(t, rest.Config{}).send("GET", "/readyz", "", ""); r.status != 200 {
		t.Errorf("%d", r.status)
	}
}
