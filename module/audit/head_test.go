package audit_test

import (
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/mod/sumdb/note"

	"gatehouse/gate"
	"gatehouse/module/audit"
	"gatehouse/outcome"
	"gatehouse/store/storetest"
)

func TestHeadIsASignedNote(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "head")
	l := newLog(t, storetest.SQLite(t), func(c *audit.Config) { c.HeadFile = file })
	id := l.record(row(t, gate.Reads, outcome.OK))
	eventually(t, "the head was signed within a second or so", func() bool { return strings.Contains(readFile(t, file), "\nrows 1\n") })
	last := l.record(row(t, gate.Reads, outcome.OK))
	public := l.PublicKey()
	l.close()
	verifier, err := note.NewVerifier(public)
	if err != nil {
		t.Fatal(err)
	}
	n, err := note.Open([]byte(readFile(t, file)), note.VerifierList(verifier))
	if err != nil {
		t.Fatal(err)
	}
	h, err := audit.ParseHead(n.Text)
	if err != nil || h.Rows != 2 || h.Last != last || h.String() != n.Text || id == last {
		t.Errorf("%+v, %v, want row %s", h, err, last)
	}
	if got, err := audit.ReadPublicKey(l.config.KeyFile); err != nil || got != public {
		t.Errorf("the public key's file says %q, %v", got, err)
	}
	left, err := os.ReadDir(filepath.Dir(file))
	if err != nil || len(left) != 1 {
		t.Errorf("beside the head lie %v, %v", left, err)
	}
}

func TestKeyIsPrivateAndStays(t *testing.T) {
	t.Parallel()
	l := newLog(t, storetest.SQLite(t))
	first := l.PublicKey()
	if info, err := os.Stat(l.config.KeyFile); err != nil || runtime.GOOS != "windows" && info.Mode().Perm() != 0o600 {
		t.Errorf("the key file has mode %v, %v", info.Mode(), err)
	}
	l.reopen()
	if got := l.PublicKey(); got != first {
		t.Errorf("after a restart the key is %s, not %s", got, first)
	}
	l.close()
	if err := os.WriteFile(l.config.KeyFile, []byte(`{"private":"PRIVATE+KEY+x","public":"y"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := l.tryOpen(); err == nil || strings.Contains(err.Error(), "PRIVATE") {
		t.Errorf("a damaged key: %v", err)
	}
	if err := os.Remove(l.config.KeyFile); err != nil {
		t.Fatal(err)
	}
	l.open()
	if got := l.PublicKey(); got == first {
		t.Error("a key that is gone came back")
	}
}

// TestAKeyThatIsGoneIsSaid: making the first key is news; making another for a log that has rows is a warning.
func TestAKeyThatIsGoneIsSaid(t *testing.T) {
	t.Parallel()
	l := newLog(t, storetest.SQLite(t))
	for _, tt := range []struct {
		name, want string
		rows       int
	}{
		{"an empty log", "level=INFO msg=\"made the key", 0},
		{"a log with a row", "level=WARN msg=\"the log has rows and there was no key", 1},
	} {
		for range tt.rows {
			l.record(row(t, gate.Reads, outcome.OK))
		}
		l.close()
		if err := os.Remove(l.config.KeyFile); err != nil {
			t.Fatal(err)
		}
		var said strings.Builder
		l.log = slog.NewTextHandler(&said, nil)
		l.open()
		l.close()
		if !strings.Contains(said.String(), tt.want) {
			t.Errorf("%s: the process log says %s, want %s", tt.name, said.String(), tt.want)
		}
		l.log = nil
		l.open()
	}
}

// TestHeadFileThatCannotBeWrittenStopsNoCall: rows are written, and closing says what is missing.
func TestHeadFileThatCannotBeWrittenStopsNoCall(t *testing.T) {
	t.Parallel()
	l := newLog(t, storetest.SQLite(t), func(c *audit.Config) { c.HeadFile = filepath.Join(t.TempDir(), "nowhere", "head") })
	l.record(row(t, gate.Reads, outcome.OK))
	m := l.Module
	l.Module = nil
	if err := m.Close(); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Close: %v", err)
	}
	if err := l.kit.Close(); err != nil {
		t.Error(err)
	}
	l.mustHold()
}

func FuzzParseHead(f *testing.F) {
	f.Add(audit.Head{}.String())
	f.Add(audit.Head{Rows: 30, Last: gate.RowID{ID: 1763871234567, Seq: 3}, Hash: [32]byte{1}}.String())
	f.Add("gatehouse audit head 1\nrows 1\nlast 1-0\nhash 00\n")
	f.Add("gatehouse audit head 1\nrows +1\nlast -\nhash " + strings.Repeat("0", 64) + "\n")
	f.Fuzz(func(t *testing.T, text string) {
		h, err := audit.ParseHead(text)
		if err == nil && h.String() != text {
			t.Errorf("%q was taken for %q", text, h)
		}
	})
}
