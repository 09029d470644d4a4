package audit

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/mod/sumdb/note"

	"gatehouse/canon"
	"gatehouse/gate"
	"gatehouse/store"
)

// A segment of the log is what was written in one month (UTC, by the rows' ids). The first row of a new month begins the
// next one: on SQLite in a new file, on PostgreSQL in a new partition. Each begins with a row of the table segment, which
// says what was before, so that older segments can be moved away whole.

// monthAfter is the first millisecond of the month after the one in which an id was given.
func monthAfter(id int64) int64 {
	t := time.UnixMilli(id).UTC()
	return time.Date(t.Year(), t.Month()+1, 1, 0, 0, 0, 0, time.UTC).UnixMilli()
}

// monthOf names the month of an id, as closed files are named.
func monthOf(id int64) string { return time.UnixMilli(id).UTC().Format("2006-01") }

// monthEnd is the first millisecond after a month; the rows of its segment lie before it, and those of later ones do not.
func monthEnd(month string) (int64, error) {
	t, err := time.Parse("2006-01", month)
	if err != nil {
		return 0, fmt.Errorf("%q is not a month: %w", month, err)
	}
	return monthAfter(t.UnixMilli()), nil
}

// began is where a segment begins.
type began struct {
	place          // the last row before it
	segment int64  // its key: when it began; zero: it is the first
	tree    tree   // over all rows before it
	signed  string // vouches for it
}

// segmentTitle is the first line of what is signed, with the number of its format.
const segmentTitle = "gatehouse audit segment 1"

// beginning is the text that is signed when a segment begins.
type beginning struct {
	Head
	root    [sha256.Size]byte // of the tree over the rows before
	ranges  int64             // how many ranges of removed payloads were written down
	carried [sha256.Size]byte // what else was carried on
}

// String is the text that is signed.
func (b beginning) String() string {
	return fmt.Sprintf("%s\nrows %d\nlast %s\nhash %x\nroot %x\nranges %d\ncarried %x\n", segmentTitle, b.Rows, b.Last, b.Hash, b.root, b.ranges, b.carried)
}

var errBeginning = errors.New("this is not the beginning of a segment, with its signature")

// openBeginning reads what was signed, and checks the signature where there is a key to do so.
func openBeginning(signed, public string) (b beginning, err error) {
	text, _, _ := strings.Cut(signed, "\n\n")
	text += "\n"
	if public != "" {
		verifier, err := note.NewVerifier(public)
		if err != nil {
			return b, fmt.Errorf("reading the public key of the log: %w", err)
		}
		n, err := note.Open([]byte(signed), note.VerifierList(verifier))
		if err != nil {
			return b, fmt.Errorf("checking the signature of the beginning of a segment: %w", err)
		}
		text = n.Text
	}
	lines := strings.Split(text, "\n")
	if len(lines) != 8 {
		return b, errBeginning
	}
	value := func(i int, name string) string { return strings.TrimPrefix(lines[i], name+" ") }
	into := func(to []byte, text string) {
		if hash, err := hex.DecodeString(text); err == nil && len(hash) == len(to) {
			copy(to, hash)
		}
	}
	if b.Rows, err = strconv.ParseInt(value(1, "rows"), 10, 64); err != nil {
		return beginning{}, errBeginning
	}
	if b.Last, err = gate.ParseRowID(value(2, "last")); err != nil {
		return beginning{}, errBeginning
	}
	into(b.Hash[:], value(3, "hash"))
	into(b.root[:], value(4, "root"))
	if b.ranges, err = strconv.ParseInt(value(5, "ranges"), 10, 64); err != nil {
		return beginning{}, errBeginning
	}
	into(b.carried[:], value(6, "carried"))
	if b.String() != text { // one form, so nothing was left out above
		return beginning{}, errBeginning
	}
	return b, nil
}

// carried is what a segment takes over besides the chain: counted from rows that may not be there later.
type carried struct {
	counts map[gate.TokenID]*Count
	sums   map[sumKey]*Sums
	ranges []keyedRange // in the order of their keys
}

// keyedRange is a range of removed payloads, and the intent of the call that removed them.
type keyedRange struct {
	key gate.RowID
	Range
}

type carriedCount struct {
	Address string       `json:"address"`
	Calls   int64        `json:"calls"`
	Cost    gate.Money   `json:"cost"`
	Last    int64        `json:"last_ms"`
	Token   gate.TokenID `json:"token"`
	Uses    int64        `json:"uses"`
}

type carriedSum struct {
	Agent  string        `json:"agent"`
	Day    int64         `json:"day"`
	Person gate.PersonID `json:"person"`
	Sums
	Tool string `json:"tool"`
}

type carriedRange struct {
	Before int64  `json:"before"`
	From   int64  `json:"from"`
	Intent string `json:"intent"`
}

