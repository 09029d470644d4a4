package wire

import (
	"bufio"
	"bytes"
	"io"
)

// Lines reads frames that come one a line, as over stdio. A line that is too long is skipped and counted, never kept
// whole: a peer cannot make us hold more than the limit. Not for use by two goroutines.
type Lines struct {
	r       *bufio.Reader
	limit   int
	buf     []byte
	skipped int
	tell    func(first, last []byte)
	ends    ends // of the line that is read, if somebody is told
}

// NewLines reads from r lines of at most limit bytes, the line end not counted.
func NewLines(r io.Reader, limit int) *Lines {
	return &Lines{r: bufio.NewReaderSize(r, 32<<10), limit: limit}
}

// OnSkip has tell called with the beginning and the end of each line that was too long, at most 256 bytes each, while Next
// runs: whoever waits for what stood there can be told. The bytes are good until tell returns.
func (l *Lines) OnSkip(tell func(first, last []byte)) { l.tell = tell }

// Next gives the next line that is not empty, without its end. It is good until the next call. At the end the error is
// [io.EOF]; a last line without an end is given first.
func (l *Lines) Next() ([]byte, error) {
	for {
		line, err := l.read()
		if line = bytes.TrimSuffix(line, []byte("\r")); len(bytes.TrimSpace(line)) > 0 {
			return line, nil
		}
		if err != nil {
			return nil, err
		}
	}
}

// read gives one line, empty if it was too long.
func (l *Lines) read() ([]byte, error) {
	l.buf = l.buf[:0]
	long := false
	l.ends.reset()
	for {
		piece, err := l.r.ReadSlice('\n')
		ended := err == nil
		if ended {
			piece = piece[:len(piece)-1]
		}
		if l.tell != nil {
			l.ends.add(piece)
		}
		// One byte more, for the carriage return before the line end.
		if long = long || len(l.buf)+len(piece) > l.limit+1; !long {
			l.buf = append(l.buf, piece...)
		}
		if err == bufio.ErrBufferFull { //nolint:errorlint // ReadSlice gives it bare
			continue
		}
		if long || len(bytes.TrimSuffix(l.buf, []byte("\r"))) > l.limit {
			l.skipped++
			l.buf = l.buf[:0]
			if l.tell != nil {
				l.tell(l.ends.first, l.ends.last)
			}
		}
		if cap(l.buf) > keep && len(l.buf) <= keep {
			l.buf = append([]byte(nil), l.buf...)
		}
		return l.buf, err
	}
}

// ends keeps the beginning and the end of a line.
type ends struct{ first, last []byte }

func (e *ends) reset() { e.first, e.last = e.first[:0], e.last[:0] }

func (e *ends) add(piece []byte) {
	const far = 256
	e.first = append(e.first, piece[:min(len(piece), far-len(e.first))]...)
	if len(piece) >= far {
		e.last = e.last[:0]
	}
	e.last = append(e.last, piece[max(0, len(piece)-far):]...)
	e.last = append(e.last[:0], e.last[max(0, len(e.last)-far):]...)
}

// keep is how large a line's buffer may stay once the line is done.
const keep = 64 << 10

// Skipped is how many lines were too long so far.
func (l *Lines) Skipped() int { return l.skipped }
