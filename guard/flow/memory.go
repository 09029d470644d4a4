package flow

import (
	"slices"
	"strings"
)

// The bounds of a memory. What does not fit any more is kept in a filter that may say yes where it should say no, and
// never no where it should say yes; so forgetting leads to more questions, never to fewer.
const (
	maxRecent  = 16_384 // values that are known with their source
	maxHeld    = 4_096  // values of the person's own; those that do not fit release nothing
	maxSources = 256    // earlier calls that are known by name
	filterBits = 1 << 20
	filterUses = 4 // bits for each value
)

// Memory is what was read under one root token. It is not safe for concurrent use.
type Memory struct {
	key       Key
	untrusted mark // something that other people can write was read
	private   mark // something that belongs to the person was read
	all       mark // more was read than is looked at: everything counts as seen
	hot       bool // a guard found an order
	sources   []Source
	dropped   uint64           // sources that were there before the first of sources
	recent    map[uint64]memo  // hash → what is known of it
	order     []uint64         // of recent, the oldest first
	held      map[uint64]int64 // hash → when it was last read
	filter    []uint64         // of what was recent once; nil while nothing was
	filtered  int64            // when the newest value of the filter was read
}

// mark is something that happened, and when it happened last.
type mark struct {
	set bool
	at  int64
}

func (k *mark) put(at int64) {
	if !k.set || at > k.at {
		*k = mark{true, at}
	}
}

func (k *mark) expire(before int64) {
	if k.set && k.at < before {
		*k = mark{}
	}
}

// memo is what is known of one value.
type memo struct {
	source uint64 // the first that brought it, counted from the first that there ever was
	at     int64  // when it was brought last
	read   bool   // it stood in an untrusted result; else only the agent wrote it
}

// NewMemory is the memory of someone who has read nothing. The key is random and stays with the memory.
func NewMemory(key Key) *Memory {
	return &Memory{key: key, recent: map[uint64]memo{}, held: map[uint64]int64{}}
}

// Learn remembers the result of a call, before the agent sees it. said are the values of the call's own arguments: what
// the agent wrote itself and a tool gave back is not the person's because of that.
func (m *Memory) Learn(s Source, result, said Values) {
	s.ID, s.Tool = short(s.ID), short(s.Tool)
	if s.Private {
		m.private.put(s.At)
	}
	if s.Untrusted {
		m.untrusted.put(s.At)
		number := m.source(s)
		for kind, values := range result.each {
			for _, value := range values {
				m.remember(m.key.hash(kind, value), memo{number, s.At, true})
			}
		}
		if result.cut {
			m.all.put(s.At)
		}
	}
	if m.untrusted.set {
		m.say(s, said)
	}
	if s.Private && !s.Untrusted {
		m.hold(s.At, result)
	}
}

// longestName is how much of an id and of a tool's name is kept.
const longestName = 200

func short(name string) string {
	return strings.ToValidUTF8(name[:min(len(name), longestName)], "")
}

// each gives what counts as having been read.
func (v *Values) each(yield func(kind byte, values []string) bool) {
	_ = yield(isAddress, v.addresses) && yield(isPart, v.parts) && yield(isPair, v.pairs) && yield(isItem, v.items)
}

// say remembers what the agent wrote after it had read other people's words: it may be theirs.
func (m *Memory) say(s Source, said Values) {
	if said.cut {
		m.all.put(s.At)
	}
	if len(said.addresses)+len(said.items) == 0 {
		return
	}
	what := memo{m.source(s), s.At, false}
	for _, value := range said.addresses {
		m.remember(m.key.hash(isAddress, value), what)
	}
	for _, value := range said.items {
		m.remember(m.key.hash(isItem, value), what)
	}
}

// hold keeps the values that the person's own data held before anyone else showed them.
func (m *Memory) hold(at int64, result Values) {
	own := func(kind byte, values []string) {
		for _, value := range values {
			h := m.key.hash(kind, value)
			if _, known := m.held[h]; known || len(m.held) < maxHeld && !m.met(h) {
				m.held[h] = at
			}
		}
	}
	own(isAddress, result.addresses)
	own(isItem, result.items)
}

