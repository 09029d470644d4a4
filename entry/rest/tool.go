package rest

import (
	"errors"
	"io"
	"mime"
	"net/http"
	"strings"

	"gatehouse/gate"
	"gatehouse/outcome"
)

// list answers GET /v1/tools: what this caller may call now. That it cannot be told is a problem, never an empty list.
func (e *entry) list(w http.ResponseWriter, r *http.Request, c gate.Caller) {
	if err := unaskedFor(r); err != nil {
		refuse(w, http.StatusBadRequest, err)
		return
	}
	offers, err := e.gate.Tools(r.Context(), c)
	if err != nil {
		answer(w, explained(err))
		return
	}
	var t text
	t.open('{')
	t.member("tools").open('[')
	for _, o := range offers {
		t.next().open('{')
		t.member("name").string(string(o.Name))
		t.member("title").string(o.Title)
		t.member("description").string(o.Description)
		t.member("inputSchema").value(o.Input)
		if !o.Output.IsZero() {
			t.member("outputSchema").value(o.Output)
		}
		t.member("effect").string(o.Effect.String())
		t.member("approval").string(approval(o))
		t.close('}')
	}
	t.close(']')
	t.close('}')
	send(w, http.StatusOK, "application/json", t.b)
}

func approval(o gate.Offer) string {
	if o.Asks {
		return "ask"
	}
	return "none"
}

// tool answers POST /v1/tools/{tool}: the body is the arguments, as they came.
func (e *entry) tool(w http.ResponseWriter, r *http.Request, c gate.Caller) {
	if r.URL.RawQuery != "" {
		refuse(w, http.StatusBadRequest, outcome.Invalid.Because("arguments stand in the body, not in the query"))
		return
	}
	body, status, err := readBody(r)
	if err != nil {
		refuse(w, status, err)
		return
	}
	e.call(w, r, c, gate.Request{Tool: gate.ToolName(r.PathValue("tool")), Arguments: body}, unversioned)
}

// call is the end of the funnel: what was asked for goes through the gate, and its outcome is the answer.
func (e *entry) call(w http.ResponseWriter, r *http.Request, c gate.Caller, q gate.Request, v matching) {
	var err error
	if q.IdempotencyKey, err = idempotencyKey(r); err != nil {
		refuse(w, http.StatusBadRequest, err)
		return
	}
	o := e.gate.Call(r.Context(), c, q)
	if version, ok := versionOf(o); ok && (v == shown || v == matched) {
		w.Header().Set("ETag", etag(version))
	}
	answer(w, o)
}

// idempotencyKey takes the header. One that is empty or there twice is refused: whoever sent it relies on being kept from
// doing a thing twice.
func idempotencyKey(r *http.Request) (string, error) {
	switch keys := r.Header.Values("Idempotency-Key"); {
	case len(keys) == 0:
		return "", nil
	case len(keys) == 1 && keys[0] != "":
		return keys[0], nil
	}
	return "", outcome.Invalid.Because("Idempotency-Key must stand there once and not be empty")
}

// readBody takes the whole body. Only JSON without an encoding is one; no body at all is none, and needs no type.
func readBody(r *http.Request) (body []byte, status int, err error) {
	kinds := r.Header.Values("Content-Type")
	if len(kinds) > 0 || r.ContentLength != 0 {
		if !isJSON(kinds) || r.Header.Get("Content-Encoding") != "" {
			return nil, http.StatusUnsupportedMediaType, outcome.Invalid.Because("send Content-Type: application/json, in UTF-8 and without Content-Encoding")
		}
	}
	body, err = io.ReadAll(r.Body)
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &large):
		return nil, http.StatusRequestEntityTooLarge, outcome.Invalid.Because("the body is larger than %d bytes", large.Limit)
	case err != nil:
		return nil, http.StatusBadRequest, outcome.Invalid.From(err, "the body did not arrive whole")
	}
	return body, 0, nil
}

func isJSON(kinds []string) bool {
	if len(kinds) != 1 {
		return false
	}
	kind, parameters, err := mime.ParseMediaType(kinds[0])
	if err != nil || kind != "application/json" {
		return false
	}
	charset, said := parameters["charset"]
	return !said || strings.EqualFold(charset, "utf-8")
}

// unaskedFor refuses a query or a body where there is none to read: what was sent and not looked at must not seem to count.
func unaskedFor(r *http.Request) error {
	if r.URL.RawQuery != "" {
		return outcome.Invalid.Because("this path takes no query")
	}
	return noBody(r)
}

func noBody(r *http.Request) error {
	if r.ContentLength != 0 {
		return outcome.Invalid.Because("%s takes no body here", r.Method)
	}
	return nil
}
