package audit

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"time"

	"golang.org/x/mod/sumdb/note"

	"gatehouse/gate"
	"gatehouse/outcome"
	"gatehouse/store"
)

// signEvery is how often a head is signed at most.
const signEvery = time.Second

// headTitle is the first line of a head, with the number of its format. It is no checkpoint of a Merkle tree, and must
// not be taken for one: the hash is the chain's.
const headTitle = "gatehouse audit head 1"

// Head says where the chain ended at a moment. Whoever keeps one elsewhere can prove later that rows are gone.
type Head struct {
	Rows int64      // how many there are
	Last gate.RowID // the last one; zero: there is none
	Hash [32]byte   // of the last one
}

// String is the text that is signed.
func (h Head) String() string {
	last := h.Last.String()
	if last == "" {
		last = "-"
	}
	return fmt.Sprintf("%s\nrows %d\nlast %s\nhash %x\n", headTitle, h.Rows, last, h.Hash)
}

// errHead is a text that is no head.
var errHead = errors.New("this is not a head of the log: it must be the whole text, with its signature")

// ParseHead reads a head's text as [Head.String] writes it, and nothing else.
func ParseHead(text string) (h Head, err error) {
	lines := strings.Split(text, "\n")
	if len(lines) != 5 {
		return h, errHead
	}
	if h.Rows, err = strconv.ParseInt(strings.TrimPrefix(lines[1], "rows "), 10, 64); err != nil || h.Rows < 0 {
		return Head{}, errHead
	}
	if last := strings.TrimPrefix(lines[2], "last "); last != "-" {
		if h.Last, err = gate.ParseRowID(last); err != nil {
			return Head{}, errHead
		}
	}
	if hash, err := hex.DecodeString(strings.TrimPrefix(lines[3], "hash ")); err == nil && len(hash) == len(h.Hash) {
		copy(h.Hash[:], hash)
	}
	if h.String() != text {
		return Head{}, errHead
	}
	return h, nil
}

// HeadOf reads where the log of a source ends, as its database says. Nothing is verified.
func HeadOf(ctx context.Context, source store.Source, log *slog.Logger) (h Head, err error) {
	db, err := openReadOnly(ctx, source, log)
	if err != nil {
		return h, fmt.Errorf("opening the log: %w", err)
	}
	p, err := rows{db}.head(ctx)
	if errors.Is(err, outcome.NotFound) { // a log that nothing was ever written to
		p, err = place{}, nil
	}
	return Head{p.n, p.id, p.hash}, errors.Join(err, db.Close())
}

// openHead checks the signature of a signed head.
func openHead(signed, public string) (Head, error) {
	verifier, err := note.NewVerifier(public)
	if err != nil {
		return Head{}, fmt.Errorf("reading the public key of the log: %w", err)
	}
	n, err := note.Open([]byte(signed), note.VerifierList(verifier))
	if err != nil {
		return Head{}, fmt.Errorf("checking the signature of a head: %w", err)
	}
	return ParseHead(n.Text)
}

// signer signs the newest head at most once a second, in a goroutine of its own, so that a slow disk behind HeadFile
// holds up no row.
type signer struct {
	rows rows
	key  *signingKey
	file string
	last func() place
	log  *slog.Logger

	stop  chan struct{}
	ended chan struct{}

	// Begin's, then the goroutine's alone, then close's.
	done    place // what was signed last
	wrote   bool  // done is in the table and in the file
	failing bool
}

func newSigner(r rows, key *signingKey, file string, last func() place, log *slog.Logger) *signer {
	return &signer{rows: r, key: key, file: file, last: last, log: log, stop: make(chan struct{}), ended: make(chan struct{})}
}

// begin signs the head as it is and starts the goroutine.
func (s *signer) begin() {
	s.signOrSay()
	go s.run()
}

func (s *signer) run() {
	defer close(s.ended)
	tick := time.NewTicker(signEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			s.signOrSay()
		case <-s.stop:
			return
		}
	}
}

// signOrSay signs, and logs when that begins to fail. Rows are written all the same: they are chained, and the next head
// covers them.
func (s *signer) signOrSay() {
	err := s.sign()
	if err != nil && !s.failing {
		s.log.Error("the head of the log cannot be signed or kept", "error", err)
	}
	s.failing = err != nil
}

// sign signs the newest head, if there is one that is not signed yet.
func (s *signer) sign() error {
	p := s.last()
	if s.wrote && p == s.done {
		return nil
	}
	signed, err := note.Sign(&note.Note{Text: Head{p.n, p.id, p.hash}.String()}, s.key.signer)
	if err != nil {
		return fmt.Errorf("signing a head: %w", err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), groupTime)
	defer cancel()
	err = s.rows.sign(ctx, string(signed), p.n)
	if s.file != "" {
		err = errors.Join(err, replaceFile(s.file, signed, 0o644))
	}
	s.done, s.wrote = p, err == nil
	return err
}

// close signs the last head.
func (s *signer) close() error {
	close(s.stop)
	<-s.ended
	if err := s.sign(); err != nil {
		return fmt.Errorf("keeping the last head of the log: %w", err)
	}
	return nil
}
