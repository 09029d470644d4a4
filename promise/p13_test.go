package promise_test

import (
	"fmt"
	"strings"
	"testing"

	"gatehouse/canon"
	"gatehouse/gatetest"
	"gatehouse/outcome"
)

// hostile are arguments that two readers could take for two things. No entry lets one of them through (T10).
func hostile() map[string]string {
	return map[string]string{
		"twice the same name":         `{"text":"a","text":"b"}`,
		"twice, once escaped":         `{"text":"a","te\u0078t":"b"}`,
		"twice, deep inside":          `{"x":[{"a":1,"a":2}]}`,
		"a name in another case":      `{"text":"a","Text":"b"}`,
		"a name in another case only": `{"Text":"b"}`,
		"a NUL in a name":             `{"text\u0000":"a"}`,
		"a name with a look-alike":    `{"tехt":"a"}`,
		"a name in another form":      "{\"te\u0301xt\":\"a\"}",
		"a byte order mark":           "\xef\xbb\xbf{}",
		"half a pair":                 `{"text":"\ud800"}`,
		"not UTF-8":                   "{\"text\":\"\xff\"}",
		"overlong UTF-8":              "{\"text\":\"\xc0\xaf\"}",
		"NaN":                         `{"text":NaN}`,
		"infinity":                    `{"text":Infinity}`,
		"too large a number":          `{"text":1e400}`,
		"a leading zero":              `{"text":01}`,
		"a plus":                      `{"text":+1}`,
		"hexadecimal":                 `{"text":0x1}`,
		"a comment":                   `{"text":"a"/**/}`,
		"a comma too many":            `{"text":"a",}`,
		"single quotes":               `{'text':'a'}`,
		"no quotes":                   `{text:"a"}`,
		"a control character":         "{\"text\":\"a\nb\"}",
		"ten thousand levels":         strings.Repeat(`{"a":`, 10_000) + "1" + strings.Repeat("}", 10_000),
		"cut off":                     `{"text":"a"`,
		"more behind it":              `{"text":"a"}{"text":"b"}`,
		"a list":                      `[{"text":"a"}]`,
		"a string":                    `"text"`,
		"nothing":                     `null`,
		"prototype":                   `{"__proto__":{"text":"a"}}`,
	}
}

// TestPromise_P13_WhatCanBeReadTwoWaysIsRefused: on every entry, and nothing of it arrives.
func TestPromise_P13_WhatCanBeReadTwoWaysIsRefused(t *testing.T) {
	t.Parallel()
	throughEveryDoor(t, "", func(t *testing.T, w *world, d gatetest.Door) {
		ann := w.Person("ann", "ledger.read", "ledger.write")
		for name, args := range hostile() {
			for _, tool := range []string{"ledger.read", "ledger.write"} {
				if got := d.Call(ann.Token.Text, tool, args); got.Code != outcome.Invalid {
					t.Errorf("%s, %s: %s (%s)", tool, name, got.Code, got.Reason)
				}
			}
		}
		if n := w.ledger.count(); n != 0 {
			t.Errorf("%d calls arrived: %v", n, w.ledger.since(0))
		}
		for _, r := range w.Rows() {
			if strings.HasPrefix(r.Tool, "ledger.") && r.Outcome != outcome.Invalid.String() {
				t.Errorf("a row says %s", r)
			}
		}
	})
}

// TestPromise_P13_NoValueChanges: what arrives downstream, and what comes back, is byte for byte the one canonical form of
// what was sent, numbers included; and it is what the guards saw.
func TestPromise_P13_NoValueChanges(t *testing.T) {
	t.Parallel()
	throughEveryDoor(t, "", func(t *testing.T, w *world, d gatetest.Door) {
		ann := w.Person("ann", "ledger.raw")
		for sent, want := range map[string]string{
			`{"n":12345678901234567890}`:                     ``,
			`{"n":[1e2,0.1,1.10,-0,1E+2,0.10e1]}`:            ``,
			`{"n":0.1000000000000000055511151231257827}`:     ``,
			`{"n":-9223372036854775809}`:                     ``,
			`{ "b" : 1 , "a" : { "d" : [ ] , "c" : null } }`: `{"a":{"c":null,"d":[]},"b":1}`,
			`{"s":"\u0041\/\u00e9\ud83d\ude00"}`:             `{"s":"A/é😀"}`,
			`{"s":"\u2028<script>&\u007f"}`:                  ``,
			`{"":""}`:                                        `{"":""}`,
			`{"A":1,"a":2}`:                                  `{"A":1,"a":2}`,
		} {
			before := w.ledger.count()
			got := d.Call(ann.Token.Text, "ledger.raw", sent)
			v, err := canon.ParseObject([]byte(sent))
			if err != nil {
				t.Fatal(err)
			}
			if want == "" {
				want = v.String()
			}
			arrived := w.ledger.since(before)
			if got.Code != outcome.OK || len(arrived) != 1 || arrived[0].args != want || v.String() != want {
				t.Errorf("%s: %s (%s), %v arrived, want %s", sent, got.Code, got.Reason, arrived, want)
				continue
			}
			if back := plain(t, got.Result); back != want {
				t.Errorf("%s came back as %s, want %s", sent, back, want)
			}
		}
		for number, digits := range map[string]string{"12345678901234567890": "12345678901234567890", "1.10": "1.1", "1e2": "1", "0.1": "0.1"} {
			d.Call(ann.Token.Text, "ledger.raw", fmt.Sprintf(`{"n":%s}`, number))
			all := w.ledger.since(0)
			if last := all[len(all)-1].args; !strings.Contains(last, digits) {
				t.Errorf("%s arrived as %s", number, last)
			}
		}
	})
}
