package wire_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"gatehouse/wire"
)

func readLines(t *testing.T, r io.Reader, limit int) (lines []string, skipped int) {
	t.Helper()
	l := wire.NewLines(r, limit)
	for {
		line, err := l.Next()
		if err != nil {
			if err != io.EOF { //nolint:errorlint // it must be bare
				t.Fatal(err)
			}
			return lines, l.Skipped()
		}
		lines = append(lines, string(line))
	}
}

func TestLines(t *testing.T) {
	t.Parallel()
	huge := strings.Repeat("x", 200_000)
	for _, tt := range []struct {
		name, in string
		limit    int
		want     string
		skipped  int
	}{
		{"plain", "a\nb\n", 10, `["a" "b"]`, 0},
		{"carriage returns and empty lines", "a\r\n\r\n \n\nb\r\n", 10, `["a" "b"]`, 0},
		{"no end", "a\nb", 10, `["a" "b"]`, 0},
		{"nothing", "", 10, `[]`, 0},
		{"at the limit", "abc\nabc\r\n", 3, `["abc" "abc"]`, 0},
		{"over the limit", "abcd\nab\nabcd\r\nx\n", 3, `["ab" "x"]`, 2},
		{"over the limit without an end", "ab\nabcd", 3, `["ab"]`, 1},
		{"far over the limit", "a\n" + huge + "\nb\n" + huge, 1000, `["a" "b"]`, 2},
		{"long and within", huge + "\nb\n", 300_000, fmt.Sprintf("[%q %q]", huge, "b"), 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			for how, r := range map[string]io.Reader{"at once": strings.NewReader(tt.in), "byte by byte": iotest.OneByteReader(strings.NewReader(tt.in))} {
				lines, skipped := readLines(t, r, tt.limit)
				if got := fmt.Sprintf("%q", lines); got != tt.want || skipped != tt.skipped {
					t.Errorf("%s: got %.200s, %d skipped; want %.200s, %d", how, got, skipped, tt.want, tt.skipped)
				}
			}
		})
	}
}

// watched is a line of n bytes without an end that looks, each time more is read, at what is kept of it.
type watched struct {
	n, most int
	lines   *wire.Lines
}

func (w *watched) Read(p []byte) (int, error) {
	w.most = max(w.most, w.lines.Cap())
	if w.n -= len(p); w.n < 0 {
		return 0, io.EOF
	}
	for i := range p {
		p[i] = 'x'
	}
	return len(p), nil
}

// TestLongLinesAreNotKept: however long a line is, no more than about the limit is kept of it, and little once it is done.
func TestLongLinesAreNotKept(t *testing.T) {
	t.Parallel()
	w := &watched{n: 16 << 20}
	w.lines = wire.NewLines(w, 1<<20)
	if _, err := w.lines.Next(); err != io.EOF || w.lines.Skipped() != 1 { //nolint:errorlint // it must be bare
		t.Errorf("%v, %d skipped", err, w.lines.Skipped())
	}
	if w.most > 2<<20 || w.lines.Cap() > 64<<10 {
		t.Errorf("%d bytes kept of a long line, %d after it", w.most, w.lines.Cap())
	}
}

// TestSkippedLinesAreTold: both ends of a skipped line, and nothing of the lines around it.
func TestSkippedLinesAreTold(t *testing.T) {
	t.Parallel()
	// Read in pieces of 32 KiB, the last of which is shorter than what is told.
	long := "<" + strings.Repeat("a", 300) + strings.Repeat("b", 3<<15+100-602) + strings.Repeat("c", 300) + ">"
	for how, wrap := range map[string]func(io.Reader) io.Reader{"at once": func(r io.Reader) io.Reader { return r }, "byte by byte": iotest.OneByteReader} {
		var told []string
		l := wire.NewLines(wrap(strings.NewReader("before\n"+long+"\nafter\n0123456789ABC\nend\n")), 12)
		l.OnSkip(func(first, last []byte) { told = append(told, string(first), string(last)) })
		for {
			if _, err := l.Next(); err != nil {
				break
			}
		}
		want := []string{long[:256], long[len(long)-256:], "0123456789ABC", "0123456789ABC"}
		if !slices.Equal(told, want) {
			t.Errorf("%s: told %q, want %q", how, told, want)
		}
	}
}

func TestEvents(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ name, in, want string }{
		{"plain", "data: a\n\ndata: b\n\n", `message:"a" message:"b"`},
		{"named", "event: endpoint\ndata: /x\n\n", `endpoint:"/x"`},
		{"several lines", "data: a\ndata:b\ndata\ndata:  c\n\n", `message:"a\nb\n\n c"`},
		{"carriage returns", "data: a\r\n\r\ndata: b\r\rdata: c\n\r\n", `message:"a" message:"b" message:"c"`},
		{"carriage returns within an event", "data: a\r\ndata: b\r\n\r\n", `message:"a\nb"`},
		{"byte order mark", "\xef\xbb\xbfdata: a\n\n\xef\xbb\xbfdata: b\n\n", `message:"a"`},
		{"comments", ":\n\n: x\ndata: a\n:y\n\n:\n\n", `message:"a"`},
		{"no data", "event: x\n\ndata: a\n\n", `message:"a"`},
		{"empty data", "data\n\ndata:\n\n", `message:"" message:""`},
		{"id and retry", "id: 7\nretry: 1500\ndata: a\n\ndata: b\nid\n\n", `message:"a"#7@1.5s message:"b"@1.5s`},
		{"bad id and retry", "id: 7\x00\nretry: -1\nretry: 1e3\ndata: a\n\n", `message:"a"`},
		{"unknown fields", "foo: bar\nDATA: x\ndata : y\ndata: a\n\n", `message:"a"`},
		{"cut short", "data: a\n\ndata: b\n", `message:"a"`},
		{"cut in a line", "data: a\n\ndata: b", `message:"a"`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			for how, r := range map[string]io.Reader{"at once": strings.NewReader(tt.in), "byte by byte": iotest.OneByteReader(strings.NewReader(tt.in))} {
				got, err := readEvents(r, 1000)
				if got != tt.want || err != io.EOF { //nolint:errorlint // it must be bare
					t.Errorf("%s: got %s, %v; want %s", how, got, err, tt.want)
				}
			}
		})
	}
}

