package audit_test

import (
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"gatehouse/gate"
	"gatehouse/module/audit"
	"gatehouse/outcome"
	"gatehouse/store"
	"gatehouse/store/storetest"
)

// stranger is someone who has the rows, the public key and x/mod, and nothing of ours.
type stranger struct {
	t      *testing.T
	public string
	hashes []tlog.Hash // as the tree stores them
	rows   int64
}

func (s *stranger) ReadHashes(indexes []int64) (list []tlog.Hash, err error) {
	for _, i := range indexes {
		list = append(list, s.hashes[i])
	}
	return list, nil
}

// take adds rows as they were hashed.
func (s *stranger) take(bodies ...string) {
	s.t.Helper()
	for _, body := range bodies {
		hash := sha256.Sum256([]byte(body))
		more, err := tlog.StoredHashes(s.rows, hash[:], s)
		if err != nil {
			s.t.Fatal(err)
		}
		s.hashes, s.rows = append(s.hashes, more...), s.rows+1
	}
}

// read opens a checkpoint and gives what it says.
func (s *stranger) read(signed string) (int64, tlog.Hash) {
	s.t.Helper()
	verifier, err := note.NewVerifier(s.public)
	if err != nil {
		s.t.Fatal(err)
	}
	n, err := note.Open([]byte(signed), note.VerifierList(verifier))
	if err != nil {
		s.t.Fatal(err)
	}
	lines := strings.Split(n.Text, "\n")
	size, err := strconv.ParseInt(lines[1], 10, 64)
	if err != nil || len(lines) != 4 || lines[0] != verifier.Name() || lines[3] != "" {
		s.t.Fatalf("%q, %v", n.Text, err)
	}
	root, err := base64.StdEncoding.DecodeString(lines[2])
	if err != nil {
		s.t.Fatal(err)
	}
	return size, tlog.Hash(root)
}

