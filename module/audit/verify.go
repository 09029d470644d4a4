package audit

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"slices"
	"strings"

	"gatehouse/canon"
	"gatehouse/gate"
	"gatehouse/outcome"
	"gatehouse/store"
)

// VerifyOptions say what is verified and with what.
type VerifyOptions struct {
	Source store.Source
	// Sealer opens payloads. nil: that they are there is all that can be said of them.
	Sealer gate.Sealer
	// Head is the whole text of a signed head that was kept elsewhere. Empty: a tail that was cut together with the head in
	// the database is not found.
	Head string
	// Checkpoint is the whole text of a signed checkpoint that was kept elsewhere: the log must extend it.
	Checkpoint string
	// PublicKey checks the signatures of heads: a verifier key, as [Module.PublicKey] gives it and [PublicKeyFile] holds it.
	PublicKey string
	Log       *slog.Logger // nil: slog.Default
}

// Fault is the first thing that is wrong.
type Fault struct {
	Row     string `json:"row,omitzero"`     // the row's id; empty: no single row is wrong
	N       int64  `json:"n,omitzero"`       // its number
	Segment string `json:"segment,omitzero"` // the month of the closed segment in which it was found
	Problem string `json:"problem"`
}

// String is the fault in one line.
func (f Fault) String() string {
	text := f.Problem
	if f.Row != "" {
		text = fmt.Sprintf("row %s (number %d): %s", f.Row, f.N, f.Problem)
	}
	if f.Segment != "" {
		text = fmt.Sprintf("the closed segment %s: %s", f.Segment, text)
	}
	return text
}

// Report is what a verification found.
type Report struct {
	OK        bool   `json:"ok"`
	Rows      int64  `json:"rows"`                // the number of the last row that holds, and so how many there are unless Begins says otherwise
	Begins    int64  `json:"begins,omitzero"`     // the number of the first row, where those before it were moved away
	Closed    bool   `json:"closed,omitzero"`     // what was verified is one closed segment alone
	Segments  int64  `json:"segments,omitzero"`   // closed segments that were walked
	Last      string `json:"last,omitzero"`       // the last of them
	Fault     Fault  `json:"fault,omitzero"`      // the first thing that is wrong, if any
	Opened    int64  `json:"opened"`              // payloads that opened and are what their rows commit to
	Forgotten int64  `json:"forgotten,omitzero"`  // payloads whose person's key was destroyed
	Ended     int64  `json:"ended,omitzero"`      // payloads that were removed because their time was over
	Signed    int64  `json:"signed_rows"`         // up to which row the signed head in the database vouches
	Kept      int64  `json:"kept_rows,omitzero"`  // up to which row the head that was kept elsewhere vouches
	Intents   int64  `json:"under_way,omitzero"`  // calls with effects that have no row yet
	Vouches   string `json:"vouches"`             // in words: what this report can be taken for
	PublicKey string `json:"public_key,omitzero"` // with which signatures were checked
}

// Verify walks a whole log from the first row to the last and recomputes everything that can be: it needs no lock, changes
// nothing, and may run while a gateway writes. An error means that it could not be done; what it found wrong stands in the
// report.
func Verify(ctx context.Context, o VerifyOptions) (Report, error) {
	db, err := openReadOnly(ctx, o.Source, o.Log)
	if err != nil {
		return Report{}, fmt.Errorf("opening the log: %w", err)
	}
	r, err := verification{db: db, rows: rows{db}, sealer: o.Sealer, kept: o.Head, keptTree: o.Checkpoint, public: o.PublicKey}.run(ctx)
	return r, errors.Join(err, db.Close())
}

// ReadPublicKey reads the public key that belongs to a key file.
func ReadPublicKey(keyFile string) (string, error) {
	text, err := os.ReadFile(PublicKeyFile(keyFile))
	if err != nil {
		return "", fmt.Errorf("reading the log's public key: %w", err)
	}
	return strings.TrimSpace(string(text)), nil
}

// openReadOnly opens the log of a source as it is, without migrating it.
func openReadOnly(ctx context.Context, source store.Source, log *slog.Logger) (*store.DB, error) {
	c := databaseConfig()
	c.Source, c.Log = source, log
	return store.Open(ctx, c)
}

type verifyArgs struct {
	Head       string `json:"head,omitzero" jsonschema:"a signed head of the log that was kept elsewhere, the whole text"`
	Checkpoint string `json:"checkpoint,omitzero" jsonschema:"a signed checkpoint of the log that was kept elsewhere, the whole text"`
}

