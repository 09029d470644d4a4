package flow

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"
	"unicode/utf8"
)

// The form of an encoded memory: the magic with the version, the key, the marks, and then each list with its length before
// it, all numbers big-endian. The same memory has the same bytes: what Go keeps in maps is written in order.
const magic = "ghflow1\n"

// The bits of the marks.
const (
	bitUntrusted = 1 << iota
	bitPrivate
	bitAll
	bitHot
	bitFilter
	bitsKnown = 1<<iota - 1
)

// MarshalBinary writes a memory so that [Memory.UnmarshalBinary] reads it back. It holds no value in clear, but hashes of
// few possible values can be guessed by whoever has the key, which is in it: seal what is kept.
func (m *Memory) MarshalBinary() ([]byte, error) {
	b := make([]byte, 0, 128+len(m.order)*25+len(m.held)*16+len(m.filter)*8)
	b = append(append(b, magic...), m.key[:]...)
	bits := byte(0)
	for bit, set := range map[byte]bool{
		bitUntrusted: m.untrusted.set, bitPrivate: m.private.set, bitAll: m.all.set, bitHot: m.hot, bitFilter: m.filter != nil,
	} {
		if set {
			bits |= bit
		}
	}
	b = append(b, bits)
	for _, at := range []int64{m.untrusted.at, m.private.at, m.all.at, m.filtered} {
		b = binary.BigEndian.AppendUint64(b, uint64(at))
	}
	b = binary.BigEndian.AppendUint64(b, m.dropped)
	b = binary.BigEndian.AppendUint32(b, uint32(len(m.sources)))
	for _, s := range m.sources {
		b = appendText(appendText(b, s.ID), s.Tool)
		b = binary.BigEndian.AppendUint64(b, uint64(s.At))
		b = append(b, bit(s.Untrusted)|bit(s.Private)<<1)
	}
	b = binary.BigEndian.AppendUint32(b, uint32(len(m.order)))
	for _, h := range m.order {
		what := m.recent[h]
		b = binary.BigEndian.AppendUint64(b, h)
		b = binary.BigEndian.AppendUint64(b, what.source)
		b = binary.BigEndian.AppendUint64(b, uint64(what.at))
		b = append(b, bit(what.read))
	}
	held := make([]uint64, 0, len(m.held))
	for h := range m.held {
		held = append(held, h)
	}
	slices.Sort(held)
	b = binary.BigEndian.AppendUint32(b, uint32(len(held)))
	for _, h := range held {
		b = binary.BigEndian.AppendUint64(b, h)
		b = binary.BigEndian.AppendUint64(b, uint64(m.held[h]))
	}
	for _, word := range m.filter {
		b = binary.BigEndian.AppendUint64(b, word)
	}
	return b, nil
}

func bit(set bool) byte {
	if set {
		return 1
	}
	return 0
}

func appendText(b []byte, s string) []byte {
	return append(binary.BigEndian.AppendUint16(b, uint16(len(s))), s...)
}

// UnmarshalBinary reads what [Memory.MarshalBinary] wrote, and nothing else: bytes that are missing, left over, out of
// bounds or that it would not write are an error. A memory that cannot be read must not be taken for an empty one.
func (m *Memory) UnmarshalBinary(data []byte) error {
	d := decoder{rest: data}
	if string(d.bytes(len(magic))) != magic {
		return errors.New("this is no memory of the session rule, or one of another version")
	}
	n := NewMemory(Key(d.bytes(len(Key{}))))
	bits := d.byte()
	n.untrusted.set, n.private.set, n.all.set = bits&bitUntrusted != 0, bits&bitPrivate != 0, bits&bitAll != 0
	n.hot = bits&bitHot != 0
	n.untrusted.at, n.private.at, n.all.at, n.filtered = d.int64(), d.int64(), d.int64(), d.int64()
	d.must(bits <= bitsKnown)
	for _, k := range []mark{n.untrusted, n.private, n.all, {bits&bitFilter != 0, n.filtered}} {
		d.must(k.set || k.at == 0)
	}
	n.dropped = d.uint64()
	d.must(n.dropped <= math.MaxUint64-maxSources)
	for range d.length(maxSources) {
		s := Source{ID: d.text(), Tool: d.text(), At: d.int64()}
		flags := d.byte()
		d.must(flags <= 3)
		s.Untrusted, s.Private = flags&1 != 0, flags&2 != 0
		n.sources = append(n.sources, s)
	}
	for range d.length(maxRecent) {
		h, what := d.uint64(), memo{source: d.uint64(), at: d.int64()}
		flags := d.byte()
		d.must(flags <= 1 && what.source < n.dropped+uint64(len(n.sources)))
		what.read = flags == 1
		n.recent[h] = what
		n.order = append(n.order, h)
	}
	d.must(len(n.recent) == len(n.order))
	last := uint64(0)
	for i := range d.length(maxHeld) {
		h := d.uint64()
		d.must(i == 0 || h > last)
		n.held[h], last = d.int64(), h
	}
	if bits&bitFilter != 0 {
		n.filter = make([]uint64, filterBits/64)
		for i := range n.filter {
			n.filter[i] = d.uint64()
		}
	}
	d.must(len(d.rest) == 0)
	if d.wrong {
		return fmt.Errorf("this memory of the session rule is damaged (%d bytes)", len(data))
	}
	*m = *n
	return nil
}

// decoder reads from the beginning of rest. After the first thing that is wrong it gives zeros.
type decoder struct {
	rest  []byte
	wrong bool
}

func (d *decoder) must(be bool) { d.wrong = d.wrong || !be }

func (d *decoder) bytes(n int) []byte {
	if d.must(n <= len(d.rest)); d.wrong {
		return make([]byte, n)
	}
	b := d.rest[:n]
	d.rest = d.rest[n:]
	return b
}

func (d *decoder) byte() byte     { return d.bytes(1)[0] }
func (d *decoder) uint64() uint64 { return binary.BigEndian.Uint64(d.bytes(8)) }
func (d *decoder) int64() int64   { return int64(d.uint64()) }

// length reads how many there are, at most limit.
func (d *decoder) length(limit int) int {
	n := int(binary.BigEndian.Uint32(d.bytes(4)))
	if d.must(n <= limit); d.wrong {
		return 0
	}
	return n
}

func (d *decoder) text() string {
	n := int(binary.BigEndian.Uint16(d.bytes(2)))
	d.must(n <= longestName)
	if d.wrong {
		return ""
	}
	s := string(d.bytes(n))
	d.must(utf8.ValidString(s))
	return s
}
