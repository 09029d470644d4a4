package httpfront_test

import (
	"net/http"
	"testing"

	"gatehouse/httpfront"
)

func TestSocketBearer(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name      string
		protocols []string
		header    []string
		query     string
		want      string
	}{
		{"in the header", []string{"mcp"}, []string{"Bearer st_a"}, "", "st_a"},
		{"in a subprotocol", []string{"mcp, bearer.st_a"}, nil, "", "st_a"},
		{"in a second line", []string{"mcp", "bearer.st_a"}, nil, "", "st_a"},
		{"without spaces", []string{"bearer.st_a,mcp"}, nil, "", "st_a"},
		{"twice", []string{"mcp, bearer.st_a, bearer.st_a"}, nil, "", ""},
		{"in both", []string{"mcp, bearer.st_a"}, []string{"Bearer st_a"}, "", ""},
		{"beside another scheme", []string{"mcp, bearer.st_a"}, []string{"Basic x"}, "", ""},
		{"in the address as well", []string{"mcp, bearer.st_a"}, nil, "?access_token=st_a", ""},
		{"empty", []string{"mcp, bearer."}, nil, "", ""},
		{"with signs that no token has", []string{"mcp, bearer.st_ä"}, nil, "", ""},
		{"in upper case", []string{"mcp, Bearer.st_a"}, nil, "", ""},
		{"nowhere", []string{"mcp"}, nil, "", ""},
	} {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://127.0.0.1/ws"+tt.query, nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header["Sec-Websocket-Protocol"] = tt.protocols
		if tt.header != nil {
			r.Header["Authorization"] = tt.header
		}
		got, ok := httpfront.SocketBearer(r)
		if ok != (tt.want != "") || got.Reveal() != tt.want {
			t.Errorf("%s: %q %v, want %q", tt.name, got.Reveal(), ok, tt.want)
		}
	}
}
