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
}

// NewLines reads from r lines of at most limit bytes, the line end not counted.
func NewLines(r io.Reader, limit int) *Lines {
	return &Lines{r: bufio.NewReaderSize(r, 32<<10), limit: limit}
}

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
	for {
		piece, err := l.r.ReadSlice('\n')
		ended := err == nil
		if ended {
			piece = piece[:len(piece)-1]
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
		}
		if cap(l.buf) > keep && len(l.buf) <= keep {
			l.buf = append([]byte(nil), l.buf...)
		}
		return l.buf, err
	}
}

// keep is how large a line's buffer may stay once the line is done.
const keep = 64 << 10

// Skipped is how many lines were too long so far.
func (l *Lines) Skipped() int { return l.skipped }
