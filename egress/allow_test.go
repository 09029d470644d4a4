package egress_test

import (
	"errors"
	"strings"
	"testing"

	"gatehouse/egress"
	"gatehouse/outcome"
)

// hosts are ways to write a host; want is empty where it is refused.
var hosts = []struct{ host, want string }{
	{"example.org", "http://example.org:80"},
	{"EXAMPLE.org:8080", "http://example.org:8080"},
	{"127.0.0.1:9000", "http://127.0.0.1:9000"},
	{"[::1]:9000", "http://[::1]:9000"},
	{"[0:0:0:0:0:0:0:1]", "http://[::1]:80"},
	{"[::ffff:127.0.0.1]", "http://127.0.0.1:80"},
	{"xn--bcher-kva.example", "http://xn--bcher-kva.example:80"},
	{"example.org.", "http://example.org.:80"},
	{"2130706433", ""}, // 127.0.0.1 in decimal
	{"0x7f000001", ""},
	{"0x7f.1", ""},
	{"017700000001", ""},
	{"0177.0.0.1", ""},
	{"127.1", ""},
	{"127.0.0.1.", ""},
	{"1.2.3.4.5", ""},
	{"256.256.256.256", ""},
	{"99999999999999999999999", ""},
	{"a.0x1", ""},
	{"[fe80::1%25eth0]", ""},
	{"[::1", ""},
	{"user@example.org", ""},
	{"user:hunter2@example.org", ""},
	{"example.org:0", ""},
	{"example.org:65536", ""},
	{"example.org:http", ""},
	{"example.org:", "http://example.org:80"},
	{"bücher.example", ""},
	{"１２７.0.0.1", ""},
	{"ex%61mple.org", ""},
	{"example%2eorg", ""},
	{"exa mple.org", ""},
	{"a..b", ""},
	{".", ""},
	{"", ""},
	{strings.Repeat("a", 64) + ".org", ""},
	{strings.Repeat("a.", 127), ""},
}

func TestHosts(t *testing.T) {
	t.Parallel()
	for _, tt := range hosts {
		for name, made := range map[string]func() (egress.Allow, error){
			"configured": func() (egress.Allow, error) { return egress.Configured("http://"+tt.host+"/x", false) },
			"requested":  func() (egress.Allow, error) { return egress.Requested("http://" + tt.host + "/x") },
		} {
			a, err := made()
			if tt.want == "" {
				if err == nil || a != (egress.Allow{}) {
					t.Errorf("%s %q was taken as %s", name, tt.host, a)
				} else if strings.Contains(err.Error(), "hunter2") {
					t.Errorf("%s %q: the error repeats the password: %v", name, tt.host, err)
				}
				if name == "requested" && !errors.Is(err, outcome.Blocked) {
					t.Errorf("%s %q: %v, want blocked", name, tt.host, err)
				}
			} else if err != nil || a.String() != tt.want {
				t.Errorf("%s %q = %s, %v, want %s", name, tt.host, a, err, tt.want)
			}
		}
	}
}

func TestSchemes(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ url, configured, requested string }{
		{"HTTPS://example.org", "https://example.org:443", "https://example.org:443"},
		{"tcp://db.example:5432", "tcp://db.example:5432", ""},
		{"tcp://db.example", "", ""},
		{"file:///etc/passwd", "", ""},
		{"gopher://example.org", "", ""},
		{"unix:///run/x", "", ""},
		{"http:example.org", "", ""},
		{"//example.org", "", ""},
		{"example.org", "", ""},
		{"http://", "", ""},
		{"\x00", "", ""},
	} {
		if a, err := egress.Configured(tt.url, false); (err != nil) != (tt.configured == "") || err == nil && a.String() != tt.configured {
			t.Errorf("Configured(%q) = %s, %v", tt.url, a, err)
		}
		if a, err := egress.Requested(tt.url); (err != nil) != (tt.requested == "") || err == nil && a.String() != tt.requested {
			t.Errorf("Requested(%q) = %s, %v", tt.url, a, err)
		}
	}
	if got := egress.Socket("/run/x").String() + " " + (egress.Allow{}).String(); got != "unix:/run/x nowhere" {
		t.Errorf("printed as %s", got)
	}
}
