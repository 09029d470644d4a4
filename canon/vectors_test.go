package canon_test

import (
	"bytes"
	"encoding/hex"
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"
	"unicode"

	"github.com/go-json-experiment/json"

	"gatehouse/canon"
)

var update = flag.Bool("update", false, "rewrite the table of vectors in docs/canonical.md")

// vector is one line of testdata/vectors.json. The canonical texts and digests there were made by another program in
// another language, with decimal arithmetic; this package only has to agree.
type vector struct {
	Name      string `json:"name"`
	Input     string `json:"input"`
	InputHex  string `json:"input_hex"` // for what is not UTF-8 as it should be
	Canonical string `json:"canonical"`
	Digest    string `json:"digest"`
	Refused   string `json:"refused"` // a part of the reason
}

func (v vector) bytes(t *testing.T) []byte {
	t.Helper()
	if v.InputHex == "" {
		return []byte(v.Input)
	}
	b, err := hex.DecodeString(v.InputHex)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func vectors(t *testing.T) []vector {
	t.Helper()
	b, err := os.ReadFile("testdata/vectors.json")
	if err != nil {
		t.Fatal(err)
	}
	var all []vector
	if err := json.Unmarshal(b, &all, json.RejectUnknownMembers(true)); err != nil || len(all) < 30 {
		t.Fatalf("%d vectors: %v", len(all), err)
	}
	return all
}

func TestVectors(t *testing.T) {
	t.Parallel()
	for _, v := range vectors(t) {
		t.Run(v.Name, func(t *testing.T) {
			t.Parallel()
			got, err := canon.Parse(v.bytes(t))
			switch {
			case v.Refused != "":
				if err == nil || !strings.Contains(err.Error(), v.Refused) {
					t.Errorf("Parse(%q) = %q, %v; want refused: %s", v.Input, got, err, v.Refused)
				}
			case err != nil || got.String() != v.Canonical || got.Digest().String() != v.Digest:
				t.Errorf("Parse(%q)\n got %q %s, %v\nwant %q %s", v.Input, got, got.Digest(), err, v.Canonical, v.Digest)
			}
		})
	}
}

// TestDocumentShowsTheVectors keeps docs/canonical.md honest: its table is made from the vectors, by -update.
func TestDocumentShowsTheVectors(t *testing.T) {
	t.Parallel()
	const path, begin, end = "../docs/canonical.md", "<!-- vectors: go test ./canon -run Document -update -->\n", "<!-- end of vectors -->"
	doc, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	head, rest, found := bytes.Cut(doc, []byte(begin))
	_, tail, foundEnd := bytes.Cut(rest, []byte(end))
	if !found || !foundEnd {
		t.Fatalf("%s has no place for the vectors", path)
	}
	want := string(head) + begin + table(t) + end + string(tail)
	if string(doc) == want {
		return
	}
	if !*update {
		t.Fatalf("%s does not show the vectors of testdata/vectors.json; run go test ./canon -run Document -update", path)
	}
	if err := os.WriteFile(path, []byte(want), 0o644); err != nil {
		t.Fatal(err)
	}
}

func table(t *testing.T) string {
	t.Helper()
	var s strings.Builder
	s.WriteString("\n| what | input | canonical text, or why it is refused | SHA-256 begins |\n|---|---|---|---|\n")
	for _, v := range vectors(t) {
		input := cell(v.Input)
		if v.InputHex != "" {
			input = "bytes " + cell(v.InputHex)
		}
		if v.Refused != "" {
			fmt.Fprintf(&s, "| %s | %s | refused: %s | |\n", v.Name, input, v.Refused)
			continue
		}
		fmt.Fprintf(&s, "| %s | %s | %s | `%.16s` |\n", v.Name, input, cell(v.Canonical), v.Digest)
	}
	s.WriteString("\n")
	return s.String()
}

// cell shows a text as code. What cannot be seen, and what could be taken for something else, is shown as U+XXXX.
func cell(s string) string {
	if s == "" {
		return "(nothing)"
	}
	var b strings.Builder
	for _, r := range s {
		switch {
		case r == '|':
			b.WriteString("\\|")
		case r == ' ', unicode.IsPrint(r) && !unicode.IsMark(r) && r != '\uFB33':
			b.WriteRune(r)
		default:
			fmt.Fprintf(&b, "⟨U+%04X⟩", r)
		}
	}
	// A code span of Markdown keeps neither a space at its ends nor a backtick; double ones keep both inside.
	return "`` " + b.String() + " ``"
}
