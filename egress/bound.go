package egress

import (
	"io"
	"net/http"
	"strings"

	"gatehouse/outcome"
)

// bound keeps a client to its place and its answers to their size.
type bound struct {
	to   Allow
	max  int64
	next *http.Transport
}

// RoundTrip refuses a request that goes elsewhere, by its URL or by its Host header.
func (b *bound) RoundTrip(r *http.Request) (*http.Response, error) {
	to, err := place(r.URL)
	if err != nil || !b.to.covers(to) || r.Host != "" && !strings.EqualFold(r.Host, r.URL.Host) {
		if r.Body != nil {
			_ = r.Body.Close()
		}
		return nil, refused(r.URL.Host)
	}
	// Without this header the transport asks for gzip itself and inflates, so that the bound below counts what comes out.
	if r.Header.Get("Accept-Encoding") != "" {
		r = r.Clone(r.Context()) // the caller's request is not ours to change
		r.Header.Del("Accept-Encoding")
	}
	answer, err := b.next.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	// A server may still send what nobody asked for; handing it on would hide its true size from the bound.
	if answer.Header.Get("Content-Encoding") != "" {
		_ = answer.Body.Close()
		return nil, outcome.Upstream.Because("%s answered with an encoding that was not asked for", b.to)
	}
	if answer.ContentLength > b.max {
		_ = answer.Body.Close()
		return nil, b.tooLarge()
	}
	answer.Body = &limited{ReadCloser: answer.Body, left: b.max, tooLarge: b.tooLarge}
	return answer, nil
}

// CloseIdleConnections lets http.Client.CloseIdleConnections reach the transport.
func (b *bound) CloseIdleConnections() { b.next.CloseIdleConnections() }

func (b *bound) tooLarge() error {
	return outcome.Upstream.Because("%s answered with more than %d bytes", b.to, b.max)
}

// limited fails, rather than ends, when a body is longer than allowed: a cut answer must not look like a whole one.
type limited struct {
	io.ReadCloser
	left     int64
	tooLarge func() error
}

func (l *limited) Read(p []byte) (int, error) {
	if l.left < 0 {
		return 0, l.tooLarge()
	}
	if int64(len(p)) > l.left+1 {
		p = p[:l.left+1]
	}
	n, err := l.ReadCloser.Read(p)
	if l.left -= int64(n); l.left < 0 {
		return n - 1, l.tooLarge()
	}
	return n, err
}
