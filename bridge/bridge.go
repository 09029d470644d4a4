// Package bridge lets an MCP client that speaks only over standard input and output reach a gateway over HTTP: frames come
// one a line, go out as POSTs of the streamable HTTP transport, and the answers are written back one a line, byte for byte.
// It must never write anything but frames to its output, change a frame, repeat a request that may have been carried out,
// or dial anything but the address that it was given.
//
// Both eras pass. In the one with a handshake the bridge keeps the session and its stream of notifications; when the
// gateway has forgotten the session, because it was started anew or because the token is another, the bridge repeats the
// client's own handshake, which the client does not notice but for a notification that the tools may have changed. In the
// other era it adds the headers that repeat the body, and closing a request is its cancel.
//
// A token that is refused is read again from where it came; where it is still the same, the client gets an error for each
// request and the bridge goes on, so that a new token in the file heals it.
//
// One goroutine reads the input; each request has one; one holds the stream of notifications. Sources: MCP 2025-11-25 and
// 2026-07-28, basic/transports.
package bridge

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"time"

	"gatehouse/egress"
	"gatehouse/secret"
	"gatehouse/wire"
)

const (
	maxFrame   = 16 << 20         // bytes of one frame, in either direction
	inFlight   = 48               // requests at one time; an egress client has 64 connections, and cancels need some too
	notifyTime = 30 * time.Second // for the gateway to take a notification
	partTime   = 2 * time.Second  // for the gateway to take the session's end
	lastCalls  = time.Minute      // for calls under way when the client ended its input
)

// Config says what is bridged.
type Config struct {
	URL       string                        // of the gateway's MCP address, http or https
	AllowHTTP bool                          // lets the token travel in the clear to another machine
	Token     func() (secret.Text, error)   // reads the token; again whenever the gateway refuses what it gave last
	TokenFrom string                        // where the token comes from, for people
	In        io.Reader                     // the client's frames
	Out       io.Writer                     // gets frames, and nothing else
	Tell      func(line string)             // is told, from any goroutine, what people should know; never a token
	Version   string                        // of Gatehouse
	Observe   func(network, address string) // is told of every connection that is tried; nil: nobody
}

// bridge is one client's connection.
type bridge struct {
	url       string
	client    *http.Client
	agent     string // User-Agent
	token     *token
	tell      func(format string, args ...any)
	out       *output
	session   session
	params    params
	slots     chan struct{} // a place for each request that may be under way
	listeners sync.WaitGroup
	life      context.Context // of the whole bridge: streams outlive the frame that began them

	mu      sync.Mutex // guards what follows
	calls   map[wire.ID]*call
	running sync.WaitGroup // requests; added to under mu
	closed  bool           // no request is begun any more
}

// call is a request under way.
type call struct {
	era     wire.Era
	cancel  context.CancelFunc
	listens bool          // it is a subscription, which has no end of its own
	begun   bool          // its POST was begun; guarded by bridge.mu
	back    bool          // the client took it back: no answer need come; guarded by bridge.mu
	sent    chan struct{} // closed when its POST was written, or when it ended
	once    sync.Once
}

func (c *call) wasSent() { c.once.Do(func() { close(c.sent) }) }

// Run bridges until the client ends its input, then waits for the calls under way and ends the session. It returns sooner
// when ctx ends or the output cannot be written; a goroutine that waits for input may then stay behind.
func Run(ctx context.Context, c Config) error {
	b, err := newBridge(c)
	if err != nil {
		return err
	}
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	b.out.fail, b.life = stop, ctx
	read := make(chan error, 1)
	go func() { read <- b.read(ctx, c.In) }()
	select {
	case err = <-read:
		b.drain(ctx)
	case <-ctx.Done():
	}
	b.mu.Lock()
	b.closed = true
	b.mu.Unlock()
	cause := context.Cause(ctx)
	stop(nil)
	b.running.Wait()
	b.listeners.Wait()
	b.part(context.WithoutCancel(ctx))
	b.client.CloseIdleConnections()
	if errors.Is(cause, errOutput) {
		return cause
	}
	return err
}

