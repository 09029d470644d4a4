package urls_test

import (
	"net/netip"
	"net/url"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"gatehouse/guard"
	"gatehouse/guard/urls"
)

// rule gives the rule that refuses an address, or "ok".
func rule(t testing.TB, text string) string {
	t.Helper()
	found, err := urls.New().Inspect(t.Context(), guard.Subject{Kind: guard.URL, Text: text})
	if err != nil {
		t.Fatalf("%q: %v", text, err)
	}
	if len(found) == 0 {
		return "ok"
	}
	f := found[0]
	if f.Action != guard.Block || f.Start != 0 || f.End != len(text) || f.Kind == "" {
		t.Errorf("%q: finding %+v", text, f)
	}
	if f.Reason == "" || len(text) > 8 && strings.Contains(f.Reason, text) {
		t.Errorf("%q: the reason is %q", text, f.Reason)
	}
	return f.Rule
}

func TestLooksAtURLsBeforeTheCall(t *testing.T) {
	t.Parallel()
	for k := guard.Text; k <= guard.Opaque; k++ {
		if got := urls.New().Looks(guard.Before, k); got != (k == guard.URL) {
			t.Errorf("before, %s: %v", k, got)
		}
		if urls.New().Looks(guard.After, k) {
			t.Errorf("after, %s: looks", k)
		}
	}
}

func TestURLs(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"https://example.org":                             "ok",
		"HTTPS://Example.ORG:8443/a/b?c=d&e=%20#f":        "ok",
		"http://example.org./x":                           "ok",
		"https://sub_domain.example.co.uk/@user:x@y":      "ok",
		"https://xn--bcher-kva.example.org/":              "ok",
		"https://example.org/żółć?q=ü":                    "ok",
		"https://1.1.1.1/dns":                             "ok",
		"https://[2606:4700:4700::1111]:443/":             "ok",
		"https://example.org?u=http://127.0.0.1/":         "ok",
		"https://example.org/?next=a@b":                   "ok",
		"https://4chan.org/":                              "ok",
		"https://1-800-flowers.com/":                      "ok",
		"https://8-8-8-8.example.org/":                    "ok",
		"https://version-1-2-3.example.org/":              "ok",
		"https://example.org/a?b=[c]&d={e}|f":             "ok",
		"":                                                "scheme",
		"example.org":                                     "scheme",
		"//example.org/":                                  "scheme",
		"/path":                                           "scheme",
		"file:///etc/passwd":                              "scheme",
		"javascript:alert(1)":                             "scheme",
		"data:text/html,x":                                "scheme",
		"gopher://example.org/":                           "scheme",
		"ws://example.org/":                               "scheme",
		"http:example.org":                                "form",
		"http:/example.org":                               "form",
		"http:///example.org":                             "form",
		"http://":                                         "form",
		"http://?x":                                       "form",
		"http://.../":                                     "form",
		"http://a..b/":                                    "form",
		"http://.example.org/":                            "form",
		"http://exa%6dple.org/":                           "form",
		"http://exam%ple.org/":                            "form",
		"http://example.org,evil.org/":                    "form",
		"http://[::1/":                                    "form",
		"http://[example.org]/":                           "form",
		"http://[1.1.1.1]/":                               "form",
		"http://[fe80::1%25eth0]/":                        "form",
		"http://example.org:80:90/":                       "form",
		"http://" + strings.Repeat("a", 64) + ".org":      "form",
		"http://" + strings.Repeat("a.", 130) + "org":     "form",
		"http://example.org/" + strings.Repeat("a", 8192): "long",
		"http://exa mple.org/":                            "control",
		" http://example.org/":                            "control",
		"http://example.org/a b":                          "control",
		"http://example.org/\n":                           "control",
		"http://example.org\\@evil.org/":                  "control",
		"http:\\\\example.org":                            "control",
		"http://example.org/\u202e":                       "control",
		"http://exam\u00adple.org/":                       "letters",
		"http://example.org/\x00":                         "control",
		"http://example.org/\xff":                         "control",
		"http://ann@example.org/":                         "user",
		"http://ann:secret@example.org/":                  "user",
		"http://@example.org/":                            "user",
		"http://example.org@127.0.0.1/":                   "user",
		"http://127.0.0.1:80@example.org/":                "user",
		"http://example.org:0/":                           "port",
		"http://example.org:65536/":                       "port",
		"http://example.org:/":                            "port",
		"http://bücher.example/":                          "letters",
		"http://ex\u0430mple.org/":                        "letters",
		"http://１２７.0.0.1/":                               "letters",
		"http://①②⑦.0.0.1/":                               "letters",
		"http://example。org/":                             "letters",
		"http://2130706433/":                              "number",
		"http://0x7f000001/":                              "number",
		"http://0x7f.1/":                                  "number",
		"http://0x7f.0x1":                                 "number",
		"http://0177.0.0.1/":                              "number",
		"http://127.1/":                                   "number",
		"http://1.2.3.4.5/":                               "number",
		"http://127.0.0.1./":                              "number",
		"http://0x/":                                      "number",
		"http://example.123/":                             "number",
		"http://127.0.0.1/":                               "inwards",
		"http://0.0.0.0/":                                 "inwards",
		"http://10.0.0.1:8080/":                           "inwards",
		"http://172.16.3.4/":                              "inwards",
		"http://192.168.1.1/":                             "inwards",
		"http://169.254.169.254/latest/meta-data/":        "inwards",
		"http://100.64.0.1/":                              "inwards",
		"http://100.100.100.200/":                         "inwards",
		"http://224.0.0.1/":                               "inwards",
		"http://255.255.255.255/":                         "inwards",
		"http://[::]/":                                    "inwards",
		"http://[::1]/":                                   "inwards",
		"http://[::ffff:127.0.0.1]/":                      "inwards",
		"http://[::ffff:8.8.8.8]/":                        "inwards",
		"http://[::ffff:7f00:1]/":                         "inwards",
		"http://[::127.0.0.1]/":                           "inwards",
		"http://[64:ff9b::7f00:1]/":                       "inwards",
		"http://[64:ff9b:1::1]/":                          "inwards",
		"http://[2002:7f00:1::]/":                         "inwards",
		"http://[2001::1]/":                               "inwards",
		"http://[fd00:ec2::254]/":                         "inwards",
		"http://[fe80::1]/":                               "inwards",
		"http://[fec0::1]/":                               "inwards",
		"http://[ff02::1]/":                               "inwards",
		"http://127.0.0.1.nip.io/":                        "inwards",
		"http://x.10.0.0.1.sslip.io/":                     "inwards",
		"http://app-127-0-0-1.sslip.io/":                  "inwards",
		"http://localhost/":                               "name",
		"http://LOCALHOST:8080/":                          "name",
		"http://localhost./":                              "name",
		"http://a.localhost/":                             "name",
		"http://printer.local/":                           "name",
		"http://metadata.google.internal/":                "name",
		"http://metadata/":                                "name",
		"http://router.home.arpa/":                        "name",
		"http://db.corp/":                                 "name",
	} {
		if got := rule(t, text); got != want {
			t.Errorf("%q: %s, want %s", text, got, want)
		}
	}
}

