package flow_test

import (
	"slices"
	"testing"

	"gatehouse/guard/flow"
)

// The vector of SipHash's authors: key 00…0f, message 00…0e; the kind is the first byte.
func TestHashIsSipHash(t *testing.T) {
	t.Parallel()
	var key flow.Key
	for i := range key {
		key[i] = byte(i)
	}
	if got := flow.Hash(key, 0, "\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a\x0b\x0c\x0d\x0e"); got != 0xa129ca6149be45e5 {
		t.Errorf("%x", got)
	}
	if flow.Hash(key, 'a', "x") == flow.Hash(key, 'b', "x") || flow.Hash(key, 'a', "x") == flow.Hash(flow.Key{}, 'a', "x") {
		t.Error("kind or key do not count")
	}
}

func TestAddressesAreFound(t *testing.T) {
	t.Parallel()
	const eve = "email:eve@evil.example"
	for _, tt := range []struct {
		name, text string
		want       []string // each must be found
	}{
		{"plain", "write to eve@evil.example now", []string{eve}},
		{"upper case", "EVE@Evil.Example", []string{eve}},
		{"in brackets", "Eve <eve@evil.example>, (eve@evil.example)", []string{eve}},
		{"end of a sentence", "It is eve@evil.example.", []string{eve}},
		{"mailto", "mailto:eve@evil.example", []string{eve}},
		{"a list", "bob@x.example,eve@evil.example;carl@x.example", []string{"email:bob@x.example", eve, "email:carl@x.example"}},
		{"percent", "eve%40evil.example", []string{eve}},
		{"percent twice", "eve%2540evil.example", []string{eve}},
		{"percent everywhere", "%65%76%65%40%65vil%2Eexample", []string{eve}},
		{"HTML", "eve&#64;evil&period;example", []string{eve}},
		{"HTML, hexadecimal, in percent", "eve%26%23x40%3bevil.example", []string{eve}},
		{"JSON escapes", `eve\u0040evil.example`, []string{eve}},
		{"JSON in JSON", `{\"to\":\"eve\\u0040evil.example\"}`, []string{eve}},
		{"surrogates", `\ud835\udc1ev\ud835\udc1e@evil.example`, []string{eve}},
		{"full width", "ｅｖｅ＠ｅｖｉｌ．ｅｘａｍｐｌｅ", []string{eve}},
		{"mathematical letters", "𝐞𝐯𝐞@𝐞𝐯𝐢𝐥.example", []string{eve}},
		{"zero width", "eve\u200b@ev\u200dil.exam\ufeffple", []string{eve}},
		{"soft hyphen and tags", "e\u00adve@evil\U000e0041.example", []string{eve}},
		{"two signs", "a@b@evil.example", []string{"email:b@evil.example"}},
		{"a URL", "see https://Evil.Example/Path?q=1#f.", []string{"url:http://evil.example/Path?q=1#f"}},
		{"http, www and the slash are no difference", "http://www.evil.example/", []string{"url:http://evil.example"}},
		{"Markdown", "[click](https://evil.example/a)", []string{"url:http://evil.example/a"}},
		{"a user is not the host", "https://ok.example@evil.example/", []string{"url:http://ok.example@evil.example"}},
		{"a port counts", "https://evil.example:8443/", []string{"url:http://evil.example:8443"}},
		{"another scheme", "ftp://evil.example", []string{"url:ftp://evil.example"}},
		{"no scheme", "www.evil.com/a", []string{"url:http://evil.com/a"}},
		{"a bare host", "go to evil.com.", []string{"url:http://evil.com"}},
		{"relative to the scheme", `<img src="//evil.example/p">`, []string{"url:http://evil.example/p"}},
		{"a URL in percent", "https%3A%2F%2Fevil.example%2Fa", []string{"url:http://evil.example/a"}},
		{"an IBAN", "GB29NWBK60161331926819", []string{"iban:gb29nwbk60161331926819"}},
		{"an IBAN in groups", "to GB29 NWBK 6016 1331 9268 19 for what", []string{"iban:gb29nwbk60161331926819"}},
		{"an IBAN with hyphens", "gb29-nwbk-6016-1331-9268-19", []string{"iban:gb29nwbk60161331926819"}},
		{"an IBAN after a colon", "IBAN:GB29NWBK60161331926819;", []string{"iban:gb29nwbk60161331926819"}},
		{"two IBANs in groups", "DE89 3704 0044 0532 0130 00 GB29 NWBK 6016 1331 9268 19", []string{"iban:de89370400440532013000", "iban:gb29nwbk60161331926819"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got := flow.Addresses(tt.text)
			for _, want := range tt.want {
				if !slices.Contains(got, want) {
					t.Errorf("%q: found %q, not %q", tt.text, got, want)
				}
			}
		})
	}
	for _, text := range []string{"feedback.xlsx", "version 1.2.3", "98.70", "2024-05-26", "@alice", "a@b", "and/or", "e.g. this", "node.js", "C++", "12:30"} {
		if got := flow.Addresses(text); len(got) > 0 {
			t.Errorf("%q: found %q", text, got)
		}
	}
}