func newBridge(c Config) (*bridge, error) {
	u, err := url.Parse(c.URL)
	if err != nil {
		return nil, errors.New("the address is not a URL")
	}
	to, err := egress.Configured(c.URL, true) // whoever starts the bridge writes the address
	if err != nil {
		return nil, err
	}
	if u.Fragment != "" || u.RawQuery != "" {
		return nil, errors.New("the address must have no query and no fragment: a token goes into the file")
	}
	if u.Scheme == "http" && !c.AllowHTTP && !loopback(u.Hostname()) {
		return nil, errors.New("over http the token would travel in the clear to another machine")
	}
	b := &bridge{
		url: c.URL, agent: "gatehouse-stdio/" + c.Version, token: &token{read: c.Token, from: c.TokenFrom},
		// The bounds of this package take the place of egress's: a stream may last for days.
		client: egress.New(egress.Config{Timeout: 1 << 62, MaxBody: 1 << 62, Observe: c.Observe}).Client(to),
		out:    &output{w: c.Out}, slots: make(chan struct{}, inFlight), calls: map[wire.ID]*call{},
	}
	b.tell = func(format string, args ...any) { c.Tell(fmt.Sprintf(format, args...)) }
	if _, err := b.token.current(); err != nil {
		return nil, err
	}
	return b, nil
}

func loopback(host string) bool {
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.IsLoopback() || strings.EqualFold(host, "localhost")
}

// read takes the client's frames, in their order, until there are no more.
func (b *bridge) read(ctx context.Context, in io.Reader) error {
	lines := wire.NewLines(in, maxFrame)
	lines.OnSkip(func(_, _ []byte) {
		b.tell("the client sent a frame of more than %d bytes; it was dropped", maxFrame)
		b.answer(wire.ID{}, wire.InvalidRequest.Because("the frame is longer than %d bytes", maxFrame))
	})
	for ctx.Err() == nil {
		line, err := lines.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("reading the client's frames: %w", err)
		}
		b.take(ctx, line)
	}
	return nil
}

// take deals with one line. Requests run on their own; everything else keeps its order.
func (b *bridge) take(ctx context.Context, line []byte) {
	f, err := wire.ParseFrame(line)
	if err != nil {
		var e *wire.Error
		if !errors.As(err, &e) {
			e = wire.InvalidRequest.Because("this is no frame")
		}
		b.answer(f.ID, e) // the gateway would say the same
		return
	}
	line = append([]byte(nil), line...)
	switch {
	case f.Method == "initialize" && f.Kind == wire.Request:
		b.initialize(ctx, f, line)
	case f.Kind == wire.Request:
		b.request(ctx, f, line)
	case f.Method == "notifications/cancelled":
		b.cancelled(ctx, f, line)
	default:
		b.pass(ctx, f, line)
	}
}

// request begins a request.
func (b *bridge) request(ctx context.Context, f wire.Frame, line []byte) {
	ctx, cancel := context.WithCancel(ctx)
	c := &call{era: wire.EraOf("", f), listens: f.Method == "subscriptions/listen", cancel: cancel, sent: make(chan struct{})}
	b.mu.Lock()
	taken := b.calls[f.ID] != nil
	if !taken && !b.closed {
		b.calls[f.ID] = c
		b.running.Add(1)
	}
	closed := b.closed
	b.mu.Unlock()
	if taken {
		cancel()
		b.answer(f.ID, wire.InvalidRequest.Because("a request with this id is under way"))
		return
	}
	if closed {
		cancel()
		return
	}
	go func() {
		defer b.running.Done()
		defer func() {
			b.mu.Lock()
			delete(b.calls, f.ID)
			b.mu.Unlock()
			c.wasSent()
			cancel()
		}()
		select {
		case b.slots <- struct{}{}:
			defer func() { <-b.slots }()
		case <-ctx.Done():
			return
		}
		b.mu.Lock()
		c.begun = true
		b.mu.Unlock()
		b.carry(ctx, f, line, c)
	}()
}

