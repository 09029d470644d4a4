package rest

import (
	"context"
	"errors"
	"net/http"
	"sync/atomic"
	"time"

	"gatehouse/outcome"
)

// readyWithin is how long the answer to a probe may take.
const readyWithin = 5 * time.Second

// readiness remembers how it was, so that the log tells of changes: anyone may probe, and must not fill it.
type readiness struct{ failing atomic.Bool }

// healthz says that the process is up and answers.
func (e *entry) healthz(w http.ResponseWriter, _ *http.Request) {
	send(w, http.StatusOK, "application/json", []byte(`{"status":"ok"}`))
}

// readyz says whether calls can be served. Why they cannot stands in the log, for those who run the server.
func (e *entry) readyz(w http.ResponseWriter, r *http.Request) {
	var err error
	if e.config.Ready != nil {
		ctx, cancel := context.WithTimeout(r.Context(), readyWithin)
		defer cancel()
		err = e.config.Ready(ctx)
	}
	if err != nil && r.Context().Err() != nil {
		return // whoever asked has left: it says nothing about us
	}
	if was := e.ready.failing.Swap(err != nil); was != (err != nil) {
		if err != nil {
			e.log.Error("not ready", "error", err)
		} else {
			e.log.Info("ready again")
		}
	}
	if err != nil {
		why := ""
		var public interface{ Word() string } // an error that has one tells it to whoever asks
		if errors.As(err, &public) {
			why = " (" + public.Word() + ")"
		}
		answer(w, explained(outcome.Unavailable.From(err, "calls cannot be served at the moment%s; the server's own log says why", why)))
		return
	}
	send(w, http.StatusOK, "application/json", []byte(`{"status":"ready"}`))
}
