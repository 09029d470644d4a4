package wire

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Event is one server-sent event (HTML Living Standard §9.2).
type Event struct {
	Name  string        // "message" if the stream did not say
	ID    string        // the last id that the stream gave
	Data  []byte        // until the next call of Next
	Retry time.Duration // what the stream last asked for; zero if it never did
}

// ErrEventTooLong ends a stream whose event is longer than the reader's limit.
var ErrEventTooLong = errors.New("the event is longer than the limit")

// AppendEvent appends one event of the given name ("" for message). Line ends in the data become new data lines, so that
// no data can end its event or begin another; a carriage return becomes a line feed, as the format cannot tell them apart.
func AppendEvent[T ~string | ~[]byte](dst []byte, name string, data T) []byte {
	if name != "" {
		dst = append(dst, "event: "...)
		dst = append(dst, strings.NewReplacer("\r", "", "\n", "").Replace(name)...)
		dst = append(dst, '\n')
	}
	dst = append(dst, "data: "...)
	for i := range len(data) {
		switch c := data[i]; {
		case c == '\r' && i+1 < len(data) && data[i+1] == '\n':
		case c == '\r' || c == '\n':
			dst = append(dst, "\ndata: "...)
		default:
			dst = append(dst, c)
		}
	}
	return append(dst, '\n', '\n')
}

// AppendComment appends a comment, which keeps a connection open and which clients ignore.
func AppendComment(dst []byte) []byte { return append(dst, ":\n\n"...) }

// Events reads a stream of server-sent events. Not for use by two goroutines.
type Events struct {
	r       *bufio.Reader
	limit   int
	read    int // bytes of the event that is being read
	begun   bool
	afterCR bool
	line    []byte
	data    []byte
	id      string
	retry   time.Duration
}

// maxKept is how large the buffers may be that wait for the next event.
const maxKept = 64 << 10

// readers keeps buffers between streams, and nothing that was in them is read again.
var readers = sync.Pool{New: func() any { return &Events{r: bufio.NewReaderSize(nil, 4<<10)} }}

// NewEvents reads from r events of at most limit bytes each, field names and comments between counted.
func NewEvents(r io.Reader, limit int) *Events {
	e := readers.Get().(*Events)
	e.r.Reset(r)
	*e = Events{r: e.r, limit: limit, line: e.line[:0], data: e.data[:0]}
	return e
}

// Release gives the buffers back to whoever reads the next stream. Neither the reader nor any event's data may be used
// afterwards. Those who read one stream for long need not.
func (e *Events) Release() {
	if cap(e.data) > maxKept || cap(e.line) > maxKept {
		return
	}
	e.r.Reset(nil)
	readers.Put(e)
}

// Next gives the next event that has data. The error is [ErrEventTooLong], the reader's, or [io.EOF] at the end; an event
// that the end cut short is dropped, as the standard says.
func (e *Events) Next() (Event, error) {
	ev := Event{}
	e.read, e.data = 0, e.data[:0]
	if cap(e.data) > maxKept || cap(e.line) > maxKept { // one long event must not hold its size for as long as a stream is open
		e.data, e.line = nil, nil
	}
	hasData := false
	for {
		line, err := e.next()
		if err != nil {
			return Event{}, err
		}
		if len(line) == 0 {
			if !hasData {
				ev, e.read = Event{}, 0
				continue
			}
			if ev.Name == "" {
				ev.Name = "message"
			}
			ev.Data = e.data[:len(e.data)-1] // the last line feed
			ev.ID, ev.Retry = e.id, e.retry
			return ev, nil
		}
		field, value, _ := bytes.Cut(line, []byte(":"))
		value = bytes.TrimPrefix(value, []byte(" "))
		switch string(field) {
		case "":
			e.read = max(0, e.read-len(line)-1) // a comment between two events is no part of either
		case "data":
			hasData = true
			e.data = append(append(e.data, value...), '\n')
		default:
			e.field(&ev, string(field), string(value))
		}
	}
}

func (e *Events) field(ev *Event, field, value string) {
	switch field {
	case "event":
		ev.Name = value
	case "id":
		if strings.IndexByte(value, 0) < 0 {
			e.id = value
		}
	case "retry":
		if ms, err := strconv.ParseUint(value, 10, 31); err == nil {
			e.retry = time.Duration(ms) * time.Millisecond
		}
	}
}

// next gives one line without its end, which is \n, \r or \r\n; a line without an end at the end of the stream is none.
func (e *Events) next() ([]byte, error) {
	e.line = e.line[:0]
	for {
		if _, err := e.r.Peek(1); err != nil {
			return nil, err
		}
		piece, _ := e.r.Peek(e.r.Buffered())
		if e.afterCR && piece[0] == '\n' {
			piece = piece[1:]
			_, _ = e.r.Discard(1) // it is in the buffer
		}
		e.afterCR = false
		end := bytes.IndexByte(piece, '\n')
		if end < 0 {
			end = len(piece)
		}
		if cr := bytes.IndexByte(piece[:end], '\r'); cr >= 0 {
			end = cr
			e.afterCR = true
		}
		ended := end < len(piece)
		if e.read += end; e.read >= e.limit && ended || e.read > e.limit {
			return nil, ErrEventTooLong
		}
		e.line = append(e.line, piece[:end]...)
		if !ended {
			_, _ = e.r.Discard(end)
			continue
		}
		_, _ = e.r.Discard(end + 1)
		e.read++
		return e.firstLine(), nil
	}
}

// firstLine takes the byte order mark off the first line.
func (e *Events) firstLine() []byte {
	if e.begun {
		return e.line
	}
	e.begun = true
	return bytes.TrimPrefix(e.line, []byte("\xef\xbb\xbf"))
}