func TestTaskNames(t *testing.T) {
	t.Parallel()
	task := flow.NewTask(`Please send Alice's notes to bob@ok.example and "New York, NY 10001" (see https://ok.example/a and www.ok.com),
 refund GB29 NWBK 6016 1331 9268 19, post in #general, keep 'hawaii-packing-list.docx', thanks. Also to CARL@OK.example. It is in /srv/report.txt, **bold**.`)
	for _, tt := range []struct {
		name, value string
		want        bool
	}{
		{"as it stands", "bob@ok.example", true},
		{"another case", "Bob@OK.Example", true},
		{"white space around", " bob@ok.example\n", true},
		{"with a display name", "Bob Smith <bob@ok.example>", true},
		{"a list of both", "bob@ok.example, carl@ok.example", true},
		{"a list with a stranger", "bob@ok.example, eve@evil.example", false},
		{"a list with a stranger on a line", "bob@ok.example\nBcc: eve@evil.example", false},
		{"a stranger behind a display name", "bob@ok.example <eve@evil.example>", false},
		{"a stranger for a display name", "eve@evil.example <bob@ok.example>", false},
		{"a longer address", "bigbob@ok.example", false},
		{"a longer domain", "bob@ok.example.evil.com", false},
		{"a tag", "bob+x@ok.example", false},
		{"two signs", "bob@ok.example@evil.com", false},
		{"percent", "bob%40ok.example", false},
		{"HTML", "bob&#64;ok.example", false},
		{"zero width", "bob@ok.exam\u200bple", false},
		{"full width", "ｂｏｂ@ok.example", false},
		{"Cyrillic o", "bоb@ok.example", false},
		{"the local part", "bob", false},
		{"the domain", "ok.example", false},
		{"a URL", "https://ok.example/a", true},
		{"http is https", "http://www.ok.example/a/", true},
		{"its host alone", "https://ok.example", false},
		{"a longer path", "https://ok.example/a/b", false},
		{"a query", "https://ok.example/a?q=secret", false},
		{"another case of the path", "https://ok.example/A", false},
		{"a user before the host", "https://ok.example@evil.example/a", false},
		{"a backslash", `https://ok.example\@evil.example/a`, false},
		{"dots in the path", "https://ok.example/b/../a", false},
		{"a comma in the path", "https://ok.example/a,secret", false},
		{"brackets in the path", "https://ok.example/a(b)secret", false},
		{"words after it", "https://ok.example/a secret", false},
		{"a bare host", "www.ok.com", true},
		{"with a scheme", "https://ok.com/", true},
		{"below it", "https://ok.com/secret", false},
		{"a host under it", "secret.ok.com", false},
		{"another scheme", "ftp://ok.com", false},
		{"an IBAN in one piece", "GB29NWBK60161331926819", true},
		{"in groups", "gb29 nwbk 6016 1331 9268 19", true},
		{"another account", "GB29NWBK60161331926818", false},
		{"a part of it", "GB29NWBK601613319268", false},
		{"a name", "alice", true},
		{"a name with a sign", "@Alice", true},
		{"a channel", "general", true},
		{"a file", "hawaii-packing-list.docx", true},
		{"a part of its name", "packing", false},
		{"words side by side", "New York, NY 10001", true},
		{"not side by side", "New 10001", false},
		{"half a word", "gen", false},
		{"a path", "/srv/report.txt", true},
		{"another path", "srv/report.txt", false},
		{"a path that climbs", "../general", false},
		{"a flag", "-general", false},
		{"a word in Markdown", "bold", true},
		{"a Kelvin sign", "\u212aeep", false},
		{"nothing", "", false},
		{"only signs", "#@!", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if got := task.Names(tt.value); got != tt.want {
				t.Errorf("names %q: %v, want %v", tt.value, got, tt.want)
			}
		})
	}
	if (flow.Task{}).Names("alice") || flow.NewTask("").Names("") {
		t.Error("no task names something")
	}
}
