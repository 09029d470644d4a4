package app

import (
	"net/http"

	"gatehouse/entry/mcp"
	"gatehouse/entry/rest"
)

// entries are the HTTP entries, by the prefix of their paths. Adding an entry is one folder and one line here. An entry
// that has streams to end implements io.Closer.
func (a *App) entries() map[string]http.Handler {
	speaksMCP := mcp.New(a.Gate, mcp.Config{
		Version: a.version, Log: a.log, MaxBody: int64(a.file.Limits.Body), Drain: a.file.Limits.Drain,
	})
	return map[string]http.Handler{
		"/":      rest.New(a.Gate, rest.Config{PublicURL: a.file.PublicURL, Ready: a.Ready, Version: a.version, Log: a.log}),
		"/mcp":   speaksMCP,
		"/ws":    speaksMCP.Socket(),
		"/t/mcp": speaksMCP, // for clients with a token of their own: here nothing ever answers OAuth discovery
	}
}