func (m *Module) verify(ctx context.Context, _ gate.Permit, a verifyArgs) (Report, error) {
	return verification{db: m.rows.db, rows: m.rows, sealer: m.sealer, kept: a.Head, keptTree: a.Checkpoint, public: m.PublicKey()}.run(ctx)
}

// verification is one walk.
type verification struct {
	db       *store.DB
	rows     rows
	sealer   gate.Sealer
	kept     string
	keptTree string
	public   string

	report  Report
	at      place // the last row that holds
	heads   []check
	counted map[gate.TokenID]*Count // from the rows, up to where counts are compared
	tree    tree                    // over the rows
	trees   []treeCheck
	summed  map[sumKey]*Sums // likewise
	moment  moment
	ranges  map[gate.RowID]*prunedRange // of payloads that were removed, by the intents of those calls
	named   map[gate.RowID]Range        // those that rows name, likewise

	month  string          // the closed segment that was walked last
	walked bool            // a segment was begun
	begins map[int64]began // beginnings that the rows will come to, by the number of the row before
	here   rows            // the segment that is walked
	inside bool            // it was closed meanwhile, and the walk goes on in the closed file
}

// check is a head that must fit the row of its number.
type check struct {
	Head
	whose string
}

// moment is the head, the counters and the sums as one statement read them.
type moment struct {
	place
	signed string
	counts map[gate.TokenID]*Count
	sums   map[sumKey]*Sums
}

// fault ends a walk: something is wrong with the log.
type faultError struct{ Fault }

func (f faultError) Error() string { return f.String() }

func wrong(format string, args ...any) error {
	return faultError{Fault{Problem: fmt.Sprintf(format, args...)}}
}

func wrongAt(id gate.RowID, n int64, format string, args ...any) error {
	return faultError{Fault{Row: id.String(), N: n, Problem: fmt.Sprintf(format, args...)}}
}

func (v verification) run(ctx context.Context) (Report, error) {
	v.report.PublicKey = v.public
	v.counted, v.summed = map[gate.TokenID]*Count{}, map[sumKey]*Sums{}
	v.named, v.begins = map[gate.RowID]Range{}, map[int64]began{}
	err := v.walk(ctx)
	var fault faultError
	switch {
	case err == nil:
		v.report.OK = true
	case errors.As(err, &fault):
		v.report.Fault = fault.Fault
	default:
		return Report{}, err
	}
	v.report.Rows, v.report.Last = v.at.n, v.at.id.String()
	v.report.Vouches = v.vouches()
	return v.report, nil
}

// walk looks at everything, in the order in which a fault is best explained.
func (v *verification) walk(ctx context.Context) error {
	if err := v.db.CheckAppendOnly(ctx); err != nil {
		return wrong("%v", err)
	}
	if err := v.begin(ctx); err != nil {
		return err
	}
	if err := v.chain(ctx); err != nil {
		return err
	}
	if err := v.end(ctx); err != nil {
		return err
	}
	return integrity(ctx, v.rows)
}

// begin reads the heads that the rows will be held against.
func (v *verification) begin(ctx context.Context) (err error) {
	if v.kept != "" {
		h, err := v.openHead(v.kept)
		if err != nil {
			return fmt.Errorf("the head that was kept elsewhere: %w", err)
		}
		v.heads = append(v.heads, check{h, "the head that was kept elsewhere"})
		v.report.Kept = h.Rows
	}
	v.moment, err = v.rows.moment(ctx)
	if errors.Is(err, outcome.NotFound) {
		return wrong("the head is missing")
	}
	if err != nil {
		return wrong("the head cannot be read: %v", err)
	}
	m := v.moment
	v.heads = append(v.heads, check{Head{m.n, m.id, m.hash}, "the head"})
	if m.signed == "" {
		return wrong("the signed head is missing")
	}
	h, err := v.openHead(m.signed)
	if err != nil {
		return wrong("the signed head: %v", err)
	}
	v.heads = append(v.heads, check{h, "the signed head"})
	v.report.Signed = h.Rows
	if err := v.readRanges(ctx); err != nil {
		return err
	}
	return v.beginTree(ctx)
}

// openHead checks the signature, where there is a key to do so.
func (v *verification) openHead(signed string) (Head, error) {
	if v.public != "" {
		return openHead(signed, v.public)
	}
	text, _, ok := strings.Cut(signed, "\n\n")
	if !ok {
		return Head{}, errHead
	}
	return ParseHead(text + "\n")
}

// pageSize is how many rows are read in one statement: a longer one would keep the write-ahead log from being folded in.
const pageSize = 500

// chain walks the rows of all segments.
func (v *verification) chain(ctx context.Context) error {
	if err := v.compareHeads(); err != nil { // heads of an empty log
		return err
	}
	for {
		if err := v.closedSegments(ctx); err != nil {
			return err
		}
		if turned, err := v.liveSegment(ctx); err != nil || !turned {
			return err
		}
	}
}

