package gatetest

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"time"

	"gatehouse/canon"
	"gatehouse/gate"
	"gatehouse/outcome"
	"gatehouse/secret"
)

// Person is somebody with permissions, and a token that may use all of them.
type Person struct {
	House *House
	ID    gate.PersonID
	Name  string
	Token Token
}

// Token is a sub-token that was issued in the test.
type Token struct {
	ID   gate.TokenID
	Text string
}

// Person adds a person with `allow` for the tools, and issues a token for them.
func (h *House) Person(name string, tools ...string) Person {
	h.T.Helper()
	added := decode[struct {
		Person gate.PersonID `json:"person"`
	}](h.T, h.Operate("people.add", map[string]any{"email": name + "@example.org", "name": name}))
	p := Person{House: h, ID: added.Person, Name: name}
	if len(tools) > 0 {
		grants := map[string]string{}
		for _, t := range tools {
			grants[t] = "allow"
		}
		p.Grant(grants)
	}
	p.Token = p.Issue(map[string]any{"tools": append([]string{}, tools...)})
	return p
}

// Grant changes entries of the person's permission map: tool to allow, ask, none or default.
func (p Person) Grant(grants map[string]string) {
	p.House.T.Helper()
	now := decode[struct {
		Version int64 `json:"version"`
	}](p.House.T, p.House.Operate("permissions.get", map[string]any{"person": p.ID}))
	p.House.Operate("permissions.set", map[string]any{"person": p.ID, "version": now.Version, "grants": grants})
}

// Issue makes a root token for the person, as the operator. Arguments that are left out get defaults.
func (p Person) Issue(args map[string]any) Token {
	p.House.T.Helper()
	all := map[string]any{"person": p.ID, "agent": "test", "tools": []string{}, "ttl_seconds": 3600}
	for k, v := range args {
		all[k] = v
	}
	issued := decode[struct {
		ID    gate.TokenID `json:"token_id"`
		Token string       `json:"token"`
	}](p.House.T, p.House.Operate("tokens.issue", all))
	return Token{issued.ID, issued.Token}
}

// Revoke ends a token, as the operator.
func (h *House) Revoke(t Token) {
	h.T.Helper()
	h.Operate("tokens.revoke", map[string]any{"token": t.ID})
}

// Call makes a call straight at the gate with the person's token.
func (p Person) Call(tool, args string) gate.Outcome {
	p.House.T.Helper()
	return p.House.CallAs(p.Token.Text, tool, args)
}

// MustCall is Call for what must end well; it gives the result.
func (p Person) MustCall(tool, args string) canon.Value {
	p.House.T.Helper()
	o := p.Call(tool, args)
	if o.Code != outcome.OK {
		p.House.T.Fatalf("%s: %s %s: %s (%s)", p.Name, tool, args, o.Code, o.Reason)
	}
	return o.Result
}

// Loopback is where calls straight at the gate come from.
var Loopback = netip.MustParseAddr("127.0.0.1")

// CallAs makes a call straight at the gate with a token.
func (h *House) CallAs(token, tool, args string) gate.Outcome {
	h.T.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	to := h.inTurn().Gate
	c, err := to.Authenticate(ctx, gate.Credential{Bearer: secret.New(token)}, gate.Origin{Entry: "gate", Address: Loopback})
	if err != nil {
		e := outcome.Explain(err)
		return gate.Outcome{Code: e.Code, Reason: e.Reason}
	}
	return to.Call(ctx, c, gate.Request{Tool: gate.ToolName(tool), Arguments: []byte(args)})
}

// Caller authenticates a token as it came through an entry.
func (h *House) Caller(t Token) gate.Caller {
	h.T.Helper()
	c, err := h.Gate.Authenticate(context.Background(), gate.Credential{Bearer: secret.New(t.Text)}, gate.Origin{Entry: "gate", Address: Loopback})
	if err != nil {
		h.T.Fatalf("authenticating: %v", err)
	}
	return c
}

// Row is one row of the log as the operator sees it.
type Row struct {
	ID       string `json:"id"`
	Person   int64  `json:"person"`
	Agent    string `json:"agent"`
	Token    int64  `json:"token"`
	Operator bool   `json:"operator"`
	Entry    string `json:"entry"`
	Tool     string `json:"tool"`
	Outcome  string `json:"outcome"`
	Decision string `json:"decision"`
	Rule     string `json:"rule"`
	Effect   string `json:"effect"`
	Intent   string `json:"intent"`
	Count    int64  `json:"count"`
}

// String is the row in one word or two, as scripts compare it.
func (r Row) String() string {
	s := r.Outcome
	if r.Tool != "" {
		s = r.Tool + " " + s
	}
	if r.Count > 1 {
		s += " x" + strconv.FormatInt(r.Count, 10)
	}
	return s
}

// Rows gives all rows of the log, oldest first. Reading the log leaves rows of its own, which are left out.
func (h *House) Rows() []Row {
	h.T.Helper()
	return h.RowsSince("")
}

// RowsSince gives the rows that came after a mark that [House.Mark] made; the empty mark is the beginning.
func (h *House) RowsSince(mark string) (all []Row) {
	h.T.Helper()
	defer func() { slices.Reverse(all) }()
	for cursor := ""; ; {
		args := map[string]any{"limit": 500}
		if cursor != "" {
			args["cursor"] = cursor
		}
		page := decode[struct {
			Rows   []Row  `json:"rows"`
			Cursor string `json:"cursor"`
		}](h.T, h.Operate("audit.search", args))
		for _, r := range page.Rows {
			if r.ID == mark {
				return all
			}
			if !r.Operator || r.Tool != "audit.search" {
				all = append(all, r)
			}
		}
		if cursor = page.Cursor; cursor == "" {
			return all
		}
	}
}

// Mark remembers the newest row.
func (h *House) Mark() string {
	h.T.Helper()
	page := decode[struct {
		Rows []Row `json:"rows"`
	}](h.T, h.Operate("audit.search", map[string]any{"limit": 1}))
	if len(page.Rows) == 0 {
		return ""
	}
	return page.Rows[0].ID
}

// Print is for failures: rows one under the other.
func Print(rows []Row) string {
	s := ""
	for _, r := range rows {
		s += fmt.Sprintf("  %s %s by %d/%d over %s (%s)\n", r.ID, r, r.Person, r.Token, r.Entry, r.Rule)
	}
	return s
}