// source gives the number of an earlier call and makes room for it.
func (m *Memory) source(s Source) uint64 {
	n := len(m.sources)
	if n > 0 && m.sources[n-1] == s {
		return m.dropped + uint64(n) - 1
	}
	if n == maxSources {
		m.sources = slices.Delete(m.sources, 0, 1)
		m.dropped++
	}
	m.sources = append(m.sources, s)
	return m.dropped + uint64(len(m.sources)) - 1
}

func (m *Memory) remember(h uint64, what memo) {
	if old, known := m.recent[h]; known {
		if old.read || !what.read {
			what.source = old.source
		}
		what.at, what.read = max(what.at, old.at), what.read || old.read
		m.recent[h] = what
		return
	}
	if len(m.order) >= maxRecent {
		m.forget(maxRecent / 8)
	}
	m.recent[h] = what
	m.order = append(m.order, h)
}

// forget moves the n oldest values into the filter.
func (m *Memory) forget(n int) {
	for _, h := range m.order[:n] {
		m.strain(h)
		m.filtered = max(m.filtered, m.recent[h].at)
		delete(m.recent, h)
	}
	m.order = slices.Delete(m.order, 0, n)
}

func (m *Memory) strain(h uint64) {
	if m.filter == nil {
		m.filter = make([]uint64, filterBits/64)
	}
	for bit := range bitsOf(h) {
		m.filter[bit/64] |= 1 << (bit % 64)
	}
}

// bitsOf gives the bits of a value in the filter, by double hashing.
func bitsOf(h uint64) func(func(uint64) bool) {
	return func(yield func(uint64) bool) {
		step := h>>32 | 1
		for range filterUses {
			if !yield(h % filterBits) {
				return
			}
			h += step
		}
	}
}

func (m *Memory) strained(h uint64) bool {
	if m.filter == nil {
		return false
	}
	for bit := range bitsOf(h) {
		if m.filter[bit/64]&(1<<(bit%64)) == 0 {
			return false
		}
	}
	return true
}

// met reports whether a value was read in an untrusted result or written by the agent after one.
func (m *Memory) met(h uint64) bool {
	_, known := m.recent[h]
	return known || m.all.set || m.strained(h)
}

// stood reports whether a value stood in an untrusted result, and in which if that is still known.
func (m *Memory) stood(kind byte, value string) (from *Source, yes bool) {
	h := m.key.hash(kind, value)
	if what, known := m.recent[h]; known && what.read {
		if n := what.source - m.dropped; what.source >= m.dropped && n < uint64(len(m.sources)) {
			from = &m.sources[n]
		}
		return from, true
	}
	return nil, m.all.set || m.strained(h)
}

// holds reports whether the person's own data held a value before anyone else showed it.
func (m *Memory) holds(kind byte, value string) bool {
	_, held := m.held[m.key.hash(kind, value)]
	return held
}

// Heat marks that a guard found an order in a result: from now on every call with an effect asks, until [Memory.Cool].
func (m *Memory) Heat() { m.hot = true }

// Cool takes the mark away. Only a person may want that.
func (m *Memory) Cool() { m.hot = false }

// Hot reports whether the mark is there.
func (m *Memory) Hot() bool { return m.hot }

// Tainted reports whether something that other people can write was read.
func (m *Memory) Tainted() bool { return m.untrusted.set }

// Private reports whether something that belongs to the person was read.
func (m *Memory) Private() bool { return m.private.set }

// Len is how many values are known exactly.
func (m *Memory) Len() int { return len(m.order) }

// Expire forgets what was last read before a time. The filter goes when all of it is older; the mark of an order stays.
func (m *Memory) Expire(before int64) {
	m.untrusted.expire(before)
	m.private.expire(before)
	m.all.expire(before)
	m.order = slices.DeleteFunc(m.order, func(h uint64) bool {
		old := m.recent[h].at < before
		if old {
			delete(m.recent, h)
		}
		return old
	})
	for h, at := range m.held {
		if at < before {
			delete(m.held, h)
		}
	}
	if m.filter != nil && m.filtered < before {
		m.filter, m.filtered = nil, 0
	}
}