// page reads some rows of a segment, and judges none of them yet.
func (v *verification) page(ctx context.Context, r rows) (page []rawRow, err error) {
	err = r.page(ctx, v.at.id, pageSize, func(r rawRow) error {
		page = append(page, r)
		return nil
	})
	switch {
	case ctx.Err() != nil:
		return nil, fmt.Errorf("walking the log: %w", ctx.Err())
	case err == nil:
		return page, nil
	case len(page) > 0: // those before it are judged first
		return page, nil
	case v.at.n == 0:
		return nil, wrong("the first row, or its payload, cannot be read: %v", err)
	}
	return nil, wrong("the row after %s (number %d), or its payload, cannot be read: %v", v.at.id, v.at.n, err)
}

// rawRow is a row as it is stored.
type rawRow struct {
	id                         gate.RowID
	n                          int64
	person                     gate.PersonID
	agent, tool, outcome, body string
	hash, sealed               []byte
}

// row holds one row against itself, the one before, its payload and the heads.
func (v *verification) row(ctx context.Context, r rawRow) error {
	bad := func(format string, args ...any) error { return wrongAt(r.id, r.n, format, args...) }
	switch {
	case r.n != v.at.n+1:
		return bad("the row before it should have number %d, and that is %d: rows are missing or were put in", r.n-1, v.at.n)
	case r.id.ID < v.at.id.ID || r.id.ID == v.at.id.ID && r.id.Seq <= v.at.id.Seq:
		return bad("it does not come after row %s", v.at.id)
	}
	if hash := sha256.Sum256([]byte(r.body)); !bytes.Equal(hash[:], r.hash) {
		return bad("it was changed: its hash does not fit")
	}
	row, err := parseRow(r.body)
	if err != nil {
		return bad("it cannot be read: %v", err)
	}
	if row.Format != format {
		return bad("it has format %d, which this version does not know", row.Format)
	}
	if err := sameText(r.body); err != nil {
		return bad("%v", err)
	}
	switch {
	case row.Prev != hex.EncodeToString(v.at.hash[:]):
		return bad("it does not follow row %s: that one was changed and hashed again, or others stood between them", v.at.id)
	case row.ID != r.id.String(), row.N != r.n, row.Person != r.person, row.Agent != r.agent, row.Tool != r.tool, row.Outcome != r.outcome:
		return bad("a column says something else than the row that was hashed")
	}
	problem, err := v.payload(ctx, row, r.id, r.sealed)
	if err != nil {
		return fmt.Errorf("opening the payload of row %s: %w", r.id, err)
	}
	if problem != "" {
		return bad("%s", problem)
	}
	v.at.id, v.at.n = r.id, r.n
	copy(v.at.hash[:], r.hash)
	if r.n <= v.moment.n {
		tally(v.counted, &row, r.id.ID)
		sumRow(v.summed, &row, r.id.ID)
	}
	v.name(&row)
	v.tree.add(r.hash)
	if err := v.compareHeads(); err != nil {
		return err
	}
	if err := v.compareTrees(); err != nil {
		return err
	}
	return v.compareBegin(ctx)
}

// sameText refuses a body that says the same in other bytes: a row has one form.
func sameText(body string) error {
	c, err := canon.ParseObject([]byte(body))
	if err != nil {
		return fmt.Errorf("it is not JSON as the log writes it: %w", err)
	}
	if c.String() != body {
		return errors.New("it is not in canonical form")
	}
	return nil
}

// payload says what is wrong with a row's payload. An error means that it could not be looked at.
func (v *verification) payload(ctx context.Context, row Row, id gate.RowID, sealed []byte) (problem string, err error) {
	if sealed == nil {
		ended, err := v.ended(ctx, id)
		if ended || err != nil {
			v.report.Ended++
			return "", err
		}
		return "its payload is missing", nil
	}
	if v.sealer == nil {
		return "", nil
	}
	_, err = open(ctx, v.sealer, row.Person, row.Commitment, sealed)
	switch {
	case err == nil:
		v.report.Opened++
	case errors.Is(err, outcome.NotFound):
		v.report.Forgotten++
	case outcome.Of(err) == outcome.Unavailable || ctx.Err() != nil:
		return "", err
	default:
		return fmt.Sprintf("its payload was changed, or belongs to another row: %v", err), nil
	}
	return "", nil
}

