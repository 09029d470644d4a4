package demo

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"

	"gatehouse/egress"
)

// answer is what came back through an entry.
type answer struct {
	code   string // of the outcome
	reason string
	id     string // of the row
	result string
}

// client speaks to the gateway over HTTP as an agent's program would: REST, and MCP in both eras.
type client struct {
	http    *http.Client
	base    string
	session string // of MCP with a handshake, once it was opened
}

func newClient(address string) (*client, error) {
	base := "http://" + address
	allow, err := egress.Configured(base, false)
	if err != nil {
		return nil, fmt.Errorf("finding the gateway: %w", err)
	}
	return &client{http: egress.New(egress.Config{}).Client(allow), base: base}, nil
}

// rest posts the arguments to the tool.
func (c *client) rest(ctx context.Context, token, tool, args string) (answer, error) {
	res, body, err := c.post(ctx, "/v1/tools/"+tool, token, args, nil)
	if err != nil {
		return answer{}, err
	}
	var out struct {
		ID     string          `json:"id"`
		Code   string          `json:"code"`
		Reason string          `json:"reason"`
		Result json.RawMessage `json:"result"`
	}
	if err := json.Unmarshal(body, &out); err != nil {
		return answer{}, fmt.Errorf("POST %s: status %d: %w", tool, res.StatusCode, err)
	}
	if res.StatusCode == http.StatusOK {
		out.Code = "ok"
	}
	return answer{out.Code, out.Reason, out.ID, string(out.Result)}, nil
}

// modern calls the tool by the revision of MCP without a handshake.
func (c *client) modern(ctx context.Context, token, tool, args string) (answer, error) {
	name := strings.Replace(tool, ".", "__", 1)
	return c.call(ctx, token, `"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}},`,
		name, args, http.Header{"Mcp-Protocol-Version": {"2026-07-28"}, "Mcp-Method": {"tools/call"}, "Mcp-Name": {name}})
}

// legacy calls the tool in one session that stays open for the whole tour.
func (c *client) legacy(ctx context.Context, token, tool, args string) (answer, error) {
	if c.session == "" {
		res, body, err := c.post(ctx, "/mcp", token, `{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-11-25",`+
			`"capabilities":{},"clientInfo":{"name":"tour","version":"1"}}}`, nil)
		if err != nil {
			return answer{}, err
		}
		if c.session = res.Header.Get("Mcp-Session-Id"); c.session == "" {
			return answer{}, fmt.Errorf("initialize: status %d: %s", res.StatusCode, body)
		}
		if _, _, err := c.post(ctx, "/mcp", token, `{"jsonrpc":"2.0","method":"notifications/initialized"}`,
			http.Header{"Mcp-Session-Id": {c.session}}); err != nil {
			return answer{}, err
		}
	}
	return c.call(ctx, token, "", strings.Replace(tool, ".", "__", 1), args,
		http.Header{"Mcp-Protocol-Version": {"2025-11-25"}, "Mcp-Session-Id": {c.session}})
}

func (c *client) call(ctx context.Context, token, meta, name, args string, header http.Header) (answer, error) {
	res, body, err := c.post(ctx, "/mcp", token,
		`{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{`+meta+`"name":"`+name+`","arguments":`+args+`}}`, header)
	if err != nil {
		return answer{}, err
	}
	if res.StatusCode == http.StatusUnauthorized {
		return answer{code: "unauthenticated"}, nil
	}
	var out struct {
		Result struct {
			Structured json.RawMessage `json:"structuredContent"`
			Content    json.RawMessage `json:"content"`
			Meta       struct {
				Outcome struct {
					Code   string `json:"code"`
					Reason string `json:"reason"`
					ID     string `json:"id"`
				} `json:"io.gatehouse/outcome"`
			} `json:"_meta"`
		} `json:"result"`
	}
	if err := json.Unmarshal(body, &out); err != nil || out.Result.Meta.Outcome.Code == "" {
		return answer{}, fmt.Errorf("tools/call %s: status %d: %s", name, res.StatusCode, body)
	}
	o := out.Result.Meta.Outcome
	text := out.Result.Structured
	if text == nil {
		text = out.Result.Content
	}
	return answer{o.Code, o.Reason, o.ID, string(text)}, nil
}

// maxAnswer is the most bytes of an answer that the tour reads.
const maxAnswer = 1 << 20

func (c *client) post(ctx context.Context, path, token, body string, header http.Header) (*http.Response, []byte, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, c.base+path, bytes.NewReader([]byte(body)))
	if err != nil {
		return nil, nil, fmt.Errorf("making a request: %w", err)
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Accept", "application/json, text/event-stream")
	r.Header.Set("Authorization", "Bearer "+token)
	for k, v := range header {
		r.Header[k] = v
	}
	res, err := c.http.Do(r)
	if err != nil {
		return nil, nil, fmt.Errorf("calling the gateway: %w", err)
	}
	defer func() { _ = res.Body.Close() }()
	b, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer))
	if err != nil {
		return nil, nil, fmt.Errorf("reading an answer: %w", err)
	}
	return res, b, nil
}
