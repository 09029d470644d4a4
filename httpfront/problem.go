package httpfront

import (
	"net/http"

	"github.com/go-json-experiment/json"

	"gatehouse/outcome"
)

// problem is the document of RFC 9457 in the form that the REST entry uses. It has no id: nothing that is refused here
// was a call.
type problem struct {
	Type   string `json:"type"`
	Title  string `json:"title"`
	Status int    `json:"status"`
	Code   string `json:"code"`
	Reason string `json:"reason"`
}

func refuse(w http.ResponseWriter, status int, err error) {
	e := outcome.Explain(err)
	body, err := json.Marshal(problem{
		Type:  "urn:gatehouse:" + e.Code.String(),
		Title: http.StatusText(status), Status: status, Code: e.Code.String(), Reason: e.Reason,
	})
	if err != nil { // cannot be: the fields are strings of ours
		status, body = http.StatusInternalServerError, nil
	}
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(status)
	_, _ = w.Write(body)
}
