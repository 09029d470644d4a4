package wire

import "slices"

// Revision is a version of MCP, named by its day.
type Revision string

// The revisions that are spoken. 2025-03-26 is what a client means that sends no header after its handshake.
const (
	R20241105 Revision = "2024-11-05"
	R20250326 Revision = "2025-03-26"
	R20250618 Revision = "2025-06-18"
	R20251125 Revision = "2025-11-25"
	R20260728 Revision = "2026-07-28"
)

// Revisions lists what is spoken, the newest first.
func Revisions() []Revision {
	return []Revision{R20260728, R20251125, R20250618, R20250326, R20241105}
}

// Spoken says that the revision is one of [Revisions].
func (r Revision) Spoken() bool { return slices.Contains(Revisions(), r) }

// Era gives the era of a revision, spoken or not: every day from 2026-07-28 on is Modern. What is no day is Legacy.
func (r Revision) Era() Era {
	if r.isDay() && r >= R20260728 {
		return Modern
	}
	return Legacy
}

func (r Revision) isDay() bool {
	if len(r) != len("2006-01-02") {
		return false
	}
	for i := range len(r) {
		if dash := i == 4 || i == 7; dash != (r[i] == '-') || !dash && (r[i] < '0' || r[i] > '9') {
			return false
		}
	}
	return true
}

// Initialize gives the revision that answers an initialize that wishes for this one: itself if it is spoken and has a
// handshake, else the newest that has one. It is never a modern one: clients give up at that answer.
func (r Revision) Initialize() Revision {
	if r.Spoken() && r.Era() == Legacy {
		return r
	}
	return R20251125
}

// Era is one of the two ways in which MCP is spoken.
type Era uint8

const (
	// Legacy is with handshake and sessions: revisions up to 2025-11-25.
	Legacy Era = iota
	// Modern is without either: every request says its revision in _meta. From 2026-07-28 on.
	Modern
)

// String gives "legacy" or "modern".
func (e Era) String() string {
	if e == Modern {
		return "modern"
	}
	return "legacy"
}

// EraOf tells the era of a frame and of the MCP-Protocol-Version header that came with it ("" if none did). One of them is
// enough for Modern, so that what they disagree about is judged by the stricter era. An initialize is always Legacy: the
// modern era has none.
func EraOf(header string, f Frame) Era {
	if f.Method == "initialize" {
		return Legacy
	}
	if v, said := f.known.meta.Member(MetaProtocolVersion); said {
		if s, isText := v.Text(); !isText || Revision(s).Era() == Modern {
			return Modern
		}
	}
	return Revision(header).Era()
}
