package upstream

import (
	"context"
	"errors"
	"fmt"

	"gatehouse/canon"
	"gatehouse/outcome"
	"gatehouse/wire"
)

// session is a server that we have come to an understanding with. Era and revision hold for its life.
type session struct {
	peer
	*ear
	revision wire.Revision
}

// ourselves is what every server is told of us: nothing that it could use. There is no capability, because models, persons
// and folders are not for servers.
const ourselves = `{"name":"gatehouse","title":"Gatehouse","version":"1"}`

// handshake is the question that begins the legacy era.
func handshake() question {
	return question{
		method:  "initialize",
		members: `"capabilities":{},"clientInfo":` + ourselves + `,"protocolVersion":"` + string(wire.R20251125) + `"`,
	}
}

// agreed reads the revision that a server answers the handshake with.
func agreed(result canon.Value) (wire.Revision, error) {
	said, _ := result.Member("protocolVersion")
	text, _ := said.Text()
	revision := wire.Revision(text)
	if !revision.Spoken() || revision.Era() != wire.Legacy {
		return "", fmt.Errorf("it wants to speak revision %q, which we do not speak after a handshake", tidy(text))
	}
	return revision, nil
}

// inquiry is the question that tells whether a server speaks without a handshake.
func inquiry() question {
	return question{method: "server/discover", revision: wire.R20260728, repeats: true}
}

// speaks reports whether an answer to inquiry, or the data of a refusal, lists the modern revision.
func speaks(list canon.Value, name string) bool {
	versions, _ := list.Member(name)
	for _, v := range versions.Elements {
		if text, _ := v.Text(); wire.Revision(text) == wire.R20260728 {
			return true
		}
	}
	return false
}

// greet comes to an understanding with a program: with the handshake that nearly all speak, else in the way that has none.
func greet(ctx context.Context, p *process) (*session, error) {
	result, err := p.ask(ctx, handshake())
	var refusal *wire.Error
	if errors.As(err, &refusal) {
		return discover(ctx, p, refusal)
	}
	if err != nil {
		return nil, fmt.Errorf("initialize: %w", err)
	}
	revision, err := agreed(result)
	if err != nil {
		return nil, err
	}
	if err := p.hand(ctx, wire.AppendNotification(nil, "notifications/initialized", "")); err != nil {
		return nil, fmt.Errorf("notifications/initialized: %w", err)
	}
	return &session{p, p.ear, revision}, nil
}

// discover asks a program that has no handshake. If it knows that neither, its first refusal is what went wrong.
func discover(ctx context.Context, p *process, refusal *wire.Error) (*session, error) {
	result, err := p.ask(ctx, inquiry())
	var again *wire.Error
	if errors.As(err, &again) {
		return nil, fmt.Errorf("it refuses to initialize: %w", refusal)
	}
	if err != nil {
		return nil, fmt.Errorf("server/discover: %w", err)
	}
	if !speaks(result, "supportedVersions") {
		return nil, fmt.Errorf("it does not speak revision %s", wire.R20260728)
	}
	return &session{p, p.ear, wire.R20260728}, nil
}

// put asks in the session's revision. What comes back is an object.
func (s *session) put(ctx context.Context, q question) (canon.Value, error) {
	q.revision = s.revision
	result, err := s.ask(ctx, q)
	if err == nil && !result.IsObject() {
		return canon.Value{}, errUnreadable
	}
	return result, err
}

// call calls a tool with exactly the arguments that were checked.
func (s *session) call(ctx context.Context, o *offered, arguments canon.Value, reads bool, tells tells) (canon.Value, error) {
	// "arguments" goes before "name", as the canonical form has it.
	members := make([]byte, 0, arguments.Len()+len(o.remote)+32)
	members = append(members, `"arguments":`...)
	members = arguments.AppendTo(members)
	members = append(members, `,"name":`...)
	members = canon.AppendString(members, o.remote)
	return s.put(ctx, question{
		method: "tools/call", members: string(members), tells: tells,
		target: o.remote, headers: o.headers, args: arguments, repeats: reads,
	})
}

// explain turns what became of a request into what a caller is told. reads says that the tool changes nothing.
func explain(err error, reads bool, hide func(string) string) error {
	var refusal *wire.Error
	var status *statusError
	switch {
	case errors.Is(err, errMisfit):
		return outcome.Invalid.From(err, "%s: %s", errMisfit, "an integer must lie between ±(2⁵³−1)")
	case errors.As(err, &refusal):
		return outcome.Upstream.Because("the server refused with error %d: %s", refusal.Code, tidy(hide(refusal.Message)))
	case errors.Is(err, errUnsent):
		return outcome.Upstream.From(err, "the server does not take calls at the moment; nothing was sent to it, try again later")
	case errors.Is(err, errGone), errors.As(err, &status) && status.refused():
		return outcome.Upstream.From(err, "%s", why(err))
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		return err // the gate knows what that means for this tool
	}
	if reads {
		return outcome.Upstream.From(err, "%s", why(err))
	}
	return outcome.Unknown.From(err, "%s: look whether it happened before repeating it", why(err))
}

// why says what went wrong in words of ours: an error's own may repeat the server's, or the address.
func why(err error) string {
	for _, known := range []error{errLost, errTooLong, errUnreadable, errCut, errEmpty, errForeign, errGone} {
		if errors.Is(err, known) {
			return known.Error()
		}
	}
	var status *statusError
	if errors.As(err, &status) {
		return status.Error()
	}
	return "no answer came"
}
