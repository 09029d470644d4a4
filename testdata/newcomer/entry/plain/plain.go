// Package plain is an entry for shell scripts that would rather not read JSON: POST /plain/{tool} with the arguments as
// the body answers one word, the outcome, and below it the result or the reason. It must never decide: it finds out who
// is calling, hands the call to the gate and translates the outcome by one table. It keeps no state and is safe for
// concurrent use.
package plain

import (
	"fmt"
	"io"
	"net/http"

	"gatehouse/gate"
	"gatehouse/httpfront"
	"gatehouse/outcome"
)

// New gives the handler of all paths below /plain/. It must be mounted under httpfront.
func New(g *gate.Gate) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /plain/{tool}", func(w http.ResponseWriter, r *http.Request) {
		bearer, _ := httpfront.Bearer(r)
		c, err := g.Authenticate(r.Context(), gate.Credential{Bearer: bearer}, gate.Origin{
			Entry: "plain", Address: httpfront.Address(r),
		})
		if err != nil {
			refused := outcome.Explain(err)
			answer(w, gate.Outcome{Code: refused.Code, Reason: refused.Reason})
			return
		}
		body, err := io.ReadAll(r.Body)
		if err != nil {
			answer(w, gate.Outcome{Code: outcome.Invalid, Reason: "the body could not be read; send it again"})
			return
		}
		answer(w, g.Call(r.Context(), c, gate.Request{Tool: gate.ToolName(r.PathValue("tool")), Arguments: body}))
	})
	return mux
}

// answer is this entry's table: good is 200, a bad token 401, all else 422; the word says which.
func answer(w http.ResponseWriter, o gate.Outcome) {
	status, text := http.StatusUnprocessableEntity, o.Reason
	switch o.Code {
	case outcome.OK:
		status, text = http.StatusOK, o.Result.String()
	case outcome.Unauthenticated:
		w.Header().Set("WWW-Authenticate", "Bearer")
		status = http.StatusUnauthorized
	default:
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(status)
	_, _ = fmt.Fprintf(w, "%s\n%s\n", o.Code, text) // a client that has gone needs no answer
}
