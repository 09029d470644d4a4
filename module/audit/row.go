package audit

import (
	"crypto/sha256"
	"encoding/hex"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json"

	"gatehouse/canon"
	"gatehouse/gate"
)

// format is the number of the row's format, which every row says. A reader that finds another one must not guess.
const format = 1

// Row is one row of the log as it is hashed, exported and shown. Members that are zero or empty are left out, except
// those that every row has. docs/audit-format.md describes each.
type Row struct {
	Address      string         `json:"address,omitzero"`
	Agent        string         `json:"agent,omitzero"`
	Ancestors    []gate.TokenID `json:"ancestors,omitempty"`
	Began        int64          `json:"began_ms"`
	BytesIn      int64          `json:"bytes_in,omitzero"`
	BytesOut     int64          `json:"bytes_out,omitzero"`
	Commitment   string         `json:"commitment"`
	Count        int64          `json:"count"`
	Decision     string         `json:"decision"`
	Definition   string         `json:"definition,omitzero"`
	Effect       string         `json:"effect,omitzero"`
	Entry        string         `json:"entry,omitzero"`
	Format       int            `json:"format"`
	GrantVersion int64          `json:"grant_version,omitzero"`
	ID           string         `json:"id"`
	Intent       string         `json:"intent,omitzero"`
	Job          string         `json:"job,omitzero"`
	MapVersion   int64          `json:"map_version,omitzero"`
	N            int64          `json:"n"`
	Operator     bool           `json:"operator,omitzero"`
	Outcome      string         `json:"outcome"`
	Peer         gate.Peer      `json:"peer,omitzero"`
	Person       gate.PersonID  `json:"person,omitzero"`
	Prev         string         `json:"prev"`
	Price        gate.Money     `json:"price,omitzero"`
	Pruned       Range          `json:"pruned,omitzero"`
	Rule         string         `json:"rule,omitzero"`
	Session      string         `json:"session,omitzero"`
	Shadow       string         `json:"shadow,omitzero"`
	Token        gate.TokenID   `json:"token,omitzero"`
	TokenVersion int64          `json:"token_version,omitzero"`
	Took         int64          `json:"took_us,omitzero"`
	Tool         string         `json:"tool"`
	Used         []gate.TokenID `json:"used,omitempty"`

	// Hash is SHA-256 of all that stands above, in canonical JSON, in hexadecimal. It is not part of what is hashed.
	Hash string `json:"hash,omitzero"`
}

// newRow takes over what the gate knows of a call. What clients sent is made fit to be text in either engine first.
func newRow(r *gate.Row) Row {
	effect := r.Effect.String()
	if r.Definition == "" {
		effect = "" // there was no such tool: its zero value says nothing of it
	}
	return Row{
		Address: clean(r.Address), Agent: clean(r.Agent), Ancestors: r.Ancestors, Began: r.Began.UnixMilli(),
		BytesIn: r.BytesIn, BytesOut: r.BytesOut, Count: max(r.Count, 1), Decision: r.Decision.String(),
		Definition: clean(r.Definition), Effect: effect, Entry: clean(r.Entry), Format: format,
		GrantVersion: r.GrantVersion, Job: clean(r.Job), MapVersion: r.MapVersion, Operator: r.Operator,
		Outcome: r.Outcome.String(), Peer: gate.Peer{UID: r.Peer.UID, PID: r.Peer.PID, Program: clean(r.Peer.Program)},
		Person: r.Person, Price: r.Price, Pruned: rangeOf(r), Rule: clean(r.Rule), Session: clean(r.Session), Shadow: clean(r.Shadow), Token: r.Token,
		TokenVersion: r.TokenVersion, Tool: clean(string(r.Tool)), Took: r.Took.Microseconds(),
	}
}

// clean makes a text that both engines store and give back unchanged: PostgreSQL takes no U+0000 and nothing that is not
// UTF-8. One such name in a group would lose the rows of all the others.
func clean(s string) string {
	return strings.ReplaceAll(strings.ToValidUTF8(s, "\uFFFD"), "\x00", "\uFFFD")
}

// parseRow reads a stored body. Members of a later format are not known here, and are left out.
func parseRow(body string) (r Row, err error) {
	err = json.Unmarshal([]byte(body), &r)
	return r, err
}

// draft is a row of which everything is written but its place in the chain, so that the writer has little left to do.
type draft struct {
	row    Row
	text   []byte
	holes  [3]int // where id, n and prev go
	sealed []byte // the payload
}

