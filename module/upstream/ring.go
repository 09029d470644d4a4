package upstream

import (
	"bytes"
	"io"
	"strings"
	"sync"
)

// ringSize is how much of what a program writes to its standard error is kept.
const ringSize = 64 << 10

// ring keeps the end of what was written to it. It is drained all the time, so that no program waits for us.
type ring struct {
	mu    sync.Mutex // guards the rest
	kept  []byte     // at most ringSize
	bytes int64      // in all
	lines int64
}

// drain reads to the end.
func (r *ring) drain(from io.Reader) {
	buf := make([]byte, 8<<10)
	for {
		n, err := from.Read(buf)
		r.add(buf[:n])
		if err != nil {
			return
		}
	}
}

func (r *ring) add(b []byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.bytes += int64(len(b))
	r.lines += int64(bytes.Count(b, []byte("\n")))
	r.kept = append(r.kept, b...)
	if over := len(r.kept) - ringSize; over > 0 {
		r.kept = append(r.kept[:0], r.kept[over:]...)
	}
}

// last gives the last line that is not empty, without what hide takes out of it.
func (r *ring) last(hide func(string) string) (line string, lines, total int64) {
	r.mu.Lock()
	text, cut := string(r.kept), r.bytes > int64(len(r.kept))
	lines, total = r.lines, r.bytes
	r.mu.Unlock()
	// It is hidden before it is cut into lines: a value may have several. A line whose beginning is gone is not shown,
	// because a value may be cut through there.
	text = strings.TrimSpace(hide(text))
	at := strings.LastIndexByte(text, '\n')
	if at < 0 && cut {
		return "", lines, total
	}
	return tidy(text[at+1:]), lines, total
}