// carry sends a request and writes what comes back.
func (b *bridge) carry(ctx context.Context, f wire.Frame, line []byte, c *call) {
	a, err := b.send(ctx, f, line, c.wasSent)
	if err == nil {
		err = b.deliver(a, f.ID, nil)
	}
	b.mu.Lock()
	back := c.back
	b.mu.Unlock()
	if err != nil && ctx.Err() == nil && !back {
		b.answer(f.ID, wire.InternalError.Because("%s", err))
	}
}

// cancelled takes a request back: with a handshake by the notification, without one by closing the request.
func (b *bridge) cancelled(ctx context.Context, f wire.Frame, line []byte) {
	v, _ := f.Params.Lookup("/requestId")
	b.mu.Lock()
	var c *call
	for id, open := range b.calls {
		if id.String() == v.String() {
			c = open
		}
	}
	if c != nil {
		c.back = true
	}
	local := c != nil && (c.era == wire.Modern || !c.begun)
	closed := b.closed
	if c != nil && !local && !closed {
		b.running.Add(1)
	}
	b.mu.Unlock()
	switch {
	case c == nil || closed: // it was answered already
	case local:
		c.cancel()
	default:
		go func() {
			defer b.running.Done()
			select {
			case <-c.sent: // the cancel must not overtake what it cancels
				b.pass(ctx, f, line)
			case <-ctx.Done():
			}
		}()
	}
}

// pass sends a notification or a response.
func (b *bridge) pass(ctx context.Context, f wire.Frame, line []byte) {
	limited, cancel := context.WithTimeout(ctx, notifyTime)
	defer cancel()
	a, err := b.send(limited, f, line, nil)
	if err == nil {
		err = b.deliver(a, wire.ID{}, nil)
	}
	if err != nil && ctx.Err() == nil {
		b.tell("%s was not taken: %s", describe(f), err)
		return
	}
	if f.Method == "notifications/initialized" {
		b.ready(line)
	}
}

func describe(f wire.Frame) string {
	if f.Method != "" {
		return "the client's " + f.Method
	}
	return "the client's answer to request " + f.ID.String()
}

// answer tells the client that a request cannot be answered.
func (b *bridge) answer(id wire.ID, e *wire.Error) { b.out.line(wire.AppendError(nil, id, e)) }

// drain waits for the calls under way after the client's last frame. What would never end is ended.
func (b *bridge) drain(ctx context.Context) {
	b.mu.Lock()
	b.closed = true
	for _, c := range b.calls {
		if c.listens {
			c.cancel()
		}
	}
	b.mu.Unlock()
	done := make(chan struct{})
	go func() { b.running.Wait(); close(done) }()
	select {
	case <-done:
	case <-ctx.Done():
	case <-time.After(lastCalls):
	}
}

var errOutput = errors.New("the client takes no more frames")

// output is where frames go, one a line.
type output struct {
	mu   sync.Mutex
	w    io.Writer
	fail context.CancelCauseFunc // is called when it cannot be written
}

// line writes one frame. Line ends between tokens, which is the only place where JSON can have any, become spaces.
func (o *output) line(frame []byte) {
	for i, c := range frame {
		if c == '\n' || c == '\r' {
			frame[i] = ' '
		}
	}
	frame = append(frame, '\n')
	o.mu.Lock()
	defer o.mu.Unlock()
	if _, err := o.w.Write(frame); err != nil {
		o.fail(fmt.Errorf("%w: %w", errOutput, err))
	}
}

// notDialled reports whether an error came before anything was sent.
func notDialled(err error) bool {
	var at *net.OpError
	return errors.As(err, &at) && at.Op == "dial"
}