func bodies(t *testing.T, db *store.DB) (all []string) {
	t.Helper()
	err := audit.EachSegment(t.Context(), db, func(db *store.DB) error {
		return db.All(t.Context(), func(scan func(...any) error) error {
			var body string
			err := scan(&body)
			all = append(all, body)
			return err
		}, `SELECT body FROM log ORDER BY id, seq`)
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// checkpointed is a log that keeps its checkpoints in a file.
func checkpointed(t *testing.T, source store.Source) (l *testLog, file string) {
	t.Helper()
	file = filepath.Join(t.TempDir(), "checkpoint")
	return newLog(t, source, func(c *audit.Config) { c.Checkpoints = []string{file} }), file
}

// TestAStrangerChecksCheckpoints: with the rows as they are exported, the public key and the packages of the Go checksum
// database a checkpoint is recomputed, and a newer one is proved to extend an older one.
func TestAStrangerChecksCheckpoints(t *testing.T) {
	t.Parallel()
	storetest.Engines(t, func(t *testing.T, source store.Source) {
		l, file := checkpointed(t, source)
		s := &stranger{t: t, public: l.PublicKey()}
		type seen struct {
			rows int64
			root tlog.Hash
		}
		var all []seen
		for _, n := range []int{1, 1, 5, 13, 44, 0} {
			fill(l, n)
			l.close()
			size, root := s.read(readFile(t, file))
			l.open()
			s.take(bodies(t, l.DB())[s.rows:]...)
			if want, err := tlog.TreeHash(s.rows, s); err != nil || size != s.rows || root != want {
				t.Fatalf("the checkpoint says %d rows and %v, and the rows are %d and %v, %v", size, root, s.rows, want, err)
			}
			for _, older := range all {
				proof, err := tlog.ProveTree(size, older.rows, s)
				if err == nil {
					err = tlog.CheckTree(proof, size, root, older.rows, older.root)
				}
				if err != nil {
					t.Errorf("%d rows do not extend %d: %v", size, older.rows, err)
				}
			}
			all = append(all, seen{size, root})
		}
	})
}

// TestLogExtendsItsCheckpoint: with a checkpoint that was kept elsewhere a cut tail and another history are found, also
// where all that the database knows of it was made to agree.
func TestLogExtendsItsCheckpoint(t *testing.T) {
	t.Parallel()
	storetest.Engines(t, func(t *testing.T, source store.Source) {
		l, file := checkpointed(t, source)
		check := func(text string) audit.Report {
			t.Helper()
			r, err := audit.Verify(t.Context(), audit.VerifyOptions{Source: source, Sealer: l.sealer, Checkpoint: text, PublicKey: publicKey(t, l)})
			if err != nil {
				t.Fatal(err)
			}
			return r
		}
		l.close()
		empty := readFile(t, file)
		head := filepath.Join(t.TempDir(), "head")
		l.config.HeadFile = head
		l.open()
		fill(l, 20)
		l.close()
		older, olderHead := readFile(t, file), readFile(t, head)
		l.open()
		fill(l, 10)
		l.close()
		newer := readFile(t, file)
		for _, text := range []string{empty, older, newer} {
			if r := check(text); !r.OK {
				t.Errorf("%s\n%+v", text, r)
			}
		}
		other, otherFile := checkpointed(t, storetest.SQLite(t)) // another history, under the same key
		other.close()
		if err := os.Remove(filepath.Join(other.source.Dir, "audit.db")); err != nil {
			t.Fatal(err)
		}
		other.config.KeyFile = l.config.KeyFile
		other.open()
		fill(other, 20)
		other.close()
		if r := check(readFile(t, otherFile)); r.OK || r.Fault.N != 20 || !strings.Contains(r.Fault.Problem, "kept elsewhere is of another history") {
			t.Errorf("with a checkpoint of another history it says %+v", r)
		}
		for name, text := range map[string]string{
			"changed": strings.Replace(newer, "\n30\n", "\n29\n", 1), "cut": newer[:20], "a head": olderHead, "long": newer + newer,
		} {
			if _, err := audit.Verify(t.Context(), audit.VerifyOptions{Source: source, Checkpoint: text, PublicKey: publicKey(t, l)}); err == nil {
				t.Errorf("a checkpoint that is %s was taken", name)
			}
		}
		in := newIntruder(t, source)
		in.cut(20)
		in.do(`UPDATE head SET signed = ` + quote(olderHead))
		if r := check(older); !r.OK || r.Kept != 20 {
			t.Errorf("cut to 20 rows, with their checkpoint: %+v", r)
		}
		if r := check(newer); r.OK || !strings.Contains(r.Fault.Problem, "the tail is cut: the checkpoint that was kept elsewhere says that there are 30 rows") {
			t.Errorf("cut to 20 rows, with the checkpoint of 30: %+v", r)
		}
	})
}

func publicKey(t *testing.T, l *testLog) string {
	t.Helper()
	public, err := audit.ReadPublicKey(l.config.KeyFile)
	if err != nil {
		t.Fatal(err)
	}
	return public
}

// TestStartRefusesFewerRowsThanItsCheckpoint: a checkpoint of fewer rows than an older one must never be signed.
func TestStartRefusesFewerRowsThanItsCheckpoint(t *testing.T) {
	t.Parallel()
	l, _ := checkpointed(t, storetest.SQLite(t))
	fill(l, 30)
	l.close()
	in := newIntruder(t, l.source)
	in.do(`CREATE TABLE kept AS SELECT * FROM checkpoint`)
	in.cut(20)
	in.do(`INSERT INTO checkpoint SELECT * FROM kept`)
	in.do(`DROP TABLE kept`)
	if err := l.tryOpen(); err == nil || !strings.Contains(err.Error(), "checkpoint of 30 rows, and the log has 20") {
		t.Errorf("opened: %v", err)
	}
}

// TestCheckpointsAreMadeInTime: within a minute of a row, and not without one.
func TestCheckpointsAreMadeInTime(t *testing.T) {
	t.Parallel()
	source, dir := storetest.SQLite(t), t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		file := filepath.Join(dir, "checkpoint")
		l := newLog(t, source, func(c *audit.Config) { c.Checkpoints = []string{file} })
		rows := func() string { return strings.Split(readFile(t, file), "\n")[1] }
		time.Sleep(90 * time.Second)
		l.record(row(t, gate.Reads, outcome.OK))
		time.Sleep(62 * time.Second)
		if got := rows(); got != "1" {
			t.Errorf("after a minute the checkpoint has %s rows", got)
		}
		before, err := os.Stat(file)
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Hour)
		if after, err := os.Stat(file); err != nil || !after.ModTime().Equal(before.ModTime()) {
			t.Errorf("a checkpoint was made without a row: %v", err)
		}
		l.close()
	})
}

func FuzzParseCheckpoint(f *testing.F) {
	f.Add("gatehouse-audit\n0\n47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\n")
	f.Add("gatehouse-audit\n007\n47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\n")
	f.Add("gatehouse-audit\n1\nAA==\n")
	f.Fuzz(func(t *testing.T, text string) {
		if c, err := audit.ParseCheckpoint(text); err == nil && c.String() != text {
			t.Errorf("%q was read as %q", text, fmt.Sprint(c))
		}
	})
}
