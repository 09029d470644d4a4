package upstream

import (
	"bufio"
	"context"
	"io"
	"os"
	"runtime"
	"time"

	"gatehouse/canon"
	"gatehouse/gate"
	"gatehouse/module"
	"gatehouse/store"
)

// NewQuick is New for tests, which do not want to wait for the usual pauses.
func NewQuick(ctx context.Context, kit module.Kit, cfg Config) (*Upstream, error) {
	return newUpstream(ctx, kit, cfg, timing{
		first: 50 * time.Millisecond, longest: 400 * time.Millisecond, greeting: 20 * time.Second, list: 10 * time.Second,
		relist: 300 * time.Millisecond, relook: time.Second, wait: 10 * time.Second, grace: 300 * time.Millisecond,
	})
}

// NewPausing has a pause before the second start that a test can use.
func NewPausing(ctx context.Context, kit module.Kit, cfg Config) (*Upstream, error) {
	return newUpstream(ctx, kit, cfg, timing{
		first: 2 * time.Second, longest: 2 * time.Second, greeting: 20 * time.Second, list: 10 * time.Second,
		relist: time.Hour, relook: time.Hour, wait: 10 * time.Second, grace: 300 * time.Millisecond,
	})
}

// NewLazy has a long pause before a program is started again, and so a state in which it is down.
func NewLazy(ctx context.Context, kit module.Kit, cfg Config) (*Upstream, error) {
	return newUpstream(ctx, kit, cfg, timing{
		first: time.Hour, longest: time.Hour, greeting: 20 * time.Second, list: 10 * time.Second,
		relist: time.Hour, relook: time.Hour, wait: 2 * time.Second, grace: 300 * time.Millisecond,
	})
}

// Beginning gives what a program reads first when it answered the handshake before it read on, so that the writer finds all
// that follows waiting at once.
func Beginning(ctx context.Context) (frames []string, err error) {
	theirs, ours, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer func() { _ = theirs.Close() }()
	p := &process{ear: newEar(), in: ours, out: make(chan []byte), notes: make(chan []byte, 64), done: make(chan struct{})}
	const full = 64 << 10
	if _, err := ours.Write(make([]byte, full)); err != nil {
		return nil, err
	}
	first := p.last + 1
	go p.write()
	defer p.end(errEnded)
	go func() {
		if s, err := greet(ctx, p); err == nil {
			_, _ = s.put(ctx, question{method: "tools/list"}) // nobody answers it
		}
	}()
	result, err := canon.ParseObject([]byte(`{"protocolVersion":"2025-11-25"}`))
	if err != nil {
		return nil, err
	}
	for !p.deliver(first, answer{result: result}) {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		runtime.Gosched()
	}
	<-time.After(5 * time.Millisecond)
	if _, err := io.ReadFull(theirs, make([]byte, full)); err != nil {
		return nil, err
	}
	lines := bufio.NewReader(theirs)
	for range 3 {
		line, err := lines.ReadString('\n')
		if err != nil {
			return nil, err
		}
		frames = append(frames, line)
	}
	return frames, nil
}

// Answered guesses which request an unreadable line answers.
func Answered(first, last []byte) (int64, bool) { return answered(first, last) }

// Tidy makes a foreign text one short line.
func Tidy(s string) string { return tidy(s) }

// Offered takes one entry of a list of tools and tells the name that the tool got at the gate.
func Offered(entry []byte) (name, definition string, err error) {
	v, err := canon.Parse(entry)
	if err != nil {
		return "", "", err
	}
	d, err := parseDefinition(v)
	if err != nil {
		return "", "", err
	}
	s := &server{name: "far"}
	if _, err := s.make(d.name(), d); err != nil {
		return "", "", err
	}
	return d.name(), d.value.String(), nil
}

// Book is the memory of one server.
type Book struct{ b *book }

// OpenBook opens the memory of one server and command.
func OpenBook(ctx context.Context, db *store.DB, server, identity string) (Book, error) {
	b, err := openBook(ctx, rows{db}, server, identity)
	return Book{b}, err
}

// See keeps what the server has now: names with their descriptions.
func (b Book) See(ctx context.Context, tools map[string]string) error {
	var all []definition
	for name, description := range tools {
		all = append(all, describe(name, description))
	}
	return b.b.see(ctx, all)
}

// Accept keeps that a call was let through.
func (b Book) Accept(ctx context.Context, name, description string) error {
	return b.b.accept(ctx, describe(name, description))
}

// Known gives name, definition and acceptance of all rows.
func (b Book) Known() map[string][2]string {
	all := map[string][2]string{}
	for name, r := range b.b.snapshot() {
		all[name] = [2]string{r.definition, r.accepted}
	}
	return all
}

// Definitions names the tools that are offered at once after a start.
func (b Book) Definitions() (names []string) {
	for _, d := range b.b.definitions() {
		names = append(names, d.remote)
	}
	return names
}

func describe(name, description string) definition {
	v, err := canon.From(map[string]string{"name": name, "description": description})
	if err != nil {
		panic(err)
	}
	return definition{name, v}
}

// Migrations are the module's.
var Migrations = migrations

// Price reads a price.
func ReadPrice(text string) (gate.Money, error) {
	var p Price
	err := p.UnmarshalText([]byte(text))
	return gate.Money(p), err
}
