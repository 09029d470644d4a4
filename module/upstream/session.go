package upstream

import (
	"context"
	"errors"
	"fmt"

	"gatehouse/canon"
	"gatehouse/outcome"
	"gatehouse/wire"
)

// session is a run of a program that we have come to an understanding with. Era and revision hold for its life.
type session struct {
	*process
	revision wire.Revision
}

// ourselves is what every server is told of us: nothing that it could use. There is no capability, because models, persons
// and folders are not for servers.
const ourselves = `{"name":"gatehouse","title":"Gatehouse","version":"1"}`

// greet comes to an understanding: with the handshake that nearly all servers speak, else in the way that has none.
func greet(ctx context.Context, p *process) (*session, error) {
	result, err := p.request(ctx, "initialize",
		`{"capabilities":{},"clientInfo":`+ourselves+`,"protocolVersion":"`+string(wire.R20251125)+`"}`)
	var refusal *wire.Error
	if errors.As(err, &refusal) {
		return discover(ctx, p, refusal)
	}
	if err != nil {
		return nil, fmt.Errorf("initialize: %w", err)
	}
	said, _ := result.Member("protocolVersion")
	text, _ := said.Text()
	revision := wire.Revision(text)
	if !revision.Spoken() || revision.Era() != wire.Legacy {
		return nil, fmt.Errorf("it wants to speak revision %q, which we do not speak after a handshake", tidy(text))
	}
	p.note(wire.AppendNotification(nil, "notifications/initialized", ""))
	return &session{p, revision}, nil
}

// discover asks a server that has no handshake. If it knows that neither, its first refusal is what went wrong.
func discover(ctx context.Context, p *process, refusal *wire.Error) (*session, error) {
	s := &session{p, wire.R20260728}
	result, err := s.ask(ctx, "server/discover", "")
	var again *wire.Error
	if errors.As(err, &again) {
		return nil, fmt.Errorf("it refuses to initialize: %w", refusal)
	}
	if err != nil {
		return nil, fmt.Errorf("server/discover: %w", err)
	}
	versions, _ := result.Member("supportedVersions")
	for _, v := range versions.Elements {
		if text, _ := v.Text(); wire.Revision(text) == s.revision {
			s.open("subscriptions/listen", s.params(`"notifications":{"toolsListChanged":true}`))
			return s, nil
		}
	}
	return nil, fmt.Errorf("it does not speak revision %s", s.revision)
}

// params makes the params of a request from their members, in text that we made or checked. The modern era says in each
// request what the handshake said before.
func (s *session) params(members string) string {
	if s.revision.Era() == wire.Legacy {
		return "{" + members + "}"
	}
	meta := `{"_meta":{"` + wire.MetaClientCapabilities + `":{},"` + wire.MetaClientInfo + `":` + ourselves +
		`,"` + wire.MetaProtocolVersion + `":"` + string(s.revision) + `"}`
	if members != "" {
		meta += ","
	}
	return meta + members + "}"
}

// ask is request with what the era adds. What comes back is an object.
func (s *session) ask(ctx context.Context, method, members string) (canon.Value, error) {
	result, err := s.request(ctx, method, s.params(members))
	if err == nil && !result.IsObject() {
		return canon.Value{}, errUnreadable
	}
	return result, err
}

// call calls a tool with exactly the arguments that were checked.
func (s *session) call(ctx context.Context, tool string, arguments canon.Value) (canon.Value, error) {
	// "arguments" goes before "name", as the canonical form has it.
	members := make([]byte, 0, arguments.Len()+len(tool)+32)
	members = append(members, `"arguments":`...)
	members = arguments.AppendTo(members)
	members = append(members, `,"name":`...)
	members = canon.AppendString(members, tool)
	return s.ask(ctx, "tools/call", string(members))
}

// explain turns what became of a request into what a caller is told. reads says that the tool changes nothing.
func explain(err error, reads bool, hide func(string) string) error {
	var refusal *wire.Error
	switch {
	case errors.As(err, &refusal):
		return outcome.Upstream.Because("the server refused with error %d: %s", refusal.Code, tidy(hide(refusal.Message)))
	case errors.Is(err, errUnsent):
		return outcome.Upstream.From(err, "the server does not take calls at the moment; nothing was sent to it, try again later")
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		return err // the gate knows what that means for this tool
	}
	why := "no answer came"
	for _, known := range []error{errLost, errTooLong, errUnreadable} {
		if errors.Is(err, known) {
			why = known.Error()
		}
	}
	if reads {
		return outcome.Upstream.From(err, "%s", why)
	}
	return outcome.Unknown.From(err, "%s: look whether it happened before repeating it", why)
}
