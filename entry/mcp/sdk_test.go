package mcp_test

import (
	"net/http"
	"strings"
	"testing"

	sdk "github.com/modelcontextprotocol/go-sdk/mcp"

	"gatehouse/gatetest"
)

// bearer adds the token to every request of a client that somebody else wrote.
type bearer struct {
	h     *gatetest.House
	token string
}

func (b bearer) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set("Authorization", "Bearer "+b.token)
	return b.h.Do(r)
}

// TestTheOfficialClient lists, calls, is refused, and loses its token in mid-session, in both eras.
func TestTheOfficialClient(t *testing.T) {
	t.Parallel()
	for _, version := range []string{legacy, modern} {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			h := gatetest.New(t, newEcho)
			ann := h.Person("ann", "echo.say")
			client := sdk.NewClient(&sdk.Implementation{Name: "t", Version: "1"}, nil)
			session, err := client.Connect(t.Context(), &sdk.StreamableClientTransport{
				Endpoint: "http://127.0.0.1/mcp", HTTPClient: &http.Client{Transport: bearer{h, ann.Token.Text}}, MaxRetries: -1,
			}, &sdk.ClientSessionOptions{ProtocolVersion: version})
			if err != nil {
				t.Fatal(err)
			}
			defer session.Close()
			if got := session.InitializeResult().ProtocolVersion; got != version {
				t.Errorf("the session speaks %s", got)
			}
			tools, err := session.ListTools(t.Context(), nil)
			if err != nil || len(tools.Tools) != 4 {
				t.Fatalf("tools/list: %v %v", tools, err)
			}
			res, err := session.CallTool(t.Context(), &sdk.CallToolParams{Name: "echo__say", Arguments: map[string]any{"text": "a"}})
			if err != nil || res.IsError {
				t.Fatalf("tools/call: %v %v", res, err)
			}
			res, err = session.CallTool(t.Context(), &sdk.CallToolParams{Name: "echo__shout", Arguments: map[string]any{"text": "a"}})
			if err != nil || !res.IsError || !strings.HasPrefix(res.Content[0].(*sdk.TextContent).Text, "not_allowed") {
				t.Fatalf("a tool without permission: %v %v", res, err)
			}
			ann.Grant(map[string]string{"echo.say": "none"})
			res, err = session.CallTool(t.Context(), &sdk.CallToolParams{Name: "echo__say", Arguments: map[string]any{"text": "a"}})
			if err != nil || !res.IsError {
				t.Fatalf("after the permission went: %v %v", res, err)
			}
			h.Revoke(ann.Token)
			if res, err = session.CallTool(t.Context(), &sdk.CallToolParams{Name: "echo__say", Arguments: map[string]any{"text": "a"}}); err == nil {
				t.Fatalf("after the token was revoked: %v", res)
			}
		})
	}
}
