package promise_test

import (
	"bufio"
	"context"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"gatehouse/gatetest"
	"gatehouse/outcome"
)

// TestPromise_P5_UnderLoad: while agents call as fast as they can, what is taken away is gone for every call that begins
// after it, on every entry.
func TestPromise_P5_UnderLoad(t *testing.T) {
	t.Parallel()
	for name, away := range map[string]func(*world, gatetest.Person, gatetest.Token){
		"permission": func(_ *world, p gatetest.Person, _ gatetest.Token) { p.Grant(map[string]string{"ledger.read": "none"}) },
		"token":      func(w *world, _ gatetest.Person, t gatetest.Token) { w.Revoke(t) },
		"person": func(w *world, p gatetest.Person, _ gatetest.Token) {
			w.Operate("people.disable", map[string]any{"person": p.ID})
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, "limits: {calls_per_minute: 1000000}\n")
			ann := w.Person("ann", "ledger.read")
			var gone atomic.Bool
			var before, after atomic.Int64
			var all sync.WaitGroup
			for _, d := range w.Doors() {
				for range 3 {
					all.Go(func() {
						for n := 0; n < 5; {
							isGone := gone.Load()
							got := d.Call(ann.Token.Text, "ledger.read", `{}`)
							switch {
							case isGone && got.Code == outcome.OK:
								t.Errorf("%s: a call that began afterwards was carried out", d.Title())
								return
							case isGone:
								n++
								after.Add(1)
							case got.Code == outcome.OK:
								before.Add(1)
							}
						}
					})
				}
			}
			for before.Load() < 100 {
				<-time.After(time.Millisecond)
			}
			away(w, ann, ann.Token)
			reached := w.ledger.count() // those that were let through before may still arrive
			gone.Store(true)
			all.Wait()
			agents := 3 * len(w.Doors())
			if late := w.ledger.count() - reached; late > agents || after.Load() != int64(5*agents) {
				t.Errorf("%d calls arrived afterwards, %d were refused", late, after.Load())
			}
		})
	}
}

// TestPromise_P5_OpenStreamsEnd: a stream that only listens ends with its token too, and hears before that its list changed.
func TestPromise_P5_OpenStreamsEnd(t *testing.T) {
	t.Parallel()
	w := emptyWorld(t)
	c := gatetest.Config{}
	if onReplicas {
		w.share(&c)
		c.Deaf = false // who only listens asks nothing that would be compared: they hear of it by NOTIFY, or by the look every 5 s
	}
	w.start(c)
	ann := w.Person("ann", "ledger.read", "ledger.write")
	legacy := w.Doors()[1]
	legacy.List(ann.Token.Text)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://127.0.0.1/mcp", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+ann.Token.Text)
	r.Header.Set("Accept", "text/event-stream")
	r.Header.Set("Mcp-Protocol-Version", "2025-11-25")
	r.Header.Set("Mcp-Session-Id", w.Session(legacy, ann.Token.Text))
	res, err := w.Do(r)
	if err != nil || res.StatusCode != http.StatusOK {
		t.Fatal(res, err)
	}
	defer res.Body.Close()
	lines := bufio.NewScanner(res.Body)
	ann.Grant(map[string]string{"ledger.write": "none"})
	changed := false
	for !changed && lines.Scan() {
		changed = strings.Contains(lines.Text(), "notifications/tools/list_changed")
	}
	if !changed {
		t.Error("the stream was not told that the list changed")
	}
	w.Revoke(ann.Token)
	ended := make(chan struct{})
	go func() {
		for lines.Scan() {
		}
		close(ended)
	}()
	select {
	case <-ended:
	case <-time.After(10 * time.Second):
		t.Error("the stream stays open when its token is revoked")
	}
}
