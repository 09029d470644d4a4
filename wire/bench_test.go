package wire_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"gatehouse/wire"
)

// toolCall is a tools/call whose arguments are about n rows of 160 bytes, as clients send them: compact, not in order.
func toolCall(n int) []byte {
	var s strings.Builder
	s.WriteString(`{"method":"tools/call","params":{"name":"crm__record","arguments":{"rows":[`)
	for i := range n {
		if i > 0 {
			s.WriteByte(',')
		}
		fmt.Fprintf(&s, `{"id":%d,"name":"Person Number %d","email":"p%d@example.org","phone":"+49 170 1234%03d",`+
			`"balance":%d.25,"active":true,"notes":"calls \"often\", likes tea\nand cake"}`, 1000+i, i, i, i, i*3)
	}
	s.WriteString(`],"connection":"crm"},` + modernMeta + `},"jsonrpc":"2.0","id":7}`)
	return []byte(s.String())
}

func BenchmarkToolCall(b *testing.B) {
	header := http.Header{wire.HeaderProtocolVersion: {"2026-07-28"}, wire.HeaderMethod: {"tools/call"}, wire.HeaderName: {"crm__record"}}
	for name, in := range map[string][]byte{"small": toolCall(0), "4KB": toolCall(25)} {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(in)))
			b.ReportAllocs()
			for b.Loop() {
				f, err := wire.ParseFrame(in)
				if err != nil || wire.EraOf("2026-07-28", f) != wire.Modern {
					b.Fatal(err)
				}
				if err := wire.CheckModern(f); err != nil {
					b.Fatal(err)
				}
				if err := wire.CheckHeaders(header, f); err != nil {
					b.Fatal(err)
				}
				if c, err := f.ToolCall(); err != nil || c.Name != "crm__record" {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkAppendResult(b *testing.B) {
	result := string(toolCall(25))
	dst := make([]byte, 0, 8<<10)
	b.ReportAllocs()
	for b.Loop() {
		dst = wire.AppendResult(dst[:0], wire.IntID(7), result)
	}
}

func BenchmarkEvents(b *testing.B) {
	stream := string(wire.AppendEvent(nil, "message", toolCall(25)))
	b.SetBytes(int64(len(stream)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := wire.NewEvents(strings.NewReader(stream), 16<<20).Next(); err != nil {
			b.Fatal(err)
		}
	}
}
