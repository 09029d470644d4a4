package audit

import (
	"bufio"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/csv"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"gatehouse/canon"
	"gatehouse/gate"
	"gatehouse/outcome"
)

// keepExports is how long an export that nobody fetched lies about.
const keepExports = time.Hour

type exportArgs struct {
	Person gate.PersonID `json:"person,omitzero" carries:"nothing" jsonschema:"only rows of this person"`
	From   string        `json:"from,omitzero" kind:"opaque" carries:"nothing" jsonschema:"only rows since then: RFC 3339, for example 2026-11-23T18:00:00Z"`
	To     string        `json:"to,omitzero" kind:"opaque" carries:"nothing" jsonschema:"only rows before then: RFC 3339"`
	Format string        `json:"format,omitzero" kind:"opaque" carries:"nothing" jsonschema:"jsonl (the default), csv, or sqlite: the whole log as a database"`
}

// Export is what was exported. Whoever may call this opens no payload: rows come without, and a copy of the log has them
// sealed as they are.
type Export struct {
	File   string `json:"file"` // in the data folder; it goes after an hour
	Rows   int64  `json:"rows"`
	Bytes  int64  `json:"bytes"`
	SHA256 string `json:"sha256"`
}

// export writes rows into a file in the data folder, which the operator's command fetches: so the whole export is one call,
// with its intent and its row, however long it is. It reads page by page, up to the row that was the last when it began.
func (m *Module) export(ctx context.Context, p gate.Permit, a exportArgs) (e Export, err error) {
	if !p.Operator() {
		return e, outcome.NotAllowed.Because("the log is exported on the command line of the machine that holds it: gatehouse audit export")
	}
	f, err := searchArgs{Person: a.Person, From: a.From, To: a.To, Limit: maxLimit}.filter()
	if err != nil {
		return e, err
	}
	var form func(io.Writer) rowWriter
	switch a.Format {
	case "", "jsonl":
		form = newJSONLines
	case "csv":
		form = newTable
	case "sqlite":
		if a.Person != 0 || a.From != "" || a.To != "" {
			return e, fault("/format", "sqlite copies the log whole: it goes with no filter")
		}
		return m.exportCopy(ctx)
	default:
		return e, fault("/format", "must be jsonl, csv or sqlite")
	}
	if err := m.dropExports(); err != nil {
		return e, err
	}
	name := fmt.Sprintf("export-%d-%s", time.Now().UnixMilli(), rand.Text())
	file, err := m.work.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return e, fmt.Errorf("making the file of an export: %w", err)
	}
	sum := sha256.New()
	buffered := bufio.NewWriterSize(io.MultiWriter(file, sum), 64<<10)
	e.Rows, err = m.exportRows(ctx, f, form(buffered))
	if err = errors.Join(err, buffered.Flush()); err == nil {
		if info, statErr := file.Stat(); statErr == nil {
			e.Bytes = info.Size()
		}
	}
	if err = errors.Join(err, file.Close()); err != nil {
		return Export{}, errors.Join(fmt.Errorf("exporting: %w", err), m.work.Remove(name))
	}
	e.File, e.SHA256 = filepath.ToSlash(filepath.Join("work", m.Name(), name)), hex.EncodeToString(sum.Sum(nil))
	return e, nil
}

// exportRows writes all rows of a filter, oldest first.
func (m *Module) exportRows(ctx context.Context, f filter, w rowWriter) (n int64, err error) {
	last := m.writer.last().id
	for {
		page, err := m.rows.inOrder(ctx, f, func(r rows, f filter) ([]Row, error) { return r.exported(ctx, f, last) })
		if err != nil {
			return n, err
		}
		for i := range page {
			if err := w.row(&page[i]); err != nil {
				return n, err
			}
		}
		n += int64(len(page))
		if len(page) < f.limit {
			return n, w.end()
		}
		if f.after, err = gate.ParseRowID(page[len(page)-1].ID); err != nil {
			return n, err
		}
	}
}

