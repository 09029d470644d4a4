package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/coder/websocket"

	"gatehouse/app"
	"gatehouse/canon"
	"gatehouse/config"
	"gatehouse/outcome"
)

const (
	idleEach    = 60               // sessions of one token: the gate allows 64
	idleOpeners = 32               // that open sessions at the same time
	idleSettle  = 20 * time.Second // between the last opening and the second look
)

// idleKinds are the ways in which a session can be open and idle.
var idleKinds = []struct {
	name string
	open func(h *holder, ctx context.Context, url, token string) error
}{
	{"websocket", (*holder).openSocket},
	{"mcp, legacy, stream open", (*holder).openStream},
	{"mcp, 2026-07-28, listening", (*holder).openListen},
	{"mcp, legacy, no stream", (*holder).openSession},
}

const initialize = `{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"bench","version":"1"}}}`

// measureIdle opens n sessions of each kind on a gate of its own, and prints what each costs the gate in memory.
func measureIdle(ctx context.Context, n int) error {
	fmt.Printf("%-28s %10s %14s %14s %20s\n", "idle sessions", "number", "resident", "20 s later", "each, 20 s later")
	for i := range idleKinds {
		if err := measureIdleKind(ctx, i, n); err != nil {
			return fmt.Errorf("%s: %w", idleKinds[i].name, err)
		}
	}
	return nil
}

func measureIdleKind(ctx context.Context, kind, n int) (err error) {
	h, err := startAll(ctx, "")
	if err != nil {
		return err
	}
	defer h.close()
	gate, url := h.gate, h.upstreams[0].gated.url
	if err := issueTokens(ctx, h.dir, (n+idleEach-1)/idleEach); err != nil {
		return err
	}
	before, err := gate.usage()
	if err != nil {
		return err
	}
	holder, _, err := start(ctx, "hold", fmt.Sprint(kind), url, filepath.Join(h.dir, "tokens"), fmt.Sprint(n))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, holder.end()) }()
	opened, err := gate.usage()
	if err != nil {
		return err
	}
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(idleSettle):
	}
	settled, err := gate.usage()
	if err != nil {
		return err
	}
	fmt.Printf("%-28s %10d %10d KiB %10d KiB %16.1f KiB\n", idleKinds[kind].name, n, opened.rss>>10, settled.rss>>10,
		float64(settled.rss-before.rss)/float64(n)/1024)
	return nil
}

// issueTokens writes as many tokens as are asked for into the file tokens, a line each.
func issueTokens(ctx context.Context, dir string, n int) error {
	file, err := config.Load(filepath.Join(dir, "gatehouse.yaml"))
	if err != nil {
		return err
	}
	o, err := app.Operate(ctx, app.Config{File: file})
	if err != nil {
		return err
	}
	defer func() { _ = o.Close() }()
	var people struct {
		People []struct {
			Person int64 `json:"person"`
		} `json:"people"`
	}
	list, err := o.Call(ctx, "people.list", canon.Object())
	if err != nil {
		return err
	}
	if err := json.Unmarshal(list.Result.Bytes(), &people); err != nil || len(people.People) != 1 {
		return fmt.Errorf("people.list: %s (%w)", list.Result, err)
	}
	args, err := canon.Parse(fmt.Appendf(nil, `{"person":%d,"agent":"idle","tools":["sdk.echo"],"ttl_seconds":3600}`, people.People[0].Person))
	if err != nil {
		return err
	}
	var all strings.Builder
	for range n {
		got, err := o.Call(ctx, "tokens.issue", args)
		if err != nil {
			return err
		}
		token, ok := got.Result.Lookup("/token")
		if got.Code != outcome.OK || !ok {
			return fmt.Errorf("issuing a token: %w", got.Code.Because("%s", got.Reason))
		}
		text, _ := token.Text()
		all.WriteString(text + "\n")
	}
	return os.WriteFile(filepath.Join(dir, "tokens"), []byte(all.String()), 0o600)
}

