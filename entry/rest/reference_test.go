package rest_test

import (
	"bytes"
	"compress/gzip"
	"io"
	"regexp"
	"strings"
	"testing"

	"gatehouse/entry/rest"
)

// TestReferencePage: it works without any outside file, under a policy without inline scripts or styles.
func TestReferencePage(t *testing.T) {
	t.Parallel()
	w := newWorld(t, rest.Config{})
	page := w.send("GET", "/v1/docs", "", "")
	policy := page.header.Get("Content-Security-Policy")
	if page.status != 200 || page.header.Get("Content-Type") != "text/html; charset=utf-8" || strings.Contains(policy, "unsafe") ||
		!strings.HasPrefix(policy, "default-src 'none'; script-src 'self';") {
		t.Fatalf("%d %v", page.status, page.header)
	}
	for _, pattern := range []string{`<style`, ` style=`, ` on[a-z]+=`, `javascript:`, `https?://`, `="//`} {
		if found := regexp.MustCompile(pattern).FindString(page.body); found != "" {
			t.Errorf("the page has %q, which its policy forbids", found)
		}
	}
	for _, tag := range regexp.MustCompile(`<script[^>]*>[^<]*`).FindAllString(page.body, -1) {
		if !strings.Contains(tag, "src=") || !strings.HasSuffix(tag, ">") {
			t.Errorf("an inline script: %s", tag)
		}
	}
	links := regexp.MustCompile(`(?:src|href)="([^"]+)"`).FindAllStringSubmatch(page.body, -1)
	if len(links) != 5 {
		t.Errorf("%d links: %v", len(links), links)
	}
	for _, l := range links {
		if l[1] == "data:," { // no icon, so that the browser does not ask for one
			continue
		}
		plain := w.send("GET", l[1], "", "")
		zipped := w.send("GET", l[1], "", "", "Accept-Encoding", "gzip, br")
		if plain.status != 200 || plain.body == "" || plain.header.Get("Content-Encoding") != "" || zipped.status != 200 {
			t.Errorf("%s: %d, zipped %d", l[1], plain.status, zipped.status)
			continue
		}
		kind := map[bool]string{true: "text/css; charset=utf-8", false: "text/javascript; charset=utf-8"}[strings.HasSuffix(l[1], ".css")]
		if plain.header.Get("Content-Type") != kind || plain.header.Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("%s is %v", l[1], plain.header)
		}
		if zipped.header.Get("Content-Encoding") == "gzip" && gunzip(t, zipped.body) != plain.body {
			t.Errorf("%s differs when it is compressed", l[1])
		}
		if regexp.MustCompile(`@import|url\(["']?https?:`).MatchString(plain.body) && strings.HasSuffix(l[1], ".css") {
			t.Errorf("%s asks for a file elsewhere", l[1])
		}
	}
	script := w.send("GET", "/v1/docs/reference.js", "", "").body
	if strings.Contains(script, "localStorage") || strings.Contains(script, "sessionStorage") || strings.Contains(script, "cookie") {
		t.Error("the page's script keeps the token")
	}
}

func gunzip(t *testing.T, s string) string {
	t.Helper()
	r, err := gzip.NewReader(bytes.NewReader([]byte(s)))
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
