package audit

import (
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"math/bits"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// tree is the right edge of the Merkle tree over the rows: all that is needed to add leaves and to know the root. The tree
// is that of RFC 6962, as https://c2sp.org/tlog-tiles has it; a leaf is the 32 bytes of a row's hash.
type tree struct {
	n    int64
	edge []tlog.Hash // the roots of the whole subtrees, the largest first: one for each bit of n
}

// add adds the hash of the next row.
func (t *tree) add(row []byte) {
	h := tlog.RecordHash(row)
	for k := t.n; k&1 == 1; k >>= 1 {
		last := len(t.edge) - 1
		h = tlog.NodeHash(t.edge[last], h)
		t.edge = t.edge[:last]
	}
	t.edge = append(t.edge, h)
	t.n++
}

func (t *tree) root() tlog.Hash {
	if len(t.edge) == 0 {
		return sha256.Sum256(nil)
	}
	h := t.edge[len(t.edge)-1]
	for i := len(t.edge) - 2; i >= 0; i-- {
		h = tlog.NodeHash(t.edge[i], h)
	}
	return h
}

// bytes is the edge as it is stored.
func (t *tree) bytes() []byte {
	b := make([]byte, 0, len(t.edge)*tlog.HashSize)
	for _, h := range t.edge {
		b = append(b, h[:]...)
	}
	return b
}

// newTree takes over an edge as it was stored.
func newTree(n int64, edge []byte) (tree, error) {
	t := tree{n: n}
	if n < 0 || len(edge) != bits.OnesCount64(uint64(n))*tlog.HashSize {
		return t, fmt.Errorf("a tree of %d rows with an edge of %d bytes", n, len(edge))
	}
	for ; len(edge) > 0; edge = edge[tlog.HashSize:] {
		t.edge = append(t.edge, tlog.Hash(edge[:tlog.HashSize]))
	}
	return t, nil
}

// Checkpoint says what the rows of the log were at a moment, by the root of a Merkle tree over them. Its text and its
// signature are those of https://c2sp.org/tlog-checkpoint; the origin is the name of the key.
type Checkpoint struct {
	Rows int64
	Root [32]byte
}

// String is the text that is signed.
func (c Checkpoint) String() string {
	return fmt.Sprintf("%s\n%d\n%s\n", keyName, c.Rows, base64.StdEncoding.EncodeToString(c.Root[:]))
}

var errCheckpoint = errors.New("this is not a checkpoint of the log: it must be the whole text, with its signature")

// ParseCheckpoint reads a checkpoint's text as [Checkpoint.String] writes it, and nothing else.
func ParseCheckpoint(text string) (c Checkpoint, err error) {
	lines := strings.Split(text, "\n")
	if len(lines) != 4 {
		return c, errCheckpoint
	}
	if c.Rows, err = strconv.ParseInt(lines[1], 10, 64); err != nil || c.Rows < 0 {
		return Checkpoint{}, errCheckpoint
	}
	root, err := base64.StdEncoding.DecodeString(lines[2])
	if err != nil || len(root) != len(c.Root) {
		return Checkpoint{}, errCheckpoint
	}
	copy(c.Root[:], root)
	if c.String() != text {
		return Checkpoint{}, errCheckpoint
	}
	return c, nil
}

// openCheckpoint checks the signature of a signed checkpoint; without a public key it only reads it.
func openCheckpoint(signed, public string) (Checkpoint, error) {
	if public == "" {
		text, _, ok := strings.Cut(signed, "\n\n")
		if !ok {
			return Checkpoint{}, errCheckpoint
		}
		return ParseCheckpoint(text + "\n")
	}
	verifier, err := note.NewVerifier(public)
	if err != nil {
		return Checkpoint{}, fmt.Errorf("reading the public key of the log: %w", err)
	}
	n, err := note.Open([]byte(signed), note.VerifierList(verifier))
	if err != nil {
		return Checkpoint{}, fmt.Errorf("checking the signature of a checkpoint: %w", err)
	}
	return ParseCheckpoint(n.Text)
}
