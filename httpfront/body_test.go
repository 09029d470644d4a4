package httpfront_test

import (
	"bufio"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"gatehouse/httpfront"
)

// pipes is a listener in memory, so that the tests below can pass a minute in no time.
type pipes struct {
	conns chan net.Conn
	done  chan struct{}
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.done:
		return nil, net.ErrClosed
	}
}
func (p *pipes) Close() error   { close(p.done); return nil }
func (p *pipes) Addr() net.Addr { return &net.TCPAddr{} }

// talk opens a connection to a front on pipes, in a bubble.
func talk(t *testing.T, h http.HandlerFunc) net.Conn {
	t.Helper()
	f, err := httpfront.New(httpfront.Config{Listen: "127.0.0.1:8080", Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	listener := &pipes{conns: make(chan net.Conn), done: make(chan struct{})}
	server := f.Server(f.Wrap(h))
	go func() { _ = server.Serve(listener) }()
	client, conn := net.Pipe()
	listener.conns <- conn
	t.Cleanup(func() { _ = client.Close(); _ = server.Close() })
	return client
}

func TestSlowBodyEnds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ended := make(chan error, 1)
		conn := talk(t, func(_ http.ResponseWriter, r *http.Request) {
			_, err := io.ReadAll(r.Body)
			ended <- err
		})
		began := time.Now()
		go func() { _, _ = io.Copy(io.Discard, conn) }()
		_, _ = io.WriteString(conn, "POST / HTTP/1.1\r\nHost: localhost:8080\r\nContent-Length: 5\r\n\r\nab")
		err := <-ended
		if !errors.Is(err, os.ErrDeadlineExceeded) || time.Since(began) != 30*time.Second {
			t.Errorf("after %s: %v", time.Since(began), err)
		}
	})
}

// TestWaitingHandlerLives: once its body is in, a call may wait as long as it likes, and hears when the client leaves.
func TestWaitingHandlerLives(t *testing.T) {
	t.Parallel()
	for name, request := range map[string]string{
		"with a body":    "POST / HTTP/1.1\r\nHost: localhost:8080\r\nContent-Length: 2\r\n\r\nab",
		"with chunks":    "POST / HTTP/1.1\r\nHost: localhost:8080\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n",
		"without a body": "GET / HTTP/1.1\r\nHost: localhost:8080\r\n\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) { waitLong(t, request) })
		})
	}
}

func waitLong(t *testing.T, request string) {
	left := make(chan time.Duration, 1)
	conn := talk(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.ReadAll(r.Body)
		began := time.Now()
		select {
		case <-r.Context().Done():
		case <-time.After(10 * time.Minute):
			_, _ = io.WriteString(w, "waited")
			_ = http.NewResponseController(w).Flush()
			<-r.Context().Done()
		}
		left <- time.Since(began)
	})
	_, _ = io.WriteString(conn, request)
	answer, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil || answer.StatusCode != 200 {
		t.Fatalf("%v, %v", answer, err)
	}
	_ = conn.Close()
	if d := <-left; d != 10*time.Minute {
		t.Errorf("the handler's context ended after %s", d)
	}
}

func TestSlowHeaderEnds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		conn := talk(t, fine)
		began := time.Now()
		_, _ = io.WriteString(conn, "GET / HTTP/1.1\r\nHost: loc")
		_, _ = io.Copy(io.Discard, conn)
		if d := time.Since(began); d != 5*time.Second {
			t.Errorf("the connection lived %s", d)
		}
	})
}

func TestIdleConnectionEnds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		conn := talk(t, fine)
		_, _ = io.WriteString(conn, "GET / HTTP/1.1\r\nHost: localhost:8080\r\n\r\n")
		answer, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, answer.Body)
		began := time.Now()
		_, _ = io.Copy(io.Discard, conn)
		if d := time.Since(began); d != 2*time.Minute {
			t.Errorf("the connection lived %s", d)
		}
	})
}

// TestCallersRequestIsNotChanged: a handler around the front sees what came in.
func TestCallersRequestIsNotChanged(t *testing.T) {
	t.Parallel()
	f, err := httpfront.New(httpfront.Config{Listen: "127.0.0.1:8080"})
	if err != nil {
		t.Fatal(err)
	}
	body := io.NopCloser(&io.LimitedReader{})
	r, err := http.NewRequestWithContext(context.Background(), http.MethodPost, "/x", body)
	if err != nil {
		t.Fatal(err)
	}
	r.Host, r.RemoteAddr = "localhost:8080", "192.0.2.1:5"
	w := discard{http.Header{}}
	f.Wrap(http.HandlerFunc(func(_ http.ResponseWriter, inner *http.Request) {
		if inner == r || inner.Body == body {
			t.Error("the handler got the caller's own request")
		}
	})).ServeHTTP(w, r)
	if r.Body != body || r.RemoteAddr != "192.0.2.1:5" {
		t.Error("the caller's request was changed")
	}
}

type discard struct{ header http.Header }

func (d discard) Header() http.Header         { return d.header }
func (d discard) Write(p []byte) (int, error) { return len(p), nil }
func (d discard) WriteHeader(int)             {}
