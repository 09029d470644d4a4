package gate

import (
	"context"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"gatehouse/outcome"
)

// Limits bound what callers can make the process do. Zero values mean the defaults.
type Limits struct {
	CallsPerMinute int // of one root token, its children included; default 600
	InFlight       int // calls of one root token at a time; default 64
	InFlightAll    int // calls of all at a time; default 1024
}

func (l Limits) orDefaults() Limits {
	set := func(n *int, otherwise int) {
		if *n <= 0 {
			*n = otherwise
		}
	}
	set(&l.CallsPerMinute, 600)
	set(&l.InFlight, 64)
	set(&l.InFlightAll, 1024)
	return l
}

// limiter counts calls in flight and per minute, for root tokens, since children must not multiply what they share, and
// for tokens that have a rate of their own. It keeps nothing over a restart.
type limiter struct {
	limits Limits
	mu     sync.Mutex // guards all below
	all    int
	owners map[TokenID]*share
	swept  time.Time
}

type share struct {
	rate     *rate.Limiter
	perMin   int
	inFlight int
	last     time.Time
}

func newLimiter(l Limits) *limiter {
	return &limiter{limits: l, owners: map[TokenID]*share{}, swept: time.Now()}
}

// enter takes a place in flight for a chain of links, or says why there is none. leave gives it back.
func (l *limiter) enter(chain []Link) (leave func(), err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	l.sweep(now)
	if l.all >= l.limits.InFlightAll {
		return nil, limited(time.Second, "too many calls are under way; try again in a moment")
	}
	if len(chain) == 0 {
		l.all++
		return l.leave(nil), nil
	}
	root := l.share(chain[len(chain)-1].Token, l.limits.CallsPerMinute, now)
	if root.inFlight >= l.limits.InFlight {
		return nil, limited(time.Second, "too many calls of this token are under way; wait for one to end")
	}
	for _, link := range chain {
		if link.Rate <= 0 {
			continue
		}
		// A token's own rate is kept apart from the root's configured one: negative, since ids are positive.
		if own := l.share(-link.Token, link.Rate, now); own.rate.TokensAt(now) < 1 {
			return nil, limited(time.Minute/time.Duration(link.Rate), "the token's rate is used up; wait a moment")
		}
	}
	if !root.rate.AllowN(now, 1) {
		return nil, limited(time.Minute/time.Duration(l.limits.CallsPerMinute), "the calls of this minute are used up; wait a moment")
	}
	for _, link := range chain {
		if link.Rate > 0 {
			l.owners[-link.Token].rate.AllowN(now, 1)
		}
	}
	l.all++
	root.inFlight++
	return l.leave(root), nil
}

// would says why enter would refuse, and takes nothing.
func (l *limiter) would(chain []Link) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	if l.all >= l.limits.InFlightAll {
		return limited(time.Second, "too many calls are under way; try again in a moment")
	}
	if len(chain) == 0 {
		return nil
	}
	root := l.owners[chain[len(chain)-1].Token]
	if root != nil && root.inFlight >= l.limits.InFlight {
		return limited(time.Second, "too many calls of this token are under way; wait for one to end")
	}
	for _, link := range chain {
		own := l.owners[-link.Token]
		if link.Rate > 0 && own != nil && own.perMin == link.Rate && own.rate.TokensAt(now) < 1 {
			return limited(time.Minute/time.Duration(link.Rate), "the token's rate is used up; wait a moment")
		}
	}
	if root != nil && root.rate.TokensAt(now) < 1 {
		return limited(time.Minute/time.Duration(l.limits.CallsPerMinute), "the calls of this minute are used up; wait a moment")
	}
	return nil
}

func (l *limiter) leave(s *share) func() {
	return func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.all--
		if s != nil {
			s.inFlight--
		}
	}
}

func (l *limiter) share(id TokenID, perMinute int, now time.Time) *share {
	s := l.owners[id]
	if s == nil || s.perMin != perMinute {
		inFlight := 0
		if s != nil {
			inFlight = s.inFlight
		}
		s = &share{rate: rate.NewLimiter(rate.Limit(float64(perMinute)/60), perMinute), perMin: perMinute, inFlight: inFlight}
		l.owners[id] = s
	}
	s.last = now
	return s
}

// sweep forgets tokens that were quiet for long enough to have their whole rate back.
func (l *limiter) sweep(now time.Time) {
	if now.Sub(l.swept) < time.Minute {
		return
	}
	l.swept = now
	for id, s := range l.owners {
		if s.inFlight == 0 && now.Sub(s.last) > 2*time.Minute {
			delete(l.owners, id)
		}
	}
}

func limited(after time.Duration, reason string) error {
	e := outcome.Limited.Because("%s", reason)
	e.RetryAfter = after
	return e
}

// limit is step 3: is anything left. The use and the money themselves are taken in step 6.
func (g *Gate) limit(ctx context.Context, p *passage) (err error) {
	var chain []Link
	if p.bearer != nil {
		chain = p.bearer.Chain
	}
	if p.leave, err = g.limiter.enter(chain); err != nil {
		p.rule = "rate"
		return err
	}
	if ownAffairs[p.tool.name] || !on(checkUses) {
		return nil
	}
	return g.left(ctx, p, chain)
}

// left asks the log whether uses and budgets reach for one more call.
func (g *Gate) left(ctx context.Context, p *passage, chain []Link) error {
	if len(chain) > 0 {
		if err := g.parts.Log.Left(ctx, chain); err != nil {
			p.rule = "uses"
			return err
		}
	}
	if price := p.tool.spec.Price; price > 0 {
		if err := g.parts.Log.Affords(ctx, p.caller.person, price, chain); err != nil {
			p.rule = "budget"
			return err
		}
	}
	return nil
}
