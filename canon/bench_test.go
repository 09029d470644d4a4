package canon_test

import (
	"fmt"
	"strings"
	"testing"

	"gatehouse/canon"
)

// record is about 4 KB, as a tool would send it: compact, members not in order, some escapes.
func record() []byte {
	var s strings.Builder
	s.WriteString(`{"record":{"rows":[`)
	for i := range 25 {
		if i > 0 {
			s.WriteByte(',')
		}
		fmt.Fprintf(&s, `{"id":%d,"name":"Person Number %d","email":"p%d@example.org","phone":"+49 170 1234%03d",`+
			`"balance":%d.25,"active":true,"notes":"calls \"often\", likes tea\nand cake"}`, 1000+i, i, i, i, i*3)
	}
	s.WriteString(`]},"connection":"crm"}`)
	return []byte(s.String())
}

func BenchmarkParse(b *testing.B) {
	sent := record()
	v, err := canon.Parse(sent)
	if err != nil {
		b.Fatal(err)
	}
	for name, in := range map[string][]byte{"sent": sent, "canonical": v.Bytes(), "small": []byte(`{"text":"hello"}`)} {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(in)))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := canon.Parse(in); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkDigest(b *testing.B) {
	v, _ := canon.Parse(record())
	b.ReportAllocs()
	for b.Loop() {
		v.Digest()
	}
}

func BenchmarkStrings(b *testing.B) {
	v, _ := canon.Parse(record())
	b.ReportAllocs()
	for b.Loop() {
		for range v.Strings {
			continue
		}
	}
}

func BenchmarkReplaceStrings(b *testing.B) {
	v, _ := canon.Parse(record())
	b.ReportAllocs()
	for b.Loop() {
		v.ReplaceStrings(func(_, s string) string {
			if strings.Contains(s, "@") {
				return "[email]"
			}
			return s
		})
	}
}

func BenchmarkDecode(b *testing.B) {
	v, _ := canon.Parse(record())
	var dst struct {
		Connection string `json:"connection"`
		Record     struct {
			Rows []struct {
				ID      int64   `json:"id"`
				Name    string  `json:"name"`
				Email   string  `json:"email"`
				Phone   string  `json:"phone"`
				Balance float64 `json:"balance"`
				Active  bool    `json:"active"`
				Notes   string  `json:"notes"`
			} `json:"rows"`
		} `json:"record"`
	}
	b.ReportAllocs()
	for b.Loop() {
		if err := v.Decode(&dst); err != nil {
			b.Fatal(err)
		}
	}
}
