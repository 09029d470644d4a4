package rest

import (
	"compress/gzip"
	"embed"
	"io"
	"io/fs"
	"net/http"
	"strings"

	"github.com/swaggest/swgui/v5/static"
)

// The page's own files. It asks for a token, fetches the document with it and draws it; the token stays in that page's
// memory.
//
//go:embed reference
var own embed.FS

// pagePolicy lets the page load its own files, speak to its own server, and nothing else.
const pagePolicy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; " +
	"connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// assets are the only files that are served: name to type and where it lies. Those of Swagger UI are kept compressed.
var assets = map[string]struct {
	kind   string
	files  fs.FS
	path   string
	zipped bool
}{
	"reference.js":         {"text/javascript; charset=utf-8", own, "reference/reference.js", false},
	"reference.css":        {"text/css; charset=utf-8", own, "reference/reference.css", false},
	"swagger-ui-bundle.js": {"text/javascript; charset=utf-8", static.FS, "swagger-ui-bundle.js.gz", true},
	"swagger-ui.css":       {"text/css; charset=utf-8", static.FS, "swagger-ui.css.gz", true},
}

// page answers GET /v1/docs. It is the same for everyone and shows nothing by itself.
func (e *entry) page(w http.ResponseWriter, r *http.Request) {
	html, err := own.ReadFile("reference/reference.html")
	if err != nil {
		answer(w, explained(err))
		return
	}
	w.Header().Set("Content-Security-Policy", pagePolicy)
	send(w, http.StatusOK, "text/html; charset=utf-8", html)
}

func (e *entry) asset(w http.ResponseWriter, r *http.Request) {
	a, ok := assets[r.PathValue("file")]
	if !ok {
		noSuchPath(w, r)
		return
	}
	f, err := a.files.Open(a.path)
	if err != nil {
		e.log.Error("a file of the reference page is missing", "file", a.path, "error", err)
		answer(w, explained(err))
		return
	}
	defer func() { _ = f.Close() }()
	h := w.Header()
	h.Set("Content-Type", a.kind)
	h.Set("Cache-Control", "public, max-age=3600")
	var content io.Reader = f
	if a.zipped {
		h.Add("Vary", "Accept-Encoding")
		if strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") {
			h.Set("Content-Encoding", "gzip")
		} else if content, err = gzip.NewReader(f); err != nil {
			e.log.Error("a file of the reference page cannot be read", "file", a.path, "error", err)
			answer(w, explained(err))
			return
		}
	}
	_, _ = io.Copy(w, content)
}