// dropExports removes what nobody fetched.
func (m *Module) dropExports() error {
	dir, err := m.work.Open(".")
	if err != nil {
		return fmt.Errorf("looking for old exports: %w", err)
	}
	entries, err := dir.ReadDir(-1)
	if err = errors.Join(err, dir.Close()); err != nil {
		return fmt.Errorf("looking for old exports: %w", err)
	}
	for _, entry := range entries {
		info, err := entry.Info()
		if err != nil || !strings.HasPrefix(entry.Name(), "export-") || time.Since(info.ModTime()) < keepExports {
			continue // one that went since is none
		}
		if err := m.work.Remove(entry.Name()); err != nil {
			return fmt.Errorf("removing an old export: %w", err)
		}
	}
	return nil
}

// rowWriter writes rows in one format.
type rowWriter interface {
	row(*Row) error
	end() error
}

// jsonLines is one row a line, in canonical form, with its hash: what docs/audit-format.md describes.
type jsonLines struct{ to io.Writer }

func newJSONLines(to io.Writer) rowWriter { return jsonLines{to} }

func (j jsonLines) row(r *Row) error {
	text, err := canon.From(r)
	if err == nil {
		_, err = j.to.Write(append(text.Bytes(), '\n'))
	}
	return err
}

func (jsonLines) end() error { return nil }

// table is CSV (RFC 4180) with a line of headings.
type table struct {
	to    *csv.Writer
	began bool
}

func newTable(to io.Writer) rowWriter { return &table{to: csv.NewWriter(to)} }

var headings = []string{
	"id", "n", "began", "person", "agent", "token", "ancestors", "operator", "job", "entry", "address", "session", "tool", "effect", "decision",
	"rule", "shadow", "outcome", "count", "price", "bytes_in", "bytes_out", "took_us", "map_version", "grant_version", "token_version", "definition",
	"used", "intent", "pruned_from", "pruned_before", "peer_uid", "peer_pid", "peer_program", "commitment", "prev", "hash",
}

func (t *table) row(r *Row) error {
	if err := t.begin(); err != nil {
		return err
	}
	number := func(n int64) string { return strconv.FormatInt(n, 10) }
	list := func(ids []gate.TokenID) string { return strings.Trim(fmt.Sprint(ids), "[]") }
	cells := []string{
		r.ID, number(r.N), time.UnixMilli(r.Began).UTC().Format("2006-01-02T15:04:05.000Z"), number(int64(r.Person)), r.Agent, number(int64(r.Token)),
		list(r.Ancestors), strconv.FormatBool(r.Operator), r.Job, r.Entry, r.Address, r.Session, r.Tool, r.Effect, r.Decision,
		r.Rule, r.Shadow, r.Outcome, number(r.Count), number(int64(r.Price)), number(r.BytesIn), number(r.BytesOut), number(r.Took),
		number(r.MapVersion), number(r.GrantVersion), number(r.TokenVersion), r.Definition,
		list(r.Used), r.Intent, number(r.Pruned.From), number(r.Pruned.Before), number(int64(r.Peer.UID)), number(int64(r.Peer.PID)), r.Peer.Program, r.Commitment, r.Prev, r.Hash,
	}
	for i := range cells {
		cells[i] = harmless(cells[i])
	}
	return t.to.Write(cells)
}

func (t *table) begin() error {
	if t.began {
		return nil
	}
	t.began = true
	return t.to.Write(headings)
}

func (t *table) end() error {
	err := t.begin()
	t.to.Flush()
	return errors.Join(err, t.to.Error())
}

// harmless keeps a spreadsheet from running what a stranger called a tool or a session: a cell that begins like a formula
// gets an apostrophe in front.
func harmless(cell string) string {
	if cell != "" && strings.ContainsRune("=+-@\t\r\n", rune(cell[0])) {
		return "'" + cell
	}
	return cell
}
