package upstream

import (
	"context"
	"fmt"
	"strconv"

	"gatehouse/canon"
	"gatehouse/wire"
)

// peer is a server that can be asked: a run of a program, or an address. Safe for concurrent use.
type peer interface {
	// ask sends one request and waits for its answer. errUnsent: nothing was sent. A *wire.Error and a *statusError are the
	// server's own. Any other error, the context's among them, means that nobody knows what became of it.
	ask(context.Context, question) (canon.Value, error)
	// tell sends a notification, which nobody waits for.
	tell(method, params string)
	// follow has the server say, from now on, when its tools change, if it can. It is called once.
	follow(wire.Revision)
}

// question is one request to a server.
type question struct {
	method   string
	members  string        // of its params, in text that we made or checked
	revision wire.Revision // says what every request must say of us; empty before that is known
	tells    tells         // hears of progress

	// Only for servers that are reached over HTTP:
	target  string // the name of the tool, which a header repeats
	headers []wire.ParamHeader
	args    canon.Value // where headers finds what it repeats
	repeats bool        // it changes nothing, and may be sent again where the server has forgotten us
}

// params makes the params of the request. The modern era says in each request what the handshake said before. The token
// of progress is the request's own id.
func (q question) params(id int64) []byte {
	b := []byte("{")
	modern := q.revision.Era() == wire.Modern
	if modern || q.tells != nil {
		b = append(b, `"_meta":{`...)
		if modern {
			b = append(b, `"`+wire.MetaClientCapabilities+`":{},"`+wire.MetaClientInfo+`":`+ourselves+
				`,"`+wire.MetaProtocolVersion+`":"`+string(q.revision)+`"`...)
		}
		if q.tells != nil {
			if modern {
				b = append(b, ',')
			}
			b = strconv.AppendInt(append(b, `"`+wire.MetaProgressToken+`":`...), id, 10)
		}
		b = append(b, '}')
		if q.members != "" {
			b = append(b, ',')
		}
	}
	b = append(b, q.members...)
	return append(b, '}')
}

// frame makes the whole request.
func (q question) frame(id int64) []byte {
	return wire.AppendRequest(nil, wire.IntID(id), q.method, q.params(id))
}

// cancelled is what a server is told of a request for which nobody waits any more.
func cancelled(id int64) (method, params string) {
	return "notifications/cancelled", `{"reason":"nobody waits any more","requestId":` + strconv.FormatInt(id, 10) + `}`
}

// ask implements peer.
func (p *process) ask(ctx context.Context, q question) (canon.Value, error) {
	id, got := p.expect(q.tells)
	defer p.unexpect(id)
	if err := p.hand(ctx, q.frame(id)); err != nil {
		return canon.Value{}, err
	}
	select {
	case a := <-got:
		return a.result, a.err
	case <-ctx.Done():
		p.tell(cancelled(id))
		return canon.Value{}, fmt.Errorf("waiting for the answer to %s: %w", q.method, ctx.Err())
	}
}

// hand gives the writer a frame that whatever is asked next must come after. A note could be overtaken.
func (p *process) hand(ctx context.Context, frame []byte) error {
	select {
	case p.out <- frame:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("%w: %w", errUnsent, ctx.Err())
	case <-p.ending:
		return fmt.Errorf("%w: %w", errUnsent, p.cause)
	}
}

// tell implements peer. It is dropped while the program does not read.
func (p *process) tell(method, params string) { p.note(wire.AppendNotification(nil, method, params)) }

// follow implements peer: the handshake has said it already; the modern era has a request that stays open.
func (p *process) follow(r wire.Revision) {
	if r.Era() == wire.Modern {
		id, _ := p.expect(nil)
		q := question{method: "subscriptions/listen", members: `"notifications":{"toolsListChanged":true}`, revision: r}
		p.note(q.frame(id))
	}
}
