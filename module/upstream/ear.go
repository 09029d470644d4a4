package upstream

import (
	"errors"
	"math/rand/v2"
	"regexp"
	"strconv"
	"sync"
	"sync/atomic"

	"gatehouse/canon"
	"gatehouse/wire"
)

// ear takes what a server says, by whatever way it comes, and knows who waits for what.
type ear struct {
	relist chan struct{} // has room for one: the tools are to be read again
	noise  noise

	ending chan struct{} // closed once the end begins; then cause is set
	once   sync.Once
	cause  error

	mu      sync.Mutex       // guards the rest
	waiting map[int64]waiter // by the id of the request; nil when all is over
	last    int64            // id of the newest request
}

// waiter is a request that is not answered yet.
type waiter struct {
	got   chan answer
	tells tells
}

// tells hears how far a call has come; nil: nobody wants to know.
type tells func(done, total float64, message string)

// answer is what became of a request.
type answer struct {
	result canon.Value
	err    error // a *wire.Error where the server answered with one
}

// noise counts what a server said in vain.
type noise struct {
	long    atomic.Int64 // lines over maxLine
	unread  atomic.Int64 // lines that are no frame
	foreign atomic.Int64 // answers to nothing that was asked
}

func newEar() *ear {
	return &ear{
		relist: make(chan struct{}, 1), ending: make(chan struct{}), waiting: map[int64]waiter{},
		// Requests of the server have ids of its own, which are small: ours begin where the two are not mixed up.
		last: 1_000_000_000 + rand.Int64N(1_000_000_000),
	}
}

// end begins the end; the first cause is kept. It reports whether it was the first.
func (e *ear) end(cause error) (first bool) {
	e.once.Do(func() {
		e.cause, first = cause, true
		close(e.ending)
	})
	return first
}

// again asks for the tools to be read again.
func (e *ear) again() {
	select {
	case e.relist <- struct{}{}:
	default: // it is asked already
	}
}

// expect gives the next request its id. The same number is its token of progress.
func (e *ear) expect(tells tells) (id int64, got <-chan answer) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.last++
	c := make(chan answer, 1)
	if e.waiting == nil {
		c <- answer{err: errLost} // all is over
		return e.last, c
	}
	e.waiting[e.last] = waiter{c, tells}
	return e.last, c
}

func (e *ear) unexpect(id int64) {
	e.mu.Lock()
	defer e.mu.Unlock()
	delete(e.waiting, id)
}

// deliver gives an answer to whoever waits for it; ok is false if nobody does.
func (e *ear) deliver(id int64, a answer) (ok bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	w, ok := e.waiting[id]
	if ok {
		delete(e.waiting, id)
		w.got <- a
	}
	return ok
}

// forget tells all who wait that no answer comes any more.
func (e *ear) forget() {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, w := range e.waiting {
		w.got <- answer{err: errLost}
	}
	e.waiting = nil
}

// take looks at one message. What answers the server goes to reply.
func (e *ear) take(text []byte, reply func(frame []byte)) {
	f, err := wire.ParseFrame(text)
	if err != nil {
		e.noise.unread.Add(1)
		id, ok := f.ID.Int()
		if !ok {
			id, ok = answered(text, text)
		}
		if ok {
			e.deliver(id, answer{err: errUnreadable})
		}
		return
	}
	switch f.Kind {
	case wire.Request, wire.Notification:
		e.heed(f, reply)
	case wire.Response, wire.ErrorResponse:
		id, ok := f.ID.Int()
		if !ok || !e.deliver(id, answer{result: f.Result, err: asError(f.Error)}) {
			e.noise.foreign.Add(1)
		}
	}
}

// heed does what a request or a notification of the server asks for.
func (e *ear) heed(f wire.Frame, reply func(frame []byte)) {
	switch {
	case f.Kind == wire.Request:
		reply(answerTo(f))
	case f.Method == "notifications/tools/list_changed":
		e.again()
	case f.Method == "notifications/progress":
		e.progress(f.Params)
	}
}

// progress hands on how far a call has come. What is about no call that is under way is dropped.
func (e *ear) progress(params canon.Value) {
	token, _ := params.Member("progressToken")
	id, err := strconv.ParseInt(token.String(), 10, 64)
	if err != nil {
		return
	}
	e.mu.Lock()
	tells := e.waiting[id].tells
	e.mu.Unlock()
	if tells == nil {
		return
	}
	done, good := number(params, "progress")
	total, _ := number(params, "total")
	message, _ := params.Member("message")
	text, _ := message.Text()
	if good {
		tells(done, total, text)
	}
}

func number(params canon.Value, name string) (float64, bool) {
	v, _ := params.Member(name)
	n, err := strconv.ParseFloat(v.String(), 64)
	return n, err == nil
}

func asError(e *wire.Error) error {
	if e == nil {
		return nil
	}
	return e
}

// answerTo answers what a server asks. It is told that nothing of ours is for it to use: no model, no person, no folder.
func answerTo(f wire.Frame) []byte {
	switch f.Method {
	case "ping":
		return wire.AppendResult(nil, f.ID, "")
	case "roots/list":
		return wire.AppendResult(nil, f.ID, `{"roots":[]}`)
	}
	return wire.AppendError(nil, f.ID, wire.MethodNotFound.Because("Gatehouse does not do this for a server"))
}

// Where the writers of servers in use put the id of an answer: first, or last.
var (
	idFirst = regexp.MustCompile(`^\s*\{\s*(?:"jsonrpc"\s*:\s*"[^"]{0,9}"\s*,\s*)?"id"\s*:\s*([0-9]{1,18})\s*,`)
	idLast  = regexp.MustCompile(`[,{]\s*"id"\s*:\s*([0-9]{1,18})\s*(?:,\s*"jsonrpc"\s*:\s*"[^"]{0,9}"\s*)?\}\s*$`)
)

// answered guesses which request a text answers that cannot be read as a whole. A server that misleads it ends its own
// calls only, which it can do in any case.
func answered(first, last []byte) (id int64, ok bool) {
	const far = 256
	first, last = first[:min(len(first), far)], last[max(0, len(last)-far):]
	m := idFirst.FindSubmatch(first)
	if m == nil {
		m = idLast.FindSubmatch(last)
	}
	if m == nil {
		return 0, false
	}
	id, err := strconv.ParseInt(string(m[1]), 10, 64)
	return id, err == nil
}

// The ways in which a request gets no proper answer.
var (
	errUnsent     = errors.New("it could not be sent")
	errLost       = errors.New("the server ended before it answered")
	errTooLong    = errors.New("the answer is longer than 16 MiB")
	errUnreadable = errors.New("the answer is not strict JSON-RPC 2.0")
)