// compareHeads holds the row that was reached against the heads of its number.
func (v *verification) compareHeads() error {
	for _, h := range v.heads {
		if h.Rows != v.at.n {
			continue
		}
		if h.Last != v.at.id || h.Hash != v.at.hash {
			return wrongAt(v.at.id, v.at.n, "%s says that row %s stands here, with another hash: the rows up to here were replaced", h.whose, h.Last)
		}
	}
	return nil
}

// end looks at what stands behind the last row.
func (v *verification) end(ctx context.Context) error {
	for _, h := range v.heads {
		if h.Rows > v.at.n {
			return wrong("the tail is cut: %s says that there are %d rows up to %s, and the log ends with number %d, row %s",
				h.whose, h.Rows, h.Last, v.at.n, orNone(v.at.id))
		}
	}
	if err := v.endTrees(); err != nil {
		return err
	}
	now, err := v.rows.head(ctx)
	if err != nil {
		return wrong("the head cannot be read: %v", err)
	}
	if now.n < v.at.n {
		return wrong("there are rows behind the head, which ends with number %d, row %s: they were put in", now.n, orNone(now.id))
	}
	if now.n == v.at.n && now != v.at {
		return wrong("the head says row %s, and the log ends with %s", orNone(now.id), orNone(v.at.id))
	}
	if err := v.endRanges(ctx); err != nil {
		return err
	}
	if err := strays(ctx, v.rows); err != nil {
		return err
	}
	if err := v.compareCounts(); err != nil {
		return err
	}
	intents, err := v.rows.intents(ctx)
	if err != nil {
		return wrong("the intents cannot be read: %v", err)
	}
	v.report.Intents = int64(len(intents))
	return nil
}

// strays finds payloads that belong to no row.
func strays(ctx context.Context, r rows) error {
	id, err := r.strayPayload(ctx)
	if errors.Is(err, outcome.NotFound) {
		return nil
	}
	if err != nil {
		return wrong("the payloads cannot be read: %v", err)
	}
	return wrong("there is a payload for row %s, and no such row: it was removed", id)
}

// compareCounts holds the counters against the rows from which they were counted.
func (v *verification) compareCounts() error {
	tokens := slices.Collect(maps.Keys(v.counted))
	tokens = slices.AppendSeq(tokens, maps.Keys(v.moment.counts))
	slices.Sort(tokens)
	for _, token := range slices.Compact(tokens) {
		rows, stored := v.counted[token], v.moment.counts[token]
		if rows == nil || stored == nil || *rows != *stored {
			return wrong("the counters of token %d say %s, and the rows %s", token, stored, rows)
		}
	}
	return v.compareSums()
}

// String is a count as a fault shows it.
func (c *Count) String() string {
	if c == nil {
		return "nothing"
	}
	return fmt.Sprintf("%d calls, %d uses, a cost of %d, last at %d from %q", c.Calls, c.Uses, c.Cost, max(c.LastUsed.UnixMilli(), 0), c.LastAddress)
}

// integrity asks SQLite whether its file is whole: an index that hides rows is not seen by walking.
func integrity(ctx context.Context, r rows) error {
	if r.db.Engine() != store.SQLite {
		return nil
	}
	var said []string
	err := r.db.All(ctx, func(scan func(...any) error) error {
		var line string
		err := scan(&line)
		said = append(said, line)
		return err
	}, `PRAGMA integrity_check`)
	if err != nil {
		return wrong("the database file cannot be checked: %v", err)
	}
	if len(said) != 1 || said[0] != "ok" {
		return wrong("the database file is damaged: %s", strings.Join(said[:min(len(said), 5)], "; "))
	}
	return nil
}

func orNone(id gate.RowID) string {
	if id.IsZero() {
		return "none"
	}
	return id.String()
}

// vouches says in words what the report can be taken for.
func (v *verification) vouches() string {
	text := v.vouchesForRows()
	if v.report.Begins > 0 {
		text += fmt.Sprintf("; the log begins at row %d here: the rows before were moved away, and are not vouched for", v.report.Begins)
	}
	return text
}

func (v *verification) vouchesForRows() string {
	first := max(v.report.Begins, 1)
	switch {
	case !v.report.OK && v.at.n < first:
		return "nothing"
	case !v.report.OK:
		return fmt.Sprintf("the rows %d to %d are linked to each other; what comes after is not vouched for", first, v.at.n)
	case v.report.Kept > 0 && v.public != "":
		return fmt.Sprintf("nothing was changed or removed up to row %d, as the head or checkpoint that was kept elsewhere says; after it nothing was changed "+
			"by anyone who does not hold the signing key", v.report.Kept)
	}
	return "no row was changed or removed by anyone who could not write the database and sign heads; " +
		"only a head or a checkpoint that was kept elsewhere tells whether the tail was cut"
}
