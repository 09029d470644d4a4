package httpfront_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"gatehouse/httpfront"
)

func TestBearer(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, query string
		headers     []string
		want        string
	}{
		{"usual", "", []string{"Bearer st_abc123"}, "st_abc123"},
		{"other case", "", []string{"bEARER st_abc"}, "st_abc"},
		{"all signs", "", []string{"Bearer aZ09-._~+/=="}, "aZ09-._~+/=="},
		{"none", "", nil, ""},
		{"empty", "", []string{""}, ""},
		{"no token", "", []string{"Bearer"}, ""},
		{"empty token", "", []string{"Bearer "}, ""},
		{"only padding", "", []string{"Bearer =="}, ""},
		{"two", "", []string{"Bearer a", "Bearer b"}, ""},
		{"twice the same", "", []string{"Bearer a", "Bearer a"}, ""},
		{"two in one", "", []string{"Bearer a, Bearer b"}, ""},
		{"another scheme", "", []string{"Basic dTpw"}, ""},
		{"a longer scheme", "", []string{"Bearerx a"}, ""},
		{"no scheme", "", []string{"st_abc"}, ""},
		{"two spaces", "", []string{"Bearer  a"}, ""},
		{"space in front", "", []string{" Bearer a"}, ""},
		{"space at the end", "", []string{"Bearer a "}, ""},
		{"a tab", "", []string{"Bearer\ta"}, ""},
		{"padding inside", "", []string{"Bearer a=b"}, ""},
		{"quoted", "", []string{`Bearer "a"`}, ""},
		{"a look-alike", "", []string{"Bearer st_аbc"}, ""}, // a Cyrillic letter
		{"a long one", "", []string{"Bearer " + strings.Repeat("a", 4096)}, strings.Repeat("a", 4096)},
		{"too long", "", []string{"Bearer " + strings.Repeat("a", 4097)}, ""},
		{"in the query", "access_token=st_abc", nil, ""},
		{"in the query besides", "access_token=st_abc", []string{"Bearer st_abc"}, ""},
		{"another query", "token=1", []string{"Bearer st_abc"}, "st_abc"},
	} {
		r := &http.Request{Header: http.Header{}, URL: &url.URL{RawQuery: tt.query}}
		for _, h := range tt.headers {
			r.Header.Add("Authorization", h)
		}
		got, ok := httpfront.Bearer(r)
		if got.Reveal() != tt.want || ok != (tt.want != "") {
			t.Errorf("%s: %q, %v", tt.name, got.Reveal(), ok)
		}
	}
}

func FuzzBearer(f *testing.F) {
	f.Add("Bearer st_abc")
	f.Add("bearer  x")
	f.Add("Bearer a=b")
	f.Fuzz(func(t *testing.T, header string) {
		r := &http.Request{Header: http.Header{"Authorization": {header}}, URL: &url.URL{}}
		token, ok := httpfront.Bearer(r)
		if ok != !token.IsZero() {
			t.Errorf("%q: %v with a token of %d bytes", header, ok, len(token.Reveal()))
		}
		if ok && (!strings.EqualFold(header, "Bearer "+token.Reveal()) || strings.ContainsAny(token.Reveal(), " \t,\"\x00")) {
			t.Errorf("%q gives %q", header, token.Reveal())
		}
	})
}
