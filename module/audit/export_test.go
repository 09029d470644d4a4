package audit

import (
	"context"
	"errors"
	"fmt"
	"time"

	"gatehouse/canon"
	"gatehouse/gate"
	"gatehouse/outcome"
	"gatehouse/store"
)

// FullWhen says which errors count as a full disk.
func (c *Config) FullWhen(full func(error) bool) { c.full = full }

// ReserveSize is how large the reserve is.
const ReserveSize = reserveSize

// DB is the log's own handle, with the rights that the process has.
func (m *Module) DB() *store.DB { return m.rows.db }

// OpenIntents is how many calls have an intent and no row yet, as the database says.
func (m *Module) OpenIntents(ctx context.Context) (int, error) {
	all, err := m.rows.intents(ctx)
	return len(all), err
}

// PayloadText is the text that is sealed.
func PayloadText(p Payload) string { return string(p.appendTo(nil)) }

// EachSegment runs something on every segment that is there, the oldest first.
func EachSegment(ctx context.Context, db *store.DB, do func(*store.DB) error) error {
	months, err := db.Closed()
	if err != nil {
		return err
	}
	for _, month := range months {
		if err := (rows{db}).closed(ctx, month, func(r rows) error { return do(r.db) }); err != nil {
			return err
		}
	}
	return do(db)
}

// Rows gives all rows, oldest first, and their payloads, empty where the key was destroyed.
func Rows(ctx context.Context, db *store.DB, s gate.Sealer) (all []Row, payloads []Payload, err error) {
	err = EachSegment(ctx, db, func(db *store.DB) error {
		return rows{db}.page(ctx, gate.RowID{}, 1<<30, func(r rawRow) error {
			row, err := parseRow(r.body)
			if err != nil {
				return err
			}
			p := Payload{}
			if r.sealed != nil {
				p, err = open(ctx, s, row.Person, row.Commitment, r.sealed)
			}
			if errors.Is(err, outcome.NotFound) {
				err = nil
			}
			all, payloads = append(all, row), append(payloads, p)
			return err
		})
	})
	return all, payloads, err
}

// Text is a row as it is stored, written by the hand-made encoder.
func Text(r *gate.Row, used []gate.TokenID, id gate.RowID, n int64, prev [32]byte, commitment string) (Row, string) {
	row := newRow(r)
	row.Used, row.Commitment = used, commitment
	text := newDraft(row, nil).body(id, n, prev)
	row.ID, row.N, row.Prev = id.String(), n, commitmentOf(prev)
	return row, string(text)
}

func commitmentOf(b [32]byte) string { return commitment(b).String() }

// NewPayload is what a payload becomes.
func NewPayload(p gate.Payload, limit int64) Payload { return newPayload(p, limit) }

// Migrations are the log's own.
var Migrations = migrations

// WriteUnclean writes a row whose texts were not made fit to be stored.
func (m *Module) WriteUnclean(ctx context.Context, r *gate.Row) error {
	row := newRow(r)
	row.Tool = string(r.Tool)
	sealed, c, err := seal(ctx, m.sealer, row.Person, newPayload(r.Payload, m.payload))
	if err != nil {
		return err
	}
	row.Commitment = c.String()
	return m.writer.write(ctx, &entry{draft: newDraft(row, sealed), done: make(chan struct{})})
}

// Queued is how many entries wait for the writer.
func (m *Module) Queued() int { return len(m.writer.queue) }

// SumsOfRows sums the log itself, row by row.
func SumsOfRows(ctx context.Context, db *store.DB) (map[string]Sums, error) {
	sums := map[sumKey]*Sums{}
	err := EachSegment(ctx, db, func(db *store.DB) error {
		return rows{db}.page(ctx, gate.RowID{}, 1<<30, func(r rawRow) error {
			row, err := parseRow(r.body)
			if err == nil {
				sumRow(sums, &row, r.id.ID)
			}
			return err
		})
	})
	byName := map[string]Sums{}
	for k, s := range sums {
		byName[fmt.Sprint(time.UnixMilli(k.day).UTC().Format(time.DateOnly), " ", k.person, " ", k.agent, " ", k.tool)] = *s
	}
	return byName, err
}

// SumsKept is what the database has counted, under the same names.
func SumsKept(ctx context.Context, db *store.DB) (map[string]Sums, error) {
	all, err := rows{db}.sums(ctx, sumFilter{to: 1 << 62, byDay: 1, byPerson: 1, byAgent: 1, byTool: 1, limit: 1 << 20})
	byName := map[string]Sums{}
	for _, s := range all {
		byName[fmt.Sprint(s.Day, " ", s.Person, " ", s.Agent, " ", s.Tool)] = s.Sums
	}
	return byName, err
}

// PruneOnce removes one batch of a range, whose intent is there.
func (m *Module) PruneOnce(ctx context.Context, args canon.Value) (int64, error) {
	var a Range
	if err := args.Decode(&a); err != nil {
		return 0, err
	}
	intent, err := m.rows.intentOf(ctx, a)
	if err != nil {
		return 0, err
	}
	if err := m.rows.writeRange(ctx, intent, a); err != nil {
		return 0, err
	}
	months, err := m.rows.db.Closed()
	if err != nil || len(months) == 0 {
		return m.rows.prune(ctx, a)
	}
	db, err := m.rows.db.OpenClosed(ctx, months[0], true)
	if err != nil {
		return 0, err
	}
	intents, err := m.rows.intents(ctx)
	if err != nil {
		return 0, err
	}
	r := rows{db}
	err = r.lend(ctx, intent, intents[intent], a)
	n := int64(0)
	if err == nil {
		n, err = r.prune(ctx, a)
	}
	return n, errors.Join(err, db.Close())
}

// VerifyNow is what audit.verify does.
func (m *Module) VerifyNow(ctx context.Context) (Report, error) {
	return m.verify(ctx, gate.Permit{}, verifyArgs{})
}

// FollowWhile reads all rows of all segments in their order. between runs once, before the live segment is read.
func (m *Module) FollowWhile(ctx context.Context, between func()) ([]Row, error) {
	f := filter{to: 1 << 62, limit: 1 << 20}
	return m.rows.inOrder(ctx, f, func(r rows, f filter) ([]Row, error) {
		if r == m.rows && between != nil {
			between()
			between = nil
		}
		return r.after(ctx, f)
	})
}
