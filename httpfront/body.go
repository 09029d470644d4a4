package httpfront

import (
	"io"
	"net/http"
	"time"
)

// bodyTime is how long a client may take to send a body.
const bodyTime = 30 * time.Second

// bound limits a body in size and time. The time is not http.Server.ReadTimeout, because that would also end handlers
// which wait longer, such as streams and calls held for approval.
func (f *Front) bound(w http.ResponseWriter, r *http.Request) {
	if r.Body == nil || r.Body == http.NoBody {
		return
	}
	c := http.NewResponseController(w)
	// A recorder in a test cannot set deadlines; a server's connection can.
	if c.SetReadDeadline(time.Now().Add(bodyTime)) == nil {
		r.Body = &timed{ReadCloser: r.Body, whole: func() { _ = c.SetReadDeadline(time.Time{}) }}
	}
	r.Body = http.MaxBytesReader(w, r.Body, f.maxBody)
}

// timed lifts the deadline once the body is in, or nobody reads it any more.
type timed struct {
	io.ReadCloser
	whole func()
}

func (t *timed) Read(p []byte) (int, error) {
	n, err := t.ReadCloser.Read(p)
	if err == io.EOF {
		t.whole()
	}
	return n, err
}

func (t *timed) Close() error {
	err := t.ReadCloser.Close() // may read the rest, still within the deadline
	t.whole()
	return err
}
