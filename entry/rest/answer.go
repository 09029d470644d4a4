package rest

import (
	"net/http"
	"strconv"
	"time"

	"gatehouse/canon"
	"gatehouse/gate"
	"gatehouse/outcome"
)

// answer translates an outcome. The result is copied as the gate gave it: nothing is read and written again on its way, so
// no number changes.
func answer(w http.ResponseWriter, o gate.Outcome) {
	t := translate(o.Code)
	switch o.Code {
	case outcome.OK:
		send(w, t.status, "application/json", done(o))
		return
	case outcome.Unauthenticated:
		w.Header().Set("WWW-Authenticate", "Bearer")
	case outcome.Limited:
		// Where no time was said, as when all uses are gone, none helps.
		if o.RetryAfter > 0 {
			seconds := (o.RetryAfter + time.Second - 1) / time.Second
			w.Header().Set("Retry-After", strconv.FormatInt(int64(seconds), 10))
		}
	default:
	}
	send(w, t.status, "application/problem+json", problem(t.status, t.title, o))
}

// refuse answers what is wrong with the request as HTTP, before there is a call: it has no row and no id.
func refuse(w http.ResponseWriter, status int, err error) {
	send(w, status, "application/problem+json", problem(status, http.StatusText(status), explained(err)))
}

// explained is the outcome of what ended before it was a call.
func explained(err error) gate.Outcome {
	e := outcome.Explain(err)
	return gate.Outcome{Code: e.Code, Reason: e.Reason, Faults: e.Faults, RetryAfter: e.RetryAfter}
}

// done is the document of a call that was carried out.
func done(o gate.Outcome) []byte {
	t := text{b: make([]byte, 0, o.Result.Len()+128)}
	t.open('{')
	t.member("id").string(o.ID.String())
	t.member("result").value(o.Result)
	t.redactions(o.Redactions)
	t.close('}')
	return t.b
}

// problem is the document of RFC 9457, with members of ours: code, reason, id, faults, and, where a tool answered with an
// error of its own, its result.
func problem(status int, title string, o gate.Outcome) []byte {
	t := text{b: make([]byte, 0, o.Result.Len()+384)}
	t.open('{')
	t.member("type").string("urn:gatehouse:" + o.Code.String())
	t.member("title").string(title)
	t.member("status").number(int64(status))
	t.member("code").string(o.Code.String())
	if o.Reason != "" {
		t.member("reason").string(o.Reason)
	}
	if !o.ID.IsZero() {
		t.member("id").string(o.ID.String())
	}
	if len(o.Faults) > 0 {
		t.member("faults").open('[')
		for _, f := range o.Faults {
			t.next().open('{')
			t.member("path").string(f.Path)
			t.member("problem").string(f.Problem)
			t.close('}')
		}
		t.close(']')
	}
	if !o.Result.IsZero() {
		t.member("result").value(o.Result)
	}
	t.redactions(o.Redactions)
	t.close('}')
	return t.b
}

func (t *text) redactions(all []gate.Redaction) {
	if len(all) == 0 {
		return
	}
	t.member("redactions").open('[')
	for _, r := range all {
		t.next().open('{')
		t.member("kind").string(r.Kind)
		t.member("count").number(int64(r.Count))
		t.close('}')
	}
	t.close(']')
}

func send(w http.ResponseWriter, status int, kind string, body []byte) {
	h := w.Header()
	h.Set("Content-Type", kind)
	h.Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	_, _ = w.Write(body) // a client that left gets nothing; the row is written
}

// text is a JSON text that grows at its end. It puts the commas; that braces meet is up to the one who writes.
type text struct{ b []byte }

// next puts a comma before anything but the first.
func (t *text) next() *text {
	if n := len(t.b); n > 0 {
		switch t.b[n-1] {
		case '{', '[', ':', ',':
		default:
			t.b = append(t.b, ',')
		}
	}
	return t
}

func (t *text) open(brace byte)  { t.b = append(t.b, brace) }
func (t *text) close(brace byte) { t.b = append(t.b, brace) }

func (t *text) member(name string) *text {
	t.next().string(name)
	t.b = append(t.b, ':')
	return t
}

func (t *text) string(s string) { t.b = canon.AppendString(t.b, s) }
func (t *text) number(n int64)  { t.b = strconv.AppendInt(t.b, n, 10) }
func (t *text) raw(json string) { t.b = append(t.b, json...) }
func (t *text) strings(s ...string) {
	t.open('[')
	for _, one := range s {
		t.next().string(one)
	}
	t.close(']')
}

// value writes a value as it stands; one that is not there is null.
func (t *text) value(v canon.Value) {
	if v.IsZero() {
		t.raw("null")
		return
	}
	t.b = v.AppendTo(t.b)
}
