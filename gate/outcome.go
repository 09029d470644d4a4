package gate

import (
	"strconv"
	"strings"
	"time"

	"gatehouse/canon"
	"gatehouse/outcome"
)

// Outcome is how a call ended. Every entry translates it by one table; none adds to it or decides by itself (P10).
type Outcome struct {
	Code       outcome.Code
	Reason     string          // for people and models: what to do next
	Faults     []outcome.Fault // for Invalid
	RetryAfter time.Duration   // for Limited; zero: not said
	ID         RowID           // the row in the log; zero where the refusal stands in a summary row or the log cannot be written
	Result     canon.Value     // for OK; also for Upstream, where the tool answered with an error of its own
	Content    bool            // Result is an MCP tool result (content, structuredContent), not a value of ours
	Redactions []Redaction     // what the guards cut or marked
	Schemaless bool            // the tool, which the caller may use, declares no schema of its result
}

// Redaction says how many findings of one kind were cut or marked in a result.
type Redaction struct {
	Kind  string `json:"kind"`
	Count int    `json:"count"`
}

// IsZero reports whether there is no row.
func (r RowID) IsZero() bool { return r == RowID{} }

// String is the id as people see it: 1763871234567-3. The zero id is empty.
func (r RowID) String() string {
	if r.IsZero() {
		return ""
	}
	return strconv.FormatInt(r.ID, 10) + "-" + strconv.FormatInt(int64(r.Seq), 10)
}

// ParseRowID reads an id as [RowID.String] writes it, and nothing else: outcome.Invalid.
func ParseRowID(s string) (RowID, error) {
	id, seq, ok := strings.Cut(s, "-")
	i, err := strconv.ParseInt(id, 10, 64)
	n, err2 := strconv.ParseInt(seq, 10, 32)
	r := RowID{i, int32(n)}
	if !ok || err != nil || err2 != nil || i <= 0 || n < 0 || r.String() != s {
		return RowID{}, outcome.Invalid.Because("%q is not a row's id; one looks like 1763871234567-3", s)
	}
	return r, nil
}
