package upstream

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"gatehouse/canon"
	"gatehouse/gate"
	"gatehouse/outcome"
)

// call is the handler of every tool: it sends exactly the arguments that the gate checked.
func (s *server) call(ctx context.Context, p gate.Permit, o *offered, arguments gate.Raw) (gate.Content, error) {
	reads := s.config.tool(o.remote).Effect.Effect == gate.Reads
	session, err := s.await(ctx)
	if err != nil {
		return gate.Content{}, explain(err, reads, s.hide)
	}
	// The server may have said something else of its tool since the call was let through.
	if !s.current(o) {
		return gate.Content{}, outcome.Invalidated.Because("the server changed this tool in the meantime; nothing was sent to it, list your tools again")
	}
	if err := s.book.accept(ctx, o.definition); err != nil {
		s.log.Error("a call of a tool cannot be noted for servers.review", "error", err)
	}
	var tells tells
	if p.Followed() {
		tells = func(done, total float64, message string) { p.Progress(done, total, tidy(s.hide(message))) }
	}
	result, err := session.call(ctx, o, arguments, reads, tells)
	if err != nil {
		return gate.Content{}, explain(err, reads, s.hide)
	}
	content, err := s.content(result)
	if err != nil {
		return gate.Content{}, explain(err, reads, s.hide)
	}
	return content, nil
}

// await gives the session of a server that takes calls, and waits for one that is starting.
func (s *server) await(ctx context.Context) (*session, error) {
	ctx, cancel := context.WithTimeout(ctx, s.time.wait)
	defer cancel()
	end, _ := ctx.Deadline()
	for {
		s.mu.Lock()
		now := s.state
		s.mu.Unlock()
		switch {
		case now.session != nil:
			return now.session, nil
		case now.closed:
			return nil, fmt.Errorf("%w: the server was stopped", errUnsent)
		case now.refused:
			return nil, fmt.Errorf("%w: the server is not started on this machine; its status says why", errUnsent)
		case now.next.After(end):
			return nil, fmt.Errorf("%w: the server is down: %s", errUnsent, now.failure)
		}
		select {
		case <-now.changed:
		case <-ctx.Done():
			return nil, fmt.Errorf("%w: the server did not become ready in time: %s", errUnsent, now.failure)
		}
	}
}

// content takes a result apart: what entries write themselves is left out, all else is kept, known or not.
func (s *server) content(result canon.Value) (gate.Content, error) {
	var c gate.Content
	listed := false
	for name, member := range result.Members {
		switch name {
		case "isError":
			if text := member.String(); text != "true" && text != "false" {
				return c, errUnreadable
			}
			c.Failed = member.String() == "true"
		case "resultType":
			if member.String() != `"complete"` {
				return c, fmt.Errorf("%w: the server asks for something that is not given to it", errUnreadable)
			}
		case "content":
			if listed = strings.HasPrefix(member.String(), "["); !listed {
				return c, errUnreadable
			}
		}
	}
	c.Result = result.Keep(func(name string) bool { return name != "_meta" && name != "isError" && name != "resultType" })
	if !listed {
		var err error
		if c.Result, err = withContent(c.Result); err != nil {
			return c, errors.Join(errUnreadable, err)
		}
	}
	var err error
	c.Result, err = s.conceal(c.Result)
	return c, err
}

// withContent adds the list that a result must have.
func withContent(result canon.Value) (canon.Value, error) {
	text := []byte(`{"content":[]`)
	if result.Len() > len("{}") {
		text = append(text, ',')
	}
	return canon.ParseObject(append(text, result.String()[1:]...))
}