func readEvents(r io.Reader, limit int) (string, error) {
	events := wire.NewEvents(r, limit)
	var all []string
	for {
		e, err := events.Next()
		if err != nil {
			return strings.Join(all, " "), err
		}
		s := fmt.Sprintf("%s:%q", e.Name, e.Data)
		if e.ID != "" {
			s += "#" + e.ID
		}
		if e.Retry != 0 {
			s += "@" + e.Retry.String()
		}
		all = append(all, s)
	}
}

func TestEventLimit(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, in, want string
		err            error
	}{
		{"at the limit", "data: ab\n\n", `message:"ab"`, io.EOF},
		{"over it", "data: abc\n\n", "", wire.ErrEventTooLong},
		{"over it, in lines", "data: a\ndata: b\n\n", "", wire.ErrEventTooLong},
		{"over it, without an end", "data: " + strings.Repeat("x", 100_000), "", wire.ErrEventTooLong},
		{"over it, no data", "event: abcdefg\n", "", wire.ErrEventTooLong},
		{"a second one", "data: ab\n\ndata: ab\n\ndata: abc\n\n", `message:"ab" message:"ab"`, wire.ErrEventTooLong},
		{"comments do not add up", strings.Repeat(":\n\n", 50) + strings.Repeat(":xx\n", 50) + "data: ab\n\n", `message:"ab"`, io.EOF},
		{"a long comment", ":" + strings.Repeat("x", 20) + "\n\n", "", wire.ErrEventTooLong},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			for how, r := range map[string]io.Reader{"at once": strings.NewReader(tt.in), "byte by byte": iotest.OneByteReader(strings.NewReader(tt.in))} {
				if got, err := readEvents(r, 10); got != tt.want || !errors.Is(err, tt.err) {
					t.Errorf("%s: got %s, %v; want %s, %v", how, got, err, tt.want, tt.err)
				}
			}
		})
	}
}

// FuzzEvents: whatever was written as data is read as that data, and whatever is read is within the limit.
func FuzzEvents(f *testing.F) {
	f.Add("message", []byte(`{"a":"b"}`), []byte("data: a\r\n\r\n"))
	f.Add("a\nb", []byte("x\n\ndata: y\r\n\r"), []byte("\xef\xbb\xbfid: 1\nretry: 5\n:\n\n"))
	f.Add("", []byte(""), []byte("event: x\rdata\r\r"))
	f.Fuzz(func(t *testing.T, name string, data, stream []byte) {
		const limit = 4096
		events := wire.NewEvents(bytes.NewReader(stream), limit)
		for {
			e, err := events.Next()
			if err != nil {
				break
			}
			if len(e.Data) > limit || e.Name == "" || e.Retry > 1<<31*time.Millisecond || bytes.ContainsRune(e.Data, '\r') {
				t.Fatalf("%q gives %+v", stream, e)
			}
		}
		written := wire.AppendEvent(nil, name, data)
		written = wire.AppendComment(written)
		events = wire.NewEvents(bytes.NewReader(written), len(written))
		e, err := events.Next()
		want := strings.NewReplacer("\r\n", "\n", "\r", "\n").Replace(string(data))
		wantName := strings.NewReplacer("\r", "", "\n", "").Replace(name)
		if wantName == "" {
			wantName = "message"
		}
		if err != nil || string(e.Data) != want || e.Name != wantName {
			t.Fatalf("%q was written %q and read %q: %q, %v", data, written, e.Name, e.Data, err)
		}
		if e, err := events.Next(); err != io.EOF { //nolint:errorlint // it must be bare
			t.Fatalf("%q holds a second event %+v, %v", written, e, err)
		}
	})
}

// FuzzLines: lines are within the limit, and as many as there are.
func FuzzLines(f *testing.F) {
	f.Add([]byte("a\nbcdefghijk\r\n\nx"), 4)
	f.Add([]byte("\r\r\n\n"), 0)
	f.Fuzz(func(t *testing.T, in []byte, limit int) {
		limit = max(0, min(limit, 1<<16))
		var want []string
		skipped := 0
		for piece := range bytes.SplitSeq(in, []byte("\n")) {
			piece = bytes.TrimSuffix(piece, []byte("\r"))
			switch {
			case len(piece) > limit:
				skipped++
			case len(bytes.TrimSpace(piece)) > 0:
				want = append(want, string(piece))
			}
		}
		got, n := readLines(t, bytes.NewReader(in), limit)
		if fmt.Sprintf("%q", got) != fmt.Sprintf("%q", want) || n != skipped {
			t.Fatalf("%q at most %d: got %q, %d skipped; want %q, %d", in, limit, got, n, want, skipped)
		}
	})
}
