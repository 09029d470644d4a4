package cli_test

import (
	"encoding/json"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"pgregory.net/rapid"

	"gatehouse/cli"
)

func TestVisible(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ name, in, text, json string }{
		{"plain", "ada@example.org", "ada@example.org", "ada@example.org"},
		{"other scripts", "Ζωή 名前 é 🙂", "Ζωή 名前 é 🙂", "Ζωή 名前 é 🙂"},
		{"an escape sequence", "\x1b[2Jgone", `\u001b[2Jgone`, `\u001b[2Jgone`},
		{"a line end", "a\r\nb\tc", `a\u000d\nb\tc`, `a\u000d\u000ab\u0009c`},
		{"C1", "a\u009bm", `a\u009bm`, `a\u009bm`},
		{"delete", "a\x7f", `a\u007f`, `a\u007f`},
		{"right to left", "\u202egro.elpmaxe", `\u202egro.elpmaxe`, `\u202egro.elpmaxe`},
		{"isolates", "\u2066a\u2069", `\u2066a\u2069`, `\u2066a\u2069`},
		{"zero width", "a\u200bb\u200dc\ufeff", `a\u200bb\u200dc\ufeff`, `a\u200bb\u200dc\ufeff`},
		{"soft hyphen", "a\u00adb", `a\u00adb`, `a\u00adb`},
		{"a space that is none", "a\u00a0b\u2003c\u3000", `a\u00a0b\u2003c\u3000`, `a\u00a0b\u2003c\u3000`},
		{"line separators", "\u2028\u2029", `\u2028\u2029`, `\u2028\u2029`},
		{"tags", "a\U000e0061\U000e007f", `a\U000e0061\U000e007f`, `a\udb40\udc61\udb40\udc7f`},
		{"letters without a shape", "\u3164\u115f\uffa0\u2800", `\u3164\u115f\uffa0\u2800`, `\u3164\u115f\uffa0\u2800`},
		{"variation selectors", "a\ufe0f\U000e0100", `a\ufe0f\U000e0100`, `a\ufe0f\udb40\udd00`},
		{"joiner", "a\u034fb", `a\u034fb`, `a\u034fb`},
		{"private use", "\ue000", `\ue000`, `\ue000`},
		{"the replacement character", "\ufffd", "\ufffd", "\ufffd"},
		{"not UTF-8", "a\xff", `a\xff`, `a\xff`},
	} {
		if got := cli.Visible(tt.in); got != tt.text {
			t.Errorf("%s: text %q, want %q", tt.name, got, tt.text)
		}
		if got := cli.VisibleJSON(tt.in); got != tt.json {
			t.Errorf("%s: JSON %q, want %q", tt.name, got, tt.json)
		}
	}
}

func TestVisibleShowsEverything(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		s := rapid.String().Draw(t, "s")
		for _, r := range cli.Visible(s) {
			if !unicode.IsPrint(r) {
				t.Fatalf("%q becomes %q", s, cli.Visible(s))
			}
		}
		if !utf8.ValidString(s) {
			return
		}
		text, err := json.Marshal(s)
		if err != nil {
			t.Fatal(err)
		}
		var back string
		if err := json.Unmarshal([]byte(cli.VisibleJSON(string(text))), &back); err != nil || back != s {
			t.Fatalf("%q comes back from JSON as %q, %v", s, back, err)
		}
	})
}

func TestDataFlag(t *testing.T) {
	t.Parallel()
	for data, want := range map[string]string{
		"./data": "", "d": "--data d ", "/var/lib/gatehouse": "--data /var/lib/gatehouse ", "my data": "--data 'my data' ",
		"it's": `--data 'it'\''s' `, "$(reboot)": "--data '$(reboot)' ",
	} {
		if got := cli.DataFlag(data); got != want {
			t.Errorf("%s: %q, want %q", data, got, want)
		}
	}
	if strings.Contains(cli.DataFlag("a\nb"), "--data a") {
		t.Error("a line end stands without quotes")
	}
}
