package bridge

import (
	"context"
	"fmt"
	"net/http"
	"sync"

	"gatehouse/canon"
	"gatehouse/wire"
)

// maxPages bounds a list of tools that the bridge reads for itself.
const maxPages = 100

// params are the headers in which the gateway's tools want arguments repeated (x-mcp-header). A client over standard
// output knows of no headers, so the bridge learns them when the gateway first misses one; such a call was not carried out.
type params struct {
	mu     sync.Mutex
	wanted map[string][]wire.ParamHeader // by the tool's name
}

// dress sets the headers for a call.
func (p *params) dress(r *http.Request, f wire.Frame) error {
	c, err := f.ToolCall()
	if err != nil {
		return nil // the gateway says what is wrong with it
	}
	p.mu.Lock()
	wanted := p.wanted[c.Name]
	p.mu.Unlock()
	return wire.SetParamHeaders(r.Header, wanted, c.Arguments)
}

// learn reads which headers the tools want, with the client's own description of itself.
func (b *bridge) learn(ctx context.Context, f wire.Frame) error {
	wanted := map[string][]wire.ParamHeader{}
	cursor := ""
	for range maxPages {
		params := canon.AppendString([]byte(`{"_meta":{"`+wire.MetaProtocolVersion+`":`), string(f.Revision()))
		capabilities, _ := f.Meta().Member(wire.MetaClientCapabilities)
		params = append(append(params, `,"`+wire.MetaClientCapabilities+`":`...), capabilities.String()...)
		params = append(params, '}')
		if cursor != "" {
			params = canon.AppendString(append(params, `,"cursor":`...), cursor)
		}
		line := wire.AppendRequest(nil, wire.IntID(1), "tools/list", append(params, '}'))
		list, err := wire.ParseFrame(line)
		if err != nil {
			return fmt.Errorf("asking for the tools: %w", err)
		}
		a, err := b.send(ctx, list, line, nil)
		if err != nil {
			return err
		}
		var result canon.Value
		if err := b.deliver(a, list.ID, func(answer wire.Frame) bool { result = answer.Result; return true }); err != nil {
			return err
		}
		tools, _ := result.Member("tools")
		for _, tool := range tools.Elements {
			name, _ := tool.Member("name")
			schema, _ := tool.Member("inputSchema")
			text, _ := name.Text()
			if headers, err := wire.ParamHeaders(schema); err == nil && len(headers) > 0 {
				wanted[text] = headers
			}
		}
		next, _ := result.Member("nextCursor")
		if cursor, _ = next.Text(); cursor == "" {
			break
		}
	}
	b.params.mu.Lock()
	b.params.wanted = wanted
	b.params.mu.Unlock()
	return nil
}
