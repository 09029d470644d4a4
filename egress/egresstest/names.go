// Package egresstest has a name server for tests. It must never be part of the program: only tests import it.
package egresstest

import (
	"context"
	"encoding/binary"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
)

// nameServer gives, for each name, the next of its answers.
type nameServer struct {
	mu      sync.Mutex
	answers map[string][]string // guarded by mu
}

// NameServer starts a real DNS server over UDP on loopback, and gives a resolver that asks it. For each name it gives the
// next of its answers, the last one for ever; names that it does not know do not exist.
func NameServer(t testing.TB, answers map[string][]string) *net.Resolver {
	t.Helper()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &nameServer{answers: answers}
	done := make(chan struct{})
	go func() {
		defer close(done)
		buf := make([]byte, 1500)
		for {
			n, from, err := conn.ReadFrom(buf)
			if err != nil {
				return
			}
			if answer := s.answer(buf[:n]); answer != nil {
				_, _ = conn.WriteTo(answer, from)
			}
		}
	}()
	t.Cleanup(func() { _ = conn.Close(); <-done })
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "udp", conn.LocalAddr().String())
	}}
}

// answer speaks just enough of RFC 1035: one question, its name in labels, at offset 12.
func (s *nameServer) answer(query []byte) []byte {
	var labels []string
	at := 12
	for at < len(query) && query[at] != 0 {
		n := int(query[at])
		if at+1+n > len(query) {
			return nil
		}
		labels = append(labels, string(query[at+1:at+1+n]))
		at += 1 + n
	}
	if at+5 > len(query) {
		return nil
	}
	kind := binary.BigEndian.Uint16(query[at+1:])
	question := query[12 : at+5]
	ip, known := s.next(strings.ToLower(strings.Join(labels, ".")), kind)
	flags, count := uint16(0x8180), uint16(0)
	if !known {
		flags = 0x8183 // no such name
	}
	if ip.IsValid() {
		count = 1
	}
	out := append([]byte{}, query[:2]...)
	for _, v := range []uint16{flags, 1, count, 0, 0} {
		out = binary.BigEndian.AppendUint16(out, v)
	}
	out = append(out, question...)
	if ip.IsValid() {
		raw := ip.AsSlice()
		out = append(out, 0xc0, 12)
		out = binary.BigEndian.AppendUint16(out, kind)
		out = append(out, 0, 1, 0, 0, 0, 0) // class IN, time to live 0
		out = binary.BigEndian.AppendUint16(out, uint16(len(raw)))
		out = append(out, raw...)
	}
	return out
}

// next gives the answer for one kind of question (1 is A, 28 is AAAA) and moves on if it was one.
func (s *nameServer) next(name string, kind uint16) (netip.Addr, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	list, known := s.answers[name]
	if len(list) == 0 {
		return netip.Addr{}, known
	}
	ip := netip.MustParseAddr(list[0])
	if ip.Is4() != (kind == 1) {
		return netip.Addr{}, true
	}
	if len(list) > 1 {
		s.answers[name] = list[1:]
	}
	return ip, true
}