func TestHonestURLsAreNeverRefused(t *testing.T) {
	t.Parallel()
	g := urls.New()
	label := rapid.StringMatching(`[a-z]([a-z0-9-]{0,20}[a-z0-9])?`)
	rapid.Check(t, func(t *rapid.T) {
		host := strings.Join(rapid.SliceOfN(label, 1, 4).Draw(t, "labels"), ".") + rapid.SampledFrom([]string{".org", ".com", ".co.uk", ".de", ".io"}).Draw(t, "top")
		path := rapid.StringMatching(`(/[A-Za-z0-9._~@:,;=+!$&'()*é-]{0,12}){0,5}`).Draw(t, "path")
		query := rapid.StringMatching(`(\?[a-z]{1,5}=[A-Za-z0-9%._~/:?@-]{0,20})?(#[a-z0-9]{0,8})?`).Draw(t, "query")
		text := "https://" + host + rapid.SampledFrom([]string{"", ":443", ":8080"}).Draw(t, "port") + path + query
		if strings.Contains(host, "-") && holdsQuad(host) {
			t.Skip("an address inside the name")
		}
		if _, err := url.Parse(text); err != nil {
			t.Skip("no URL")
		}
		if found, err := g.Inspect(nil, guard.Subject{Text: text}); err != nil || len(found) > 0 { //nolint:staticcheck // it uses none
			t.Errorf("%q: %v %v", text, found, err)
		}
	})
}

func holdsQuad(host string) bool {
	parts := strings.FieldsFunc(host, func(r rune) bool { return r == '-' || r == '.' })
	for i := 0; i+4 <= len(parts); i++ {
		if _, err := netip.ParseAddr(strings.Join(parts[i:i+4], ".")); err == nil {
			return true
		}
	}
	return false
}

// Whatever address stands in brackets or bare, an address of a private range never goes through, in any spelling.
func TestPrivateAddressesNeverGoThrough(t *testing.T) {
	t.Parallel()
	g := urls.New()
	rapid.Check(t, func(t *rapid.T) {
		b := rapid.SliceOfN(rapid.Byte(), 4, 4).Draw(t, "bytes")
		switch rapid.IntRange(0, 3).Draw(t, "range") {
		case 0:
			b[0] = 127
		case 1:
			b[0] = 10
		case 2:
			b[0], b[1] = 192, 168
		case 3:
			b[0], b[1] = 169, 254
		}
		v4 := netip.AddrFrom4([4]byte(b))
		mapped := netip.AddrFrom16(v4.As16())
		for _, host := range []string{v4.String(), "[" + mapped.String() + "]", "[" + mapped.StringExpanded() + "]", v4.String() + ".example.org"} {
			if found, err := g.Inspect(nil, guard.Subject{Text: "http://" + host + "/"}); err != nil || len(found) == 0 { //nolint:staticcheck // it uses none
				t.Errorf("%s went through: %v", host, err)
			}
		}
	})
}

func FuzzURLs(f *testing.F) {
	for _, seed := range []string{
		"https://example.org/", "http://127.0.0.1/", "http://[::1]/", "http://0x7f.1", "http://a@b", "http:\\\\a", "http://a:b", "//a", "http://a%00b.org",
		"http://[::ffff:1.2.3.4%25x]/", "http://xn--a.org", "\x00", "http://１.org",
	} {
		f.Add(seed)
	}
	g := urls.New()
	f.Fuzz(func(t *testing.T, text string) {
		found, err := g.Inspect(t.Context(), guard.Subject{Text: text})
		if err != nil {
			t.Fatalf("%q: %v", text, err)
		}
		if len(found) > 0 {
			return
		}
		u, err := url.Parse(text)
		if err != nil || u.User != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" {
			t.Fatalf("%q went through as %v %v", text, u, err)
		}
		if ip, err := netip.ParseAddr(u.Hostname()); err == nil && !ip.Unmap().IsGlobalUnicast() {
			t.Fatalf("%q went through", text)
		}
		if strings.ContainsAny(text, "\\ \t\r\n") || strings.Trim(strings.ToLower(u.Hostname()), "abcdefghijklmnopqrstuvwxyz0123456789-_.:") != "" {
			t.Fatalf("%q went through", text)
		}
	})
}