// hold is the process that opens the sessions and keeps them: its memory is not the gate's.
func hold() error {
	var kind, n int
	if _, err := fmt.Sscan(os.Args[2]+" "+os.Args[5], &kind, &n); err != nil {
		return err
	}
	text, err := os.ReadFile(os.Args[4])
	if err != nil {
		return err
	}
	tokens := strings.Fields(string(text))
	ctx, stop := context.WithCancelCause(context.Background())
	defer stop(nil)
	h, next := &holder{}, make(chan int)
	var all sync.WaitGroup
	for range idleOpeners {
		all.Go(func() {
			for i := range next {
				if err := idleKinds[kind].open(h, ctx, os.Args[3], tokens[i/idleEach]); err != nil {
					stop(fmt.Errorf("session %d: %w", i+1, err))
				}
			}
		})
	}
	for i := 0; i < n && ctx.Err() == nil; i++ {
		next <- i
	}
	close(next)
	all.Wait()
	if err := context.Cause(ctx); err != nil {
		return err
	}
	tell("ready")
	serveUsage()
	return nil
}

// holder opens sessions and keeps them open.
type holder struct {
	mu  sync.Mutex // guards all
	all []net.Conn
}

func (*holder) openSocket(ctx context.Context, url, token string) error {
	conn, _, err := websocket.Dial(ctx, "ws"+strings.TrimSuffix(strings.TrimPrefix(url, "http"), "/mcp")+"/ws", &websocket.DialOptions{ //nolint:bodyclose // the library keeps it
		Subprotocols: []string{"mcp"}, HTTPHeader: http.Header{"Authorization": {"Bearer " + token}},
	})
	if err != nil {
		return err
	}
	if err := conn.Write(ctx, websocket.MessageText, []byte(initialize)); err != nil {
		return err
	}
	if _, _, err := conn.Read(ctx); err != nil {
		return err
	}
	conn.CloseRead(ctx) // answers pings
	return conn.Write(ctx, websocket.MessageText, []byte(`{"jsonrpc":"2.0","method":"notifications/initialized"}`))
}

// idleRequest sends one request on a connection of its own and gives the head of the answer, read line by line. Nothing more
// is read: what the gate sends fits into the connection's buffer.
func idleRequest(ctx context.Context, url, token, method, body string, header ...string) (net.Conn, http.Header, error) {
	address := strings.TrimSuffix(strings.TrimPrefix(url, "http://"), "/mcp")
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, nil, err
	}
	head := method + " /mcp HTTP/1.1\r\nHost: " + address + "\r\nAuthorization: Bearer " + token +
		"\r\nAccept: application/json, text/event-stream\r\nContent-Type: application/json\r\nContent-Length: " + fmt.Sprint(len(body)) + "\r\n"
	for i := 0; i < len(header); i += 2 {
		head += header[i] + ": " + header[i+1] + "\r\n"
	}
	if _, err := io.WriteString(conn, head+"\r\n"+body); err != nil {
		return nil, nil, errors.Join(err, conn.Close())
	}
	res, err := http.ReadResponse(bufio.NewReaderSize(conn, 1024), nil) //nolint:bodyclose // it may never end
	if err == nil && res.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s answered %s", method, res.Status)
	}
	if err != nil {
		return nil, nil, errors.Join(err, conn.Close())
	}
	return conn, res.Header, nil // the body is the rest of the connection
}

func (*holder) openSession(ctx context.Context, url, token string) error {
	_, err := newSession(ctx, url, token)
	return err
}

func newSession(ctx context.Context, url, token string) (string, error) {
	conn, head, err := idleRequest(ctx, url, token, http.MethodPost, initialize)
	if err != nil {
		return "", err
	}
	return head.Get("Mcp-Session-Id"), conn.Close()
}

func (h *holder) openStream(ctx context.Context, url, token string) error {
	session, err := newSession(ctx, url, token)
	if err != nil {
		return err
	}
	conn, _, err := idleRequest(ctx, url, token, http.MethodGet, "", "Mcp-Session-Id", session)
	h.keep(conn)
	return err
}

func (h *holder) openListen(ctx context.Context, url, token string) error {
	conn, _, err := idleRequest(ctx, url, token, http.MethodPost, `{"jsonrpc":"2.0","id":1,"method":"subscriptions/listen","params":{"_meta":{`+
		`"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}},"notifications":{"toolsListChanged":true}}}`,
		"Mcp-Protocol-Version", "2026-07-28", "Mcp-Method", "subscriptions/listen")
	h.keep(conn)
	return err
}

// keep holds a connection: one that nobody holds would be closed by the collector.
func (h *holder) keep(conn net.Conn) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.all = append(h.all, conn)
}
