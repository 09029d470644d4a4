package upstream

import (
	"context"
	"errors"
	"net/http"
	"time"

	"gatehouse/wire"
)

// follow implements peer: it keeps the stream open on which the server says what changed. A server that has none is
// asked for its tools from time to time.
func (r *remote) follow(revision wire.Revision) {
	open := r.listen
	if revision.Era() == wire.Modern {
		open = r.subscribe
	}
	r.background.Go(func() {
		for pause, had := r.pause.first, false; r.leaving.Err() == nil; pause = min(2*pause, r.pause.longest) {
			began := time.Now()
			asked, err := r.hearStream(open, &had)
			if errors.Is(err, errNoStream) && !had {
				break
			}
			if time.Since(began) > r.pause.longest {
				pause = r.pause.first
			}
			if !r.sleep(max(pause, asked)) {
				return
			}
			if had {
				r.again() // what changed while the stream was away was not said
			}
		}
		for r.sleep(r.pause.relook) {
			r.again()
		}
	})
}

// errNoStream is the answer of a server that does not say what changes.
var errNoStream = errors.New("the server has no stream of what changes")

// sleep reports whether there is a reason to go on.
func (r *remote) sleep(d time.Duration) bool {
	select {
	case <-time.After(d):
		return true
	case <-r.leaving.Done():
		return false
	}
}

// hearStream opens the stream and heeds what comes until it ends. It gives the pause that the server asked for.
func (r *remote) hearStream(open func(context.Context) (*http.Response, error), had *bool) (asked time.Duration, err error) {
	ctx, cancel := context.WithCancel(r.leaving)
	defer cancel()
	session, _ := r.known()
	answer, err := open(ctx)
	if err != nil {
		return 0, err
	}
	defer func() { _ = answer.Body.Close() }()
	kind := mediaType(answer)
	switch {
	case answer.StatusCode == http.StatusNotFound && session != "" && *had:
		ctx, cancel := context.WithTimeout(r.leaving, r.pause.greeting)
		defer cancel()
		return 0, r.renew(ctx, session)
	case answer.StatusCode >= 500:
		return 0, &statusError{answer.StatusCode}
	case answer.StatusCode != http.StatusOK || kind != "text/event-stream":
		return 0, errNoStream
	}
	*had = true
	events := wire.NewEvents(answer.Body, maxLine)
	for {
		ev, err := events.Next()
		if err != nil {
			return asked, err
		}
		asked = min(ev.Retry, r.pause.longest)
		if ev.Name == "message" && len(ev.Data) > 0 {
			r.take(ev.Data, r.reply)
		}
	}
}

// listen opens the stream of the legacy era.
func (r *remote) listen(ctx context.Context) (*http.Response, error) {
	header := r.repeated(question{})
	header.Del("Content-Type")
	header.Set("Accept", "text/event-stream")
	answer, _, err := r.send(ctx, http.MethodGet, r.url, nil, header)
	return answer, err
}

// subscribe opens the stream of the modern era: a request that is not answered as long as there is something to say.
func (r *remote) subscribe(ctx context.Context) (*http.Response, error) {
	q := question{method: "subscriptions/listen", members: `"notifications":{"toolsListChanged":true}`, revision: wire.R20260728}
	id, _ := r.expect(nil)
	r.unexpect(id)
	answer, _, err := r.send(ctx, http.MethodPost, r.url, q.frame(id), r.repeated(q))
	return answer, err
}