// newDraft writes all members of a row in canonical order but id, n and prev.
func newDraft(r Row, sealed []byte) *draft {
	d := &draft{row: r, sealed: sealed}
	b := members(append(make([]byte, 0, 768), '{'))
	b.text("address", r.Address)
	b.text("agent", r.Agent)
	b.tokens("ancestors", r.Ancestors)
	b.always("began_ms", r.Began)
	b.number("bytes_in", r.BytesIn)
	b.number("bytes_out", r.BytesOut)
	b.text("commitment", r.Commitment)
	b.always("count", r.Count)
	b.text("decision", r.Decision)
	b.text("definition", r.Definition)
	b.text("effect", r.Effect)
	b.text("entry", r.Entry)
	b.always("format", int64(r.Format))
	b.number("grant_version", r.GrantVersion)
	d.holes[0] = len(b)
	b.text("intent", r.Intent)
	b.text("job", r.Job)
	b.number("map_version", r.MapVersion)
	d.holes[1] = len(b)
	b.yes("operator", r.Operator)
	b.text("outcome", r.Outcome)
	b.peer("peer", r.Peer)
	b.number("person", int64(r.Person))
	d.holes[2] = len(b)
	b.number("price", int64(r.Price))
	b.span("pruned", r.Pruned)
	b.text("rule", r.Rule)
	b.text("session", r.Session)
	b.text("shadow", r.Shadow)
	b.number("token", int64(r.Token))
	b.number("token_version", r.TokenVersion)
	b.number("took_us", r.Took)
	b.name("tool")
	b = append(canon.AppendString(b, r.Tool), ',')
	b.tokens("used", r.Used)
	b[len(b)-1] = '}'
	d.text = b
	return d
}

// body is the whole row in canonical JSON, at its place.
func (d *draft) body(id gate.RowID, n int64, prev [sha256.Size]byte) []byte {
	b := members(append(make([]byte, 0, len(d.text)+160), d.text[:d.holes[0]]...))
	b.name("id")
	b = append(b, '"')
	b = strconv.AppendInt(b, id.ID, 10)
	b = append(b, '-')
	b = strconv.AppendInt(b, int64(id.Seq), 10)
	b = append(append(b, `",`...), d.text[d.holes[0]:d.holes[1]]...)
	b.always("n", n)
	b = append(b, d.text[d.holes[1]:d.holes[2]]...)
	b.name("prev")
	b = hex.AppendEncode(append(b, '"'), prev[:])
	b = append(b, `",`...)
	return append(b, d.text[d.holes[2]:]...)
}

// members is an object that grows. Each member ends with a comma, of which the last is overwritten.
type members []byte

func (b *members) name(name string) {
	*b = append(*b, '"')
	*b = append(*b, name...)
	*b = append(*b, `":`...)
}

func (b *members) text(name, value string) {
	if value == "" {
		return
	}
	b.string(name, value)
}

func (b *members) string(name, value string) {
	b.name(name)
	*b = append(canon.AppendString(*b, value), ',')
}

func (b *members) value(name string, v canon.Value) {
	if v.IsZero() {
		return
	}
	b.name(name)
	*b = append(v.AppendTo(*b), ',')
}

// end closes the object.
func (b members) end() []byte {
	if b[len(b)-1] == '{' {
		return append(b, '}')
	}
	b[len(b)-1] = '}'
	return b
}

func (b *members) always(name string, value int64) {
	b.name(name)
	*b = append(strconv.AppendInt(*b, value, 10), ',')
}

func (b *members) number(name string, value int64) {
	if value != 0 {
		b.always(name, value)
	}
}

func (b *members) yes(name string, value bool) {
	if value {
		b.name(name)
		*b = append(*b, "true,"...)
	}
}

func (b *members) tokens(name string, ids []gate.TokenID) {
	if len(ids) == 0 {
		return
	}
	b.name(name)
	*b = append(*b, '[')
	for i, id := range ids {
		if i > 0 {
			*b = append(*b, ',')
		}
		*b = strconv.AppendInt(*b, int64(id), 10)
	}
	*b = append(*b, "],"...)
}

// peer writes all three members, as the type that the gate hands over does.
func (b *members) peer(name string, p gate.Peer) {
	if p == (gate.Peer{}) {
		return
	}
	b.name(name)
	*b = append(*b, '{')
	b.always("pid", int64(p.PID))
	b.name("program")
	*b = append(canon.AppendString(*b, p.Program), ',')
	b.always("uid", int64(p.UID))
	(*b)[len(*b)-1] = '}'
	*b = append(*b, ',')
}

func (b *members) span(name string, r Range) {
	if r == (Range{}) {
		return
	}
	b.name(name)
	*b = append(*b, '{')
	b.always("before", r.Before)
	b.always("from", r.From)
	(*b)[len(*b)-1] = '}'
	*b = append(*b, ',')
}
