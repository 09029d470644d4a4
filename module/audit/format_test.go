package audit_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"os/exec"
	"reflect"
	"slices"
	"strings"
	"testing"

	"golang.org/x/mod/sumdb/note"

	"gatehouse/canon"
	"gatehouse/gate"
	"gatehouse/module/audit"
	"gatehouse/outcome"
	"gatehouse/store/storetest"
)

const formatPage = "../../docs/audit-format.md"

// block is what stands between the fences of a page's one block of a kind.
func block(t *testing.T, page, kind string) string {
	t.Helper()
	_, rest, ok := strings.Cut(page, "\n```"+kind+"\n")
	text, _, closed := strings.Cut(rest, "\n```\n")
	if !ok || !closed {
		t.Fatalf("%s has no block %s", formatPage, kind)
	}
	return text + "\n"
}

// TestDocumentedRowsHold recomputes the example of docs/audit-format.md by the rules that stand there, and nothing of ours
// but the canonical form.
func TestDocumentedRowsHold(t *testing.T) {
	t.Parallel()
	page := readFile(t, formatPage)
	prev, n := strings.Repeat("0", 64), int64(0)
	var row audit.Row
	for line := range strings.Lines(block(t, page, "jsonl")) {
		v, err := canon.ParseObject([]byte(line))
		if err != nil || v.String()+"\n" != line {
			t.Fatalf("%q is not canonical: %v", line, err)
		}
		row = audit.Row{}
		if err := v.Decode(&row); err != nil {
			t.Fatal(err)
		}
		claimed := row.Hash
		row.Hash = ""
		hash := sha256.Sum256(value(t, row).Bytes())
		if hex.EncodeToString(hash[:]) != claimed || row.Prev != prev || row.N != n+1 {
			t.Errorf("row %s: hash %x, claimed %s; prev %s", row.ID, hash, claimed, row.Prev)
		}
		prev, n = claimed, row.N
	}
	salt := make([]byte, 32)
	for i := range salt {
		salt[i] = byte(i)
	}
	payload := strings.TrimSpace(block(t, page, "json"))
	if sum := sha256.Sum256(slices.Concat(salt, []byte(payload))); hex.EncodeToString(sum[:]) != row.Commitment {
		t.Errorf("the payload's commitment is %x, and the row says %s", sum, row.Commitment)
	}
	verifier, err := note.NewVerifier(strings.TrimSpace(block(t, page, "key")))
	if err != nil {
		t.Fatal(err)
	}
	signed, err := note.Open([]byte(block(t, page, "note")), note.VerifierList(verifier))
	if err != nil {
		t.Fatal(err)
	}
	h, err := audit.ParseHead(signed.Text)
	if err != nil || h.Rows != n || h.Last.String() != row.ID || hex.EncodeToString(h.Hash[:]) != prev {
		t.Errorf("the head is %+v, %v", h, err)
	}
}

// TestEveryMemberIsDocumented: the page names every member of a row, and no other.
func TestEveryMemberIsDocumented(t *testing.T) {
	t.Parallel()
	page := readFile(t, formatPage)
	_, table, _ := strings.Cut(page, "| member | meaning |")
	table, _, _ = strings.Cut(table, "\n\n")
	names := map[string]bool{}
	for line := range strings.Lines(table) {
		cell, _, _ := strings.Cut(strings.TrimPrefix(line, "|"), "|")
		for i, part := range strings.Split(cell, "`") {
			if i%2 == 1 {
				names[part] = true
			}
		}
	}
	for field := range reflect.TypeFor[audit.Row]().Fields() {
		name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
		if !names[name] && name != "hash" {
			t.Errorf("%s is not in the table of %s", name, formatPage)
		}
		delete(names, name)
	}
	if len(names) > 0 {
		t.Errorf("the table of %s has %v, which no row has", formatPage, names)
	}
}

// TestDocumentedProgramAcceptsARealLog runs the Python of the page over rows that were written now.
func TestDocumentedProgramAcceptsARealLog(t *testing.T) {
	t.Parallel()
	python, err := exec.LookPath("python3")
	if err != nil {
		t.Skip("there is no python3 here")
	}
	l := newLog(t, storetest.SQLite(t))
	fill(l, 20)
	strange := row(t, gate.Reads, outcome.NotAllowed)
	strange.Tool, strange.Agent = "a\"\\\x01\x7f\u2028é\U0001F600", "\xff"
	l.record(strange)
	l.close()
	rows, _, err := audit.Rows(t.Context(), reader(t, l.source), l.sealer)
	if err != nil {
		t.Fatal(err)
	}
	var lines bytes.Buffer
	for _, r := range rows {
		hash := sha256.Sum256(value(t, r).Bytes())
		r.Hash = hex.EncodeToString(hash[:])
		lines.WriteString(value(t, r).String() + "\n")
	}
	run := func(input []byte) (string, error) {
		cmd := exec.Command(python, "-c", block(t, readFile(t, formatPage), "python"))
		cmd.Env = []string{"PYTHONIOENCODING=utf-8"}
		cmd.Stdin = bytes.NewReader(input)
		out, err := cmd.Output()
		return string(out), err
	}
	if out, err := run(lines.Bytes()); err != nil || !strings.HasPrefix(out, "21 rows hold") {
		t.Errorf("%s, %v", out, err)
	}
	if out, err := run(bytes.Replace(lines.Bytes(), []byte("192.0.2.7"), []byte("192.0.2.8"), 1)); err == nil {
		t.Errorf("it accepted a changed row: %s", out)
	}
}
