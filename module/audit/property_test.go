package audit_test

import (
	"errors"
	"os"
	"testing"

	"pgregory.net/rapid"

	"gatehouse/gate"
	"gatehouse/module/audit"
	"gatehouse/outcome"
	"gatehouse/store"
)

// TestUsesAgreeWithRows: whatever is admitted, recorded and left lying when the process ends, the uses are those of the
// rows and of the calls under way, every intent gets one row, and the log verifies.
func TestUsesAgreeWithRows(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		dir, err := os.MkdirTemp(t.TempDir(), "log")
		if err != nil {
			rt.Fatal(err)
		}
		l := newLog(t, store.Source{Dir: dir})
		defer l.close()
		limit := rapid.Int64Range(1, 6).Draw(rt, "limit")
		model := &modelLog{limit: limit}
		for range rapid.IntRange(1, 20).Draw(rt, "steps") {
			switch rapid.SampledFrom([]string{"read", "write", "write", "record", "record", "record", "refuse", "end"}).Draw(rt, "step") {
			case "read":
				model.admit(rt, t, l, gate.Reads)
			case "write":
				model.admit(rt, t, l, gate.Writes)
			case "record":
				model.record(rt, t, l)
			case "refuse":
				model.refuse(rt, t, l)
			case "end":
				model.end(l)
			}
			model.compare(rt, l)
		}
		model.end(l)
		model.compare(rt, l)
		l.close()
		report, err := audit.Verify(t.Context(), audit.VerifyOptions{Source: l.source, Sealer: l.sealer})
		if err != nil || !report.OK {
			rt.Fatalf("%+v, %v", report, err)
		}
	})
}

// modelLog is what the log should know.
type modelLog struct {
	limit int64
	uses  int64 // of child and of root alike
	calls int64
	open  []gate.Ticket
}

func (m *modelLog) admit(rt *rapid.T, t *testing.T, l *testLog, effect gate.Effect) {
	ticket, err := l.Admit(t.Context(), row(t, effect, outcome.Unknown), chain(m.limit))
	if m.uses >= m.limit {
		if !errors.Is(err, outcome.Limited) || ticket.Admitted {
			rt.Fatalf("admitted with %d uses of %d: %v", m.uses, m.limit, err)
		}
		return
	}
	if err != nil {
		rt.Fatal(err)
	}
	m.uses++
	m.open = append(m.open, ticket)
}

func (m *modelLog) record(rt *rapid.T, t *testing.T, l *testLog) {
	if len(m.open) == 0 {
		return
	}
	i := rapid.IntRange(0, len(m.open)-1).Draw(rt, "which")
	ticket := m.open[i]
	m.open = append(m.open[:i:i], m.open[i+1:]...)
	effect := gate.Reads
	if ticket.Intent != 0 {
		effect = gate.Writes
	}
	if _, err := l.Record(t.Context(), ticket, row(t, effect, outcome.OK)); err != nil {
		rt.Fatal(err)
	}
	m.calls++
}

func (m *modelLog) compare(rt *rapid.T, l *testLog) {
	c, r := l.Counts(child), l.Counts(root)
	if c.Uses != m.uses || r.Uses != m.uses || c.Calls != m.calls {
		rt.Fatalf("child %+v, root %+v; want %d uses and %d calls", c, r, m.uses, m.calls)
	}
}

func (m *modelLog) refuse(rt *rapid.T, t *testing.T, l *testLog) {
	if _, err := l.Record(t.Context(), gate.Ticket{}, row(t, gate.Writes, outcome.NotAllowed)); err != nil {
		rt.Fatal(err)
	}
	m.calls++
}

// end is the end of a process with calls under way, and the start of the next.
func (m *modelLog) end(l *testLog) {
	for _, ticket := range m.open {
		if ticket.Intent == 0 {
			m.uses-- // it was never answered
		} else {
			m.calls++ // unknown
		}
	}
	m.open = nil
	l.reopen()
}
