package gatetest

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"

	"github.com/coder/websocket"

	"gatehouse/outcome"
)

// socketDoor speaks the newest legacy revision over one WebSocket for each token, which stays open as long as the gateway
// lets it: what is taken away is taken away from a socket that is open.
type socketDoor struct{ h *House }

func (socketDoor) Name() string  { return "ws" }
func (socketDoor) Title() string { return "ws" }

func (d socketDoor) Call(token, tool, args string) Reply {
	d.h.T.Helper()
	if args == "" {
		args = "{}"
	}
	name, err := json.Marshal(strings.Replace(tool, ".", "__", 1))
	if err != nil {
		d.h.T.Fatal(err)
	}
	body, code, ended := d.request(token, "tools/call", `"name":`+string(name)+`,"arguments":`+args)
	if ended {
		return Reply{Code: code, Raw: body}
	}
	return d.h.toolResult(d, tool, body)
}

func (d socketDoor) List(token string) ([]string, outcome.Code) {
	d.h.T.Helper()
	body, code, ended := d.request(token, "tools/list", "")
	if ended {
		return nil, code
	}
	return d.h.toolNames(d, body)
}

// request sends a request. ended is true where it ended before it was read.
func (d socketDoor) request(token, method, params string) (body string, code outcome.Code, ended bool) {
	d.h.T.Helper()
	for {
		s, res, body := d.open(token)
		if s == nil {
			if code, ended := endedBefore(res); ended {
				return body, code, true
			}
			d.h.T.Fatalf("ws: opening: %d %s", res.StatusCode, body)
		}
		body, err := s.ask(d.h, method, params)
		var closed websocket.CloseError
		switch {
		case err == nil:
			if strings.Contains(body, `"data":{"code":"unavailable"}`) {
				return body, outcome.Unavailable, true
			}
			return body, outcome.OK, false
		case !errors.As(err, &closed):
			d.h.T.Fatalf("ws %s: %v", method, err)
		case closed.Code == 4401 && closed.Reason != "the token has ended":
			return closed.Reason, outcome.Unauthenticated, true // in answer to the message
		}
		// The gateway had closed before it read the message: a client comes back and asks again.
	}
}

// socket is a WebSocket in a test: what comes in is kept until it is asked for.
type socket struct {
	conn *websocket.Conn
	mu   sync.Mutex // guards all below
	wait map[string]chan string
	err  error // why it ended
	done chan struct{}
}

// open gives the socket of a token, or what the gateway answered instead.
func (d socketDoor) open(token string) (*socket, Answer, string) {
	d.h.T.Helper()
	d.h.mu.Lock()
	defer d.h.mu.Unlock()
	if s := d.h.sockets[token]; s != nil && s.ended() == nil {
		return s, Answer{}, ""
	}
	header := http.Header{}
	if value, raw := strings.CutPrefix(token, rawHeader); raw {
		header["Authorization"] = []string{value}
	} else if token != "" {
		header["Authorization"] = []string{"Bearer " + token}
	}
	conn, res, err := websocket.Dial(d.h.T.Context(), "ws://127.0.0.1/ws", &websocket.DialOptions{
		HTTPClient: d.h.client, HTTPHeader: header, Subprotocols: []string{"mcp"},
	})
	if res == nil {
		d.h.T.Fatalf("ws: %v", err)
	}
	if err != nil {
		defer func() { _ = res.Body.Close() }()
		b, _ := io.ReadAll(res.Body) // of an answer that was refused the library keeps the beginning
		return nil, Answer{res.StatusCode, res.Header}, string(b)
	}
	s := &socket{conn: conn, wait: map[string]chan string{}, done: make(chan struct{})}
	conn.SetReadLimit(-1)
	go s.read(d.h)
	d.h.sockets[token] = s
	if _, err := s.ask(d.h, "initialize", `"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"gatetest","version":"1"}`); err != nil {
		d.h.T.Fatalf("ws: initialize: %v", err)
	}
	if err := conn.Write(context.Background(), websocket.MessageText, []byte(`{"jsonrpc":"2.0","method":"notifications/initialized"}`)); err != nil {
		d.h.T.Fatalf("ws: initialized: %v", err)
	}
	return s, Answer{}, ""
}

// read hands answers to whoever waits for them.
func (s *socket) read(h *House) {
	for {
		_, b, err := s.conn.Read(context.Background())
		if err != nil {
			s.mu.Lock()
			s.err = err
			s.mu.Unlock()
			close(s.done)
			return
		}
		if h.config.Received != nil {
			_, _ = h.config.Received.Write(b)
		}
		var f struct {
			ID     json.RawMessage `json:"id"`
			Method string          `json:"method"`
		}
		if err := json.Unmarshal(b, &f); err != nil || f.Method != "" {
			continue
		}
		s.mu.Lock()
		to := s.wait[string(f.ID)]
		if string(f.ID) == "null" { // what could not be read has no id
			for _, to = range s.wait {
				break
			}
		}
		s.mu.Unlock()
		if to != nil {
			to <- string(b)
		}
	}
}

func (s *socket) ended() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err
}

// ask sends a request and waits for its answer. A frame that is no JSON is answered without an id: no other may be under way.
func (s *socket) ask(h *House, method, params string) (string, error) {
	id := ""
	answer := make(chan string, 1)
	s.mu.Lock()
	for n := 1; id == "" || s.wait[id] != nil; n++ {
		id = strconv.Itoa(n)
	}
	s.wait[id] = answer
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		delete(s.wait, id)
		s.mu.Unlock()
	}()
	frame := `{"jsonrpc":"2.0","id":` + id + `,"method":"` + method + `","params":{` + params + `}}`
	if err := s.conn.Write(context.Background(), websocket.MessageText, []byte(frame)); err != nil {
		<-s.done // the reader knows why
		return "", s.ended()
	}
	select {
	case b := <-answer:
		return b, nil
	case <-s.done:
		return "", s.ended()
	}
}