// digest is SHA-256 over all of it in canonical JSON.
func (c carried) digest() (sum [sha256.Size]byte, err error) {
	text := struct {
		Counts []carriedCount `json:"counts"`
		Ranges []carriedRange `json:"ranges"`
		Sums   []carriedSum   `json:"sums"`
	}{[]carriedCount{}, []carriedRange{}, []carriedSum{}}
	for _, token := range slices.Sorted(maps.Keys(c.counts)) {
		n := c.counts[token]
		text.Counts = append(text.Counts, carriedCount{n.LastAddress, n.Calls, n.Cost, lastMilli(n), token, n.Uses})
	}
	for _, r := range c.ranges {
		text.Ranges = append(text.Ranges, carriedRange{r.Before, r.From, r.key.String()})
	}
	for _, k := range slices.SortedFunc(maps.Keys(c.sums), sumKey.compare) {
		text.Sums = append(text.Sums, carriedSum{k.agent, k.day, k.person, *c.sums[k], k.tool})
	}
	v, err := canon.From(text)
	if err != nil {
		return sum, fmt.Errorf("writing what a segment takes over: %w", err)
	}
	return sha256.Sum256(v.Bytes()), nil
}

func lastMilli(c *Count) int64 {
	if c.LastUsed.IsZero() {
		return 0
	}
	return c.LastUsed.UnixMilli()
}

// segmenter makes what the beginning of a segment says and signs.
type segmenter struct {
	key *signingKey
	// upTo is the tree over the rows up to the last one.
	upTo func(context.Context, store.Queries, place) (tree, error)
}

// begin makes the beginning of the segment that follows the last row, and the head and checkpoint that end the one before.
func (s segmenter) begin(ctx context.Context, from store.Queries, last place, t tree, now int64) (b began, ends signedEnds, c carried, err error) {
	if c, err = readCarried(ctx, from); err != nil {
		return b, ends, c, err
	}
	before, err := latest(ctx, from)
	if err != nil {
		return b, ends, c, err
	}
	b = began{place: last, segment: max(now, last.id.ID, before.segment+1), tree: t}
	head := Head{last.n, last.id, last.hash}
	text := beginning{Head: head, root: t.root(), ranges: int64(len(c.ranges))}
	if text.carried, err = c.digest(); err != nil {
		return b, ends, c, err
	}
	if b.signed, err = s.sign(text); err != nil {
		return b, ends, c, err
	}
	if ends.head, err = s.sign(head); err != nil {
		return b, ends, c, err
	}
	ends.checkpoint, err = s.sign(Checkpoint{last.n, t.root()})
	return b, ends, c, err
}

// signedEnds are the head and the checkpoint with which a segment ends.
type signedEnds struct{ head, checkpoint string }

func (s segmenter) sign(text fmt.Stringer) (string, error) {
	signed, err := note.Sign(&note.Note{Text: text.String()}, s.key.signer)
	if err != nil {
		return "", fmt.Errorf("signing the end of a segment: %w", err)
	}
	return string(signed), nil
}

// turnOver goes on in a new file, because the month of the last row is over: at is the id of what is to be written. Where
// that cannot be done now the log goes on in the old file, which is closed a month later: rows come first.
func (w *writer) turnOver(ctx context.Context, at int64) {
	tip := w.last()
	w.turn = monthAfter(at)
	if tip.n == w.begun.n { // nothing was written since the segment began
		return
	}
	month := monthOf(tip.id.ID)
	if err := w.rotate(ctx, tip, month, at); err != nil {
		w.log.Warn("the month of the log cannot be closed; its rows go on in the same file, which is closed with the next month", "month", month, "error", err)
		return
	}
	w.log.Info("the month of the log was closed", "month", month, "rows", tip.n)
}

func (w *writer) rotate(ctx context.Context, tip place, month string, at int64) error {
	t, err := w.segments.upTo(ctx, w.rows.db, tip)
	if err != nil {
		return err
	}
	var b began
	err = w.rows.db.Rotate(ctx, month, func(from, into *store.Tx) (err error) {
		var ends signedEnds
		var c carried
		if b, ends, c, err = w.segments.begin(ctx, from, tip, t, at); err != nil {
			return err
		}
		return b.carry(ctx, from, into, ends, c)
	})
	if err != nil {
		return err
	}
	w.setBegun(b)
	return nil
}

// setBegun takes over where the live segment begins. No key in it is older than the segment itself, even if the clock was
// ahead when it began and is not any more: so the months of closed segments never overlap.
func (w *writer) setBegun(b began) {
	w.begun = b
	if b.segment != 0 {
		w.rows.db.Clock().Resume(b.segment, 0)
	}
}

// follows refuses a live file that does not go on where the newest closed one ends: it was put there in another's place. That
// closed files are missing keeps nobody from writing on.
func (w *writer) follows(ctx context.Context) error {
	months, err := w.rows.db.Closed()
	if err != nil || len(months) == 0 {
		return err
	}
	closed, err := w.rows.db.OpenClosed(ctx, months[len(months)-1], false)
	if err != nil {
		return fmt.Errorf("opening the newest closed segment: %w", err)
	}
	end, err := rows{closed}.head(ctx)
	if err = errors.Join(err, closed.Close()); err != nil {
		return fmt.Errorf("reading where the newest closed segment ends: %w", err)
	}
	if w.begun.n < end.n || w.begun.n == end.n && w.begun.place != end {
		return fmt.Errorf("the closed segment %s ends with row %s, number %d, and the live one begins after row %s, number %d: run gatehouse audit verify",
			months[len(months)-1], end.id, end.n, orNone(w.begun.id), w.begun.n)
	}
	return nil
}
