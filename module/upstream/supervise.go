package upstream

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"time"
)

// state is how a server does.
type state struct {
	session *session      // nil while it takes no calls
	changed chan struct{} // closed when the state becomes another one
	next    time.Time     // when it is started again; zero while it is starting or ready
	since   time.Time     // of this state
	starts  int
	failure string // why the last run ended or did not come about
	refused bool   // it is never started here
	closed  bool
}

// supervise runs the program until ctx ends, and starts it again after pauses that grow.
func (s *server) supervise(ctx context.Context) {
	defer s.become(func(now *state) { now.closed = true })
	if err := s.cell.Problem(); err != nil {
		s.become(func(now *state) { now.refused, now.failure = true, err.Error() })
		s.log.Error("an upstream server is not started", "reason", err)
		<-ctx.Done()
		return
	}
	if s.cell != nil {
		s.log.Info("an upstream server is started", "sandbox", s.cell.String())
	}
	for pause := s.time.first; ; pause = min(2*pause, s.time.longest) {
		began := time.Now()
		err := s.run(ctx)
		if ctx.Err() != nil {
			return
		}
		if time.Since(began) > s.time.longest {
			pause = s.time.first
		}
		wait := pause - pause/4 + rand.N(pause/4+1)
		failure := tidy(s.hide(err.Error()))
		s.become(func(now *state) { now.next, now.failure = time.Now().Add(wait), failure })
		s.log.Warn("an upstream server is down", "reason", failure, "again_in", wait)
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
		}
	}
}

// become changes the state and wakes who waits for that.
func (s *server) become(change func(*state)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	close(s.state.changed)
	s.state.changed, s.state.since = make(chan struct{}), time.Now()
	change(&s.state)
}

// run is one run of the program, or one understanding with an address, from its start to its end.
func (s *server) run(ctx context.Context) error {
	s.become(func(now *state) { now.next, now.starts = time.Time{}, now.starts+1 })
	session, leave, err := s.connect(ctx)
	if err != nil {
		return err
	}
	defer leave()
	if err := s.listAgain(ctx, session, s.time.greeting); err != nil {
		return err
	}
	session.follow(session.revision)
	s.become(func(now *state) { now.session = session })
	defer s.become(func(now *state) { now.session = nil })
	s.log.Info("an upstream server is ready", "revision", string(session.revision))
	return s.attend(ctx, session)
}

// connect comes to an understanding with the server.
func (s *server) connect(ctx context.Context) (_ *session, leave func(), err error) {
	if s.config.URL != "" {
		return s.reach(ctx)
	}
	environment, err := s.environment()
	if err != nil {
		return nil, nil, err
	}
	p, err := start(launch{s.cell, environment, &s.stderr})
	if err != nil {
		return nil, nil, err
	}
	leave = func() { p.stop(s.time.grace) }
	ctx, cancel := context.WithTimeout(ctx, s.time.greeting)
	defer cancel()
	session, err := greet(ctx, p)
	if err != nil {
		leave()
		return nil, nil, err
	}
	return session, leave, nil
}

// reach does it with an address.
func (s *server) reach(life context.Context) (_ *session, leave func(), err error) {
	to, err := s.config.allow()
	if err != nil {
		return nil, nil, err
	}
	header, err := s.header()
	if err != nil {
		return nil, nil, err
	}
	ctx, cancel := context.WithTimeout(life, s.time.greeting)
	defer cancel()
	session, left, err := dial(ctx, life, line{s.config.URL, s.egress.Stream(to), header}, s.time)
	if err != nil {
		return nil, nil, err
	}
	// Calls that are under way may take long; a new understanding need not wait for them.
	return session, func() { s.running.Go(left) }, nil
}

// attend stays with a program that takes calls, and reads its tools again when it says so, but not all the time.
func (s *server) attend(ctx context.Context, session *session) error {
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-session.ending:
			return session.cause
		case <-session.relist:
		}
		if err := s.listAgain(ctx, session, s.time.list); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-session.ending:
			return session.cause
		case <-time.After(s.time.relist):
		}
	}
}

func (s *server) listAgain(ctx context.Context, session *session, within time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	return s.list(ctx, session)
}

// tell has the gate list the tools again.
func (s *server) tell() {
	select {
	case s.changes <- struct{}{}:
	default: // one is waiting already, and says the same
	}
}

// list reads the tools, offers them, and keeps them for the next start.
func (s *server) list(ctx context.Context, session *session) error {
	definitions, out, err := session.list(ctx, s.hide)
	if err != nil {
		return err
	}
	definitions, out = s.withoutSecrets(definitions, out)
	if s.offer(definitions, out) {
		s.tell()
	}
	s.mu.Lock()
	out = s.left
	s.mu.Unlock()
	for _, l := range out {
		s.log.Warn("a tool of an upstream server is left out", "tool", l.name, "reason", l.reason)
	}
	if names := s.unknown(); len(names) > 0 {
		s.log.Warn("the configuration names tools that the server does not have", "tools", names)
	}
	if err := s.book.see(ctx, s.definitions()); err != nil {
		// The tools are offered all the same: what may be called follows from the definitions, not from this table.
		s.log.Error("the tools of an upstream server cannot be kept for the next start", "error", err)
	}
	return nil
}

// environment is what is configured for the program. Secrets are read now.
func (s *server) environment() ([]string, error) {
	var all, hidden, quiet []string
	for _, name := range slices.Sorted(maps.Keys(s.config.Env)) {
		all = append(all, name+"="+s.config.Env[name])
		quiet = append(quiet, worthHiding(s.config.Env[name], 4)...)
	}
	for _, name := range slices.Sorted(maps.Keys(s.config.EnvFrom)) {
		value, err := s.config.EnvFrom[name].Resolve()
		if err != nil {
			return nil, fmt.Errorf("reading %s for the program's environment: %w", name, err)
		}
		if strings.ContainsRune(value.Reveal(), 0) {
			return nil, fmt.Errorf("%s cannot be an environment variable", name)
		}
		all = append(all, name+"="+value.Reveal())
		hidden = append(hidden, worthHiding(value.Reveal(), 1)...)
	}
	s.conceals(hidden, quiet)
	return all, nil
}

// header is what is sent to an address beside what the protocol wants. Secrets are read now.
func (s *server) header() (http.Header, error) {
	all := http.Header{}
	var hidden []string
	for _, name := range slices.Sorted(maps.Keys(s.config.HeadersFrom)) {
		value, err := s.config.HeadersFrom[name].Resolve()
		if err != nil {
			return nil, fmt.Errorf("reading header %s: %w", name, err)
		}
		text := strings.TrimSpace(value.Reveal())
		if text == "" || strings.ContainsFunc(text, func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f }) {
			return nil, fmt.Errorf("header %s is empty, or holds what a header cannot", name)
		}
		all[http.CanonicalHeaderKey(name)] = []string{text}
		hidden = append(hidden, credentials(text)...)
	}
	s.conceals(hidden, nil)
	return all, nil
}

func (s *server) conceals(hidden, quiet []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.hidden, s.quiet = hidden, quiet
}
